/**
 * The client of a fastcollab gateway. Documents need their type, from a module of its own:
 * `@fastcollab/client/text`, `@fastcollab/client/json1`, `@fastcollab/client/rich-text`.
 */

export { CollaborativeClient } from './client.js';
export type { ClientConfig, ClientEvents, JoinOptions } from './config.js';
export type { ConnectionMetrics } from './connection/metrics.js';
export type { ReconnectPolicy } from './connection/reconnection.js';
export type { Retry, Session, Token, Traffic } from './connection/session.js';
export type { WebSocketConstructor, WebSocketLike } from './connection/socket.js';
export type { Change, DocumentEvents, Rejection } from './document/changes.js';
export type { PastOperation } from './document/past.js';
export type { SharedDocument } from './document/shared.js';
export type { UndoOptions } from './document/undo.js';
export { Emitter, type Handler } from './events.js';
export type { DocumentType, Side } from './ot/type.js';
export type { PendingRecord, PendingSlot, PendingStore } from './persistence/store.js';
export { textColorOn } from './room/colors.js';
export { CursorInterpolator, type InterpolatorOptions, type ShownCursor } from './room/interpolation.js';
export type { Cursor, Participant, Selection } from './room/participants.js';
export type { CustomEvent, Room, RoomEvents } from './room/room.js';
export type { CursorPosition, OwnPresence } from './room/showing.js';
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
