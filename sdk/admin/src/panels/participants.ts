import type { Api, Participant } from '../api.js';
import type { Deeds } from '../deeds.js';
import { open } from '../dialogs.js';
import { button, element } from '../dom.js';
import { amount, short } from '../format.js';
import { Polling } from '../polling.js';
import { type Column, column, Table } from '../table.js';

/** Shows who takes part in a room, as long as the dialog is open. */
export function showParticipants(api: Api, deeds: Deeds, roomId: string, interval: number): void {
  const deed: Column<Participant> = {
    title: '',
    kind: 'deed',
    fill(cell, participant) {
      const { userId } = participant();
      const press = (): void => void deeds.disconnectUser(userId);
      cell.append(
        button('Disconnect', { class: 'small-button', 'aria-label': `Disconnect ${userId} everywhere` }, press),
      );
      return () => {};
    },
  };
  const table = new Table<Participant>(
    `Participants of ${roomId}`,
    'Nobody is in this room.',
    [
      column('User', participant => participant.userId),
      column('Name', participant => participant.name),
      column('Nodes', participant => participant.nodes.map(short).join(', ')),
      column('Connections here', participant => amount(participant.connections.length), 'number'),
      deed,
    ],
    participant => participant.userId,
  );
  const notice = element('p', { class: 'notice', role: 'status' });
  const close = button('Close', { class: 'button', autofocus: '' }, () => dialog.close());
  const dialog = open(`Room ${roomId}`, table.element, notice, element('div', { class: 'choices' }, close));
  const polling = new Polling(interval, async () => {
    try {
      table.show(await api.participants(roomId));
      notice.textContent = '';
    } catch (error) {
      notice.textContent = `Who is there is not known: ${(error as Error).message}`;
    }
  });
  dialog.addEventListener('close', () => polling.end());
}
