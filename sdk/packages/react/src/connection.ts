/** How the connection stands, and what goes wrong. */

import {
  type ClientStatus,
  CloseCode,
  type CollaborativeClient,
  type ConnectionClosed,
  type Permission,
  type Rejection,
  type Status,
} from '@fastcollab/client';
import { useCallback, useContext, useEffect, useSyncExternalStore } from 'react';
import { RoomContext, useClient, useRoom } from './context.js';

export interface ConnectionState {
  readonly client: CollaborativeClient;
  readonly connected: boolean;
  /** Why there is no connection; undefined while there is one, or the first one is being made. */
  readonly error: Error | undefined;
}

/** The client, whether it is connected, and if not, why. */
export function useWebSocket(): ConnectionState {
  const connection = connectionOf(useClient());
  return useSyncExternalStore(connection.subscribe, connection.state, connection.before);
}

/** `connecting`, `connected` or `closed`: how the connection stands. */
export function useStatus(): ClientStatus {
  const client = useClient();
  const subscribe = useCallback((changed: () => void) => client.on('status', changed), [client]);
  return useSyncExternalStore(
    subscribe,
    () => client.status,
    () => 'closed',
  );
}

/** `connecting`, `connected`, `saving`, `saved` or `closed`: whether the gateway has what was written here. */
export function useSyncStatus(): Status {
  const room = useRoom();
  const subscribe = useCallback((changed: () => void) => room.on('status', changed), [room]);
  return useSyncExternalStore(
    subscribe,
    () => room.status,
    () => room.status,
  );
}

/** What one may do in the room. */
export function usePermission(): Permission | 'none' {
  const room = useRoom();
  const subscribe = useCallback((changed: () => void) => room.on('permission', changed), [room]);
  return useSyncExternalStore(
    subscribe,
    () => room.permission,
    () => room.permission,
  );
}

/**
 * Calls `handler` with the errors that no call waits for: of the connection, and of the room around, if there is one. If
 * operations of one's own were given up, it is called with these as well.
 */
export function useErrorListener(handler: (error: Error, rejection?: Rejection) => void): void {
  const client = useClient();
  const room = useContext(RoomContext);
  useEffect(() => {
    const failed = (error: Error): void => handler(error);
    const rejected = (rejection: Rejection): void => handler(rejection.error, rejection);
    const closed = (reason: ConnectionClosed): void => {
      if (isFailure(reason)) handler(reason);
    };
    const stops = [client.on('error', failed), client.on('closed', closed), client.on('rejected', rejected)];
    if (room) {
      stops.push(room.on('error', failed));
      if (room.hasDocument) stops.push(room.document.on('rejected', rejected));
    }
    return () => {
      for (const stop of stops) stop();
    };
  }, [client, room, handler]);
}

/** A client that was told to disconnect has not failed. */
function isFailure({ code }: ConnectionClosed): boolean {
  return code !== CloseCode.NORMAL;
}

/** The state of a client's connection, observed as long as the client lives. */
interface Connection {
  subscribe(changed: () => void): () => void;
  state(): ConnectionState;
  /** What is shown where no connection can be: on the server, and until the page has taken over. */
  before(): ConnectionState;
}

const connections = new WeakMap<CollaborativeClient, Connection>();

function connectionOf(client: CollaborativeClient): Connection {
  let connection = connections.get(client);
  if (!connection) {
    connection = observed(client);
    connections.set(client, connection);
  }
  return connection;
}

function observed(client: CollaborativeClient): Connection {
  const listeners = new Set<() => void>();
  const before: ConnectionState = { client, connected: false, error: undefined };
  let state = before;
  const set = (connected: boolean, error?: Error): void => {
    state = { client, connected, error };
    for (const changed of listeners) changed();
  };
  if (client.status === 'connected') set(true);
  client.on('connected', () => set(true));
  client.on('reconnecting', ({ failure }) => set(false, failure));
  client.on('closed', reason => set(false, isFailure(reason) ? reason : undefined));
  return {
    subscribe: changed => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    state: () => state,
    before: () => before,
  };
}
