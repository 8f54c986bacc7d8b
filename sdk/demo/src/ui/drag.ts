/** Dragging with a mouse, a pen or a finger: from where it was taken, until it is let go or Escape is pressed. */

import { type PointerEvent, useRef } from 'react';
import type { Point } from '../model/layout.js';

export interface DragHandlers {
  start(): void;
  /** `by`: in pixels, from where it was taken. */
  move(by: Point): void;
  /** `isCancelled`: it was not meant. */
  end(isCancelled: boolean): void;
}

/** The handler of `onPointerDown` for what is to be dragged. */
export function useDrag(handlers: DragHandlers): (event: PointerEvent<HTMLElement>) => void {
  const newest = useRef(handlers);
  newest.current = handlers;
  return event => {
    if (event.button !== 0 || !event.isPrimary) return;
    const handle = event.currentTarget;
    const { pointerId, clientX, clientY } = event;
    handle.setPointerCapture(pointerId);
    const controller = new AbortController();
    const { signal } = controller;
    const end = (isCancelled: boolean): void => {
      controller.abort();
      newest.current.end(isCancelled);
    };
    /** A second finger on the handle does nothing. */
    const heard = (
      type: 'pointermove' | 'pointerup' | 'pointercancel',
      handler: (event: globalThis.PointerEvent) => void,
    ): void => {
      const ours = (event: globalThis.PointerEvent): void => {
        if (event.pointerId === pointerId) handler(event);
      };
      handle.addEventListener(type, ours, { signal });
    };
    const pressed = (key: KeyboardEvent): void => {
      if (key.key === 'Escape') end(true);
    };
    heard('pointermove', to => newest.current.move({ x: to.clientX - clientX, y: to.clientY - clientY }));
    heard('pointerup', () => end(false));
    heard('pointercancel', () => end(true));
    window.addEventListener('keydown', pressed, { signal, capture: true });
    newest.current.start();
  };
}
