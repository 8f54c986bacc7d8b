// The published document types, each with the interface of fastcollab's, in terms of the package's own functions.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const text = require('ot-text-unicode').type;
const json1 = require('ot-json1').type;
const Delta = require('quill-delta');
const richText = require('rich-text').type;

// On the right, text moves a position by Quill's rule, with one unit for each character: the package knows the left only.
function positionOnTheRight(position, op) {
  const units = amount => typeof amount === 'string' ? [...amount].length : amount;
  const delta = new Delta(op.map(component => (
    typeof component === 'string' ? { insert: '.'.repeat(units(component)) }
      : typeof component === 'number' ? { retain: component }
        : { delete: units(component.d) }
  )));
  return delta.transformPosition(position, false);
}

// json1 asks its subtypes for the left side alone. This is the side on which positions are moved at the time.
let positionSide = 'left';

export const types = {
  text: {
    apply: text.apply,
    transform: text.transform,
    compose: text.compose,
    invert: text.invertWithDoc,
    transformPosition: (position, op, side) => (
      side === 'left' ? text.transformPosition(position, op) : positionOnTheRight(position, op)
    ),
    normalize: text.normalize,
  },

  json1: {
    apply: json1.apply,
    transform: json1.transformNoConflict,
    compose: json1.compose,
    invert: json1.invertWithDoc,
    // Inserts in lists move a position on both sides; the sides differ in what subtypes edit.
    transformPosition(path, op, side) {
      positionSide = side;
      return json1.transformPosition(path, op);
    },
    normalize: json1.normalize,
  },

  // A document is a list of inserts. The sides are those of fastcollab: the left inserts first.
  'rich-text': {
    apply: (document, op) => new Delta(document).compose(new Delta(op)).ops,
    transform: (op, other, side) => new Delta(other).transform(new Delta(op), side === 'right').ops,
    compose: (first, second) => new Delta(first).compose(new Delta(second)).ops,
    invert: (op, document) => new Delta(op).invert(new Delta(document)).ops,
    transformPosition: (position, op, side) => new Delta(op).transformPosition(position, side === 'left'),
    normalize: op => op.reduce((delta, component) => delta.push(component), new Delta()).chop().ops,
  },
};

// The types of edits within json1: those of above, under the names that fastcollab has for them. An inverse of rich text
// takes the document, which json1 shows to a subtype before it asks for the inverse.
json1.registerSubtype({
  ...text,
  transformPosition: (position, op) => types.text.transformPosition(position, op, positionSide),
});
json1.registerSubtype({
  ...types['rich-text'],
  name: 'rich-text',
  transformPosition: (position, op) => types['rich-text'].transformPosition(position, op, positionSide),
  makeInvertible: (op, document) => Object.assign([...op], { inverse: types['rich-text'].invert(op, document) }),
  invert: op => op.inverse,
});
json1.registerSubtype({ ...json1, transform: json1.transformNoConflict });

// What ShareDB runs for rich text: an older Delta, and the sides the other way round.
types['rich-text of ShareDB'] = {
  ...types['rich-text'],
  apply: (document, op) => richText.apply(document, op).ops,
  transform: (op, other, side) => richText.transform(op, other, side === 'left' ? 'right' : 'left').ops,
  compose: (first, second) => richText.compose(first, second).ops,
};
