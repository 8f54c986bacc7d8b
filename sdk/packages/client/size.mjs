// What an application pays for the package, bundled and minified: prints the sizes, and fails when one is over its bound.

import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const KIB = 1024;

// Gzipped; a type is counted with the packages that it brings, and without the core.
const bounds = {
  index: 15 * KIB,
  indexeddb: 1.5 * KIB,
  text: 3 * KIB,
  json1: 12 * KIB,
  'rich-text': 14 * KIB,
};

for (const [entry, bound] of Object.entries(bounds)) {
  const bundle = await rolldown({ input: new URL(`dist/${entry}.js`, import.meta.url).pathname, platform: 'browser' });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  const size = output.reduce((sum, chunk) => sum + gzipSync(chunk.code ?? '').length, 0);
  console.log(`${entry.padEnd(10)} ${(size / KIB).toFixed(1).padStart(5)} KiB gzipped, of ${bound / KIB}`);
  if (size > bound) process.exitCode = 1;
}
