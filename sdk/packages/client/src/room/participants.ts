/** Who is in a room, and what each of them shows. These objects are never changed, but replaced. */

import type { SelectionRange, WireCursor, WireParticipant } from '../wire/messages.js';

/**
 * A user in a room, however many connections they have. `Data` is what the program shows of each; the gateway hands on
 * what other clients say, and does not look whether it is that.
 */
export interface Participant<Data = unknown> {
  readonly userId: string;
  /** The user's number in binary frames. */
  readonly numericId: number;
  readonly name: string;
  readonly color: string;
  /** An https address. */
  readonly picture: string | undefined;
  readonly selection: Selection | null;
  readonly status: string | null;
  /** What the program shows of this user, a JSON value. */
  readonly data: Data | undefined;
}

/** What somebody has selected, in terms of the document's content: it moves when that changes. */
export interface Selection {
  readonly ranges: readonly SelectionRange[];
  readonly color: string;
}

/** Where somebody's pointer is. */
export interface Cursor {
  readonly userId: string;
  readonly x: number;
  readonly y: number;
  readonly viewportX?: number;
  readonly viewportY?: number;
  /** The sender's own, in milliseconds modulo 2³²; 0 where it is not known. */
  readonly timestamp: number;
}

export function participantFromWire(entry: WireParticipant): Participant<never> {
  const { userId, numericId, name, color, picture } = entry;
  return { userId, numericId, name, color, picture, selection: null, status: null, data: undefined };
}

export function cursorFromWire(userId: string, cursor: WireCursor, timestamp: number): Cursor {
  return { userId, ...cursor, timestamp: timestamp >>> 0 };
}
