/**
 * Finding out that a connection is dead that nobody has closed. A browser does not tell a page of WebSocket pings, so
 * the protocol's own `ping` is sent now and then; a gateway from which nothing has come since the one before is gone.
 */
export class Heartbeat {
  readonly #interval: number;
  readonly #ping: () => void;
  readonly #silent: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasHeard = true;

  constructor(interval: number, ping: () => void, silent: () => void) {
    this.#interval = interval;
    this.#ping = ping;
    this.#silent = silent;
  }

  /** Pings at once, and every interval from now on. */
  start(): void {
    this.probe(this.#interval);
  }

  /** Something has come. */
  heard(): void {
    this.#hasHeard = true;
  }

  /** Pings now, and gives the gateway `patience` milliseconds. */
  probe(patience: number): void {
    clearTimeout(this.#timer);
    this.#hasHeard = false;
    this.#timer = setTimeout(() => {
      if (this.#hasHeard) this.probe(this.#interval);
      else this.#silent();
    }, patience);
    this.#ping();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
