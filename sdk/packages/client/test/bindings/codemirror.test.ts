// @vitest-environment happy-dom
/** CodeMirror views on one document, through a gateway. */

import { EditorView, runScopeHandlers } from '@codemirror/view';
import { expect, onTestFinished, test } from 'vitest';
import { collaboration } from '../../src/bindings/codemirror.js';
import { json1 } from '../../src/ot/json1.js';
import { insert, text } from '../../src/ot/text.js';
import type { Room } from '../../src/room/room.js';
import { clientOf, connected, freshRoom, until } from '../gateway/clients.js';
import { signed } from '../gateway/process.js';
import { PIECES, seeded } from '../gateway/random.js';

// Browsers tell of this later, and not in the middle of a change.
document.addEventListener('selectionchange', event => event.stopImmediatePropagation());

async function rooms(): Promise<[Room, Room]> {
  const id = freshRoom();
  const [ada, ben] = await Promise.all([connected('ada'), connected('ben')]);
  return [await ada.joinRoom(id, { type: text }), await ben.joinRoom(id, { type: text })];
}

function open(room: Room, doc = ''): EditorView {
  const view = new EditorView({ doc, extensions: collaboration(room), parent: document.body });
  onTestFinished(() => view.destroy());
  return view;
}

function textOf(view: EditorView): string {
  return view.state.doc.toString();
}

function type(view: EditorView, from: number, inserted: string, to: number = from): void {
  view.dispatch({
    changes: { from, to, insert: inserted },
    selection: { anchor: from + inserted.length },
    userEvent: 'input.type',
  });
}

function press(view: EditorView, key: string, shiftKey = false): boolean {
  return runScopeHandlers(
    view,
    new KeyboardEvent('keydown', { key, keyCode: key.toUpperCase().charCodeAt(0), ctrlKey: true, shiftKey }),
    'editor',
  );
}

test('two write in their views, characters of two units included, and undo what is theirs', async () => {
  const [mine, theirs] = await rooms();
  const [view, other] = [open(mine), open(theirs)];
  type(view, 0, '👩 says hello\n');
  await until(() => textOf(other) === '👩 says hello\n');
  type(other, 3, 'Ben 🙂 ');
  type(view, 3, 'often ');
  await Promise.all([mine.document.saved(), theirs.document.saved()]);
  await until(() => textOf(view) === textOf(other) && textOf(view).length === 27);
  expect(mine.document.content).toBe(textOf(view));
  expect(textOf(view).startsWith('👩 ')).toBe(true);
  expect(press(other, 'z')).toBe(true);
  expect(textOf(other)).toBe('👩 often says hello\n');
  expect(press(other, 'Z', true)).toBe(true);
  expect(textOf(other)).toContain('Ben 🙂 ');
  press(other, 'z');
  expect([3, 9]).toContain(other.state.selection.main.head); // where it was, before or behind what came from ada
  press(other, 'y');
  expect(textOf(other)).toContain('Ben 🙂 ');
  await theirs.document.saved();
  await until(() => textOf(view) === textOf(other));
});

test('what others write leaves the caret where it is, and is none of CodeMirror’s own history', async () => {
  const [mine, theirs] = await rooms();
  const view = open(mine);
  type(view, 0, 'abc');
  view.dispatch({ selection: { anchor: 1, head: 2 } });
  await until(() => theirs.document.content === 'abc');
  theirs.document.edit(insert(0, '🙂🙂'));
  await until(() => textOf(view) === '🙂🙂abc');
  expect(view.state.selection.main).toMatchObject({ anchor: 5, head: 6 });
});

test('half a character is not written', async () => {
  const [mine, theirs] = await rooms();
  const view = open(mine);
  type(view, 0, 'a😀b');
  type(view, 2, '\ude01', 3); // as an input method may exchange one for the next
  expect(textOf(view)).toBe('a😁b');
  await until(() => theirs.document.content === 'a😁b');
  type(view, 2, '', 3);
  await until(() => textOf(view) === 'a\ufffdb');
  expect(mine.document.content).toBe('a\ufffdb');
  await mine.document.saved();
  await until(() => theirs.document.content === 'a\ufffdb');
});

test('a view shows the document whatever it began with, and keeps its line ends', async () => {
  const [mine] = await rooms();
  mine.document.edit(insert(0, 'one\r\ntwo\rthree\n'));
  const view = open(mine, 'something else');
  await until(() => textOf(view) === 'one\r\ntwo\rthree\n');
  type(view, 4, '!');
  expect(mine.document.content).toBe('one\r!\ntwo\rthree\n');
  await mine.document.saved();
});

test.for(['before', 'after'] as const)('a program that hears of edits %s the view may answer them', async moment => {
  const [mine, theirs] = await rooms();
  const answer = (): void => {
    mine.document.on('change', ({ source }) => {
      const { length } = mine.document.content;
      if (source !== 'answer' && length < 20) mine.document.edit(insert(length, '#'), 'answer');
    });
  };
  if (moment === 'before') answer();
  const view = open(mine);
  if (moment === 'after') answer();
  for (let index = 0; index < 3; index++) type(view, 0, 'x');
  await mine.document.saved();
  await until(() => theirs.document.content === 'xxx###');
  await theirs.document.submit(insert(6, 'yy'));
  await until(() => mine.document.content === 'xxx###yy#');
  await until(() => textOf(view) === 'xxx###yy#');
  await mine.document.saved();
});

test('the others’ carets and selections are shown with their names, and move along', async () => {
  const [mine, theirs] = await rooms();
  const view = open(mine);
  type(view, 0, '🙂 hello');
  await until(() => theirs.document.content === '🙂 hello');
  theirs.updateSelection([{ anchor: 2, head: 5 }], '#ff0000');
  await until(() => view.dom.querySelector('.cm-fastcollab-caret') !== null);
  const selected = (): string | undefined =>
    view.dom.querySelector('.cm-fastcollab-selection')?.textContent ?? undefined;
  expect(selected()).toBe('hel');
  expect(view.dom.querySelector('.cm-fastcollab-name')!.textContent).toBe('Ben');
  expect(view.dom.querySelector('.cm-fastcollab-selection')!.getAttribute('style')).toContain('#ff0000');
  type(view, 0, '🙂');
  expect(selected()).toBe('hel');
  type(view, 5, '', 7);
  expect(selected()).toBe('l');
  theirs.updateSelection([{ anchor: 0, head: 0 }]);
  await until(() => selected() === undefined);
  expect(view.dom.querySelector('.cm-fastcollab-caret')).not.toBeNull();
  theirs.updateSelection([]);
  await until(() => view.dom.querySelector('.cm-fastcollab-caret') === null);
});

test('the own selection is shown to the others in code points, as long as the view has the focus', async () => {
  const [mine, theirs] = await rooms();
  const view = open(mine);
  type(view, 0, '🙂🙂🙂');
  view.focus();
  view.dispatch({ selection: { anchor: 2, head: 6 } });
  await mine.document.saved();
  await until(() => theirs.participant('ada')?.selection?.ranges[0]?.head === 3);
  expect(theirs.participant('ada')!.selection!.ranges).toEqual([{ anchor: 1, head: 3 }]);
  view.contentDOM.blur();
  await until(() => !theirs.participant('ada')?.selection?.ranges.length);
});

test('who may only read cannot write, and may again when that changes', async () => {
  const id = freshRoom();
  const writer = await (await connected('ben')).joinRoom(id, { type: text });
  await writer.document.submit(['kept']);
  const reader = clientOf('eve', { token: signed('eve', 3600, 'read') });
  await reader.connect();
  const room = await reader.joinRoom(id, { type: text });
  const view = open(room);
  expect(view.state.readOnly).toBe(true);
  await until(() => textOf(view) === 'kept');
  type(view, 0, 'not ');
  await until(() => textOf(view) === 'kept');
  await reader.refreshToken(signed('eve', 3600, 'write'));
  await until(() => room.permission === 'write');
  expect(view.state.readOnly).toBe(false);
});

test('a view that is destroyed leaves nothing behind', async () => {
  const [mine, theirs] = await rooms();
  const view = open(mine);
  view.focus();
  type(view, 0, 'abc');
  await until(() => Boolean(theirs.participant('ada')?.selection?.ranges.length));
  theirs.updateSelection([{ anchor: 1, head: 2 }]);
  view.destroy();
  await until(() => !theirs.participant('ada')?.selection?.ranges.length);
  theirs.document.edit(insert(0, 'x'));
  await until(() => mine.document.content === 'xabc');
  expect(textOf(view)).toBe('abc');
});

test('a document of another type is refused', async () => {
  const room = await (await connected('ada')).joinRoom(freshRoom(), { type: json1 });
  expect(() => collaboration(room)).toThrow('of the type json1');
});

test.for([1, 2])('views converge whatever is done in them, with seed %i', async seed => {
  const random = seeded(seed);
  const [mine, theirs] = await rooms();
  const views = [open(mine), open(theirs)];
  for (let step = 0; step < 150; step++) {
    const view = views[random(2)]!;
    const { length } = view.state.doc;
    // Any unit, so that characters are torn at times; several changes at once, at times.
    const spots = Array.from({ length: 1 + random(3) }, () => random(length + 1)).sort((a, b) => a - b);
    const changes = spots.map((from, index) => {
      const to = Math.min(from + (length > 60 ? 8 : random(4)), spots[index + 1] ?? length);
      return { from, to, insert: random(2) ? PIECES[random(PIECES.length)]! : '' };
    });
    const action = random(10);
    if (action === 0) press(view, 'z');
    else if (action === 1) press(view, 'y');
    else view.dispatch({ changes });
    if (random(4) === 0) await new Promise(resolve => setTimeout(resolve, random(3)));
  }
  await Promise.all([mine.document.saved(), theirs.document.saved()]);
  await until(() => mine.document.version === theirs.document.version);
  await Promise.all([mine.document.saved(), theirs.document.saved()]);
  expect(mine.document.content).toBe(theirs.document.content);
  expect(views.map(textOf)).toEqual([mine.document.content, theirs.document.content]);
});
