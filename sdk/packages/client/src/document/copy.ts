/**
 * The client's half of operational transformation, over any document type, without input or output.
 *
 * The gateway puts all operations on a document in one order. A client does not wait for it: it applies its user's
 * operations at once and tells the gateway afterwards. Until all of them have come back, its copy is ahead:
 *
 *     confirmed ──in flight──▶ · ──buffer──▶ content
 *      (version)     (a)            (b)
 *
 * `confirmed` is the document at `version`, the newest version of which everything is known. At most one operation `a`
 * is in flight: sent, with an id, and not acknowledged. What the user does meanwhile is composed into one buffer `b`,
 * which is in flight next.
 *
 * When another's operation `r` arrives, it follows `confirmed` and not `content`. It is carried along the upper side of
 * the diagram, and the client's own operations down to its lower side:
 *
 *     confirmed ───a───▶ · ───b───▶ content           r'  = transform(r,  a, right)   a' = transform(a, r,  left)
 *         │r             │r'           │r''           r'' = transform(r', b, right)   b' = transform(b, r', left)
 *         ▼              ▼             ▼
 *     confirmed'───a'──▶ · ───b'──▶ content'
 *
 * The gateway transforms the newcomer, which `a` is to it, on the left (OT2). Since both halves compute the same
 * squares, and each square closes, all copies end up equal. This also makes `(a', version)` as good as the operation
 * that was sent: a client that reconnects applies what it missed in order and sends `a'` again under the same id. If
 * the gateway had committed `a` before, then the missed operations contain it, and its id among them acknowledges it.
 *
 * Operations are rolled back in two cases only: the gateway refused the one in flight, whose inverse is carried over the
 * buffer, which survives; or it answered with a full state that does not continue `version`. Then nobody can say what
 * the pending operations would mean there, and they are handed back.
 */

import type { DocumentType } from '../ot/type.js';
import { uuid } from '../uuid.js';
import { FastcollabError, VersionGap } from '../wire/errors.js';
import type { Position } from '../wire/messages.js';

/** An operation to send: `messageId` is its idempotency key, `version` what it was written against. */
export interface Submission<Operation> {
  readonly messageId: string;
  readonly operation: Operation;
  readonly version: number;
}

export class Copy<Content, Operation> {
  readonly type: DocumentType<Content, Operation>;
  version: number;
  epoch: string;
  /** What the user sees: all that the gateway has said, and the own operations on top. */
  content: Content;
  /** What the gateway has at `version`. */
  confirmed: Content;
  readonly #newId: () => string;
  #messageId = '';
  #inFlight: Operation | undefined;
  #buffer: Operation | undefined;

  constructor(
    type: DocumentType<Content, Operation>,
    data: Content,
    version: number,
    epoch: string,
    newId: () => string = uuid,
  ) {
    this.type = type;
    this.version = version;
    this.epoch = epoch;
    this.content = this.confirmed = data;
    this.#newId = newId;
  }

  /** The operation not acknowledged, as it reads at `version`: what to send again after a reconnection. */
  get inFlight(): Submission<Operation> | undefined {
    if (!this.#messageId) return undefined;
    return { messageId: this.#messageId, operation: this.#inFlight!, version: this.version };
  }

  get buffer(): Operation | undefined {
    return this.#buffer;
  }

  /** The operations that lie between `confirmed` and `content`, in order. */
  get pending(): Operation[] {
    if (!this.#messageId) return [];
    return this.#buffer === undefined ? [this.#inFlight!] : [this.#inFlight!, this.#buffer];
  }

  /** Applies the user's operation, in normal form, to `content`. Throws if it does not fit, and changes nothing then. */
  edit(operation: Operation): void {
    const content = this.type.apply(this.content, operation);
    if (!this.#messageId) this.#launch(operation);
    else if (this.#buffer === undefined) this.#buffer = operation;
    else this.#buffer = this.type.compose(this.#buffer, operation);
    this.content = content;
  }

  /** The operation in flight was committed as `version`. Throws VersionGap if that is not the next one. */
  acknowledged(version: number): void {
    this.#expectInFlight();
    this.#expectNext(version);
    if (this.#buffer === undefined && this.type.invertsExactly) {
      this.confirmed = this.content;
    } else {
      this.confirmed = this.type.apply(this.confirmed, this.#inFlight!);
      // The gateway has applied at once what was applied here part by part, and sums may round otherwise.
      if (this.#buffer === undefined) this.content = this.confirmed;
    }
    this.version = version;
    this.#advance();
  }

  /**
   * Takes in another's operation, which makes `version`; returns it as it changed `content`. Throws VersionGap if
   * `version` is not the next one, and changes nothing then.
   */
  remote(operation: Operation, version: number): Operation {
    this.#expectNext(version);
    const { type } = this;
    const confirmed = type.apply(this.confirmed, operation);
    if (!this.#messageId) {
      this.content = this.confirmed = confirmed;
      this.version = version;
      return operation;
    }
    const inFlight = type.transform(this.#inFlight!, operation, 'left');
    let change = type.transform(operation, this.#inFlight!, 'right');
    let buffer = this.#buffer;
    if (buffer !== undefined) {
      const before = buffer;
      buffer = type.transform(before, change, 'left');
      change = type.transform(change, before, 'right');
    }
    this.content = type.apply(this.content, change);
    this.confirmed = confirmed;
    this.#inFlight = inFlight;
    this.#buffer = buffer;
    this.version = version;
    return change;
  }

  /**
   * The gateway will not commit the operation in flight: undoes it, and keeps the buffer that follows it. Returns the
   * operation, and how `content` was changed.
   */
  refused(): { operation: Operation; change: Operation } {
    this.#expectInFlight();
    const { type } = this;
    const operation = this.#inFlight!;
    let change = type.invert(operation, this.confirmed);
    if (this.#buffer !== undefined) {
      const before = this.#buffer;
      this.#buffer = type.transform(before, change, 'left');
      change = type.transform(change, before, 'right');
    }
    this.content = type.apply(this.content, change);
    this.#advance();
    return { operation, change };
  }

  /**
   * Starts afresh from the gateway's full state, and returns the pending operations that were given up. They are kept,
   * the one in flight with its id, if the state is the very version that they follow and they fit it. Of those given
   * up, the one that was in flight may nevertheless have been committed.
   */
  resync(data: Content, version: number, epoch: string): Operation[] {
    const pending = this.pending;
    const isSameBase = epoch === this.epoch && version === this.version;
    this.confirmed = this.content = data;
    this.version = version;
    this.epoch = epoch;
    if (isSameBase) {
      try {
        this.content = pending.reduce((content, operation) => this.type.apply(content, operation), data);
        return [];
      } catch {
        // They do not fit what the gateway has: given up like others.
      }
    }
    this.#messageId = '';
    this.#inFlight = this.#buffer = undefined;
    return pending;
  }

  /** Takes over operations of an earlier life of this client, which read at `version`. Throws if they do not fit. */
  adopt(messageId: string, operation: Operation, buffer: Operation | undefined): void {
    if (this.#messageId) throw new FastcollabError('there are pending operations already');
    const pending = buffer === undefined ? [operation] : [operation, buffer];
    this.content = pending.reduce((content, each) => this.type.apply(content, each), this.confirmed);
    this.#messageId = messageId;
    this.#inFlight = operation;
    this.#buffer = buffer;
  }

  /** Where a position in `content` is in `confirmed`, so that others can be told of it with `version`. */
  confirmedPosition(position: Position): Position | null {
    const inverses: Operation[] = [];
    let before = this.confirmed;
    for (const operation of this.pending) {
      inverses.unshift(this.type.invert(operation, before));
      before = this.type.apply(before, operation);
    }
    return inverses.reduce<Position | null>(
      (moved, inverse) => (moved === null ? null : this.type.transformPosition(moved, inverse, 'left')),
      position,
    );
  }

  #launch(operation: Operation): void {
    this.#messageId = this.#newId();
    this.#inFlight = operation;
  }

  /** The operation in flight is settled: the buffer, if there is one, takes its place. */
  #advance(): void {
    const buffer = this.#buffer;
    this.#buffer = this.#inFlight = undefined;
    this.#messageId = '';
    if (buffer !== undefined) this.#launch(buffer);
  }

  #expectInFlight(): void {
    if (!this.#messageId) throw new FastcollabError('no operation is in flight');
  }

  #expectNext(version: number): void {
    if (version !== this.version + 1) throw new VersionGap(this.version, version);
  }
}
