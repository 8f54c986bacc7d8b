// @vitest-environment happy-dom
/** The code about editors in docs/sdk.md does what the page says. */

import { readFileSync } from 'node:fs';
import * as view from '@codemirror/view';
import { expect, test } from 'vitest';
import * as codemirror from '../../src/bindings/codemirror.js';
import { text } from '../../src/ot/text.js';
import { connected, freshRoom, until } from '../gateway/clients.js';

const PAGE = readFileSync(new URL('../../../../../docs/sdk.md', import.meta.url), 'utf8');
const MODULES: Record<string, object> = { '@codemirror/view': view, '@fastcollab/client/codemirror': codemirror };

/** Runs the block of code that imports a module; returns what it has made under a name. */
function run(imported: string, result: string, known: Record<string, unknown>): Promise<any> {
  const blocks = [...PAGE.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code!);
  const code = blocks
    .find(block => block.includes(`'${imported}'`))!
    .replaceAll(/import (\{.*?\}) from '(.*?)';/g, "const $1 = modules['$2'];");
  const names = Object.keys(known);
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  return new AsyncFunction('modules', ...names, `${code}\nreturn ${result};`)(MODULES, ...Object.values(known));
}

test('CodeMirror shows and edits a document', async () => {
  const [client, other] = [await connected('ada'), await connected('ben')];
  const id = freshRoom();
  const joining = { joinRoom: (_id: string, options: any) => client.joinRoom(id, options) };
  const made: view.EditorView = await run('@codemirror/view', 'view', { client: joining, text, parent: document.body });
  made.dispatch({ changes: { from: 0, insert: 'Agenda' } });
  const { document: shared } = await other.joinRoom(id, { type: text });
  await until(() => shared.content === 'Agenda');
  made.destroy();
  expect(document.querySelector('.cm-editor')).toBeNull();
});
