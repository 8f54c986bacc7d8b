/**
 * Taking back one's own operations, and only these, in a document that others change meanwhile.
 *
 * The history is a stack of *steps*, each an operation that undoes something: the topmost is valid for the content as
 * it is, and each of the others after those above it were undone. When somebody else changes the content by `r`, the
 * stack has to start from there. It is carried along: the topmost step is transformed over `r`, and `r` over that step,
 * to where the next one begins:
 *
 *     content ──step n───▶ · ──step n-1───▶ ·              step' = transform(step, r, left)
 *        │r                │r'              │r''           r'    = transform(r, step, right)
 *        ▼                 ▼                ▼
 *     content'──step n'──▶ · ──step n-1'──▶ ·
 *
 * Each square closes, so the others' work stays: an undo removes what is left of one's own text, wherever it is by now,
 * and brings back what one had removed. A step of which nothing is left is forgotten, and the next undo is that of the
 * step below. To undo is an ordinary operation to everyone else, and to the gateway.
 *
 * What is undone goes to a second stack in the same way, from where it is redone; an edit of one's own clears that one.
 */

import type { DocumentType } from '../ot/type.js';

interface Step<Operation> {
  operation: Operation;
  /** The gateway has acknowledged everything that this step takes back. */
  settled: boolean;
}

export interface UndoOptions {
  /** How many steps are kept; by default 100. */
  depth?: number;
  /** Edits that follow each other in fewer milliseconds are one step; by default 500. */
  mergeInterval?: number;
}

export class UndoHistory<Content, Operation> {
  readonly #type: DocumentType<Content, Operation>;
  readonly #depth: number;
  readonly #mergeInterval: number;
  #undo: Step<Operation>[] = [];
  #redo: Step<Operation>[] = [];
  #open: Step<Operation> | undefined; // the step that the next edit may join
  #editedAt = 0;

  constructor(type: DocumentType<Content, Operation>, { depth = 100, mergeInterval = 500 }: UndoOptions = {}) {
    this.#type = type;
    this.#depth = depth;
    this.#mergeInterval = mergeInterval;
  }

  get canUndo(): boolean {
    return this.#undo.length > 0;
  }

  get canRedo(): boolean {
    return this.#redo.length > 0;
  }

  /** The user has changed the content, which was `before`, by `operation`; `now` is in milliseconds. */
  edited(operation: Operation, before: Content, now: number): void {
    let inverse = this.#type.invert(operation, before);
    if (this.#type.isNoop(inverse)) return;
    this.#redo = [];
    const top = this.#undo.at(-1);
    if (top && top === this.#open && now - this.#editedAt < this.#mergeInterval) {
      this.#undo.pop();
      try {
        inverse = this.#type.compose(inverse, top.operation);
      } catch {
        this.clear(); // the content is not what the steps led to: the copies have parted
      }
    }
    this.#open = this.#push(this.#undo, inverse);
    this.#editedAt = now;
  }

  /** The next edit begins a step of its own. */
  separate(): void {
    this.#open = undefined;
  }

  /** Somebody else has changed the content by `change`. */
  changed(change: Operation): void {
    this.#undo = this.#carried(this.#undo, change);
    this.#redo = this.#carried(this.#redo, change);
  }

  /** The operation that takes back the newest step, to be applied to `content`; undefined if there is none. */
  undo(content: Content): Operation | undefined {
    return this.#turn(this.#undo, this.#redo, content);
  }

  /** The operation that takes back the newest undo, to be applied to `content`; undefined if there is none. */
  redo(content: Content): Operation | undefined {
    return this.#turn(this.#redo, this.#undo, content);
  }

  /** The gateway has acknowledged everything. */
  settled(): void {
    for (const step of [...this.#undo, ...this.#redo]) step.settled = true;
  }

  /**
   * An own operation was taken back by `change`, because the gateway did not take it. Which steps it was part of is not
   * known, only that they are not settled: these are forgotten. For the steps below it is as if somebody had changed
   * the content so that there is nothing to take back.
   */
  refused(change: Operation, before: Content): void {
    try {
      this.#undo = this.#withoutUnsettled(this.#undo, before);
      this.#redo = this.#withoutUnsettled(this.#redo, before);
    } catch {
      this.clear(); // as in `edited`
    }
    this.changed(change);
  }

  /** The content was replaced as a whole: nobody knows what the steps would mean there. */
  clear(): void {
    this.#undo = [];
    this.#redo = [];
  }

  #withoutUnsettled(stack: Step<Operation>[], before: Content): Step<Operation>[] {
    let kept = stack;
    while (kept.length && !kept.at(-1)!.settled) {
      const inverse = this.#type.invert(kept.at(-1)!.operation, before);
      kept = this.#carried(kept.slice(0, -1), inverse);
    }
    return kept;
  }

  #turn(stack: Step<Operation>[], other: Step<Operation>[], content: Content): Operation | undefined {
    this.#open = undefined;
    const step = stack.pop();
    if (step) this.#push(other, this.#type.invert(step.operation, content));
    return step?.operation;
  }

  #push(stack: Step<Operation>[], operation: Operation): Step<Operation> | undefined {
    if (this.#type.isNoop(operation)) return undefined;
    const step = { operation, settled: false };
    stack.push(step);
    if (stack.length > this.#depth) stack.shift();
    return step;
  }

  /** The stack as it starts from where `change` leads to, without steps of which nothing is left. */
  #carried(stack: Step<Operation>[], change: Operation): Step<Operation>[] {
    const kept: Step<Operation>[] = [];
    let above = change;
    for (const step of stack.toReversed()) {
      const before = step.operation;
      try {
        step.operation = this.#type.transform(before, above, 'left');
        above = this.#type.transform(above, before, 'right');
      } catch {
        break; // json1 knows contradictions that nobody can resolve; what lies below cannot be reached then
      }
      if (!this.#type.isNoop(step.operation)) kept.unshift(step);
    }
    return kept;
  }
}
