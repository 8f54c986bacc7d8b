/**
 * A table that is shown again every second. Its rows stay the elements that they are, so that focus and what is
 * selected stay where they are; and while somebody points at a row or has the focus in one, none moves: a button that
 * is about to be pressed is not to become another's.
 */

import { element, mark, say } from './dom.js';

export interface Column<Item> {
  readonly title: string;
  readonly kind?: 'number' | 'deed';
  /** Fills a cell, once a row; what it returns shows what the row is about by then. */
  fill(cell: HTMLElement, item: () => Item): () => void;
}

interface Row<Item> {
  readonly body: HTMLTableRowElement;
  item: Item;
  shows: readonly (() => void)[];
}

export function column<Item>(title: string, read: (item: Item) => string, kind?: 'number'): Column<Item> {
  return { title, ...(kind && { kind }), fill: (cell, item) => () => say(cell, read(item())) };
}

export class Table<Item> {
  readonly element: HTMLElement;
  private readonly rows = new Map<string, Row<Item>>();
  private readonly body = element('tbody');
  private readonly nothing: HTMLElement;

  /** `label` is the table's name; `nothing` is said when it has no rows, and `key` tells rows apart. */
  constructor(
    label: string,
    nothing: string,
    private readonly columns: readonly Column<Item>[],
    private readonly key: (item: Item) => string,
  ) {
    const titles = columns.map(({ title, kind }) =>
      kind === 'deed' ? element('td') : element('th', { scope: 'col', ...(kind && { 'data-kind': kind }) }, title),
    );
    this.nothing = element('p', { class: 'muted nothing' }, nothing);
    this.element = element(
      'div',
      { class: 'table-frame' },
      element('table', { 'aria-label': label }, element('thead', {}, element('tr', {}, ...titles)), this.body),
      this.nothing,
    );
  }

  show(items: readonly Item[]): void {
    const shown = new Map(items.map(item => [this.key(item), item]));
    for (const [key, item] of shown) {
      const row = this.rows.get(key) ?? this.add(key, item);
      row.item = item;
      for (const show of row.shows) show();
    }
    const isHeld = this.body.matches(':hover, :focus-within');
    for (const [key, row] of this.rows) {
      mark(row.body, 'data-gone', shown.has(key) ? null : '');
      if (shown.has(key) || isHeld) continue;
      this.rows.delete(key);
      row.body.remove();
    }
    if (!isHeld) this.order([...shown.keys()]);
    this.nothing.hidden = this.rows.size > 0;
  }

  private add(key: string, item: Item): Row<Item> {
    const cells = this.columns.map(({ kind }, at) =>
      element(at === 0 ? 'th' : 'td', { ...(at === 0 && { scope: 'row' }), ...(kind && { 'data-kind': kind }) }),
    );
    const row: Row<Item> = { body: element('tr', {}, ...cells), item, shows: [] };
    row.shows = this.columns.map((column, at) => column.fill(cells[at]!, () => row.item));
    this.rows.set(key, row);
    this.body.append(row.body);
    return row;
  }

  private order(keys: readonly string[]): void {
    keys.forEach((key, at) => {
      const { body } = this.rows.get(key)!;
      const there = this.body.children[at];
      if (there !== body) this.body.insertBefore(body, there ?? null);
    });
  }
}
