// Reads pairs of expressions, a component of json0 and an operation of json1, as JSON from the standard input, and
// prints what each makes of one document.
import { text } from 'node:stream/consumers';
import * as json1 from '@fastcollab/client/json1';
import json0 from 'ot-json0';

const content = { title: 'Old', list: ['a', 'b', 'c'], count: 4 };
const made = JSON.parse(await text(process.stdin)).map(([component, operation]) => [
  json0.type.apply(structuredClone(content), [new Function(`return ${component}`)()]),
  json1.json1.apply(content, new Function(...Object.keys(json1), `return ${operation}`)(...Object.values(json1))),
]);
console.log(JSON.stringify(made));
