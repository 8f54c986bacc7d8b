/**
 * What the user shows to the others, throttled as the protocol has it: the newest cursor 60 times a second, or as often
 * as the gateway allows, the newest selection every 100 ms, status and data every 500 ms. While the connection is away
 * the newest of each waits for its return.
 */

import { Throttle } from '../pacing.js';
import type { SelectionRange } from '../wire/messages.js';

const CURSOR_INTERVAL = 1000 / 60; // milliseconds
const SELECTION_INTERVAL = 100;
const PRESENCE_INTERVAL = 500;

/** A place on the surface that all in a room share, in units of the program's own; at most 2²⁴ from 0. */
export interface CursorPosition {
  readonly x: number;
  readonly y: number;
  /** Where the user's view of the surface begins. */
  readonly viewportX?: number;
  readonly viewportY?: number;
}

export interface OwnSelection {
  readonly ranges: readonly SelectionRange[];
  readonly color: string;
}

export interface OwnPresence<Data = unknown> {
  readonly status?: string | null;
  readonly data?: Data | null;
}

/** How each kind is sent; false if that is not possible now. */
export interface Channels {
  cursor(position: CursorPosition): boolean;
  selection(selection: OwnSelection): boolean;
  presence(presence: OwnPresence): boolean;
}

export class Showing {
  readonly #cursor: Throttle<CursorPosition>;
  readonly #selection: Throttle<OwnSelection>;
  readonly #presence: Throttle<OwnPresence>;

  /** `cursorUpdates`: as many per second does the gateway take. */
  constructor(cursorUpdates: number, channels: Channels) {
    this.#cursor = new Throttle(Math.max(CURSOR_INTERVAL, 1000 / cursorUpdates), channels.cursor);
    this.#selection = new Throttle(SELECTION_INTERVAL, channels.selection);
    this.#presence = new Throttle(PRESENCE_INTERVAL, channels.presence);
  }

  cursor(position: CursorPosition): void {
    this.#cursor.put(position);
  }

  selection(selection: OwnSelection): void {
    this.#selection.put(selection);
  }

  presence(presence: OwnPresence): void {
    this.#presence.put({ ...this.#presence.waiting, ...presence });
  }

  /** There is a connection. */
  release(): void {
    for (const throttle of [this.#cursor, this.#selection, this.#presence]) throttle.release();
  }

  /** There is no connection. */
  hold(): void {
    for (const throttle of [this.#cursor, this.#selection, this.#presence]) throttle.hold();
  }
}
