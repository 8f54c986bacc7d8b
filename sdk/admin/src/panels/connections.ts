import type { Concern, WatchedConnection } from '../api.js';
import type { Deeds } from '../deeds.js';
import { button, element, mark, say } from '../dom.js';
import { amount, bytes, count, duration, latency, UNKNOWN } from '../format.js';
import { type Column, column, Table } from '../table.js';
import { panel } from './panel.js';

const TONES: Readonly<Record<Concern, string>> = {
  slow: 'warn',
  abusive: 'danger',
  failing: 'danger',
  distant: 'warn',
};

/** What there is to be said against a connection. */
export function evidence(connection: WatchedConnection): string {
  const { behind, waiting, skipped, refusals, metrics, concern } = connection;
  switch (concern) {
    case 'slow':
      return [
        behind > 0 ? `behind for ${duration(behind)}` : 'falls behind',
        `${bytes(waiting)} not read`,
        `${amount(skipped)} cursors skipped`,
      ].join(', ');
    case 'abusive':
      return `refused: ${Object.entries(refusals)
        .map(([limit, times]) => `${limit} ${amount(times)}`)
        .join(', ')}`;
    case 'failing':
      return `${count(metrics.errorRate, 'error')} a minute`;
    case 'distant':
      return `a round trip takes ${latency(metrics.latency ?? 0)}`;
    default:
      return '';
  }
}

/** Who it is: the user's id, and the name that it has given. */
const user: Column<WatchedConnection> = {
  title: 'User',
  fill(cell, connection) {
    const id = element('span');
    const name = element('span', { class: 'muted name' });
    cell.append(id, name);
    return () => {
      const { userId, name: given } = connection();
      say(id, userId ?? 'not known yet');
      say(name, given && given !== userId ? given : '');
    };
  },
};

const concern: Column<WatchedConnection> = {
  title: 'Concern',
  fill(cell, connection) {
    const badge = element('span', { class: 'badge' });
    const reason = element('span', { class: 'reason' });
    cell.append(badge, reason);
    return () => {
      const { concern } = connection();
      say(badge, concern ?? '');
      badge.hidden = concern === undefined;
      mark(badge, 'data-tone', concern ? TONES[concern] : null);
      say(reason, evidence(connection()));
    };
  },
};

function deed(deeds: Deeds): Column<WatchedConnection> {
  return {
    title: '',
    kind: 'deed',
    fill(cell, connection) {
      const { connectionId, userId } = connection();
      const whose = userId ?? connection().address;
      cell.append(
        button('Disconnect', { class: 'small-button', 'aria-label': `Disconnect ${whose}` }, () => {
          void deeds.disconnect(connectionId, whose);
        }),
      );
      if (userId === undefined) return () => {};
      cell.append(
        button('Everywhere', { class: 'small-button', 'aria-label': `Disconnect ${userId} everywhere` }, () => {
          void deeds.disconnectUser(userId);
        }),
      );
      return () => {};
    },
  };
}

/** The connections to the gateway that answers that are most worth a look, the worst first. */
export class Connections {
  private readonly table: Table<WatchedConnection>;
  readonly element: HTMLElement;

  constructor(deeds: Deeds) {
    this.table = new Table<WatchedConnection>(
      'Connections worth a look',
      'Nobody is connected here.',
      [
        user,
        concern,
        column('Rooms', connection => connection.rooms.join(', ')),
        column('Address', connection => connection.address),
        column(
          'Round trip',
          ({ metrics }) => (metrics.latency === null ? UNKNOWN : latency(metrics.latency)),
          'number',
        ),
        column('Messages/s', ({ metrics }) => amount(metrics.messageRate), 'number'),
        column('In', ({ metrics }) => `${bytes(metrics.bandwidth.inbound)}/s`, 'number'),
        column('Out', ({ metrics }) => `${bytes(metrics.bandwidth.outbound)}/s`, 'number'),
        deed(deeds),
      ],
      // One whose token has been accepted has a user from then on, and other buttons.
      connection => `${connection.connectionId} ${connection.userId ?? ''}`,
    );
    this.element = panel('Connections worth a look', 'those with a concern first', this.table.element);
    this.element.classList.add('wide');
  }

  show(connections: readonly WatchedConnection[]): void {
    this.table.show(connections);
  }
}
