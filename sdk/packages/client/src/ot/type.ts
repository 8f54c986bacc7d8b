/**
 * What a type of document must provide. Documents and operations are JSON values, and undefined is a document that does
 * not exist, where a type knows such. No method changes its arguments. Every method throws for an operation that is
 * malformed or does not fit its document.
 *
 * Of two inserts at one place, the one on the `left` goes first, for all types. The laws, for operations `a` and `b`
 * that are valid for the document `d`, and `c` that is valid after `a`:
 *
 *     apply(apply(d, a), transform(b, a, 'right')) = apply(apply(d, b), transform(a, b, 'left'))
 *     apply(d, compose(a, c)) = apply(apply(d, a), c)
 *     apply(apply(d, a), invert(a, d)) = d
 */

import type { Position } from '../wire/messages.js';

export type Side = 'left' | 'right';

export interface DocumentType<Content = any, Operation = any> {
  /** The name that the gateway has for the type. */
  readonly name: string;
  /** Whether an operation and its inverse, or a composition, lead to the same to the last digit. */
  readonly invertsExactly: boolean;
  apply(document: Content, operation: Operation): Content;
  /** `operation`, made against the same document as `other`, rewritten to be applied after `other`. */
  transform(operation: Operation, other: Operation, side: Side): Operation;
  /** One operation with the effect of `first` followed by `second`. */
  compose(first: Operation, second: Operation): Operation;
  /** The operation that undoes `operation`, where `document` is the document before it. */
  invert(operation: Operation, document: Content): Operation;
  /** The operation in its normal form, with the same effect. */
  normalize(operation: Operation): Operation;
  /** Whether a normal operation changes nothing. */
  isNoop(operation: Operation): boolean;
  /**
   * Where a position is after the operation; null: what it was on is gone. On the `left` side it stays before what is
   * inserted exactly there, on the `right` it moves behind it.
   */
  transformPosition(position: Position, operation: Operation, side: Side): Position | null;
}
