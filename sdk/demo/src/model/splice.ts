/** The difference between two states of a line of text, and places in it; all of them counted in code points. */

import { insert, remove, type TextOperation, text } from '@fastcollab/client/text';

/** `deleted` code points at `at` were replaced by `inserted`. */
export interface Splice {
  readonly at: number;
  readonly deleted: number;
  readonly inserted: string;
}

/** The smallest splice that makes `after` of `before`; undefined if they are equal. */
export function spliceBetween(before: string, after: string): Splice | undefined {
  if (before === after) return undefined;
  const old = [...before];
  const fresh = [...after];
  const shorter = Math.min(old.length, fresh.length);
  let start = 0;
  while (start < shorter && old[start] === fresh[start]) start++;
  let end = 0;
  while (end < shorter - start && old[old.length - 1 - end] === fresh[fresh.length - 1 - end]) end++;
  return { at: start, deleted: old.length - start - end, inserted: fresh.slice(start, fresh.length - end).join('') };
}

export function textOperation({ at, deleted, inserted }: Splice): TextOperation {
  return text.compose(deleted ? remove(at, deleted) : [], inserted ? insert(at, inserted) : []);
}

/** Where a caret, in UTF-16 units as the browser has it, is after somebody else has made `after` of `before`. */
export function caretAfter(before: string, after: string, caret: number): number {
  const splice = spliceBetween(before, after);
  if (!splice) return caret;
  const points = [...before.slice(0, caret)].length;
  const moved = text.transformPosition(points, textOperation(splice), 'left') as number;
  return [...after].slice(0, moved).join('').length;
}
