/** What a client is made of, and what it tells. */

import type { ReconnectPolicy } from './connection/reconnection.js';
import type { Retry, Session, Token, Traffic } from './connection/session.js';
import type { WebSocketConstructor } from './connection/socket.js';
import type { Rejection } from './document/changes.js';
import type { UndoOptions } from './document/undo.js';
import type { DocumentType } from './ot/type.js';
import type { PendingStore } from './persistence/store.js';
import type { Room } from './room/room.js';
import type { ClientStatus } from './status.js';
import type { ConnectionClosed } from './wire/errors.js';

export interface ClientConfig {
  /** The gateway's address, such as `wss://collab.example.com/ws`. */
  readonly url: string;
  /** A JWT, or a function that returns one for each connection, and another one before that expires. */
  readonly token: Token;
  /** The types of documents that rooms may have: `text`, `json1`, `richText`, each from a module of its own. */
  readonly types?: readonly DocumentType[];
  /** How cursors are sent and asked for: in `batched` binary frames (by default), in single `frames`, or as `json`. */
  readonly cursors?: 'batched' | 'frames' | 'json';
  /** How a connection that is lost is made again; false: it is not. */
  readonly reconnect?: boolean | Partial<ReconnectPolicy>;
  /** Keeps what is pending, so that it outlives the page; see `@fastcollab/client/indexeddb`. */
  readonly persistence?: PendingStore;
  /** One in so many operations, in each room, carries a checksum; by default 50, 0 for none. */
  readonly checksumEvery?: number;
  readonly undo?: UndoOptions;
  /** Where something that is edited now is in a trace: a W3C `traceparent`, or undefined if it is in none. */
  readonly trace?: () => string | undefined;
  /** Sends the token in the handshake (by default), or in a message after it. */
  readonly tokenInHandshake?: boolean;
  readonly deviceId?: string;
  /** Milliseconds that an attempt to connect may take; by default 10,000. */
  readonly connectTimeout?: number;
  /** Milliseconds between pings, and until a silent gateway is given up; by default 20,000. */
  readonly heartbeat?: number;
  /** Where there is no global one, as in Node before 22: the class of the package `ws`. */
  readonly WebSocket?: WebSocketConstructor;
}

export interface ClientEvents {
  status: ClientStatus;
  /** A connection was made, for the first time or again. */
  connected: Session;
  /** The connection was lost, or is not made: there will be another attempt. */
  reconnecting: Retry;
  /** The client is closed: no other attempt will be made. */
  closed: ConnectionClosed;
  /** `activeRoom` is another one, or there is none any more. */
  activeRoom: Room | undefined;
  /** A token that is no function, or could not be replaced, expires at this Unix time (ms). */
  tokenExpiring: number;
  /** Own operations that an earlier page has left behind could not be brought into the room's document. */
  rejected: Rejection & { readonly roomId: string };
  /** An error that no call waits for, and that is about no room. */
  error: Error;
  /** Every WebSocket message, for inspectors. */
  traffic: Traffic;
}

export interface JoinOptions<Content = any, Operation = any> {
  /** The document's type, if joining makes one; a document of another type refuses to be joined. */
  readonly type?: DocumentType<Content, Operation>;
}
