/** Plain text: operations of ot-text-unicode, whose positions count Unicode code points. */

import { type as published, type TextOp, type TextType } from 'ot-text-unicode';
import type { Position } from '../wire/messages.js';
import type { DocumentType, Side } from './type.js';

const textUnicode: TextType<string> = published;

/** Skips (a number), inserts (a string) and deletions (`{d: count}`), in order. */
export type TextOperation = TextOp;

export const text: DocumentType<string, TextOperation> = {
  name: 'text',
  invertsExactly: true,
  apply: (document, operation) => {
    textUnicode.checkOp(operation);
    checkLength(document, operation);
    return textUnicode.apply(document, operation);
  },
  transform: (operation, other, side) => textUnicode.transform(operation, other, side),
  compose: (first, second) => textUnicode.compose(first, second),
  invert: (operation, document) => textUnicode.invertWithDoc(operation, document),
  normalize: operation => textUnicode.normalize(operation),
  isNoop: operation => operation.length === 0,
  transformPosition: (position, operation, side) => movedOffset(offsetOf(position), operation, side),
};

/** The operation that inserts `inserted` before the code point at `position`. */
export function insert(position: number, inserted: string): TextOperation {
  return textUnicode.normalize([position, inserted]);
}

/** The operation that removes `count` code points from `position` on. */
export function remove(position: number, count: number): TextOperation {
  return textUnicode.normalize([position, { d: count }]);
}

/** How many code points a string has: what positions count. */
export function codePoints(string: string): number {
  let count = 0;
  for (const _ of string) count++;
  return count;
}

/** The package deletes what is not there without a word, where the gateway refuses. */
function checkLength(document: string, operation: TextOperation): void {
  let needed = 0;
  for (const part of operation) {
    if (typeof part === 'number') needed += part;
    else if (typeof part === 'object') needed += deletedBy(part);
  }
  // A code point has at most two units, so most operations need no count.
  if (needed * 2 > document.length && needed > codePoints(document)) {
    throw new RangeError('the operation is too long for this document');
  }
}

function deletedBy({ d }: { d: number | string }): number {
  return typeof d === 'number' ? d : codePoints(d);
}

function offsetOf(position: Position): number {
  if (typeof position !== 'number') throw new TypeError('a position in a text is a number');
  return position;
}

/** As the package moves positions, which knows the left side only. */
function movedOffset(position: number, operation: TextOperation, side: Side): number {
  let at = 0; // in the document after the operation
  let moved = position;
  for (const part of operation) {
    if (typeof part === 'number') at += part;
    else if (typeof part === 'string') {
      const length = codePoints(part);
      if (at < moved || (at === moved && side === 'right')) moved += length;
      at += length;
    } else if (at < moved) moved -= Math.min(deletedBy(part), moved - at);
    if (at > moved) break;
  }
  return moved;
}
