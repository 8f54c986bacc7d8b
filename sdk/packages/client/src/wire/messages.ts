/** The messages of the protocol, as docs/protocol.md has them. */

import type { ErrorDetails } from './errors.js';

export const PROTOCOL_VERSION = 1;

/** An offset, or in `json1` documents a path that ends in an offset. */
export type Position = number | readonly (string | number)[];

export interface SelectionRange {
  readonly anchor: Position;
  readonly head: Position;
}

export type Permission = 'read' | 'write' | 'admin';

export interface WireCursor {
  x: number;
  y: number;
  viewportX?: number;
  viewportY?: number;
}

export interface WireSelection {
  ranges: SelectionRange[];
  color: string;
  version: number;
}

export interface WirePresence {
  cursor?: WireCursor | null;
  selection?: WireSelection | null;
  status?: string | null;
  data?: unknown;
}

export interface WireParticipant {
  userId: string;
  numericId: number;
  name: string;
  color: string;
  presence: WirePresence;
  picture?: string;
}

export interface DocumentState {
  type: string;
  data?: unknown;
  version: number;
  epoch: string;
}

export interface Recovery {
  recovered: boolean;
  missed?: number;
  reason?: 'epoch_changed' | 'gap_trimmed';
}

/** The limits in force; rates are per second, `burst` is how many seconds' worth may come at once. */
export interface Limits {
  readonly cursorUpdates: number;
  readonly operations: number;
  readonly messages: number;
  readonly burst: number;
  readonly connections: number;
  readonly rooms: number;
  readonly participants: number;
  readonly maxMessageBytes: number;
  readonly maxOperationBytes: number;
  readonly maxMessagesPerBatch: number;
}

/** Payloads of messages to the gateway, by type. */
export interface ClientMessages {
  connect: { token: string; deviceId: string; clientVersion: string; connectionId?: string };
  refresh_token: { token: string };
  join_room: { roomId: string; lastSyncVersion?: number; epoch?: string; documentType?: string };
  leave_room: { roomId: string };
  activate_room: { roomId: string };
  cursor_move: { x: number; y: number; viewportX: number; viewportY: number; timestamp: number };
  selection_change: { ranges: SelectionRange[]; color: string; version?: number };
  presence_update: { presence: { status?: string | null; data?: unknown } };
  operation: { operation: unknown; version: number; checksum?: string; traceparent?: string };
  event: { name: string; data?: unknown };
  get_document: { version?: number };
  get_history: { after: number; limit?: number };
  restore: { version: number };
  ping: { timestamp: number };
}

/** Payloads of messages from the gateway, by type. */
export interface ServerMessages {
  connected: {
    connectionId: string;
    userId: string;
    serverTime: number;
    protocol: number;
    numericId: number;
    heartbeatInterval: number;
    resumed: boolean;
    limits: Limits;
  };
  token_expiring: { expiresAt: number };
  token_refreshed: { expiresAt: number };
  room_joined: {
    roomId: string;
    handle: number;
    participants: WireParticipant[];
    documentState: DocumentState;
    version: number;
    permission: Permission;
    recovery?: Recovery;
  };
  room_left: { roomId: string };
  permission_changed: { roomId: string; permission: Permission };
  user_joined: { roomId: string; participant: WireParticipant };
  user_left: { roomId: string; participant: WireParticipant };
  presence_update: { userId: string; numericId: number; presence: WirePresence; timestamp: number };
  event: { name: string; data?: unknown; userId: string; numericId: number };
  ack: { messageId: string; version?: number };
  operation_broadcast: {
    operation: unknown;
    userId: string;
    numericId: number;
    messageId: string;
    version: number;
    transformedVersion: number;
    traceparent?: string;
  };
  document: { messageId: string; documentState: DocumentState };
  history: { messageId: string; operations: WirePastOperation[]; oldest: number; version: number };
  batch: { messages: ServerMessage[]; compressed: boolean };
  pong: { timestamp: number; serverTime: number };
  error: { code: number; message: string; details?: ErrorDetails; recoverable: boolean };
}

export interface WirePastOperation {
  operation: unknown;
  userId: string;
  numericId: number;
  messageId: string;
  version: number;
  transformedVersion: number;
  timestamp: number;
}

/** What is around every payload. */
export interface Envelope<Type extends string = string, Payload = unknown> {
  /** A UUID; of an operation it is the idempotency key (OT5). */
  id: string;
  type: Type;
  version: number;
  /** Unix time, in milliseconds. */
  timestamp: number;
  payload: Payload;
  sessionId?: string;
  roomId?: string;
  targetUserId?: string;
  acknowledgment?: boolean;
}

export type ClientMessage = {
  [Type in keyof ClientMessages]: Envelope<Type, ClientMessages[Type]>;
}[keyof ClientMessages];

export type ServerMessage = {
  [Type in keyof ServerMessages]: Envelope<Type, ServerMessages[Type]>;
}[keyof ServerMessages];
