/** The parts of the page that only compute. */

import { json1 } from '@fastcollab/client/json1';
import { text } from '@fastcollab/client/text';
import { describe, expect, test } from 'vitest';
import { linePath, part, scaleFor, scaleFromZero } from '../src/model/chart.js';
import * as edits from '../src/model/edits.js';
import * as layout from '../src/model/layout.js';
import { Ring } from '../src/model/ring.js';
import { caretAfter, spliceBetween, textOperation } from '../src/model/splice.js';
import {
  type Cells,
  type Dashboard,
  KINDS,
  newWidget,
  READINGS,
  TONES,
  type Widget,
  type WidgetType,
} from '../src/model/widgets.js';

function board(): Dashboard {
  const types: WidgetType[] = ['number', 'bar', 'line'];
  return { widgets: types.map((type, at) => newWidget(type, type, { x: at * 4, y: 0 }, TONES[at]!)) };
}

function after(dashboard: Dashboard, operation: ReturnType<typeof edits.add>): Dashboard {
  return json1.apply(dashboard as any, json1.normalize(operation)) as unknown as Dashboard;
}

function widget<Type extends Widget['type']>(dashboard: Dashboard, id: Type): Extract<Widget, { type: Type }> {
  return dashboard.widgets.find(each => each.id === id) as Extract<Widget, { type: Type }>;
}

/** What both see after the first was committed before the second, which were made at once. */
function merged(dashboard: Dashboard, first: any, second: any): Dashboard {
  const here = after(after(dashboard, first), json1.transform(second, first, 'left'));
  const there = after(after(dashboard, second), json1.transform(first, second, 'right'));
  expect(here).toEqual(there);
  return here;
}

describe('edits', () => {
  test('a widget is put elsewhere, and what stays the same is not touched', () => {
    const before = board();
    const moved = after(before, edits.reshape(before, 'bar', { x: 9, y: 0, w: 10 }));
    expect(widget(moved, 'bar')).toEqual({ ...widget(before, 'bar'), x: 9 });
    expect(moved.widgets[0]).toBe(before.widgets[0]);
    expect(edits.reshape(before, 'bar', { x: 4, y: 0 })).toBeNull();
    expect(edits.reshape(before, 'gone', { x: 4 })).toBeNull();
  });

  test('of two who move one widget the later wins, coordinate by coordinate', () => {
    const before = board();
    const first = edits.reshape(before, 'bar', { x: 1, y: 1 });
    const second = edits.reshape(before, 'bar', { x: 2 });
    expect(widget(merged(before, first, second), 'bar')).toMatchObject({ x: 2, y: 1 });
  });

  test('a widget is moved while another one brings it to the front', () => {
    const before = board();
    const front = edits.bringToFront(before, 'number');
    const move = edits.reshape(before, 'number', { y: 7 });
    for (const result of [merged(before, front, move), merged(before, move, front)]) {
      expect(result.widgets.map(each => each.id)).toEqual(['bar', 'line', 'number']);
      expect(widget(result, 'number').y).toBe(7);
    }
    expect(edits.bringToFront(before, 'line')).toBeNull();
    const apart = after(before, edits.reshape(before, 'number', { y: 20 }));
    expect(edits.bringToFront(apart, 'number')).toBeNull();
  });

  test('what two count at once is added up, and a bar is never less than nothing', () => {
    const before = board();
    const counted = merged(before, edits.count(before, 'number', 3), edits.count(before, 'number', -1));
    expect(widget(counted, 'number').value).toBe(widget(before, 'number').value + 2);
    const emptied = after(before, edits.countBar(before, 'bar', 1, -100));
    expect(widget(emptied, 'bar').bars[1]!.value).toBe(0);
    expect(edits.countBar(emptied, 'bar', 1, -1)).toBeNull();
    expect(edits.countBar(before, 'bar', 9, 1)).toBeNull();
    expect(edits.count(before, 'bar', 1)).toBeNull();
  });

  test('titles are edited letter by letter, so that both people’s letters stay', () => {
    const before = board();
    const { title } = widget(before, 'number');
    const first = edits.retitle(before, 'number', `🌱 ${title}`);
    const second = edits.retitle(before, 'number', `${title} 🚿`);
    expect(widget(merged(before, first, second), 'number').title).toBe(`🌱 ${title} 🚿`);
    expect(edits.retitle(before, 'number', title)).toBeNull();
  });

  test('a line keeps its newest readings', () => {
    let dashboard = board();
    for (let value = 0; value < READINGS + 5; value++) {
      dashboard = after(dashboard, edits.addReading(dashboard, 'line', value));
    }
    const { points } = widget(dashboard, 'line');
    expect(points).toEqual(Array.from({ length: READINGS }, (_, at) => at + 5));
    expect(edits.addReading(dashboard, 'bar', 1)).toBeNull();
  });

  test('widgets are added and removed', () => {
    const before = board();
    const extra = newWidget('number', 'extra', { x: 0, y: 30 }, 'sky');
    const more = after(before, edits.add(before, extra));
    expect(more.widgets.at(-1)).toEqual(extra);
    expect(after(more, edits.remove(more, 'extra'))).toEqual(before);
    expect(edits.remove(before, 'extra')).toBeNull();
  });
});

describe('layout', () => {
  const cells = { x: 20, y: 3, w: 4, h: 5 };

  test('nothing leaves the board, or gets too small', () => {
    expect(layout.moved(cells, { x: 5, y: -9 })).toEqual({ x: 20, y: 0, w: 4, h: 5 });
    expect(layout.moved(cells, { x: -25, y: 2 })).toEqual({ x: 0, y: 5, w: 4, h: 5 });
    expect(layout.resized(cells, { x: 9, y: 9 })).toEqual({ ...cells, h: 14 });
    expect(layout.resized({ ...cells, w: 4 }, { x: -9, y: -9 })).toEqual({ ...cells, ...layout.SMALLEST });
  });

  test('pixels are cells, whatever the width of the board', () => {
    for (const width of [480, 1000, 1333]) {
      const { x, y } = layout.pixels(cells, width);
      expect(layout.snapped({ x: x + 3, y: y - 3 }, width)).toEqual({ x: 20, y: 3 });
    }
  });

  test('what is added lies upon nothing', () => {
    const placed: Cells[] = [];
    for (let at = 0; at < 20; at++) {
      const size = { w: 4 + (at % 7), h: 5 + (at % 3) };
      const place = { ...layout.freePlace(placed, size), ...size };
      expect(placed.some(other => layout.overlaps(other, place))).toBe(false);
      expect(place.x + place.w).toBeLessThanOrEqual(layout.COLUMNS);
      placed.push(place);
    }
    expect(layout.rows(placed)).toBeGreaterThan(layout.LEAST_ROWS);
    expect(layout.rows([])).toBe(layout.LEAST_ROWS);
  });

  test('what is over a widget is over the same part of it on a narrow page', () => {
    const wide = new Map([
      ['under', { x: 0, y: 0, width: 100, height: 100 }],
      ['over', { x: 50, y: 50, width: 100, height: 100 }],
    ]);
    const narrow = new Map([
      ['under', { x: 0, y: 0, width: 300, height: 50 }],
      ['over', { x: 0, y: 60, width: 300, height: 50 }],
    ]);
    expect(layout.carriedOver({ x: 75, y: 75 }, wide, narrow)).toEqual({ x: 75, y: 72.5 });
    expect(layout.carriedOver({ x: 25, y: 25 }, wide, narrow)).toEqual({ x: 75, y: 12.5 });
    expect(layout.carriedOver({ x: 75, y: 72.5 }, narrow, wide)).toEqual({ x: 75, y: 75 });
    expect(layout.carriedOver({ x: 200, y: 200 }, wide, narrow)).toBeUndefined();
    expect(layout.carriedOver({ x: 25, y: 25 }, wide, new Map())).toBeUndefined();
  });

  test('widgets keep their order in the page, and are read from left to right', () => {
    expect(layout.keptOrder(['c', 'a', 'b'], ['a', 'b', 'd', 'c'])).toEqual(['c', 'a', 'b', 'd']);
    expect(layout.keptOrder(['c', 'a'], ['a'])).toEqual(['a']);
    const placed = [
      { ...cells, x: 9 },
      { ...cells, x: 0 },
      { ...cells, y: 0 },
    ];
    expect(layout.inReadingOrder(placed)).toEqual([placed[2], placed[1], placed[0]]);
  });
});

describe('charts', () => {
  test('an axis has round numbers, and all values', () => {
    expect(scaleFromZero([34, 52, 71]).ticks).toEqual([0, 20, 40, 60, 80]);
    for (const values of [[1, 2, 3], [-7.3, 12], [5, 5, 5], [0], [1e6, 1e6 + 3], [0.1, 0.2]]) {
      const { min, max, ticks } = scaleFor(values);
      expect(min).toBeLessThanOrEqual(Math.min(...values));
      expect(max).toBeGreaterThanOrEqual(Math.max(...values));
      expect(max).toBeGreaterThan(min);
      expect(ticks.length).toBeLessThanOrEqual(7);
    }
    expect(scaleFor([])).toEqual({ min: 0, max: 1, ticks: [0, 1] });
  });

  test('a line goes from edge to edge', () => {
    const scale = { min: 0, max: 10, ticks: [] };
    expect(linePath([0, 10, 5], scale, 100, 50)).toBe('M0 50L50 0L100 25');
    expect(linePath([5], scale, 100, 50)).toBe('M0 25');
    expect(linePath([], scale, 100, 50)).toBe('');
    expect(part(2.5, scale)).toBe(0.25);
  });
});

describe('splices', () => {
  test('are the smallest, in code points, and lead from one text to the other', () => {
    const samples = ['', 'abc', 'aXbc', 'abcabc', 'a😀c', 'a😃c', '😀', 'cba', 'aab', 'ab'];
    for (const before of samples) {
      for (const wanted of samples) {
        const splice = spliceBetween(before, wanted);
        if (before === wanted) expect(splice).toBeUndefined();
        else expect(text.apply(before, textOperation(splice!))).toBe(wanted);
      }
    }
    expect(spliceBetween('a😀c', 'a😃c')).toEqual({ at: 1, deleted: 1, inserted: '😃' });
  });

  test('a caret stays at its letter', () => {
    expect(caretAfter('wren', 'a wren', 2)).toBe(4);
    expect(caretAfter('wren', 'wrens', 2)).toBe(2);
    expect(caretAfter('wren', 'wrens', 4)).toBe(4);
    expect(caretAfter('wren', 'wr', 4)).toBe(2);
    expect(caretAfter('wren', '😀 wren', 2)).toBe(5);
    expect(caretAfter('wren', 'wren', 3)).toBe(3);
  });
});

test('a ring keeps the newest, in order', () => {
  const ring = new Ring<number>(3);
  const seen: number[][] = [];
  for (let item = 0; item < 7; item++) {
    ring.push(item);
    seen.push(ring.toArray());
  }
  expect(seen).toEqual([[0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6]]);
  expect(ring.count).toBe(7);
  ring.clear();
  expect([ring.toArray(), ring.count]).toEqual([[], 0]);
  ring.push(9);
  expect(ring.toArray()).toEqual([9]);
});

test('every kind of widget can be added, and fits', () => {
  for (const type of Object.keys(KINDS) as WidgetType[]) {
    const made = newWidget(type, 'new', { x: 0, y: 0 }, 'leaf');
    expect(made.w).toBeGreaterThanOrEqual(layout.SMALLEST.w);
    expect(made.h).toBeGreaterThanOrEqual(layout.SMALLEST.h);
    expect(JSON.parse(JSON.stringify(made))).toEqual(made);
  }
});
