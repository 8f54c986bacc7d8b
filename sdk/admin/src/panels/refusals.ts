import type { Activity } from '../api.js';
import { amount } from '../format.js';
import { column, Table } from '../table.js';
import { panel } from './panel.js';

interface Refused {
  readonly what: string;
  readonly perMinute: number;
}

/** What the gateway that answers has not let through, by limit, and the errors that it has told, by code. */
export class Refusals {
  private readonly table = new Table<Refused>(
    'Refusals and errors',
    'There was none in the last minute.',
    [column('What', ({ what }) => what), column('A minute', ({ perMinute }) => amount(perMinute), 'number')],
    ({ what }) => what,
  );

  readonly element = panel('Refusals and errors', 'limits by name, errors by code', this.table.element);

  show({ refusals, errors }: Activity): void {
    const rows = [
      ...Object.entries(refusals).map(([limit, perMinute]) => ({ what: `limit ${limit}`, perMinute })),
      ...Object.entries(errors).map(([code, perMinute]) => ({ what: `error ${code}`, perMinute })),
    ];
    this.table.show(rows.sort((a, b) => b.perMinute - a.perMinute));
  }
}
