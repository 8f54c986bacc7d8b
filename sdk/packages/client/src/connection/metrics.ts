/** How a connection does, in the terms of the protocol's `ConnectionMetrics`. */

export interface ConnectionMetrics {
  /** Round-trip time of the last ping, in milliseconds; NaN before the first. */
  readonly latency: number;
  /** WebSocket messages per second, both ways, over the last ten seconds. */
  readonly messageRate: number;
  /** Errors from the gateway, in the last minute. */
  readonly errorRate: number;
  /** How often a lost connection was made again. */
  readonly reconnections: number;
  /** Bytes per second over the last ten seconds; a text counts its UTF-16 units. */
  readonly bandwidth: { readonly inbound: number; readonly outbound: number };
}

const WINDOW = 10; // seconds
const ERROR_WINDOW = 60;

/** What happened in the last seconds, a bucket for each. */
class Window {
  readonly #buckets: Float64Array;
  #second = 0;

  constructor(seconds: number) {
    this.#buckets = new Float64Array(seconds);
  }

  add(amount: number, now: number): void {
    this.#turn(now);
    this.#buckets[this.#second % this.#buckets.length]! += amount;
  }

  sum(now: number): number {
    this.#turn(now);
    return this.#buckets.reduce((total, amount) => total + amount, 0);
  }

  #turn(now: number): void {
    const second = Math.floor(now / 1000);
    const passed = Math.min(second - this.#second, this.#buckets.length);
    for (let back = 0; back < passed; back++) this.#buckets[(second - back) % this.#buckets.length] = 0;
    this.#second = Math.max(second, this.#second);
  }
}

export class Metrics {
  latency: number = Number.NaN;
  reconnections = 0;
  readonly #messages = new Window(WINDOW);
  readonly #inbound = new Window(WINDOW);
  readonly #outbound = new Window(WINDOW);
  readonly #errors = new Window(ERROR_WINDOW);

  received(size: number, now: number): void {
    this.#messages.add(1, now);
    this.#inbound.add(size, now);
  }

  sent(size: number, now: number): void {
    this.#messages.add(1, now);
    this.#outbound.add(size, now);
  }

  failed(now: number): void {
    this.#errors.add(1, now);
  }

  snapshot(now: number): ConnectionMetrics {
    return {
      latency: this.latency,
      messageRate: this.#messages.sum(now) / WINDOW,
      errorRate: this.#errors.sum(now),
      reconnections: this.reconnections,
      bandwidth: { inbound: this.#inbound.sum(now) / WINDOW, outbound: this.#outbound.sum(now) / WINDOW },
    };
  }
}
