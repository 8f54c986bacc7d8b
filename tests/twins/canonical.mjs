// Canonical JSON (RFC 8785) by JavaScript itself, whose JSON.stringify and order of strings the RFC is made of.
//
// One line of JSON in makes one line out: the same value in canonical form.

import { createInterface } from 'node:readline';

// An object would put keys that are integers first, whatever their order, so its members are written one by one.
function stringify(value) {
  if (Array.isArray(value)) return '[' + value.map(stringify).join(',') + ']';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return '{' + Object.keys(value).sort().map(key => JSON.stringify(key) + ':' + stringify(value[key])).join(',') + '}';
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(stringify(JSON.parse(line)) + '\n');
}
