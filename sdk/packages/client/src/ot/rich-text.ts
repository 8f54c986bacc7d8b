/**
 * Rich text: operations of Quill's Delta, whose positions count UTF-16 units. A document is a list of inserts. The
 * sides of the package are turned round, so that the left inserts first as in all types.
 */

import quillDelta, { type Op } from 'quill-delta';
import type { DocumentType } from './type.js';

// The package is CommonJS, whose default export is the class and has itself as `default`.
const Delta = quillDelta.default;

/** Inserts, retains and deletions, in order. */
export type RichTextOperation = readonly Op[];

/** Inserts alone. */
export type RichText = readonly Op[];

export type { Op };

export const richText: DocumentType<RichText, RichTextOperation> = {
  name: 'rich-text',
  invertsExactly: true,
  apply: (document, operation) => {
    const ops = delta(document).compose(delta(operation)).ops;
    if (!ops.every(op => op.insert !== undefined)) throw new RangeError('the operation is too long for this document');
    return ops;
  },
  transform: (operation, other, side) => delta(other).transform(delta(operation), side === 'right').ops,
  compose: (first, second) => delta(first).compose(delta(second)).ops,
  invert: (operation, document) => delta(operation).invert(delta(document)).ops,
  normalize: operation =>
    operation
      .filter(op => op.retain !== 0 && op.delete !== 0 && op.insert !== '')
      .reduce((normal, op) => normal.push(op), new Delta())
      .chop().ops,
  isNoop: operation => operation.length === 0,
  transformPosition: (position, operation, side) => {
    if (typeof position !== 'number') throw new TypeError('a position in a rich text is a number');
    return delta(operation).transformPosition(position, side === 'left');
  },
};

/** The operation that makes one content of another. */
export function difference(before: RichText, after: RichText): RichTextOperation {
  return delta(before).diff(delta(after)).ops;
}

function delta(ops: readonly Op[]): InstanceType<typeof Delta> {
  return new Delta(ops as Op[]);
}
