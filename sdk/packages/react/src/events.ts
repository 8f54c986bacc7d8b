/** Events of the program's own. */

import type { CustomEvent } from '@fastcollab/client';
import { useCallback, useEffect } from 'react';
import { useRoom } from './context.js';

/** A function that sends an event to all others in the room; it resolves when the gateway has it. */
export function useBroadcastEvent(): (name: string, data?: unknown) => Promise<void> {
  const room = useRoom();
  return useCallback((name, data) => room.broadcast(name, data), [room]);
}

/** Calls `handler` with each event of that name that somebody else sends. */
export function useEventListener<Data = unknown>(name: string, handler: (event: CustomEvent<Data>) => void): void {
  const room = useRoom();
  useEffect(
    () =>
      room.on('event', event => {
        if (event.name === name) handler(event as CustomEvent<Data>);
      }),
    [room, name, handler],
  );
}
