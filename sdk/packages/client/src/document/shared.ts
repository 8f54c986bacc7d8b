/**
 * A document that several people write, kept in step with the gateway.
 *
 * `Copy` says what is to be sent; this decides when, and who is told about it:
 *
 * - One operation is on its way at a time (OT4), and no more per second than the gateway allows (L1). One that was
 *   refused for the rate, or because the gateway could not serve it now, is sent again with the same id.
 * - While the connection is away, edits go on into the buffer, and whoever waits goes on waiting.
 * - When the room is joined again, the operations that were missed come first (OT9). What is still in flight after them
 *   is sent again with its id; the gateway knows it if it was committed before.
 * - When the copies have parted (3002, 3003, a gap in the versions, an operation that does not fit), the room is joined
 *   again. What arrives until the answer is ignored, since the answer contains it.
 * - Now and then an operation carries the checksum of the document that it was written against (OT8), and always the
 *   first one after a recovery.
 * - Where there is a journal, an operation is sent when it is kept there.
 */

import { Emitter } from '../events.js';
import type { DocumentType } from '../ot/type.js';
import { uuid } from '../uuid.js';
import { ConnectionClosed, ErrorCode, FastcollabError, ProtocolError } from '../wire/errors.js';
import type { DocumentState, Position, Recovery, ServerMessages, WirePastOperation } from '../wire/messages.js';
import { adopt } from './adoption.js';
import type { Change, DocumentEvents, Host, Rejection } from './changes.js';
import type { Copy } from './copy.js';
import { Outgoing } from './outgoing.js';
import type { UndoHistory } from './undo.js';
import { Waiters } from './waiters.js';

const RETRY_DELAY = 1000; // milliseconds, where a refusal that passes does not say how long

export class SharedDocument<Content = any, Operation = any> extends Emitter<DocumentEvents<Content, Operation>> {
  readonly #copy: Copy<Content, Operation>;
  readonly #host: Host<Operation>;
  readonly #undo: UndoHistory<Content, Operation>;
  readonly #outgoing: Outgoing<Content, Operation>;
  readonly #waiters = new Waiters();
  #isJoined = true;
  #missed = 0; // operations that a recovery has announced and that have not arrived
  #parted: Error | undefined; // why the room is being joined again
  #ended: Error | undefined; // why nothing will be acknowledged any more
  #hasSaved = false;
  #steps = { canUndo: false, canRedo: false };

  /** @internal */
  constructor(copy: Copy<Content, Operation>, host: Host<Operation>, undo: UndoHistory<Content, Operation>) {
    super();
    this.#copy = copy;
    this.#host = host;
    this.#undo = undo;
    this.#outgoing = new Outgoing(copy, host, error => this.#takeBack(error));
  }

  // What a program sees and does

  get type(): DocumentType<Content, Operation> {
    return this.#copy.type;
  }

  /** What the user sees: all that the gateway has said, and the own edits on top. It is replaced, never changed. */
  get content(): Content {
    return this.#copy.content;
  }

  /** The newest version that is known here. */
  get version(): number {
    return this.#copy.version;
  }

  /** The own operations that the gateway has not acknowledged, in order: what would be lost if the page ended now. */
  get pending(): readonly Operation[] {
    return this.#copy.pending;
  }

  get canUndo(): boolean {
    return this.#undo.canUndo;
  }

  get canRedo(): boolean {
    return this.#undo.canRedo;
  }

  /**
   * Applies an operation at once, and sends it when its turn has come; `saved` waits for that. `source` is handed to
   * the handlers of `change`, so that an editor knows its own. Throws if the operation does not fit the content.
   */
  edit(operation: Operation, source?: unknown): void {
    const normal = this.type.normalize(operation);
    if (this.type.isNoop(normal)) return;
    const before = this.content;
    this.#copy.edit(normal);
    this.#undo.edited(normal, before, performance.now());
    this.#edited(normal, 'local', source);
  }

  /**
   * Applies an operation, and resolves with the version that it makes when it is acknowledged; if the connection is
   * lost and made again meanwhile, that takes longer. Rejects with the gateway's refusal, which undoes the operation, or
   * with ConnectionClosed if the connection has ended for good; then the operation stays pending.
   */
  async submit(operation: Operation, source?: unknown): Promise<number> {
    this.edit(operation, source);
    return this.saved();
  }

  /** Resolves with the newest version when all that was edited so far is acknowledged; rejects like `submit`. */
  async saved(): Promise<number> {
    if (!this.#copy.inFlight) return this.version;
    if (this.#ended) throw this.#ended;
    return this.#waiters.add(this.#copy.buffer !== undefined);
  }

  /**
   * Takes back the newest of one's own steps that is left, and nobody else's, by an operation like any other. Returns
   * it, undefined if there is nothing to undo.
   */
  undo(source?: unknown): Operation | undefined {
    return this.#turned(this.#undo.undo(this.content), 'undo', source);
  }

  /** Takes back the newest `undo`; returns like it. Any edit of one's own forgets what could be redone. */
  redo(source?: unknown): Operation | undefined {
    return this.#turned(this.#undo.redo(this.content), 'redo', source);
  }

  /** The next edit begins a step of its own to be undone, however soon it comes. */
  separateUndo(): void {
    this.#undo.separate();
  }

  // What the room tells it

  /** Whether everything that the gateway has said of the document is in it, and what follows will be. @internal */
  get isInStep(): boolean {
    return this.#isJoined && !this.#missed && !this.#parted;
  }

  /** Whether the gateway has ever taken an operation from here. @internal */
  get hasSaved(): boolean {
    return this.#hasSaved;
  }

  /** @internal */
  confirmedPosition(position: Position): Position | null {
    return this.#copy.confirmedPosition(position);
  }

  /** What `join_room` says about the document that is here already. @internal */
  joinRequest(): { lastSyncVersion?: number; epoch?: string } {
    if (this.#parted instanceof ProtocolError) return {}; // the full state
    return { lastSyncVersion: this.#copy.version, epoch: this.#copy.epoch };
  }

  /** `room_joined`, again: the full state, or an announcement of the operations missed. @internal */
  joined(state: DocumentState, recovery: Recovery | undefined): void {
    this.#isJoined = true;
    this.#ended = undefined;
    this.#missed = 0;
    this.#outgoing.interrupt();
    if (recovery?.recovered) {
      this.#missed = recovery.missed ?? 0;
      this.#outgoing.checkNext();
    } else {
      this.#replace(state);
    }
    this.#parted = undefined;
    this.advance();
  }

  /** `operation_broadcast`: somebody's operation, or in a recovery perhaps one of one's own. @internal */
  received(broadcast: ServerMessages['operation_broadcast']): void {
    const { operation, transformedVersion: version, userId, messageId, traceparent } = broadcast;
    if (this.#parted) return;
    this.#missed = Math.max(this.#missed - 1, 0);
    const copy = this.#copy;
    if (messageId === copy.inFlight?.messageId) {
      this.acknowledged(messageId, version);
    } else if (version > copy.version) {
      let change: Operation;
      try {
        change = copy.remote(operation as Operation, version);
      } catch (error) {
        this.parted(error as Error);
        return;
      }
      this.#undo.changed(change);
      this.#host.contentChanged(change, userId);
      this.#host.committed(operation as Operation, userId);
      this.#changed(change, 'remote', userId, undefined, traceparent);
      this.emit('version', version);
    } // Otherwise a recovery repeats what had arrived while the room was being joined again.
    this.advance();
  }

  /** `ack` of an operation; one that is not in flight any more is of no interest. @internal */
  acknowledged(messageId: string, version: number): void {
    const submission = this.#copy.inFlight;
    if (this.#parted || submission?.messageId !== messageId) return;
    try {
      this.#copy.acknowledged(version);
    } catch (error) {
      this.parted(error as Error);
      return;
    }
    this.#hasSaved = true;
    if (!this.#copy.inFlight) this.#undo.settled();
    this.#outgoing.answered(messageId);
    this.#host.committed(submission.operation, this.#host.userId);
    this.#host.journal?.update(this.#copy);
    this.#waiters.succeed(version);
    this.emit('version', version);
    this.advance();
  }

  /** `error` that answers a message; false if that was none of this document's. @internal */
  refused(messageId: string, error: ProtocolError): boolean {
    if (!this.#outgoing.answered(messageId)) return false;
    if (this.#parted) return true; // it is sent again, as it reads when the room is joined again
    if (error.code === ErrorCode.RATE_LIMIT || error.code === ErrorCode.SERVICE_UNAVAILABLE) {
      this.#outgoing.after(error.details.retryAfterMs ?? RETRY_DELAY);
    } else if (error.code === ErrorCode.VERSION_MISMATCH || error.code === ErrorCode.CHECKSUM_FAILED) {
      this.parted(error);
    } else {
      this.#takeBack(error);
    }
    return true;
  }

  /** The copies have parted, as far as can be seen from here. @internal */
  parted(reason: Error): void {
    if (this.#parted) return;
    // A gap in the versions is closed by what was missed. Whatever else is thrown says that an operation does not fit.
    const isKnown = reason instanceof FastcollabError;
    this.#parted = isKnown ? reason : new ProtocolError(ErrorCode.CHECKSUM_FAILED, reason.message);
    this.#host.rejoin();
  }

  /** The room is not joined at present. What is pending stays, and is sent when it is joined again. @internal */
  interrupt(): void {
    this.#isJoined = false;
    this.#ended = undefined;
    this.#missed = 0;
    this.#outgoing.interrupt();
  }

  /** The room is not joined any more, and will not be by itself. What is pending stays nevertheless. @internal */
  suspend(reason: Error): void {
    this.interrupt();
    this.#ended = reason;
    this.#waiters.failAll(reason);
  }

  /**
   * Takes over what an earlier page has left in the journal; returns it if that cannot be done. `history` tells the
   * operations after a version. @internal
   */
  async adopt(history: (after: number) => Promise<readonly WirePastOperation[]>): Promise<Rejection | undefined> {
    const { journal } = this.#host;
    const record = journal?.found;
    if (!journal || !record) return undefined;
    let rejection: Rejection | undefined;
    try {
      await adopt(this.#copy, record, uuid, history);
    } catch (error) {
      if (error instanceof ConnectionClosed) throw error; // what was found stays where it is
      rejection = { operations: record.operations, error: error as Error };
    }
    journal.wake();
    journal.update(this.#copy);
    this.advance();
    return rejection;
  }

  /** Sends what can be sent now. @internal */
  advance(): void {
    if (this.isInStep) this.#outgoing.advance();
    this.#host.updateStatus();
  }

  #edited(operation: Operation, origin: Change<Operation>['origin'], source: unknown): void {
    this.#host.journal?.update(this.#copy);
    this.#host.contentChanged(operation, this.#host.userId);
    this.#changed(operation, origin, this.#host.userId, source);
    this.#outgoing.edited();
    this.advance();
  }

  #turned(operation: Operation | undefined, origin: 'undo' | 'redo', source: unknown): Operation | undefined {
    if (operation !== undefined) {
      this.#copy.edit(operation);
      this.#edited(operation, origin, source);
    }
    return operation;
  }

  #takeBack(error: ProtocolError): void {
    const before = this.content;
    let refusal: { operation: Operation; change: Operation };
    try {
      refusal = this.#copy.refused();
    } catch (misfit) {
      this.parted(misfit as Error);
      return;
    }
    this.#undo.refused(refusal.change, before);
    this.#host.journal?.update(this.#copy);
    this.#host.contentChanged(refusal.change, undefined);
    this.#changed(refusal.change, 'refused', undefined);
    this.emit('rejected', { operations: [refusal.operation], error });
    this.#waiters.failFlight(error);
    this.advance();
  }

  #replace(state: DocumentState): void {
    const givenUp = this.#copy.resync(state.data as Content, state.version, state.epoch);
    this.#undo.clear();
    this.#host.journal?.update(this.#copy);
    this.#host.contentReplaced();
    this.emit('reset', this.content);
    this.#historyChanged();
    if (givenUp.length) {
      const message = 'the document has moved on too far to continue from here';
      const error = this.#parted ?? new ProtocolError(ErrorCode.VERSION_MISMATCH, message);
      this.#waiters.failAll(error);
      this.emit('rejected', { operations: givenUp, error });
    }
  }

  #changed(
    operation: Operation,
    origin: Change<Operation>['origin'],
    userId: string | undefined,
    source?: unknown,
    traceparent?: string,
  ): void {
    this.emit('change', { operation, origin, userId, source, traceparent });
    this.#historyChanged();
  }

  #historyChanged(): void {
    const { canUndo, canRedo } = this;
    if (canUndo === this.#steps.canUndo && canRedo === this.#steps.canRedo) return;
    this.#steps = { canUndo, canRedo };
    this.emit('history', this.#steps);
  }
}
