/** How fast things are sent. Times are in milliseconds, of `performance.now()`. */

/** A leaky bucket: `rate` sends per second, of which `burst` seconds' worth may go at once. */
export class Pacer {
  readonly #interval: number;
  readonly #tolerance: number;
  #due = Number.NEGATIVE_INFINITY; // when the bucket will have run empty

  constructor(rate: number, burst = 0) {
    if (!(rate > 0)) throw new RangeError(`the rate must be positive, and not ${rate}`);
    this.#interval = 1000 / rate;
    // What may go at once includes the one that is always allowed after a quiet spell.
    this.#tolerance = Math.max(burst * 1000 - this.#interval, 0);
  }

  /** Milliseconds until the next send is allowed; 0 if it is allowed now. */
  delay(now: number): number {
    return Math.max(this.#due - this.#tolerance - now, 0);
  }

  sent(now: number): void {
    this.#due = Math.max(this.#due, now) + this.#interval;
  }
}

/**
 * Hands values to `send`: at once after a quiet spell, then at most one per interval, the newest one winning. The newest
 * value always arrives. `send` may return false for "not now", and is asked again an interval later. While it is held
 * nothing is sent, and the newest value waits.
 */
export class Throttle<Value> {
  readonly #pacer: Pacer;
  readonly #send: (value: Value) => boolean;
  #newest: { value: Value } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isHeld = true;

  /** It is held at first; `interval` is in milliseconds. */
  constructor(interval: number, send: (value: Value) => boolean) {
    this.#pacer = new Pacer(1000 / interval);
    this.#send = send;
  }

  put(value: Value): void {
    this.#newest = { value };
    if (this.#timer === undefined && !this.#isHeld) this.#flush();
  }

  hold(): void {
    this.#isHeld = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#flush();
  }

  /** What has not been sent yet, if anything. */
  get waiting(): Value | undefined {
    return this.#newest?.value;
  }

  readonly #flush = (): void => {
    this.#timer = undefined;
    if (!this.#newest) return;
    let now = performance.now();
    if (this.#pacer.delay(now) <= 0) {
      this.#pacer.sent(now);
      if (this.#send(this.#newest.value)) {
        this.#newest = undefined;
        return;
      }
      now = performance.now();
    }
    this.#timer = setTimeout(this.#flush, this.#pacer.delay(now));
  };
}
