/**
 * Showing cursors smoothly, at the rate of the screen and not of the network.
 *
 * Updates come at uneven times. A cursor is therefore shown as it was a moment ago, somewhere on the line between the
 * two updates around that moment; `delay` is that moment, and should be a little longer than what lies between updates.
 * A cursor that rests for longer than that jumps to where it goes next in one `delay`, and not slowly from long ago.
 */

import type { Emitter } from '../events.js';
import type { Cursor } from './participants.js';

/** Where a cursor is to be drawn. */
export interface ShownCursor {
  readonly userId: string;
  readonly x: number;
  readonly y: number;
}

export interface InterpolatorOptions {
  /** Milliseconds between an update and its being shown; by default 50. */
  readonly delay?: number;
}

interface Sample {
  readonly x: number;
  readonly y: number;
  readonly at: number;
}

/** What is needed of a room. */
interface CursorSource extends Pick<Emitter<{ cursor: Cursor; cursorHidden: string }>, 'on'> {
  readonly cursors: ReadonlyMap<string, Cursor>;
}

export class CursorInterpolator {
  readonly #delay: number;
  readonly #tracks: Map<string, Sample[]> = new Map(); // the oldest first
  readonly #stopListening: (() => void)[];
  #draw: ((cursors: ShownCursor[]) => void) | undefined;
  #frame: number | undefined;

  constructor(room: CursorSource, { delay = 50 }: InterpolatorOptions = {}) {
    this.#delay = delay;
    for (const cursor of room.cursors.values()) this.#add(cursor);
    this.#stopListening = [
      room.on('cursor', cursor => this.#add(cursor)),
      room.on('cursorHidden', userId => this.#remove(userId)),
    ];
  }

  /** All cursors as they are to be shown at `now`, by default the present `performance.now()`. */
  at(now: number = performance.now()): ShownCursor[] {
    const moment = now - this.#delay;
    return Array.from(this.#tracks, ([userId, track]) => {
      while (track.length > 1 && track[1]!.at <= moment) track.shift();
      const [from, to] = track as [Sample, Sample | undefined];
      const part = to ? Math.max(moment - from.at, 0) / (to.at - from.at) : 0;
      return to
        ? { userId, x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part }
        : { userId, x: from.x, y: from.y };
    });
  }

  /** Calls `draw` once a frame as long as anything moves, in a browser; returns how to stop that. */
  start(draw: (cursors: ShownCursor[]) => void): () => void {
    this.#draw = draw;
    this.#request();
    return () => {
      this.#draw = undefined;
      if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
      this.#frame = undefined;
    };
  }

  /** Lets go of the room. */
  close(): void {
    for (const stop of this.#stopListening) stop();
  }

  #add({ userId, x, y }: Cursor): void {
    const now = performance.now();
    const track = this.#tracks.get(userId);
    if (!track) {
      this.#tracks.set(userId, [{ x, y, at: now }]);
    } else {
      const last = track.at(-1)!;
      // It has rested: what lies between is no slow movement.
      if (now - last.at > this.#delay) track.push({ ...last, at: now - this.#delay });
      if (now > track.at(-1)!.at) track.push({ x, y, at: now });
      else track[track.length - 1] = { x, y, at: now };
    }
    this.#request();
  }

  #remove(userId: string): void {
    this.#tracks.delete(userId);
    this.#request();
  }

  #request(): void {
    if (this.#draw && this.#frame === undefined) this.#frame = requestAnimationFrame(this.#step);
  }

  readonly #step = (now: number): void => {
    this.#frame = undefined;
    this.#draw?.(this.at(now));
    if ([...this.#tracks.values()].some(track => track.length > 1)) this.#request();
  };
}
