/**
 * What may be done to the dashboard: operations on its document, made from its content. `null` is the operation that does
 * nothing, and what comes out when the widget is gone.
 *
 * Places and sizes are replaced, so that of two people who move one widget the later wins, coordinate by coordinate.
 * Numbers are added to and titles edited in place, so that both people's work counts.
 */

import { editOp, insertOp, type Json1Operation, json1, moveOp, removeOp, replaceOp } from '@fastcollab/client/json1';
import { overlaps } from './layout.js';
import { type Splice, spliceBetween, textOperation } from './splice.js';
import { type Cells, type Dashboard, READINGS, type Widget } from './widgets.js';

type Key = string | number;

/** Puts a widget elsewhere, or makes it larger or smaller; only what differs is touched. */
export function reshape(dashboard: Dashboard, id: string, cells: Partial<Cells>): Json1Operation {
  return onWidget(dashboard, id, (widget, path) => {
    const changes = Object.entries(cells).filter(([key, value]) => widget[key as keyof Cells] !== value);
    return all(changes.map(([key, value]) => replaceOp([...path, key], widget[key as keyof Cells], value)));
  });
}

/** Moves a widget to the end of the list if another one lies upon it. */
export function bringToFront(dashboard: Dashboard, id: string): Json1Operation {
  return onWidget(dashboard, id, (widget, path) => {
    const above = dashboard.widgets.slice((path[1] as number) + 1);
    return above.some(other => overlaps(other, widget))
      ? moveOp(path, ['widgets', dashboard.widgets.length - 1])
      : null;
  });
}

export function add(dashboard: Dashboard, widget: Widget): Json1Operation {
  return insertOp(['widgets', dashboard.widgets.length], { ...widget } as any);
}

export function remove(dashboard: Dashboard, id: string): Json1Operation {
  return onWidget(dashboard, id, (_widget, path) => removeOp(path));
}

/** Edits a title letter by letter, as far as it differs. */
export function retitle(dashboard: Dashboard, id: string, title: string): Json1Operation {
  return onWidget(dashboard, id, (widget, path) => {
    const splice: Splice | undefined = spliceBetween(widget.title, title);
    return splice ? editOp([...path, 'title'], 'text-unicode', textOperation(splice)) : null;
  });
}

/** Adds to a number. */
export function count(dashboard: Dashboard, id: string, amount: number): Json1Operation {
  return onWidget(dashboard, id, (widget, path) =>
    widget.type === 'number' && amount ? editOp([...path, 'value'], 'number', amount) : null,
  );
}

/** Adds to one bar, which does not become less than nothing. */
export function countBar(dashboard: Dashboard, id: string, at: number, amount: number): Json1Operation {
  return onWidget(dashboard, id, (widget, path) => {
    const bar = widget.type === 'bar' ? widget.bars[at] : undefined;
    const change = bar ? Math.max(amount, -bar.value) : 0;
    return change ? editOp([...path, 'bars', at, 'value'], 'number', change) : null;
  });
}

/** Adds a reading to a line, which lets go of its oldest ones. */
export function addReading(dashboard: Dashboard, id: string, value: number): Json1Operation {
  return onWidget(dashboard, id, (widget, path) => {
    if (widget.type !== 'line') return null;
    const points = [...path, 'points'];
    const surplus = Math.max(widget.points.length + 1 - READINGS, 0);
    return all([
      ...Array.from({ length: surplus }, () => removeOp([...points, 0])),
      insertOp([...points, widget.points.length - surplus], value),
    ]);
  });
}

function onWidget(
  dashboard: Dashboard,
  id: string,
  make: (widget: Widget, path: Key[]) => Json1Operation,
): Json1Operation {
  const at = dashboard.widgets.findIndex(widget => widget.id === id);
  const widget = dashboard.widgets[at];
  return widget ? make(widget, ['widgets', at]) : null;
}

/** One operation that does these one after the other. */
function all(operations: readonly Json1Operation[]): Json1Operation {
  return operations.reduce((first, second) => json1.compose(first, second), null);
}
