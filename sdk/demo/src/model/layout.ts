/**
 * Where things are on the board, in three measures: *cells*, in which the document has widgets; *units*, in which cursors
 * are sent (`UNITS` to a cell, and so 1,200 across); and pixels of this page, in which the board is as wide as it may be.
 * Rows have the same height everywhere, columns a part of the width.
 *
 * On a narrow page widgets are stacked, and places on the board mean nothing. What is over a widget there is shown over the
 * same part of that widget, and what is over none is not shown.
 */

import type { Cells } from './widgets.js';

export const COLUMNS = 24;
export const ROW = 20; // pixels
export const UNITS = { x: 50, y: 20 } as const;
export const SMALLEST = { w: 4, h: 5 } as const; // cells
export const LEAST_ROWS = 32;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Rect extends Point {
  readonly width: number;
  readonly height: number;
}

/** Where a widget is in pixels, on a board of that width. */
export function pixels({ x, y, w, h }: Cells, boardWidth: number): Rect {
  const column = boardWidth / COLUMNS;
  return { x: x * column, y: y * ROW, width: w * column, height: h * ROW };
}

export function units({ x, y, w, h }: Cells): Rect {
  return { x: x * UNITS.x, y: y * UNITS.y, width: w * UNITS.x, height: h * UNITS.y };
}

/** How many rows the board has: room for all widgets, and one row more than that. */
export function rows(widgets: readonly Cells[]): number {
  return widgets.reduce((most, { y, h }) => Math.max(most, y + h + 1), LEAST_ROWS);
}

/** Pixels as whole cells. */
export function snapped({ x, y }: Point, boardWidth: number): Point {
  return { x: Math.round((x * COLUMNS) / boardWidth), y: Math.round(y / ROW) };
}

/** Moved by so many cells, as far as the board goes. */
export function moved({ x, y, w, h }: Cells, by: Point): Cells {
  return { x: clamp(x + by.x, 0, COLUMNS - w), y: Math.max(y + by.y, 0), w, h };
}

/** With its lower right corner moved by so many cells, as far as the board goes and the content needs. */
export function resized({ x, y, w, h }: Cells, by: Point): Cells {
  return { x, y, w: clamp(w + by.x, SMALLEST.w, COLUMNS - x), h: Math.max(h + by.y, SMALLEST.h) };
}

export function overlaps(a: Cells, b: Cells): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** The first place, row by row, where something of that size lies upon nothing. */
export function freePlace(widgets: readonly Cells[], { w, h }: Pick<Cells, 'w' | 'h'>): Point {
  for (let y = 0; ; y++) {
    for (let x = 0; x + w <= COLUMNS; x++) {
      if (!widgets.some(other => overlaps(other, { x, y, w, h }))) return { x, y };
    }
  }
}

/** As one reads: line by line, from left to right. */
export function inReadingOrder<Placed extends Cells>(widgets: readonly Placed[]): Placed[] {
  return [...widgets].sort((a, b) => a.y - b.y || a.x - b.x);
}

/** `ids` with those that were there before in their former order: what has the focus should not move in the page. */
export function keptOrder(before: readonly string[], ids: readonly string[]): string[] {
  const present = new Set(ids);
  const known = new Set(before);
  return [...before.filter(id => present.has(id)), ...ids.filter(id => !known.has(id))];
}

/** A place in one rectangle, at the same part of another. */
export function carried(point: Point, from: Rect, to: Rect): Point {
  return {
    x: to.x + ((point.x - from.x) / from.width) * to.width,
    y: to.y + ((point.y - from.y) / from.height) * to.height,
  };
}

/**
 * Carries a place from one arrangement of the widgets to another; undefined if it is over none of them. The rectangles
 * are in the order of the document, the topmost last.
 */
export function carriedOver(point: Point, from: ReadonlyMap<string, Rect>, to: ReadonlyMap<string, Rect>) {
  for (const [id, rect] of [...from].reverse()) {
    const target = to.get(id);
    if (target && contains(rect, point)) return carried(point, rect, target);
  }
  return undefined;
}

function contains({ x, y, width, height }: Rect, point: Point): boolean {
  return point.x >= x && point.x < x + width && point.y >= y && point.y < y + height;
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
