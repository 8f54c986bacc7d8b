// What an application pays for the entry points of a package, bundled and minified: prints the sizes, and fails when one
// is over its bound. Run in the package's folder with the bounds in KiB, gzipped: `node ../../size.mjs index=15 text=3`.
// An entry point is counted with the packages that it brings, and without those that the application has anyway.

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const KIB = 1024;
const { peerDependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8'));
const external = Object.keys(peerDependencies).map(name => new RegExp(`^${name}(/|$)`));

for (const [entry, bound] of process.argv.slice(2).map(argument => argument.split('='))) {
  const bundle = await rolldown({ input: `dist/${entry}.js`, platform: 'browser', external });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  const size = output.reduce((sum, chunk) => sum + gzipSync(chunk.code ?? '').length, 0);
  console.log(`${entry.padEnd(10)} ${(size / KIB).toFixed(1).padStart(5)} KiB gzipped, of ${bound}`);
  if (size > bound * KIB) process.exitCode = 1;
}
