/** From pixels of the board to the units in which cursors are sent, and back; see `model/layout`. */

import { type RefObject, useMemo } from 'react';
import { COLUMNS, carriedOver, type Point, type Rect, ROW, UNITS, units } from '../model/layout.js';
import type { Widget } from '../model/widgets.js';

export interface Projection {
  /** Undefined: that place is nowhere for the others. */
  toUnits(pixels: Point): Point | undefined;
  toPixels(units: Point): Point | undefined;
}

export function useProjection(
  board: RefObject<HTMLElement | null>,
  widgets: readonly Widget[],
  width: number,
  isStacked: boolean,
): Projection {
  return useMemo(
    () => (isStacked ? stacked(board, widgets, width) : spread(width)),
    [board, widgets, width, isStacked],
  );
}

function spread(width: number): Projection {
  const across = width / (COLUMNS * UNITS.x);
  const down = ROW / UNITS.y;
  return {
    toUnits: ({ x, y }) => ({ x: x / across, y: y / down }),
    toPixels: ({ x, y }) => ({ x: x * across, y: y * down }),
  };
}

function stacked(board: RefObject<HTMLElement | null>, widgets: readonly Widget[], width: number): Projection {
  const inUnits = new Map(widgets.map(widget => [widget.id, units(widget)]));
  let measured: Map<string, Rect> | undefined;
  const inPixels = (): Map<string, Rect> => {
    measured ??= measure(board.current, width);
    return measured;
  };
  return {
    toUnits: point => carriedOver(point, inPixels(), inUnits),
    toPixels: point => carriedOver(point, inUnits, inPixels()),
  };
}

function measure(board: HTMLElement | null, width: number): Map<string, Rect> {
  const rects = new Map<string, Rect>();
  if (!board || !width) return rects;
  for (const element of board.querySelectorAll<HTMLElement>('[data-widget]')) {
    const { offsetLeft: x, offsetTop: y, offsetWidth, offsetHeight: height } = element;
    rects.set(element.dataset.widget!, { x, y, width: offsetWidth, height });
  }
  return rects;
}
