// Times the published document types on the work that benchmarks/ot.py sends.
//
// In: one line of JSON, {type, work, input, byPairs}, is the work from then on; each number after it asks to do it so
// many times. Out: for the work its results, of each pair by itself if so asked; for a number the nanoseconds that it took.

import { createInterface } from 'node:readline';

import { types } from '../../tests/twins/types.mjs';

// The same as in ot.py, name by name.
const works = {
  transform(type, pairs) {
    let result;
    for (const [a, b] of pairs) result = type.transform(a, b, 'left');
    return result;
  },
  compose(type, pairs) {
    let result;
    for (const [a, b] of pairs) result = type.compose(a, b);
    return result;
  },
  apply(type, pairs) {
    let result;
    for (const [document, op] of pairs) result = type.apply(document, op);
    return result;
  },
  // The package shares in any case.
  share: (type, pairs) => works.apply(type, pairs),
  commit(type, pairs) {
    let result;
    for (const [document, op] of pairs) {
      result = type.apply(document, op);
      type.invert(op, document);
    }
    return result;
  },
  edit(type, [start, pairs]) {
    let document = start;
    for (const [a, b] of pairs) document = type.apply(document, type.transform(a, b, 'left'));
    return document;
  },
  replay(type, [start, edits]) {
    let document = start;
    const unseen = [[], []];
    const received = [0, 0];
    for (const { agent, operation, seen } of edits) {
      const mine = unseen[agent];
      mine.splice(0, seen - (received[agent] - mine.length));
      let written = operation;
      for (let i = 0; i < mine.length; i++) {
        const other = mine[i];
        mine[i] = type.transform(other, written, 'right');
        written = type.transform(written, other, 'left');
      }
      document = type.apply(document, written);
      received[1 - agent]++;
      unseen[1 - agent].push(written);
    }
    return document;
  },
};

let run;
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const asked = JSON.parse(line);
  let answer;
  if (typeof asked === 'object') {
    const { type, work, input, byPairs } = asked;
    const workOn = each => works[work](types[type], each);
    run = () => workOn(input);
    answer = JSON.stringify((byPairs ? input.map(pair => [pair]) : [input]).map(workOn));
  } else {
    const begun = process.hrtime.bigint();
    for (let i = 0; i < asked; i++) run();
    answer = String(process.hrtime.bigint() - begun);
  }
  process.stdout.write(answer + '\n');
}
