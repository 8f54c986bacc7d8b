/** The others' cursors, above everything else on the board. They move past React; one that rests fades. */

import type { Participant, ShownCursor } from '@fastcollab/client';
import { Cursors, useRoom } from '@fastcollab/react';
import { type ReactNode, useEffect, useRef } from 'react';
import { TEST_IDS } from '../testids.js';
import { ownColor } from './color.js';
import type { Projection } from './projection.js';

const IDLE = 4000; // milliseconds without a movement
const HIDDEN = 'scale(0)';

export function CursorLayer({ projection }: { projection: Projection }): ReactNode {
  const layer = useRef<HTMLDivElement>(null);
  useIdleMarks(layer);
  const transform = (cursor: ShownCursor): string => {
    const place = projection.toPixels(cursor);
    return place ? `translate(${place.x.toFixed(1)}px, ${place.y.toFixed(1)}px)` : HIDDEN;
  };
  return (
    <div ref={layer} className="cursors" aria-hidden>
      <Cursors transform={transform}>{pointer}</Cursors>
    </div>
  );
}

function pointer({ userId, name, color }: Participant): ReactNode {
  return (
    <div className="cursor" data-testid={TEST_IDS.cursor} data-user={userId} style={ownColor(color)}>
      <svg className="cursor-arrow" viewBox="0 0 18 20" aria-hidden="true">
        <path d="M2 1.5 16 9.5 9.4 11.4 6.4 18z" />
      </svg>
      <span className="cursor-name">{name}</span>
    </div>
  );
}

/** Marks cursors that have not moved for a while. One listener and one timer serve all of them. */
function useIdleMarks(layer: { readonly current: HTMLElement | null }): void {
  const room = useRoom();
  useEffect(() => {
    const movedAt = new Map<string, number>();
    const idle = new Set<string>();
    const mark = (userId: string, isIdle: boolean): void => {
      const element = layer.current?.querySelector(`[data-user="${CSS.escape(userId)}"]`);
      element?.toggleAttribute('data-idle', isIdle);
    };
    const stops = [
      room.on('cursor', ({ userId }) => {
        movedAt.set(userId, performance.now());
        if (idle.delete(userId)) mark(userId, false);
      }),
      room.on('cursorHidden', userId => {
        movedAt.delete(userId);
        idle.delete(userId);
      }),
    ];
    const timer = setInterval(() => {
      const since = performance.now() - IDLE;
      for (const [userId, at] of movedAt) {
        if (at > since || idle.has(userId)) continue;
        idle.add(userId);
        mark(userId, true);
      }
    }, 500);
    return () => {
      clearInterval(timer);
      for (const stop of stops) stop();
    };
  }, [room, layer]);
}
