/** The shared document in components. */

import { CollaborativeClient } from '@fastcollab/client';
import { insertOp, json1, removeOp, replaceOp } from '@fastcollab/client/json1';
import { insert, text } from '@fastcollab/client/text';
import { act, screen } from '@testing-library/react';
import { memo, type ReactNode } from 'react';
import { expect, inject, onTestFinished, test } from 'vitest';
import { connected, freshRoom, NodeWebSocket, until } from '../../client/test/gateway/clients.js';
import {
  FastcollabProvider,
  useCanRedo,
  useCanUndo,
  useContent,
  useDocument,
  useEdit,
  useHistory,
  usePresence,
  useRedo,
  useUndo,
  useWebSocket,
} from '../src/index.js';
import { Renderings, scene, show } from './rendering.js';

interface Board {
  widgets: Record<string, { title: string; x: number }>;
}

const board = insertOp(['widgets'], { chart: { title: 'Sales', x: 0 }, note: { title: 'Minutes', x: 5 } });

test('a change of a JSON document renders its reader again, and nobody else', async () => {
  const { Counted, ...renderings } = new Renderings();
  const Widget = memo(({ id }: { id: string }): ReactNode => {
    const widget = useContent((content: Board) => content.widgets[id]);
    return <p>{widget && `${widget.title} at ${widget.x}`}</p>;
  });
  function Ids(): ReactNode {
    const ids = useContent((content: Board) => Object.keys(content.widgets).join());
    return <p>{ids}</p>;
  }
  const { other, client } = await scene(
    <>
      <Counted name="chart">
        <Widget id="chart" />
      </Counted>
      <Counted name="note">
        <Widget id="note" />
      </Counted>
      <Counted name="ids">
        <Ids />
      </Counted>
    </>,
    json1,
    board,
  );
  await screen.findByText('Sales at 0');
  const before = ['chart', 'note', 'ids'].map(renderings.of);
  act(() => other.document.edit(replaceOp(['widgets', 'chart', 'x'], 0, 30)));
  await screen.findByText('Sales at 30');
  expect(['chart', 'note', 'ids'].map(renderings.of)).toEqual([before[0]! + 1, before[1], before[2]]);
  const own = [...client.rooms.values()][0]!.document;
  await act(() => own.submit(replaceOp(['widgets', 'note', 'title'], 'Minutes', 'Agenda')));
  expect(screen.getByText('Agenda at 5')).toBeDefined();
  expect(['chart', 'note', 'ids'].map(renderings.of)).toEqual([before[0]! + 1, before[1]! + 1, before[2]]);
  act(() => other.document.edit(removeOp(['widgets', 'chart'])));
  await screen.findByText('note');
  expect(screen.queryByText('Sales at 30')).toBeNull();
});

test('the whole document, its version, and edits from components', async () => {
  function Editor(): ReactNode {
    const { document, version } = useDocument<string>();
    const edit = useEdit();
    return (
      <>
        <output>{`${version}: ${document.content}`}</output>
        <button type="button" onClick={() => document.update(insert(0, 'one '))}>
          update
        </button>
        <button type="button" onClick={() => edit(insert(0, 'two '))}>
          edit
        </button>
      </>
    );
  }
  const { other } = await scene(<Editor />, text, ['🙂']);
  await screen.findByText('1: 🙂');
  act(() => screen.getByText('update').click());
  expect(screen.getByRole('status').textContent).toBe('1: one 🙂');
  await screen.findByText('2: one 🙂');
  act(() => screen.getByText('edit').click());
  await screen.findByText('3: two one 🙂');
  await until(() => other.document.content === 'two one 🙂');
  other.document.edit(insert(9, '!'));
  await screen.findByText('4: two one 🙂!');
});

test("undo and redo take back what is one's own", async () => {
  function Buttons(): ReactNode {
    const { separate } = useHistory();
    const [undo, redo] = [useUndo(), useRedo()];
    const [canUndo, canRedo] = [useCanUndo(), useCanRedo()];
    const update = useEdit();
    return (
      <>
        <button type="button" onClick={() => [separate(), update(insert(0, 'mine '))]}>
          write
        </button>
        <button type="button" disabled={!canUndo} onClick={undo}>
          undo
        </button>
        <button type="button" disabled={!canRedo} onClick={redo}>
          redo
        </button>
        <output>{useContent<string>()}</output>
      </>
    );
  }
  const { other } = await scene(<Buttons />, text, ['theirs']);
  const button = async (name: string): Promise<HTMLButtonElement> =>
    (await screen.findByText(name)) as HTMLButtonElement;
  const click = async (name: string): Promise<void> => {
    const found = await button(name);
    act(() => found.click());
  };
  expect((await button('undo')).disabled).toBe(true);
  await click('write');
  await click('write');
  await until(() => other.document.content === 'mine mine theirs');
  act(() => other.document.edit(insert(16, ' too')));
  await screen.findByText('mine mine theirs too');
  await click('undo');
  expect(screen.getByRole('status').textContent).toBe('mine theirs too');
  await click('undo');
  expect((await button('undo')).disabled).toBe(true);
  await click('redo');
  expect(screen.getByRole('status').textContent).toBe('mine theirs too');
  expect((await button('redo')).disabled).toBe(false);
  await until(() => other.document.content === 'mine theirs too');
});

test('the example of the specification: hooks that are given a client, and no RoomProvider', async () => {
  const id = freshRoom();
  const other = await (await connected('ben')).joinRoom(id, { type: text });
  const { url, tokens } = inject('gateway');
  const mine = new CollaborativeClient({ url, token: tokens.ada, types: [text], WebSocket: NodeWebSocket });
  onTestFinished(() => mine.disconnect());

  function CollaborativeEditor(): ReactNode {
    const { client, connected, error } = useWebSocket();
    const { cursor, selection } = usePresence(client);
    const { document, version } = useDocument(client);
    return (
      <>
        <output>{`${connected} ${error} ${version} ${document.content}`}</output>
        <Editor onCursorMove={cursor.update} onSelectionChange={selection.update} onContentChange={document.update} />
      </>
    );
  }
  let editor: EditorProps | undefined;
  function Editor(props: EditorProps): ReactNode {
    editor = props;
    return null;
  }
  interface EditorProps {
    onCursorMove: ReturnType<typeof usePresence>['cursor']['update'];
    onSelectionChange: ReturnType<typeof usePresence>['selection']['update'];
    onContentChange: ReturnType<typeof useDocument>['document']['update'];
  }

  show(
    <FastcollabProvider client={mine}>
      <CollaborativeEditor />
    </FastcollabProvider>,
  );
  await screen.findByText('true undefined 0 undefined');
  expect(() => editor!.onContentChange(['early'])).toThrow('no room is joined');
  await act(() => mine.joinRoom(id));
  await screen.findByText('true undefined 0');
  act(() => editor!.onContentChange(['Hello']));
  editor!.onCursorMove({ x: 1, y: 2 });
  editor!.onSelectionChange([{ anchor: 0, head: 5 }]);
  await screen.findByText('true undefined 1 Hello');
  await until(() => other.cursors.get('ada')?.x === 1);
  await until(() => other.participant('ada')?.selection?.ranges[0]?.head === 5);
  act(() => mine.leaveRoom(id));
  await screen.findByText('true undefined 0 undefined');
});
