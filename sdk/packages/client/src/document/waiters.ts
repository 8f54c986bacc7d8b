/** Those who wait for what they have written to be saved: for the operation in flight, or for the buffer after it. */

interface Waiter {
  resolve(version: number): void;
  reject(error: Error): void;
}

export class Waiters {
  #forFlight: Waiter[] = [];
  #forBuffer: Waiter[] = [];

  /** Resolves with the version that the operation makes. */
  add(inBuffer: boolean): Promise<number> {
    return new Promise((resolve, reject) => {
      (inBuffer ? this.#forBuffer : this.#forFlight).push({ resolve, reject });
    });
  }

  /** The operation in flight is committed; the buffer is in flight now. */
  succeed(version: number): void {
    for (const waiter of this.#takeFlight()) waiter.resolve(version);
  }

  /** The operation in flight is undone; the buffer is in flight now. */
  failFlight(error: Error): void {
    for (const waiter of this.#takeFlight()) waiter.reject(error);
  }

  failAll(error: Error): void {
    this.failFlight(error);
    this.failFlight(error);
  }

  #takeFlight(): Waiter[] {
    const waiting = this.#forFlight;
    this.#forFlight = this.#forBuffer;
    this.#forBuffer = [];
    return waiting;
  }
}
