import type { Node } from '../api.js';
import { element, mark, say } from '../dom.js';
import { amount, duration, latency, percent, short, UNKNOWN } from '../format.js';
import { type Column, column, Table } from '../table.js';
import { panel } from './panel.js';

const state: Column<Node> = {
  title: 'State',
  fill(cell, node) {
    const badge = element('span', { class: 'badge' });
    const faults = element('span', { class: 'faults' });
    cell.append(badge, faults);
    return () => {
      const found = node().faults;
      say(badge, found.length ? 'not ready' : 'ready');
      mark(badge, 'data-tone', found.length ? 'danger' : 'good');
      say(faults, found.join('; '));
    };
  },
};

function time(value: number | null | undefined): string {
  return value == null ? UNKNOWN : latency(value);
}

/** All gateways, with what keeps them from serving as they should. */
export class Nodes {
  private readonly table = new Table<Node>(
    'Nodes',
    'There is none.',
    [
      column('Node', node => short(node.node)),
      state,
      column('Connections', node => amount(node.connections), 'number'),
      column('Users', node => amount(node.users), 'number'),
      column('Rooms', node => amount(node.rooms), 'number'),
      column('Processor', ({ load }) => (load ? percent(load.cpu) : UNKNOWN), 'number'),
      column('Fan-out', ({ load }) => time(load?.fanoutP99), 'number'),
      column('Commit', ({ load }) => time(load?.commitP99), 'number'),
      column('Up for', node => duration((Date.now() - node.startedAt) / 1000), 'number'),
      column('Version', node => node.version),
    ],
    node => node.node,
  );

  readonly element = panel('Nodes', 'latencies are p99', this.table.element);

  constructor() {
    this.element.classList.add('wide');
  }

  show(nodes: readonly Node[]): void {
    this.table.show(nodes);
  }
}
