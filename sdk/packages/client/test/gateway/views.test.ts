/** What views are told so that they can follow: the active room, versions, and what one shows oneself. */

import { expect, test } from 'vitest';
import { json1, replaceOp } from '../../src/ot/json1.js';
import { text } from '../../src/ot/text.js';
import { clientOf, connected, freshRoom, until } from './clients.js';

test('the active room is told whenever it is another one', async () => {
  const client = await connected('ada');
  const told: (string | undefined)[] = [];
  client.on('activeRoom', room => told.push(room?.id));
  expect(client.activeRoom).toBeUndefined();
  expect(() => client.updateCursor({ x: 0, y: 0 })).toThrow('no room is joined');
  const [first, second] = [freshRoom(), freshRoom()];
  await client.joinRoom(first, { type: text });
  await client.joinRoom(second, { type: text });
  client.leaveRoom(second);
  client.leaveRoom(first);
  expect(told).toEqual([first, second, first, undefined]);
});

test('every version is told, of own operations as of those of others', async () => {
  const id = freshRoom();
  const [ada, ben] = await Promise.all([connected('ada'), connected('ben')]);
  const mine = (await ada.joinRoom(id, { type: text })).document;
  const theirs = (await ben.joinRoom(id, { type: text })).document;
  const versions: number[] = [];
  mine.on('version', version => versions.push(version));
  await mine.submit(['a']);
  await theirs.submit(['b']);
  await mine.submit(['c']);
  expect(versions).toEqual([1, 2, 3]);
});

test('what one shows is there at once, and again when the gateway has forgotten it', async () => {
  const id = freshRoom();
  const [ada, ben] = await Promise.all([connected('ada'), connected('ben')]);
  const mine = await ada.joinRoom(id, { type: json1 });
  const theirs = await ben.joinRoom(id);
  mine.updatePresence({ status: 'here', data: { widget: 'chart' } });
  expect(mine.self).toMatchObject({ status: 'here', data: { widget: 'chart' } });
  await until(() => theirs.participant('ada')?.status === 'here');
  mine.updatePresence({ status: 'away' });
  mine.updatePresence({ status: null });
  ada.disconnect(); // which the throttle has not told the last of
  await until(() => theirs.participants.length === 1);
  await ada.connect();
  await until(() => theirs.participant('ada')?.data !== undefined);
  expect(theirs.participant('ada')).toMatchObject({ status: null, data: { widget: 'chart' } });
  expect(mine.self).toMatchObject({ status: null, data: { widget: 'chart' } });
});

test('where there is no WebSocket a client can be made, and says on connecting what is missing', async () => {
  const native = globalThis.WebSocket;
  Reflect.deleteProperty(globalThis, 'WebSocket');
  try {
    const client = clientOf('ada', { WebSocket: undefined as never });
    await expect(client.connect()).rejects.toThrow('there is no global WebSocket here');
  } finally {
    if (native) globalThis.WebSocket = native;
  }
});

test('what an operation on a JSON document does not touch stays the same object', async () => {
  const { document } = await (await connected('ada')).joinRoom<any>(freshRoom(), { type: json1 });
  document.edit([
    ['a', { i: { x: 1 } }],
    ['b', { i: { y: [1, 2] } }],
  ]);
  await document.saved();
  const before = document.content;
  document.edit(replaceOp(['a', 'x'], 1, 2));
  expect(document.content.a).not.toBe(before.a);
  expect(document.content.b).toBe(before.b);
  await document.saved();
  expect(document.content.b).toBe(before.b);
});
