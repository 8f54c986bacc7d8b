/** What a link is made of, and who is told about it. */

import type { ClientStatus } from '../status.js';
import type { ConnectionClosed } from '../wire/errors.js';
import type { Limits, ServerMessage } from '../wire/messages.js';
import type { Reconnection } from './reconnection.js';
import type { WebSocketConstructor } from './socket.js';

/** A JWT, or a function that returns one for each connection, and another one before that expires. */
export type Token = string | (() => string | Promise<string>);

/** What the gateway said on connecting. */
export interface Session {
  readonly connectionId: string;
  readonly userId: string;
  /** The user's number in binary frames. */
  readonly numericId: number;
  readonly limits: Limits;
  /** The gateway still knew the connection that was lost, and this one has taken its place. */
  readonly resumed: boolean;
}

/** The connection is going to be made again in `delay` milliseconds; `failure` is why there is none. */
export interface Retry {
  readonly failure: Error;
  readonly delay: number;
}

/** A WebSocket message, as it went over the wire. */
export interface Traffic {
  readonly direction: 'in' | 'out';
  readonly data: string | ArrayBuffer;
}

export interface LinkOptions {
  readonly url: string;
  readonly token: Token;
  readonly tokenInHandshake: boolean;
  readonly protocols: readonly string[];
  readonly deviceId: string;
  readonly connectTimeout: number;
  readonly heartbeat: number;
  readonly reconnection: Reconnection | undefined;
  readonly WebSocket: WebSocketConstructor;
}

/** Who makes sense of the messages, and is told what becomes of the connection. */
export interface LinkHandler {
  received(message: ServerMessage): void;
  binaryReceived(data: ArrayBuffer): void;
  /** A connection is made; nothing has been sent on it yet. */
  connected(session: Session): void;
  /** What belongs to the last connection alone is void; `reason` is given if no other will be made. */
  disconnected(reason: ConnectionClosed | undefined): void;
  statusChanged(status: ClientStatus): void;
  retrying(retry: Retry): void;
  tokenExpiring(expiresAt: number): void;
  /** Undefined if nobody looks. */
  readonly traffic: ((traffic: Traffic) => void) | undefined;
}
