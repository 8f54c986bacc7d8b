// Answers for the published document types what the tests ask of fastcollab's: see twins.py for the questions.
//
// One line of JSON in, {type, cases}, makes one line out: for each case an object of named results. A result is
// {value}, {} for undefined, or {error}. Values are copied before each call: some packages change their arguments.

import { createInterface } from 'node:readline';

import { types } from './types.mjs';

const copy = value => value === undefined ? undefined : JSON.parse(JSON.stringify(value));

// The results for one case. A function that fails leaves out what builds on its result.
function answer(type, { document, a, b, c, positions }) {
  const results = {};
  const ask = (name, compute) => {
    try {
      const value = compute();
      results[name] = value === undefined ? {} : { value };
      return { value };
    } catch (error) {
      results[name] = { error: String(error && error.message || error) };
      return null;
    }
  };
  const call = (name, method, ...args) => ask(name, () => copy(type[method](...args.map(copy))));

  const afterA = call('apply a', 'apply', document, a);
  const afterB = call('apply b', 'apply', document, b);
  const aLeft = call('a over b, left', 'transform', a, b, 'left');
  const aRight = call('a over b, right', 'transform', a, b, 'right');
  const bLeft = call('b over a, left', 'transform', b, a, 'left');
  const bRight = call('b over a, right', 'transform', b, a, 'right');
  if (afterA && bRight) call('a then b', 'apply', afterA.value, bRight.value);
  if (afterB && aLeft) call('b then a', 'apply', afterB.value, aLeft.value);
  if (afterA && bLeft) call('a then b, other sides', 'apply', afterA.value, bLeft.value);
  if (afterB && aRight) call('b then a, other sides', 'apply', afterB.value, aRight.value);
  const both = call('compose a, c', 'compose', a, c);
  if (afterA) call('apply a, apply c', 'apply', afterA.value, c);
  if (both) {
    call('apply both', 'apply', document, both.value);
    call('b over both', 'transform', b, both.value, 'left');
    call('both over b', 'transform', both.value, b, 'right');
  }
  const inverse = call('invert a', 'invert', a, document);
  if (inverse && afterA) call('apply inverse', 'apply', afterA.value, inverse.value);
  for (const [index, position] of positions.entries()) {
    for (const side of ['left', 'right']) {
      call(`position ${index} over a, ${side}`, 'transformPosition', position, a, side);
    }
  }
  call('normalize a', 'normalize', a);
  return results;
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { type, cases } = JSON.parse(line);
  process.stdout.write(JSON.stringify(cases.map(each => answer(types[type], each))) + '\n');
}
