/** Which client, and which room, a component belongs to. */

import { type CollaborativeClient, FastcollabError, type Room } from '@fastcollab/client';
import { type Context, createContext, useCallback, useContext, useSyncExternalStore } from 'react';

export const ClientContext: Context<CollaborativeClient | undefined> = createContext<CollaborativeClient | undefined>(
  undefined,
);
export const RoomContext: Context<Room | undefined> = createContext<Room | undefined>(undefined);

/** The client of the `FastcollabProvider` around. Throws if there is none. */
export function useClient(): CollaborativeClient {
  const client = useContext(ClientContext);
  if (!client) throw new FastcollabError('there is no FastcollabProvider around this component');
  return client;
}

/** The room of the `RoomProvider` around, which is joined. Throws if there is none. */
export function useRoom<Content = any, Operation = any, Data = unknown>(): Room<Content, Operation, Data> {
  const room = useContext(RoomContext);
  if (!room) throw new FastcollabError('there is no RoomProvider around this component');
  return room as Room<Content, Operation, Data>;
}

/**
 * The room of the `RoomProvider` around, if that is one of `client`; otherwise the client's active room, undefined as
 * long as none is joined.
 */
export function useRoomOf(client: CollaborativeClient | undefined): Room | undefined {
  const around = useContext(ClientContext);
  const room = useContext(RoomContext);
  const subject = client ?? around;
  if (!subject) throw new FastcollabError('pass a client, or put a FastcollabProvider around this component');
  const subscribe = useCallback((changed: () => void) => subject.on('activeRoom', changed), [subject]);
  const active = useSyncExternalStore(
    subscribe,
    () => subject.activeRoom,
    () => undefined,
  );
  return room && subject === around ? room : active;
}
