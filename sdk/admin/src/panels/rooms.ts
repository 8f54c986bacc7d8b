import type { Api, BusyRoom } from '../api.js';
import type { Deeds } from '../deeds.js';
import { button, say } from '../dom.js';
import { amount } from '../format.js';
import { type Column, column, Table } from '../table.js';
import { panel } from './panel.js';
import { showParticipants } from './participants.js';

/** The busiest rooms of the gateway that answers. */
export class Rooms {
  private readonly table: Table<BusyRoom>;
  readonly element: HTMLElement;

  constructor(api: Api, deeds: Deeds, interval: number) {
    const name: Column<BusyRoom> = {
      title: 'Room',
      fill(cell, room) {
        const press = (): void => showParticipants(api, deeds, room().roomId, interval);
        const open = button('', { class: 'link', 'aria-haspopup': 'dialog' }, press);
        cell.append(open);
        return () => say(open, room().roomId);
      },
    };
    this.table = new Table<BusyRoom>(
      'Busiest rooms',
      'No room is open here.',
      [
        name,
        column('Connections', room => amount(room.connections), 'number'),
        column('Participants', room => amount(room.participants), 'number'),
        column('Cursors/s', room => amount(room.cursors), 'number'),
        column('Operations/s', room => amount(room.operations), 'number'),
      ],
      room => room.roomId,
    );
    this.element = panel('Busiest rooms', 'who is in one is shown when you open it', this.table.element);
  }

  show(rooms: readonly BusyRoom[]): void {
    this.table.show(rooms);
  }
}
