// @vitest-environment happy-dom
/** The code about editors in docs/sdk.md does what the page says. */

import { readFileSync } from 'node:fs';
import * as view from '@codemirror/view';
import Quill from 'quill';
import { expect, test } from 'vitest';
import * as codemirror from '../../src/bindings/codemirror.js';
import * as quill from '../../src/bindings/quill.js';
import type { CollaborativeClient } from '../../src/index.js';
import { richText } from '../../src/ot/rich-text.js';
import { text } from '../../src/ot/text.js';
import { connected, freshRoom, until } from '../gateway/clients.js';

const PAGE = readFileSync(`${import.meta.dirname}/../../../../../docs/sdk.md`, 'utf8');
const MODULES: Record<string, object> = {
  '@codemirror/view': view,
  '@fastcollab/client/codemirror': codemirror,
  quill: Quill,
  '@fastcollab/client/quill': quill,
};

/** Runs the block of code that imports a module; returns what it has made under a name. */
function run(imported: string, result: string, known: Record<string, unknown>): Promise<any> {
  const blocks = [...PAGE.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code!);
  const code = blocks
    .find(block => block.includes(`'${imported}'`))!
    .replaceAll(/import (\{.*?\}|\w+) from '(.*?)';/g, "const $1 = modules['$2'];");
  const names = Object.keys(known);
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  return new AsyncFunction('modules', ...names, `${code}\nreturn ${result};`)(MODULES, ...Object.values(known));
}

/** A client whose rooms are others than those that the page names. */
function elsewhere(client: CollaborativeClient, id: string): Pick<CollaborativeClient, 'joinRoom'> {
  return { joinRoom: (_id: string, options: any) => client.joinRoom(id, options) };
}

test('CodeMirror shows and edits a document', async () => {
  const [client, other] = [await connected('ada'), await connected('ben')];
  const id = freshRoom();
  const known = { client: elsewhere(client, id), text, parent: document.body };
  const made: view.EditorView = await run('@codemirror/view', 'view', known);
  made.dispatch({ changes: { from: 0, insert: 'Agenda' } });
  const { document: shared } = await other.joinRoom(id, { type: text });
  await until(() => shared.content === 'Agenda');
  made.destroy();
  expect(document.querySelector('.cm-editor')).toBeNull();
});

test('Quill shows and edits a document', async () => {
  const [client, other] = [await connected('ada'), await connected('ben')];
  const id = freshRoom();
  const known = { client: elsewhere(client, id), richText, container: document.createElement('div') };
  const [made, unbind]: [Quill, () => void] = await run('quill', '[quill, unbind]', known);
  made.insertText(0, 'Report', 'user');
  const { document: shared } = await other.joinRoom(id, { type: richText });
  await until(() => JSON.stringify(shared.content) === '[{"insert":"Report\\n"}]');
  unbind();
});
