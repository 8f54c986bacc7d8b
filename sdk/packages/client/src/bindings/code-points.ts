/**
 * Texts in an editor that counts UTF-16 units, and operations that count code points. The two part behind each character
 * of two units, such as an emoji.
 *
 * An editor may take such a character apart: who exchanges one emoji for the next may have changed the second unit alone.
 * An operation cannot, and the wire takes no halves. So what splits a character is widened to the whole of it, and what
 * is left of one that stays half becomes U+FFFD; `operationFrom` says so by another text than the editor has.
 */

import { codePoints, type TextOperation } from '../ot/text.js';

/** `remove` units from `from` on are replaced by `insert`. */
export interface Splice {
  readonly from: number;
  readonly remove: number;
  readonly insert: string;
}

/** Converts positions in one text. */
export class CodePoints {
  readonly #pairs: number[] = []; // where the characters of two units begin

  constructor(text: string) {
    for (const { index } of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) this.#pairs.push(index);
  }

  /** Whether the position is within a character. */
  splits(unit: number): boolean {
    return this.#pairs[this.#count(pair => pair < unit) - 1] === unit - 1;
  }

  /** How many characters lie before a unit; one that is half before it does not count. */
  at(unit: number): number {
    return unit - this.#count(pair => pair < unit);
  }

  /** Where a character begins, in units. */
  unit(point: number): number {
    return point + this.#count((pair, index) => pair - index < point);
  }

  /** How many pairs, from the first on, `lies` holds for. */
  #count(lies: (pair: number, index: number) => boolean): number {
    let [low, high] = [0, this.#pairs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lies(this.#pairs[middle]!, middle)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The text without halves of characters. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

/** What splices in order, all in terms of `before`, do; they lead to `after`, or rather to `wellFormed(after)`. */
export function operationFrom(splices: readonly Splice[], before: string, after: string): TextOperation {
  const points = new CodePoints(before);
  const isTorn = ({ from, remove, insert }: Splice): boolean =>
    points.splits(from) || points.splits(from + remove) || insert !== wellFormed(insert);
  const whole = splices.some(isTorn) ? [difference(before, wellFormed(after))] : splices;
  const operation: TextOperation = [];
  let reached = 0;
  for (const { from, remove, insert } of whole) {
    const start = points.at(from);
    const end = points.at(from + remove);
    if (start > reached) operation.push(start - reached);
    if (insert) operation.push(insert);
    if (end > start) operation.push({ d: end - start });
    reached = end;
  }
  return operation;
}

/** What an operation does to `text`, in terms of that. */
export function splicesOf(operation: TextOperation, text: string): Splice[] {
  const points = new CodePoints(text);
  const splices: Splice[] = [];
  let point = 0;
  for (const part of operation) {
    const from = points.unit(point);
    if (typeof part === 'number') point += part;
    else if (typeof part === 'string') splices.push({ from, remove: 0, insert: part });
    else {
      point += typeof part.d === 'number' ? part.d : codePoints(part.d);
      splices.push({ from, remove: points.unit(point) - from, insert: '' });
    }
  }
  return splices;
}

/** The part of a text that has to be replaced to get another one, in whole characters. */
export function difference(before: string, after: string): Splice {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  if (isHigh(before, start - 1)) start--;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  if (end && isLow(before, before.length - end)) end--;
  return { from: start, remove: before.length - start - end, insert: after.slice(start, after.length - end) };
}

function isHigh(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLow(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit < 0xe000;
}
