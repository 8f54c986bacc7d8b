/**
 * Between a shared document and an editor, which has a copy of its own of what the user sees.
 *
 * Mostly both show the same: what the user does in the editor is an edit of the document, and every other change of the
 * document is shown by the editor at once. But an editor cannot always be changed: not in the middle of telling an edit,
 * and not while a word is composed (by an input method), which would be torn. Then what is to be shown is gathered, and
 * what the user does meanwhile is an edit of a text that lacks it. It is carried over, as between client and gateway:
 *
 *     editor ───gathered───▶ content         edit'     = transform(edit, gathered, left)
 *        │edit                  │edit'       gathered' = transform(gathered, edit, right)
 *        ▼                      ▼
 *     editor' ──gathered'──▶ content'
 */

import type { Change } from '../document/changes.js';
import type { SharedDocument } from '../document/shared.js';

/** What changed the content, as far as an editor cares: after `undo` and `redo` the user wants to see where. */
export type Origin = Change<unknown>['origin'];

/** The part of an editor that shows what others do. */
export interface Shown<Content, Operation> {
  /** Changes what is shown by an operation. */
  show(operation: Operation, origin: Origin): void;
  /** Shows the content, whatever was shown before. */
  replace(content: Content): void;
  /** Whether to show the operation now would tear a word that is being composed. */
  wouldTear?(operation: Operation): boolean;
}

export class Bridge<Content, Operation> {
  readonly #document: SharedDocument<Content, Operation>;
  readonly #editor: Shown<Content, Operation>;
  readonly #stopListening: (() => void)[];
  #holds = 0;
  #gathered: Operation | undefined;
  #isOutdated = false; // the editor shows something else altogether
  #isClosed = false;

  constructor(document: SharedDocument<Content, Operation>, editor: Shown<Content, Operation>) {
    this.#document = document;
    this.#editor = editor;
    this.#stopListening = [
      document.on('change', change => this.#changed(change)),
      document.on('reset', content => this.#reset(content)),
    ];
  }

  /** The user has done `operation`, in terms of what the editor showed. Not to be called from within `show`. */
  edited(operation: Operation): void {
    if (this.#isOutdated || this.#isClosed) return; // it is about to be replaced, or of no interest
    const { type } = this.#document;
    this.hold();
    try {
      let edit = operation;
      if (this.#gathered !== undefined) {
        edit = type.transform(operation, this.#gathered, 'left');
        this.#gathered = type.transform(this.#gathered, operation, 'right');
      }
      this.#document.edit(edit, this);
    } catch (error) {
      this.#isOutdated = true;
      throw error;
    } finally {
      this.release();
    }
  }

  /** Whether the editor lacks something that is in the content. */
  get isBehind(): boolean {
    return this.#gathered !== undefined;
  }

  /** Where a position in the editor is in the content, of which the editor may lack something. */
  placed(position: number): number {
    const { type } = this.#document;
    return this.#gathered === undefined ? position : Number(type.transformPosition(position, this.#gathered, 'left'));
  }

  /** The editor cannot be changed now. */
  hold(): void {
    this.#holds++;
  }

  /** Takes back one `hold`. */
  release(): void {
    this.#holds--;
    this.showSoon();
  }

  /** Shows what was gathered, if that is possible after whatever the editor is doing. */
  showSoon(): void {
    if (this.#gathered !== undefined || this.#isOutdated) queueMicrotask(this.#flush);
  }

  /** Has the editor show the content anew, as soon as it can be changed. */
  replace(): void {
    this.#isOutdated = true;
    this.#flush();
  }

  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stopListening) stop();
  }

  #changed({ operation, origin, source }: Change<Operation>): void {
    if (source === this || this.#isOutdated) return;
    if (!this.#holds && this.#gathered === undefined && !this.#editor.wouldTear?.(operation)) {
      this.#editor.show(operation, origin);
    } else {
      const { type } = this.#document;
      this.#gathered = this.#gathered === undefined ? operation : type.compose(this.#gathered, operation);
    }
  }

  /** Changes that a handler has made in answer to the reset are in the document already, and are told next. */
  #reset(content: Content): void {
    this.#gathered = undefined;
    if (this.#holds) this.#isOutdated = true;
    else this.#editor.replace(content);
  }

  readonly #flush = (): void => {
    if (this.#holds || this.#isClosed) return;
    const gathered = this.#gathered;
    if (this.#isOutdated) {
      this.#isOutdated = false;
      this.#gathered = undefined;
      this.#editor.replace(this.#document.content);
    } else if (gathered !== undefined && !this.#editor.wouldTear?.(gathered)) {
      this.#gathered = undefined;
      this.#editor.show(gathered, 'remote');
    }
  };
}
