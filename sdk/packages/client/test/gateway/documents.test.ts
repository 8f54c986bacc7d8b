/** Documents of all types, between two clients and a gateway. */

import { expect, test } from 'vitest';
import { insertOp, json1, moveOp } from '../../src/ot/json1.js';
import { richText } from '../../src/ot/rich-text.js';
import { insert, remove, text } from '../../src/ot/text.js';
import { connected, freshRoom, next, until } from './clients.js';

test('a text is written by two at the same time, and both undo what is theirs', async () => {
  const id = freshRoom();
  const [ada, ben] = await Promise.all([connected('ada'), connected('ben')]);
  const mine = (await ada.joinRoom(id, { type: text })).document;
  const theirs = (await ben.joinRoom(id, { type: text })).document;
  await mine.submit(insert(0, 'Agenda 📝\n'));
  await until(() => theirs.content === 'Agenda 📝\n');
  mine.separateUndo();
  mine.edit(insert(9, '1. Budget\n'));
  theirs.edit(insert(9, '2. Lunch\n'));
  await Promise.all([mine.saved(), theirs.saved()]);
  await until(() => mine.version === 3 && theirs.version === 3);
  expect(mine.content).toBe(theirs.content);
  expect(mine.content).toContain('1. Budget');
  expect(mine.content).toContain('2. Lunch');
  mine.undo();
  await until(() => theirs.content === 'Agenda 📝\n2. Lunch\n');
  mine.redo();
  theirs.undo();
  await Promise.all([mine.saved(), theirs.saved()]);
  await until(() => mine.version === 6 && theirs.version === 6);
  expect(mine.content).toBe('Agenda 📝\n1. Budget\n');
  expect(theirs.content).toBe(mine.content);
});

test('widgets of a JSON document are moved while somebody edits them', async () => {
  const id = freshRoom();
  const [ada, ben] = await Promise.all([connected('ada', { types: [json1] }), connected('ben', { types: [json1] })]);
  const mine = (await ada.joinRoom(id)).document;
  const theirs = (await ben.joinRoom(id)).document;
  expect(mine.content).toEqual({});
  await mine.submit(insertOp(['widgets'], [{ name: 'a' }, { name: 'b' }]));
  await until(() => theirs.version === 1);
  mine.edit(moveOp(['widgets', 1], ['widgets', 0]));
  theirs.edit(insertOp(['widgets', 1, 'x'], 7));
  await Promise.all([mine.saved(), theirs.saved()]);
  await until(() => mine.version === 3 && theirs.version === 3);
  expect(mine.content).toEqual({ widgets: [{ name: 'b', x: 7 }, { name: 'a' }] });
  expect(theirs.content).toEqual(mine.content);
});

test('rich text keeps what one makes bold and the other writes', async () => {
  const id = freshRoom();
  const [ada, ben] = await Promise.all([connected('ada'), connected('ben')]);
  const mine = (await ada.joinRoom(id, { type: richText })).document;
  const theirs = (await ben.joinRoom(id, { type: richText })).document;
  await mine.submit([{ insert: 'one two\n' }]);
  await until(() => theirs.version === 1);
  mine.edit([{ retain: 3, attributes: { bold: true } }]);
  theirs.edit([{ retain: 7 }, { insert: ' three' }]);
  await Promise.all([mine.saved(), theirs.saved()]);
  await until(() => mine.version === 3 && theirs.version === 3);
  expect(mine.content).toEqual([{ insert: 'one', attributes: { bold: true } }, { insert: ' two three\n' }]);
  expect(theirs.content).toEqual(mine.content);
});

test('both write at one place, and neither text is torn (OT2)', async () => {
  for (const type of [text, richText]) {
    const id = freshRoom();
    const [ada, ben] = await Promise.all([connected('ada'), connected('ben')]);
    const mine = (await ada.joinRoom<any, any>(id, { type })).document;
    const theirs = (await ben.joinRoom<any, any>(id, { type })).document;
    const inserted = (string: string): unknown => (type === text ? [string] : [{ insert: string }]);
    for (let round = 0; round < 5; round++) {
      mine.edit(inserted('a'));
      theirs.edit(inserted('b'));
    }
    await Promise.all([mine.saved(), theirs.saved()]);
    await until(() => mine.version === theirs.version);
    expect(mine.content).toEqual(theirs.content);
  }
});

test('an operation that is refused is taken back and handed back', async () => {
  const client = await connected('ada');
  const room = await client.joinRoom(freshRoom(), { type: text });
  await room.document.submit(['kept']);
  const rejected = next(room.document, 'rejected');
  const tooLarge = 'x'.repeat(client.session!.limits.maxOperationBytes + 1);
  await expect(room.document.submit([tooLarge])).rejects.toMatchObject({ code: 3001 });
  expect((await rejected).operations).toEqual([[tooLarge]]);
  expect(room.document.content).toBe('kept');
  expect(room.status).toBe('saved');
});

test('an operation that does not fit throws, and changes nothing', async () => {
  const client = await connected('ada');
  const { document } = await client.joinRoom(freshRoom(), { type: text });
  document.edit(['ab']);
  expect(() => document.edit(remove(1, 5))).toThrow();
  expect(document.content).toBe('ab');
  await document.saved();
});

test('the past is told, and brought back (PV1 to PV3)', async () => {
  const client = await connected('ada');
  const room = await client.joinRoom(freshRoom(), { type: text });
  for (const word of ['one ', 'two ', 'three ']) await room.document.submit([word]);
  expect(await room.contentAt(1)).toBe('one ');
  const history = await room.history(1);
  expect(history.map(({ version, userId, operation }) => [version, userId, operation])).toEqual([
    [2, 'ada', ['two ']],
    [3, 'ada', ['three ']],
  ]);
  expect(await room.restore(1)).toBe(4);
  await until(() => room.document.content === 'one ');
  await expect(room.contentAt(99)).rejects.toMatchObject({ code: 3002 });
});

test('a document of a type that the client does not have is told by name', async () => {
  const id = freshRoom();
  const ada = await connected('ada');
  await ada.joinRoom(id, { type: text });
  const ben = await connected('ben');
  const room = await ben.joinRoom(id);
  expect(room.documentType).toBe('text');
  expect(room.participants.map(({ name }) => name).sort()).toEqual(['Ada', 'Ben']);
  expect(() => room.document).toThrow(/"text"/);
  ben.leaveRoom(id);
  await expect(ben.joinRoom(id, { type: json1 })).rejects.toMatchObject({ code: 3001 });
});
