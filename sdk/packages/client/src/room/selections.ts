/**
 * Keeping the others' selections on their text, while everybody writes.
 *
 * A selection arrives in terms of a version of the document, and is shown in terms of its content. So it is moved along
 * the operations that were committed since that version, and then along one's own that are pending; and from then on
 * along everything that changes the content. The last committed operations are remembered for that purpose.
 *
 * - From an older version than is remembered nobody can say where it is now, and it is not shown.
 * - One from a version that is not here yet waits for it: joining again, one is told first who is there, and then of the
 *   operations that were missed.
 * - A selection in a binary frame has no version, and belongs to the newest that the gateway has sent (V5).
 */

import type { DocumentType, Side } from '../ot/type.js';
import type { SelectionRange } from '../wire/messages.js';
import type { Selection } from './participants.js';

const REMEMBERED = 1000; // operations

/** The part of a document that says where a selection is. */
export interface Text {
  readonly type: DocumentType;
  readonly version: number;
  readonly pending: readonly unknown[];
}

interface Early {
  readonly selection: Selection;
  readonly version: number;
}

export class Selections {
  readonly #ownUserId: () => string;
  readonly #early: Map<string, Early> = new Map(); // by user, of versions that are not here yet
  #committed: { operation: unknown; userId: string }[] = [];

  constructor(ownUserId: () => string) {
    this.#ownUserId = ownUserId;
  }

  /**
   * A selection of `userId` has arrived, made in `version`, or in the newest if that is undefined. Returns it in terms
   * of the content, null if it cannot be placed there, and undefined if it has to wait.
   */
  place(
    userId: string,
    selection: Selection | null,
    version: number | undefined,
    text: Text,
  ): Selection | null | undefined {
    this.#early.delete(userId);
    if (!selection) return null;
    const missed = version === undefined ? 0 : text.version - version;
    if (missed < 0) {
      this.#early.set(userId, { selection, version: version! });
      return undefined;
    }
    if (missed > this.#committed.length) return null;
    let moved: Selection | null = selection;
    for (const { operation, userId: author } of this.#committed.slice(this.#committed.length - missed)) {
      moved = movedAlong(moved, operation, text.type, author === userId);
    }
    for (const operation of text.pending) {
      moved = movedAlong(moved, operation, text.type, this.#ownUserId() === userId);
    }
    return moved;
  }

  forget(userId: string): void {
    this.#early.delete(userId);
  }

  /** `operation` has led the document to its present version; returns the selections that can be shown now. */
  committed(operation: unknown, userId: string, text: Text): Map<string, Selection | null> {
    this.#committed.push({ operation, userId });
    if (this.#committed.length > 2 * REMEMBERED) this.#committed = this.#committed.slice(-REMEMBERED);
    const due = new Map<string, Selection | null>();
    for (const [owner, { selection, version }] of this.#early) {
      if (version <= text.version) due.set(owner, this.place(owner, selection, version, text) ?? null);
    }
    return due;
  }

  /** The document was replaced as a whole, and is told of its selections anew. */
  reset(): void {
    this.#committed = [];
    this.#early.clear();
  }
}

/**
 * The selection after the operation, the same object if it has not moved; null if nothing is left of what was selected.
 * Who writes at the end of their own selection moves it along; at the end of another's they write behind it.
 */
export function movedAlong(
  selection: Selection | null,
  operation: unknown,
  type: DocumentType,
  isOwn: boolean,
): Selection | null {
  if (!selection?.ranges.length) return selection;
  const side: Side = isOwn ? 'right' : 'left';
  const ranges: SelectionRange[] = [];
  for (const { anchor, head } of selection.ranges) {
    try {
      const movedAnchor = type.transformPosition(anchor, operation, side);
      const movedHead = type.transformPosition(head, operation, side);
      if (movedAnchor !== null && movedHead !== null) ranges.push({ anchor: movedAnchor, head: movedHead });
    } catch {
      // A position that is none in this document, as another client sent it: nothing to show.
    }
  }
  if (!ranges.length) return null;
  const isSame = JSON.stringify(ranges) === JSON.stringify(selection.ranges);
  return isSame ? selection : { ranges, color: selection.color };
}
