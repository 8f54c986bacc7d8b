// @vitest-environment happy-dom
/** Quill editors on one document, through a gateway. */

import Quill from 'quill';
import { expect, onTestFinished, test } from 'vitest';
import { bindQuill } from '../../src/bindings/quill.js';
import { type RichText, richText } from '../../src/ot/rich-text.js';
import { text } from '../../src/ot/text.js';
import type { Room } from '../../src/room/room.js';
import { clientOf, connected, freshRoom, until } from '../gateway/clients.js';
import { signed } from '../gateway/process.js';
import { PIECES, seeded } from '../gateway/random.js';

async function rooms(): Promise<[Room<RichText>, Room<RichText>]> {
  const id = freshRoom();
  const [ada, ben] = await Promise.all([connected('ada'), connected('ben')]);
  return [await ada.joinRoom(id, { type: richText }), await ben.joinRoom(id, { type: richText })];
}

function open(room: Room, first = ''): Quill {
  const container = document.createElement('div');
  document.body.append(container);
  const quill = new Quill(container);
  if (first) quill.setText(first);
  const unbind = bindQuill(quill, room);
  onTestFinished(() => {
    unbind();
    container.remove();
  });
  return quill;
}

function contents(quill: Quill): RichText {
  return quill.getContents().ops;
}

test('two write in their editors, and undo what is theirs', async () => {
  const [mine, theirs] = await rooms();
  const [quill, other] = [open(mine), open(theirs)];
  expect(mine.document.content).toEqual([]);
  quill.insertText(0, 'hello 👩', 'bold', true, 'user');
  await until(() => other.getText() === 'hello 👩\n');
  expect(theirs.document.content).toEqual([{ insert: 'hello 👩', attributes: { bold: true } }, { insert: '\n' }]);
  other.insertText(5, ' there', 'user');
  other.formatLine(0, 1, 'header', 2, 'user');
  quill.insertText(0, '🙂 ', 'user');
  await Promise.all([mine.document.saved(), theirs.document.saved()]);
  await until(() => quill.getText() === '🙂 hello there 👩\n' && other.getText() === quill.getText());
  expect(contents(quill)).toEqual(contents(other));
  expect(mine.document.content).toEqual(contents(quill));
  other.history.undo();
  expect(other.getText()).toBe('🙂 hello 👩\n');
  expect(other.getFormat(0, 1)).not.toHaveProperty('header');
  other.history.redo();
  expect(other.getText()).toBe('🙂 hello there 👩\n');
  expect(other.getFormat(0, 1)).toHaveProperty('header', 2);
  await theirs.document.saved();
  await until(() => quill.getText() === other.getText());
});

test('an editor shows the document whatever it began with, and ends in a line break that need not be shared', async () => {
  const [mine, theirs] = await rooms();
  await theirs.document.submit([{ insert: 'no line' }]);
  await until(() => mine.document.version === 1);
  const quill = open(mine, 'something else');
  expect(contents(quill)).toEqual([{ insert: 'no line\n' }]);
  theirs.document.edit([{ retain: 7 }, { insert: ' ends here' }]);
  await until(() => quill.getText() === 'no line ends here\n');
  theirs.document.edit([{ retain: 17 }, { insert: '\n', attributes: { list: 'bullet' } }]);
  await until(() => quill.getFormat(0, 1).list === 'bullet');
  expect(contents(quill)).toEqual(mine.document.content);
  theirs.document.edit([{ retain: 17 }, { delete: 1 }]);
  await until(() => !quill.getFormat(0, 1).list);
  expect(quill.getText()).toBe('no line ends here\n');
  quill.formatLine(0, 1, 'align', 'right', 'user');
  expect(mine.document.content).toEqual([
    { insert: 'no line ends here' },
    { insert: '\n', attributes: { align: 'right' } },
  ]);
  expect(contents(quill)).toEqual(mine.document.content);
  await mine.document.saved();
});

test('an editor of an empty document may be filled, or formatted, as a whole', async () => {
  for (const fill of [
    (quill: Quill) => quill.setContents([{ insert: 'Title' }, { insert: '\n', attributes: { header: 1 } }], 'user'),
    (quill: Quill) => quill.formatLine(0, 1, 'list', 'bullet', 'user'),
    (quill: Quill) => quill.setText('', 'user'),
  ]) {
    const [mine, theirs] = await rooms();
    const [quill, other] = [open(mine), open(theirs)];
    fill(quill);
    await mine.document.saved();
    await until(() => theirs.document.version === mine.document.version);
    expect(contents(other)).toEqual(contents(quill));
    expect(padded(mine.document.content)).toEqual(contents(quill));
    quill.history.undo();
    await mine.document.saved();
    await until(() => theirs.document.version === mine.document.version);
    expect([quill.getText(), other.getText()]).toEqual(['\n', '\n']);
  }
});

test('while a word is composed nothing of it is torn, and all of it is shared in the end', async () => {
  const [mine, theirs] = await rooms();
  const quill = open(mine);
  quill.insertText(0, 'abc', 'user');
  await mine.document.saved();
  const leaf = quill.root.querySelector('p')!.firstChild as Text;
  leaf.dispatchEvent(new Event('compositionstart', { bubbles: true }));
  leaf.data = 'abcに';
  theirs.document.edit([{ insert: '>> ' }]);
  await until(() => mine.document.version === 2);
  expect(leaf.data).toBe('abcに');
  theirs.document.edit([{ retain: 6 }, { insert: '!' }]);
  await until(() => mine.document.version === 3);
  leaf.data = 'abc日本';
  leaf.dispatchEvent(new Event('compositionend', { bubbles: true }));
  await until(() => quill.getText().startsWith('>> '));
  await mine.document.saved();
  await until(() => theirs.document.version === 4);
  expect(contents(quill)).toEqual(theirs.document.content);
  expect(quill.getText()).toMatch(/^>> abc(日本!|!日本)\n$/);
});

test('what Quill does not have is shown as one character, and stays in the document', async () => {
  const [mine, theirs] = await rooms();
  await theirs.document.submit([{ insert: 'one\rtwo' }, { insert: { hologram: 7 } }, { insert: '\n' }]);
  await until(() => mine.document.version === 1);
  const quill = open(mine);
  expect(quill.getText()).toBe('one␍two\ufffc\n');
  quill.insertText(8, '!', 'user');
  await mine.document.saved();
  await until(() => theirs.document.version === 2);
  expect(theirs.document.content).toEqual([{ insert: 'one\rtwo' }, { insert: { hologram: 7 } }, { insert: '!\n' }]);
});

test('a line break that Quill needs becomes one of the document', async () => {
  const [mine, theirs] = await rooms();
  const quill = open(mine);
  await theirs.document.submit([{ insert: 'see: ' }, { insert: { video: 'about:blank' } }, { insert: '\n' }]);
  await until(() => quill.getLength() > 1);
  await until(() => JSON.stringify(contents(quill)) === JSON.stringify(mine.document.content));
  quill.insertText(0, 'Please ', 'user');
  await mine.document.saved();
  await until(() => theirs.document.version === mine.document.version);
  expect(theirs.document.content).toEqual(contents(quill));
});

test('half a character is not written', async () => {
  const [mine, theirs] = await rooms();
  const quill = open(mine);
  quill.insertText(0, 'a\ud83d', 'user');
  await until(() => quill.getText() === 'a\ufffd\n');
  await mine.document.saved();
  await until(() => theirs.document.version === 1);
  expect(theirs.document.content).toEqual([{ insert: 'a\ufffd\n' }]);
  quill.setText('🙂', 'user');
  quill.insertText(1, 'x', 'user'); // which the gateway does not take
  await until(() => quill.getText() === '🙂\n');
  await mine.document.saved();
  expect(theirs.document.content).toEqual([{ insert: '🙂\n' }]);
});

test('selections are shown to the others, and theirs here, with their names', async () => {
  const [mine, theirs] = await rooms();
  const quill = open(mine);
  quill.insertText(0, 'hello', 'user');
  await until(() => theirs.document.version === 1);
  quill.setSelection(1, 3, 'user');
  await until(() => Boolean(theirs.participant('ada')?.selection?.ranges.length));
  expect(theirs.participant('ada')!.selection!.ranges).toEqual([{ anchor: 1, head: 4 }]);
  theirs.updateSelection([{ anchor: 5, head: 2 }], '#00ff00');
  const caret = (): HTMLElement | null => quill.container.querySelector('.ql-fastcollab-caret');
  await until(() => caret() !== null);
  expect(caret()!.textContent).toBe('Ben');
  expect(caret()!.getAttribute('style')).toContain('#00ff00');
  theirs.updateSelection([]);
  await until(() => caret() === null);
});

test('who may only read cannot write, and may when that changes', async () => {
  const id = freshRoom();
  const writer = await (await connected('ben')).joinRoom(id, { type: richText });
  await writer.document.submit([{ insert: 'kept\n' }]);
  const reader = clientOf('eve', { token: signed('eve', 3600, 'read') });
  await reader.connect();
  const room = await reader.joinRoom(id, { type: richText });
  const quill = open(room);
  expect(quill.isEnabled()).toBe(false);
  quill.insertText(0, 'not ', 'api');
  await until(() => quill.getText() === 'kept\n');
  expect(room.document.content).toEqual([{ insert: 'kept\n' }]);
  await writer.document.submit([{ retain: 4 }, { insert: { video: 'about:blank' } }]);
  await until(() => room.document.version === 2);
  await writer.document.submit([{ insert: 'well ' }]);
  await until(() => quill.getText().startsWith('well kept'));
  await reader.refreshToken(signed('eve', 3600, 'write'));
  await until(() => quill.isEnabled());
});

test('an editor that is let go of is as it was before', async () => {
  const [mine, theirs] = await rooms();
  const container = document.createElement('div');
  document.body.append(container);
  const quill = new Quill(container);
  const unbind = bindQuill(quill, mine);
  quill.insertText(0, 'abc', 'user');
  theirs.updateSelection([{ anchor: 1, head: 2 }]);
  await until(() => container.querySelector('.ql-fastcollab-caret') !== null);
  unbind();
  expect(container.querySelector('.ql-fastcollab-carets')).toBeNull();
  await until(() => theirs.document.version === 1);
  theirs.document.edit([{ insert: 'x' }]);
  await until(() => mine.document.version === 2);
  expect(quill.getText()).toBe('abc\n');
  quill.insertText(3, 'd', 'user');
  expect(mine.document.pending).toEqual([]);
  quill.history.undo();
  expect(quill.getText()).toBe('abc\n');
});

test('a document of another type is refused', async () => {
  const room = await (await connected('ada')).joinRoom(freshRoom(), { type: text });
  expect(() => bindQuill(new Quill(document.createElement('div')), room)).toThrow('of the type text');
});

test.for([1, 2])('editors converge whatever is done in them, with seed %i', async seed => {
  const random = seeded(seed);
  const [mine, theirs] = await rooms();
  const editors = [open(mine), open(theirs)];
  for (let step = 0; step < 120; step++) {
    const quill = editors[random(2)]!;
    const length = quill.getLength();
    const at = characters(quill)[random(length)] ?? 0;
    const to = characters(quill).find(place => place >= at + 1 + random(4)) ?? length;
    const action = random(8);
    if (action === 0) quill.history.undo();
    else if (action === 1) quill.history.redo();
    else if (action === 2) quill.formatText(at, to - at, 'bold', random(2) === 0, 'user');
    else if (action === 3) quill.formatLine(at, 1, 'list', random(2) ? 'bullet' : false, 'user');
    else if (action === 4) quill.insertEmbed(at, 'image', 'data:image/png;base64,', 'user');
    else if (length > 60 || action === 5) quill.deleteText(at, to - at, 'user');
    else quill.insertText(at, random(4) ? PIECES[random(PIECES.length)]! : '\n', 'user');
    if (random(4) === 0) await new Promise(resolve => setTimeout(resolve, random(3)));
  }
  await until(
    () => mine.status === 'saved' && theirs.status === 'saved' && mine.document.version === theirs.document.version,
  );
  expect(mine.document.content).toEqual(theirs.document.content);
  expect(editors.map(contents)).toEqual([padded(mine.document.content), padded(theirs.document.content)]);
});

/** As Quill shows it: with a line break at the end. */
function padded(content: RichText): RichText {
  const last = content.at(-1)?.insert;
  if (typeof last === 'string' && last.endsWith('\n')) return content;
  return richText.normalize([...content, { insert: '\n' }]);
}

/** Where characters begin: others than those have to be left alone. */
function characters(quill: Quill): number[] {
  const places: number[] = [];
  let at = 0;
  for (const { insert } of contents(quill)) {
    for (const character of typeof insert === 'string' ? insert : [' ']) {
      places.push(at);
      at += character.length;
    }
  }
  return places;
}
