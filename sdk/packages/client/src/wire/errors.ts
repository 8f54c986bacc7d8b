/**
 * What can go wrong, and how each failure is named on the wire (docs/protocol.md, X1 to X3).
 *
 *     FastcollabError
 *     ├── ProtocolError       a refusal that the gateway has sent as an `error` message
 *     ├── ConnectionClosed    the connection has ended, or there is none
 *     ├── VersionGap          versions reached a document out of order
 *     └── UnknownType         a document of a type that this client was made without
 *
 * An operation that does not fit its document is what the package of its type throws.
 */

export const ErrorCode = {
  INVALID_TOKEN: 1001,
  CONNECTION_LIMIT: 1002,
  RATE_LIMIT: 1003,
  ROOM_NOT_FOUND: 2001,
  ROOM_FULL: 2002,
  NO_PERMISSION: 2003,
  INVALID_OPERATION: 3001,
  VERSION_MISMATCH: 3002,
  CHECKSUM_FAILED: 3003,
  INTERNAL_ERROR: 5001,
  SERVICE_UNAVAILABLE: 5002,
} as const;

/** The `code` of an `error` message; a newer gateway may know others. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The code in a WebSocket close frame; below 4000 those of RFC 6455, from there on the protocol's own. */
export const CloseCode = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  PROTOCOL_ERROR: 1002,
  ABNORMAL: 1006,
  INVALID_TEXT: 1007,
  MESSAGE_TOO_BIG: 1009,
  INTERNAL_FAULT: 1011,
  INVALID_TOKEN: 4101,
  CONNECTION_LIMIT: 4102,
  RATE_LIMIT: 4103,
  INTERNAL_ERROR: 4501,
  SERVICE_UNAVAILABLE: 4502,
  SLOW_CONSUMER: 4503,
  SILENT: 4504,
  REPLACED: 4505,
  DISCONNECTED: 4506,
} as const;

const STAYS_CLOSED: ReadonlySet<number> = new Set([
  CloseCode.NORMAL,
  CloseCode.PROTOCOL_ERROR,
  CloseCode.INVALID_TEXT,
  CloseCode.MESSAGE_TOO_BIG,
]);

const COMES_BACK: ReadonlySet<number> = new Set([
  CloseCode.RATE_LIMIT,
  CloseCode.INTERNAL_ERROR,
  CloseCode.SERVICE_UNAVAILABLE,
  CloseCode.SLOW_CONSUMER,
  CloseCode.SILENT,
]);

/**
 * Whether a client should connect again by itself after this close code, with the token that it has. Below 4000, codes
 * that a gateway does not send are a proxy's, which restarts; what newer codes of a gateway ask for nobody here knows.
 */
export function reconnects(code: number): boolean {
  return code < 4000 ? !STAYS_CLOSED.has(code) : COMES_BACK.has(code);
}

/** The root of all errors of this package. */
export class FastcollabError extends Error {
  override name = 'FastcollabError';
}

/** What the details of an `error` message may say, beside what is particular to a code. */
export interface ErrorDetails {
  /** The message that is refused (X2). */
  messageId?: string;
  /** How long to wait before another attempt, in milliseconds. */
  retryAfterMs?: number;
  /** The offending field. */
  path?: string;
  [name: string]: unknown;
}

/** A refusal by the gateway; `recoverable` says whether the connection goes on. */
export class ProtocolError extends FastcollabError {
  override name = 'ProtocolError';
  readonly code: number;
  readonly details: ErrorDetails;
  readonly recoverable: boolean;

  constructor(code: number, message: string, details: ErrorDetails = {}, recoverable = true) {
    super(message);
    this.code = code;
    this.details = details;
    this.recoverable = recoverable;
  }
}

/**
 * A connection has ended; `code` and `reason` are those of the close frame (1006: there was none). `retryAfter` is how
 * long the gateway asked to be left alone, in milliseconds.
 */
export class ConnectionClosed extends FastcollabError {
  override name = 'ConnectionClosed';
  readonly code: number;
  readonly reason: string;
  readonly retryAfter: number;

  constructor(code: number, reason = '', retryAfter = 0) {
    super(`connection closed with ${code}${reason && `: ${reason}`}`);
    this.code = code;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

/** Something that makes version `received` reached a document that is not at the version before it. */
export class VersionGap extends FastcollabError {
  override name = 'VersionGap';

  constructor(current: number, received: number) {
    super(`version ${received} does not follow version ${current}`);
  }
}

/** The room's document is of a type that was not given to the client, or is none that was asked for. */
export class UnknownType extends FastcollabError {
  override name = 'UnknownType';

  constructor(type: string) {
    super(`this client was made without the document type ${JSON.stringify(type)}: pass it in \`types\``);
  }
}
