/** Keeps what is pending in a document in a slot of a `PendingStore`, and says what is safe there. */

import type { PendingRecord, PendingSlot } from '../persistence/store.js';
import type { Copy } from './copy.js';

export class Journal {
  readonly #slot: PendingSlot;
  readonly #kept: () => void;
  readonly #failed: (error: Error) => void;
  #keptId = ''; // the operation in flight that is in the slot
  #isEmpty: boolean;
  #next: (() => Promise<void>) | undefined; // what is to be written when the present write is done
  #isWriting = false;
  #isDormant: boolean; // what was found is not in the document yet
  #hasFailed = false;

  /**
   * `kept` is called when an operation has become safe. `failed` is called once, when the slot cannot be written:
   * from then on operations are sent without.
   */
  constructor(slot: PendingSlot, kept: () => void, failed: (error: Error) => void) {
    this.#slot = slot;
    this.#kept = kept;
    this.#failed = failed;
    this.#isEmpty = slot.found === undefined;
    this.#isDormant = slot.found !== undefined;
  }

  /** What an earlier page has left, until `wake`. */
  get found(): PendingRecord | undefined {
    return this.#isDormant ? this.#slot.found : undefined;
  }

  /** Whether the operation with this id may be sent: if the page ends now, its id is known. */
  isKept(messageId: string): boolean {
    return this.#hasFailed || messageId === this.#keptId;
  }

  /** What was found is in the document now, or given up: from here on the slot is overwritten. */
  wake(): void {
    this.#isDormant = false;
  }

  /** What is pending has changed. */
  update(copy: Copy<any, any>): void {
    if (this.#isDormant) return;
    const submission = copy.inFlight;
    if (this.#hasFailed || (!submission && this.#isEmpty)) return;
    this.#isEmpty = !submission;
    if (!submission) {
      this.#write(() => this.#slot.clear());
      return;
    }
    const { messageId, version } = submission;
    const record = { type: copy.type.name, epoch: copy.epoch, version, messageId, operations: copy.pending };
    this.#write(async () => {
      await this.#slot.put(record);
      this.#keptId = messageId;
      this.#kept();
    });
  }

  close(): void {
    this.#slot.close();
  }

  /** One write at a time, the newest state next. */
  #write(write: () => Promise<void>): void {
    this.#next = write;
    if (!this.#isWriting) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#next) {
        const write = this.#next;
        this.#next = undefined;
        await write();
      }
    } catch (error) {
      this.#hasFailed = true;
      this.#failed(error as Error);
      this.#kept();
    } finally {
      this.#isWriting = false;
    }
  }
}
