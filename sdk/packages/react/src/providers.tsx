/** The components that give a client, and a room, to all below them. */

import type { CollaborativeClient, DocumentType } from '@fastcollab/client';
import { type ReactNode, useCallback, useEffect, useSyncExternalStore } from 'react';
import { ClientContext, RoomContext, useClient } from './context.js';
import { Lease } from './lease.js';
import { JOINING, stay, stayState } from './stay.js';

export interface FastcollabProviderProps {
  /** The client; made once, outside of components or in a `useState`. */
  readonly client: CollaborativeClient;
  readonly children?: ReactNode;
}

/**
 * Gives its client to the hooks below. Connects it as long as it is mounted; a client that the program itself has
 * connected stays so.
 */
export function FastcollabProvider({ client, children }: FastcollabProviderProps): ReactNode {
  useEffect(() => connectionOf(client).hold(), [client]);
  return (
    <ClientContext.Provider value={client}>
      <RoomContext.Provider value={undefined}>{children}</RoomContext.Provider>
    </ClientContext.Provider>
  );
}

export interface RoomProviderProps {
  readonly id: string;
  /** The document's type; not needed if the client was made with it. */
  readonly type?: DocumentType;
  /** What the others are shown of oneself, until `useMyPresence` says otherwise; read when the room is joined. */
  readonly initialPresence?: object;
  /** Shown until the room is joined. */
  readonly fallback?: ReactNode;
  readonly children?: ReactNode;
}

/**
 * Is in a room as long as it is mounted, and gives it to the hooks below. Shows `fallback` until the room is joined, and
 * then `children`, whether or not the connection is lost meanwhile. What the gateway answers instead of letting one in
 * is thrown to the error boundary around.
 */
export function RoomProvider({ id, type, initialPresence, fallback, children }: RoomProviderProps): ReactNode {
  const client = useClient();
  const subscribe = useCallback((changed: () => void) => stay(client, id, type, changed), [client, id, type]);
  const { room, error } = useSyncExternalStore(
    subscribe,
    () => stayState(client, id),
    () => JOINING,
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is initial is read when the room is joined
  useEffect(() => {
    if (room && initialPresence && room.self?.data === undefined) room.updatePresence({ data: initialPresence });
  }, [room]);
  if (error) throw error;
  return room ? <RoomContext.Provider value={room}>{children}</RoomContext.Provider> : fallback;
}

const connections = new WeakMap<CollaborativeClient, Lease>();

function connectionOf(client: CollaborativeClient): Lease {
  let connection = connections.get(client);
  if (!connection) {
    let isOurs = false;
    const begin = (): void => {
      isOurs = client.status === 'closed';
      if (isOurs) client.connect().catch(() => {}); // `closed` tells of it
    };
    connection = new Lease(begin, () => {
      if (isOurs) client.disconnect();
    });
    connections.set(client, connection);
  }
  return connection;
}
