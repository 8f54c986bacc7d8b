/** The code of the README does what it looks like. */

import { readFileSync } from 'node:fs';
import * as core from '@fastcollab/client';
import * as json1 from '@fastcollab/client/json1';
import { act, fireEvent, render, screen } from '@testing-library/react';
import * as react from 'react';
import { JsxEmit, ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import { connected, freshRoom, NodeWebSocket, until } from '../../client/test/gateway/clients.js';
import * as hooks from '../src/index.js';

const PAGE = readFileSync(`${import.meta.dirname}/../README.md`, 'utf8');
const MODULES: Record<string, object> = {
  '@fastcollab/client': core,
  '@fastcollab/client/json1': json1,
  '@fastcollab/react': hooks,
};

test('the page of the README shows and edits a document, and who is there', async () => {
  const id = freshRoom();
  const { url, tokens } = inject('gateway');
  const ben = await (await connected('ben')).joinRoom<any>(id, { type: json1.json1 });
  await ben.document.submit(json1.insertOp(['title'], 'Sales'));
  const [, code] = /```tsx\n(.*?)```/s.exec(PAGE)!;
  const source = code!
    .replaceAll(/import (\{.*?\}) from '(.*?)';/g, "const $1 = modules['$2'];")
    .replace('wss://collab.example.com/ws', url)
    .replace('"dashboard"', `"${id}"`)
    .replace('export function Page', 'return Page; function Page');
  const { outputText } = transpileModule(source, {
    compilerOptions: { target: ScriptTarget.ES2022, module: ModuleKind.ESNext, jsx: JsxEmit.React },
  });
  vi.stubGlobal('WebSocket', NodeWebSocket);
  onTestFinished(() => void vi.unstubAllGlobals());
  const Page = new Function('modules', 'fetchToken', 'React', outputText)(MODULES, () => tokens.ada, react);
  const { unmount } = render(<Page />);
  await screen.findByText('With you: Ben');
  fireEvent.change(screen.getByDisplayValue('Sales'), { target: { value: 'Costs' } });
  await until(() => ben.document.content.title === 'Costs');
  act(() => ben.updateCursor({ x: 1, y: 2 }));
  expect((await screen.findByText('Ben')).tagName).toBe('B');
  unmount();
  await until(() => ben.participants.length === 1);
});
