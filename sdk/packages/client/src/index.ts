/**
 * The client of a fastcollab gateway. Documents need their type, from a module of its own:
 * `@fastcollab/client/text`, `@fastcollab/client/json1`, `@fastcollab/client/rich-text`.
 */

export { type ClientConfig, type ClientEvents, CollaborativeClient, type JoinOptions } from './client.js';
export type { Retry, Session, Token, Traffic } from './connection/link.js';
export type { ConnectionMetrics } from './connection/metrics.js';
export type { ReconnectPolicy } from './connection/reconnection.js';
export type { WebSocketConstructor, WebSocketLike } from './connection/socket.js';
export type { PastOperation } from './document/past.js';
export type { Change, DocumentEvents, Rejection, SharedDocument } from './document/shared.js';
export type { UndoOptions } from './document/undo.js';
export { Emitter, type Handler } from './events.js';
export type { DocumentType, Side } from './ot/type.js';
export type { PendingRecord, PendingSlot, PendingStore } from './persistence/store.js';
export { CursorInterpolator, type InterpolatorOptions, type ShownCursor } from './room/interpolation.js';
export type { Cursor, Participant, Selection } from './room/participants.js';
export type { CursorPosition, CustomEvent, Room, RoomEvents } from './room/room.js';
export type { ClientStatus, Status } from './status.js';
export { canonicalJson, checksum } from './wire/checksum.js';
export {
  CloseCode,
  ConnectionClosed,
  ErrorCode,
  type ErrorDetails,
  FastcollabError,
  ProtocolError,
  reconnects,
  UnknownType,
  VersionGap,
} from './wire/errors.js';
export { CURSOR, decodeFrames, encodeFrame, type FrameRecord, MAX_COORDINATE, SELECTION } from './wire/frames.js';
export type {
  ClientMessage,
  ClientMessages,
  DocumentState,
  Envelope,
  Limits,
  Permission,
  Position,
  SelectionRange,
  ServerMessage,
  ServerMessages,
} from './wire/messages.js';
