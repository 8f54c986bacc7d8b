/** The five minutes of docs/sdk.md do what they say. */

import { readFileSync } from 'node:fs';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { expect, inject, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import * as core from '../../src/index.js';
import * as text from '../../src/ot/text.js';
import { freshRoom } from './clients.js';

const PAGE = readFileSync(new URL('../../../../../docs/sdk.md', import.meta.url), 'utf8');
const MODULES: Record<string, object> = { '@fastcollab/client': core, '@fastcollab/client/text': text };

test('the code of the tutorial runs', async () => {
  const blocks = [...PAGE.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code);
  expect(blocks).toHaveLength(6);
  const { url, tokens } = inject('gateway');
  const source = blocks
    .join('\n')
    .replaceAll(/import (\{.*?\}) from '(.*?)';/g, "const $1 = modules['$2'];")
    .replace('ws://localhost:8080/ws', url)
    .replace("'minutes'", `'${freshRoom()}'`);
  const compilerOptions = { target: ScriptTarget.ES2022, module: ModuleKind.ESNext };
  const { outputText } = transpileModule(`${source}\nreturn client;`, { compilerOptions });
  const said: string[] = [];
  vi.stubGlobal('WebSocket', WebSocket);
  try {
    const run = Object.getPrototypeOf(async () => {}).constructor('modules', 'fetchToken', 'console', outputText);
    const console = { log: (...words: unknown[]) => said.push(words.join(' ')) };
    const client = await run(MODULES, () => tokens.ada, console);
    client.disconnect();
  } finally {
    vi.unstubAllGlobals();
  }
  expect(said).toEqual([
    ...['connection: connecting', 'connection: connected', 'Ada are here'],
    ...['local change by ada', 'local change by ada', 'saved'],
    ...['undo change by ada', '""', 'redo change by ada'],
    ...['connection: closed', 'local change by ada', 'connection: connecting', 'connection: connected'],
    ...['Agenda\n1. Budget\n2. Lunch\n', 'connection: closed'],
  ]);
});
