/** When the operation in flight is sent: one at a time, no faster than the gateway allows, and not before it is kept. */

import { checksum } from '../wire/checksum.js';
import { ErrorCode, ProtocolError } from '../wire/errors.js';
import type { Host } from './changes.js';
import type { Copy } from './copy.js';

const TOO_LARGE = 'the operation is larger than the gateway allows';

export class Outgoing<Content, Operation> {
  readonly #copy: Copy<Content, Operation>;
  readonly #host: Host<Operation>;
  readonly #impossible: (error: ProtocolError) => void;
  #sentId = ''; // the operation that the gateway was sent on this connection and has not answered
  #timer: ReturnType<typeof setTimeout> | undefined;
  #untilChecksum: number;
  #tracedId: string | undefined; // of the operation in flight, which is in a trace at `#traceparent`
  #traceparent: string | undefined;
  #next: { readonly traceparent: string | undefined } | undefined; // where what waits behind it is

  /** `impossible` is told when the operation in flight can never be sent. */
  constructor(copy: Copy<Content, Operation>, host: Host<Operation>, impossible: (error: ProtocolError) => void) {
    this.#copy = copy;
    this.#host = host;
    this.#impossible = impossible;
    this.#untilChecksum = host.checksumEvery;
  }

  /** Sends the operation in flight, unless it is on its way or its time has not come. */
  advance(): void {
    this.#followTrace();
    const submission = this.#copy.inFlight;
    if (!submission || submission.messageId === this.#sentId || this.#timer !== undefined) return;
    const { messageId, operation, version } = submission;
    const { journal, pacer, maxBytes } = this.#host;
    if (journal && !journal.isKept(messageId)) return;
    const now = performance.now();
    const delay = pacer.delay(now);
    if (delay > 0) {
      this.after(delay);
    } else if (bytesOf(operation, maxBytes) > maxBytes) {
      const error = new ProtocolError(ErrorCode.INVALID_OPERATION, TOO_LARGE, { limit: maxBytes });
      this.#after(0, () => this.#impossible(error)); // whoever has just made it is to hear of it, too
    } else if (this.#host.send(messageId, { operation, version, ...this.#nextChecksum(), ...this.#place() })) {
      pacer.sent(now);
      this.#sentId = messageId;
    }
  }

  /** Something was edited just now. What is composed into one operation is where the first edit of it is. */
  edited(): void {
    const { trace } = this.#host;
    if (!trace) return;
    if (this.#copy.buffer === undefined) this.#next = { traceparent: trace() };
    this.#followTrace();
    if (this.#copy.buffer !== undefined) this.#next ??= { traceparent: trace() };
  }

  /** Whether this is the message that waits for an answer; it waits no longer. */
  answered(messageId: string): boolean {
    const isSent = messageId !== '' && messageId === this.#sentId;
    if (isSent) this.#sentId = '';
    return isSent;
  }

  /** What was sent may be sent again, in so many milliseconds. */
  after(delay: number): void {
    this.#after(delay, () => this.#host.advance());
  }

  /** The connection has ended: nothing is on its way. */
  interrupt(): void {
    this.#sentId = '';
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The next operation carries a checksum, if any do. */
  checkNext(): void {
    this.#untilChecksum = Math.min(this.#host.checksumEvery, 1);
  }

  /** When another operation is in flight, it is the one that has waited. */
  #followTrace(): void {
    const messageId = this.#copy.inFlight?.messageId;
    if (messageId === this.#tracedId) return;
    this.#tracedId = messageId;
    this.#traceparent = this.#next?.traceparent;
    this.#next = undefined;
  }

  #place(): { traceparent?: string } {
    return this.#traceparent === undefined ? {} : { traceparent: this.#traceparent };
  }

  #after(delay: number, resume: () => void): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      resume();
    }, delay);
  }

  /** The checksum to go with the operation that is sent now, if its turn has come. */
  #nextChecksum(): { checksum?: string } {
    if (--this.#untilChecksum !== 0) return {};
    this.#untilChecksum = this.#host.checksumEvery;
    return { checksum: checksum(this.#copy.confirmed) };
  }
}

/** The size of a value as JSON in UTF-8; exact if it may be more than `bound`. */
function bytesOf(value: unknown, bound: number): number {
  const text = JSON.stringify(value);
  return text.length * 3 > bound ? new TextEncoder().encode(text).length : text.length;
}
