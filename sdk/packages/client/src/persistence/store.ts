/**
 * Where operations are kept that the gateway has not acknowledged, so that they outlive the page.
 *
 * What is kept of a document is the operation in flight with its id, and the buffer behind it, both as they read at
 * `version`; the document itself the gateway has. An operation is sent only when it is kept under its id, so a page that
 * ends at any moment leaves behind the id of whatever it has sent, and nothing is applied twice.
 */

export interface PendingRecord {
  readonly type: string;
  readonly epoch: string;
  readonly version: number;
  /** Of the operation in flight, which is the first of `operations`. */
  readonly messageId: string;
  readonly operations: readonly unknown[];
}

/** A place for one record. It is its opener's alone, until it is closed or the page ends. */
export interface PendingSlot {
  /** What was left there by somebody who is gone. */
  readonly found: PendingRecord | undefined;
  /** Fulfilled when the record would outlive the page; calls take effect in their order. */
  put(record: PendingRecord): Promise<void>;
  /** Removes the record. */
  clear(): Promise<void>;
  /** Lets go of the place; a record in it is for whoever comes next. */
  close(): void;
}

export interface PendingStore {
  /**
   * A place for a document, which `name` names: one with a record that nobody alive holds, if there is one. Two pages
   * with the same document open have a place each.
   */
  open(name: string): Promise<PendingSlot>;
}
