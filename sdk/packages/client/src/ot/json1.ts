/**
 * JSON documents: operations of ot-json1, which insert, remove, move, and edit texts (`es`) and numbers (`ena`) in
 * place. The package's own functions that make operations are passed on.
 *
 * The package asks its subtypes for the left side alone when it moves a position, so they look up here which one is
 * meant at the time.
 */

import { type JSONOp, type as ot } from 'ot-json1';
import { type as textUnicode } from 'ot-text-unicode';
import { text } from './text.js';
import type { DocumentType, Side } from './type.js';

export {
  editOp,
  insertOp,
  type JSONOp as Json1Operation,
  moveOp,
  type Path,
  removeOp,
  replaceOp,
} from 'ot-json1';

/** A JSON value, or undefined while an operation has removed it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const json1: DocumentType<Json | undefined, JSONOp> = {
  name: 'json1',
  invertsExactly: false, // sums of numbers round
  apply: (document, operation) => ot.apply(document as any, operation) as Json | undefined,
  transform: (operation, other, side) => ot.transformNoConflict(operation, other, side),
  compose: (first, second) => ot.compose(first, second),
  invert: (operation, document) => ot.invertWithDoc(operation, document as any),
  normalize: operation => ot.normalize(operation),
  isNoop: operation => operation === null,
  transformPosition: (position, operation, side) => {
    if (typeof position === 'number') throw new TypeError('a position in a json1 document is a path');
    positionSide = side;
    return ot.transformPosition([...position], operation);
  },
};

let positionSide: Side = 'left';

/** Has values within `json1` documents edited by operations of another type, such as `rich-text` (`et` and `o`). */
export function registerSubtype(type: DocumentType): void {
  ot.registerSubtype(asSubtype(type));
}

function asSubtype(type: DocumentType): any {
  const { name, apply, transform, compose, normalize } = type;
  return {
    name,
    apply,
    transform,
    compose,
    normalize,
    transformPosition: (position: number, operation: unknown) =>
      type.transformPosition(position, operation, positionSide),
    // An inverse takes the document, which the package shows to a subtype before it asks for the inverse.
    makeInvertible: (operation: unknown[], document: unknown) =>
      Object.assign([...operation], { inverse: type.invert(operation, document) }),
    invert: (operation: { inverse: unknown }) => operation.inverse,
  };
}

ot.registerSubtype({
  ...textUnicode,
  transformPosition: (position: number, operation: any) => text.transformPosition(position, operation, positionSide),
});
