/**
 * The others' cursors, moving smoothly. They are drawn once a frame, past React: what moves is a CSS transform, or
 * whatever `useCursors` is given. React renders only when somebody's cursor appears or is gone.
 */

import { CursorInterpolator, type Participant, type Room, type ShownCursor } from '@fastcollab/client';
import { type CSSProperties, type ReactNode, useCallback, useEffect, useRef } from 'react';
import { useRoom } from './context.js';
import { useOther } from './presence.js';
import { identity, shallowEqual, useSelected } from './selected.js';

export interface CursorsProps<Data = unknown> {
  /** What is shown at a participant's cursor: an arrow and a name, say. */
  readonly children: (participant: Participant<Data>) => ReactNode;
  /** The CSS transform that puts it to its place; by default that of the cursor, in pixels of the element around. */
  readonly transform?: (cursor: ShownCursor) => string;
  /** Milliseconds between an update and its being shown; see `CursorInterpolator`. */
  readonly delay?: number;
}

/** Shows the others' cursors within the element around, which needs a `position`, and takes no clicks. */
export function Cursors<Data = unknown>({ children, transform = translation, delay }: CursorsProps<Data>): ReactNode {
  const room = useRoom();
  const elements = useRef(new Map<string, HTMLElement>());
  const userIds = useSelected(
    useCallback((changed: () => void) => onCursorsShown(room, changed), [room]),
    useCallback(() => [...room.cursors.keys()], [room]),
    identity,
    shallowEqual,
  );
  useCursors(cursors => {
    for (const cursor of cursors) {
      const element = elements.current.get(cursor.userId);
      if (element) element.style.transform = transform(cursor);
    }
  }, delay);
  const attach = (userId: string, element: HTMLElement | null): void => {
    const cursor = room.cursors.get(userId);
    if (element && cursor) element.style.transform = transform(cursor);
    if (element) elements.current.set(userId, element);
    else elements.current.delete(userId);
  };
  return userIds.map(userId => (
    <Pointer key={userId} userId={userId} attach={attach}>
      {children}
    </Pointer>
  ));
}

/**
 * Calls `draw` once a frame as long as a cursor moves, with all of them at their smoothed places: for a canvas, or
 * elements of one's own. Renders nothing again.
 */
export function useCursors(draw: (cursors: ShownCursor[]) => void, delay?: number): void {
  const room = useRoom();
  const newest = useRef(draw);
  useEffect(() => {
    newest.current = draw;
  });
  useEffect(() => {
    const interpolator = new CursorInterpolator(room, delay === undefined ? {} : { delay });
    const stop = interpolator.start(cursors => newest.current(cursors));
    return () => {
      stop();
      interpolator.close();
    };
  }, [room, delay]);
}

interface PointerProps {
  readonly userId: string;
  readonly attach: (userId: string, element: HTMLElement | null) => void;
  readonly children: (participant: Participant<any>) => ReactNode;
}

const POINTER: CSSProperties = {
  position: 'absolute',
  left: 0,
  top: 0,
  pointerEvents: 'none',
  willChange: 'transform',
};

function Pointer({ userId, attach, children }: PointerProps): ReactNode {
  const participant = useOther<any>(userId);
  return (
    <div style={POINTER} aria-hidden ref={element => attach(userId, element)}>
      {participant && children(participant)}
    </div>
  );
}

function translation({ x, y }: ShownCursor): string {
  return `translate(${x}px, ${y}px)`;
}

/** Calls `changed` when a cursor is shown that was not, or is hidden. */
function onCursorsShown(room: Room, changed: () => void): () => void {
  const shown = new Set(room.cursors.keys());
  const stops = [
    room.on('cursor', ({ userId }) => {
      if (shown.has(userId)) return;
      shown.add(userId);
      changed();
    }),
    room.on('cursorHidden', userId => {
      shown.delete(userId);
      changed();
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
