/** Who is in a room and what they show, between clients and a gateway. */

import { expect, test } from 'vitest';
import { CursorInterpolator, type Room } from '../../src/index.js';
import { json1 } from '../../src/ot/json1.js';
import { insert, text } from '../../src/ot/text.js';
import { connected, freshRoom, next, type User, until } from './clients.js';

async function roomOf(user: User, id: string, cursors: 'batched' | 'frames' | 'json' = 'batched'): Promise<Room> {
  const client = await connected(user, { cursors, types: [text, json1] });
  return client.joinRoom(id);
}

test('who comes and goes is told, and the list is the same until it changes', async () => {
  const id = freshRoom();
  const ada = await roomOf('ada', id);
  expect(ada.self).toMatchObject({ userId: 'ada', name: 'Ada' });
  const before = ada.participants;
  expect(ada.participants).toBe(before);
  const joined = next(ada, 'userJoined');
  const client = await connected('ben', { types: [json1] });
  await client.joinRoom(id);
  expect((await joined).name).toBe('Ben');
  expect(ada.participants.map(({ userId }) => userId)).toEqual(['ada', 'ben']);
  expect(before).toHaveLength(1);
  const left = next(ada, 'userLeft');
  client.leaveRoom(id);
  expect((await left).userId).toBe('ben');
  expect(ada.participants).toHaveLength(1);
});

test.each([
  ['batched', 'batched'],
  ['frames', 'json'],
  ['json', 'frames'],
  ['json', 'batched'],
] as const)('cursors go from %s to %s', async (from, to) => {
  const id = freshRoom();
  const ada = await roomOf('ada', id, from);
  const ben = await roomOf('ben', id, to);
  ben.updateCursor({ x: 0, y: 0 }); // from here on a binary connection gets frames (B5)
  await next(ada, 'cursor');
  const shown = next(ben, 'cursor', ({ x }) => x === 49);
  for (let x = 0; x < 50; x++) ada.updateCursor({ x, y: -2.5, viewportX: 10, viewportY: 640 });
  expect(await shown).toMatchObject({ userId: 'ada', x: 49, y: -2.5, viewportX: 10, viewportY: 640 });
  expect(ben.cursors.get('ada')).toMatchObject({ x: 49 });
  expect(ben.cursors.has('ben')).toBe(false);
  expect(() => ada.updateCursor({ x: 2 ** 24 + 2, y: 0 })).toThrow(RangeError);
  expect(() => ada.updateCursor({ x: Number.NaN, y: 0 })).toThrow(RangeError);
});

test('single frames reach the room that is meant, whichever is active (R3)', async () => {
  const [first, second] = [freshRoom(), freshRoom()];
  const client = await connected('ada', { cursors: 'frames' });
  const rooms = await Promise.all([client.joinRoom(first), client.joinRoom(second)]);
  const watchers = await Promise.all([roomOf('ben', first), roomOf('ben', second)]);
  for (const [index, room] of rooms.entries()) {
    const shown = next(watchers[index]!, 'cursor');
    room.updateCursor({ x: index, y: 7 });
    expect(await shown).toMatchObject({ x: index, y: 7 });
  }
  client.updateCursor({ x: 99, y: 7 });
  expect(await next(watchers[1]!, 'cursor', ({ x }) => x === 99)).toMatchObject({ userId: 'ada' });
});

test('selections stay on their text while others write (V5)', async () => {
  const id = freshRoom();
  const ada = await connected('ada').then(client => client.joinRoom(id, { type: text }));
  const ben = await connected('ben').then(client => client.joinRoom(id, { type: text }));
  await ada.document.submit(insert(0, 'one two three'));
  await until(() => ben.document.version === 1);
  const selectionOf = (): unknown => ada.participant('ben')?.selection;
  ben.updateSelection([{ anchor: 4, head: 7 }]);
  await until(() => selectionOf() !== null);
  expect(selectionOf()).toEqual({ ranges: [{ anchor: 4, head: 7 }], color: ben.self!.color });
  ada.document.edit(insert(0, '>> ')); // at once, and not when the gateway knows
  expect(selectionOf()).toMatchObject({ ranges: [{ anchor: 7, head: 10 }] });
  ben.updateSelection([]);
  await until(() => JSON.stringify(selectionOf()) === JSON.stringify({ ranges: [], color: ben.self!.color }));
});

test('status, data and events reach whom they are for', async () => {
  const id = freshRoom();
  const [ada, ben, eve] = [await roomOf('ada', id), await roomOf('ben', id), await roomOf('eve', id)];
  const shown = next(ben, 'presence', ({ status }) => status === 'typing');
  ada.updatePresence({ data: { page: 1 } });
  ada.updatePresence({ status: 'thinking' });
  ada.updatePresence({ status: 'typing' });
  await shown;
  await until(() => JSON.stringify(ben.participant('ada')?.data) === '{"page":1}');
  const toAll = Promise.all([next(ben, 'event'), next(eve, 'event')]);
  await ada.broadcast('wave', { hand: 'left' });
  expect(await toAll).toEqual(Array(2).fill({ name: 'wave', data: { hand: 'left' }, userId: 'ada' }));
  const toOne = next(eve, 'event');
  await ada.sendEvent('eve', 'psst');
  expect(await toOne).toEqual({ name: 'psst', data: undefined, userId: 'ada' });
  await expect(ada.sendEvent('nobody', 'psst')).rejects.toMatchObject({ code: 3001 });
});

test('joining twice is joining once, and calls without a room mean the last', async () => {
  const client = await connected('ada', { types: [text] });
  const id = freshRoom();
  const [room, same] = await Promise.all([client.joinRoom(id, { type: text }), client.joinRoom(id)]);
  expect(same).toBe(room);
  await client.sendOperation(['hello']);
  expect(room.document.content).toBe('hello');
  client.updateSelection([{ anchor: 0, head: 1 }]);
  client.leaveRoom(id);
  expect(room.status).toBe('closed');
  expect(() => client.updateCursor({ x: 1, y: 1 })).toThrow('no room');
  const again = await client.joinRoom(id);
  expect(again).not.toBe(room);
  expect(again.document.content).toBe('hello');
});

test('a cursor is drawn between two updates, a moment later', async () => {
  const id = freshRoom();
  const [ada, ben] = [await roomOf('ada', id), await roomOf('ben', id)];
  const smooth = new CursorInterpolator(ben, { delay: 200 });
  ada.updateCursor({ x: 0, y: 0 });
  await next(ben, 'cursor');
  const first = performance.now();
  ada.updateCursor({ x: 100, y: 50 });
  await next(ben, 'cursor');
  const last = performance.now();
  const at = (now: number): number => smooth.at(now)[0]!.x;
  expect(at(first + 190)).toBeLessThan(1);
  const middle = at((first + last) / 2 + 200);
  expect(middle).toBeGreaterThan(5);
  expect(middle).toBeLessThan(95);
  expect(smooth.at(last + 201)).toEqual([{ userId: 'ada', x: 100, y: 50 }]);
  smooth.close();
});

test('what one shows is seen by oneself at once, and by the others again after the connection was away', async () => {
  const id = freshRoom();
  const ada = await connected('ada', { types: [text] });
  const room = await ada.joinRoom(id, { type: text });
  const ben = await roomOf('ben', id);
  room.updatePresence({ status: 'writing', data: { page: 2 } });
  room.document.edit(['abc']);
  room.updateSelection([{ anchor: 1, head: 2 }], '#00f');
  expect(room.self).toMatchObject({ status: 'writing', data: { page: 2 }, selection: { color: '#00f' } });
  await until(() => ben.participant('ada')?.status === 'writing');
  ada.disconnect(); // a farewell: the gateway forgets
  await until(() => !ben.participant('ada'));
  room.updateCursor({ x: 3, y: 4 });
  room.document.edit(['>']);
  await ada.connect();
  await until(() => ben.participant('ada')?.status === 'writing' && ben.cursors.get('ada')?.x === 3);
  expect(ben.participant('ada')?.data).toEqual({ page: 2 });
  await until(() => Boolean(ben.participant('ada')?.selection));
  expect(room.self?.selection?.ranges).toEqual([{ anchor: 2, head: 3 }]);
  await until(() => JSON.stringify(ben.participant('ada')?.selection?.ranges) === '[{"anchor":2,"head":3}]');
});
