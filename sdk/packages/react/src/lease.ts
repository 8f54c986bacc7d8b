/**
 * Holding something as long as components need it.
 *
 * React takes components away and puts them back at once: under StrictMode each one, in development; when a page is
 * exchanged for another that shows the same room, in use. What lasts, a connection or the stay in a room, must not
 * follow each of these steps, or the others would see somebody leave and come. So it begins with the first who holds
 * it, and ends when nobody has held it for a moment.
 */

const LINGER = 200; // milliseconds

export class Lease {
  readonly #begin: () => void;
  readonly #end: () => void;
  #holders = 0;
  #ending: ReturnType<typeof setTimeout> | undefined;

  constructor(begin: () => void, end: () => void) {
    this.#begin = begin;
    this.#end = end;
  }

  /** Returns how to let go. */
  hold(): () => void {
    this.#holders += 1;
    if (this.#ending !== undefined) {
      clearTimeout(this.#ending);
      this.#ending = undefined;
    } else if (this.#holders === 1) this.#begin();
    return () => {
      this.#holders -= 1;
      if (this.#holders === 0) this.#ending = setTimeout(this.#expire, LINGER);
    };
  }

  readonly #expire = (): void => {
    this.#ending = undefined;
    this.#end();
  };
}
