/** When operations are sent, and what becomes of them, against a scripted gateway. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Bridge } from '../../src/bindings/bridge.js';
import {
  type ClientConfig,
  CloseCode,
  type CollaborativeClient,
  ErrorCode,
  type Room,
  type SharedDocument,
} from '../../src/index.js';
import { insert, type TextOperation, text } from '../../src/ot/text.js';
import { checksum } from '../../src/wire/checksum.js';
import { Script, type ScriptedSocket, settle } from './script.js';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

let client: CollaborativeClient;
let script: Script;
let room: Room;
let document: SharedDocument<string>;

const socket = (): ScriptedSocket => script.socket;
const operations = (): { id: string; payload: any }[] => socket().sent('operation');

async function joined(data = 'abc', version = 3, config: Partial<ClientConfig> = {}): Promise<void> {
  script = new Script();
  client = script.client({ types: [text], checksumEvery: 0, ...config });
  void client.connect();
  await settle();
  socket().accept();
  const joining = client.joinRoom('r');
  await settle();
  socket().joined('r', { data, version });
  room = await joining;
  document = room.document;
}

function acknowledge(version: number): void {
  socket().say('ack', { messageId: operations().at(-1)!.id, version }, 'r');
}

function refuse(code: number, details: Record<string, unknown> = {}): void {
  const messageId = operations().at(-1)!.id;
  socket().say('error', { code, message: 'no', details: { messageId, ...details }, recoverable: true }, 'r');
}

function others(operation: unknown, version: number, messageId = 'theirs'): void {
  const who = { userId: 'ben', numericId: 8, messageId };
  socket().say('operation_broadcast', { operation, ...who, version: version - 1, transformedVersion: version }, 'r');
}

/** The connection is lost and made again, up to the answer to joining. */
async function reconnected(): Promise<void> {
  socket().end(CloseCode.ABNORMAL);
  await vi.advanceTimersByTimeAsync(1);
  socket().accept({ connectionId: 'c2' });
}

test('one operation is in flight, what follows is composed into the next (OT4)', async () => {
  await joined();
  const statuses: string[] = [];
  room.on('status', status => statuses.push(status));
  document.edit(['x']);
  document.edit([1, 'y']);
  document.edit([2, 'z']);
  const saved = document.saved();
  expect(operations().map(({ payload }) => payload)).toEqual([{ operation: ['x'], version: 3 }]);
  expect(room.status).toBe('saving');
  others([3, '!'], 4);
  expect(document.content).toBe('xyzabc!');
  acknowledge(5);
  expect(operations().at(-1)!.payload).toEqual({ operation: [1, 'yz'], version: 5 });
  acknowledge(6);
  expect(await saved).toBe(6);
  expect(statuses).toEqual(['saving', 'saved']);
  client.disconnect();
});

test('operations keep to the rate, and arrive composed (L1)', async () => {
  await joined('', 0);
  for (let version = 1; version <= 61; version++) {
    document.edit(['x']);
    if (version <= 60) acknowledge(version);
  }
  expect(operations()).toHaveLength(60); // two seconds' worth at once
  document.edit(['y']);
  await vi.advanceTimersByTimeAsync(40);
  expect(operations()).toHaveLength(61);
  client.disconnect();
});

test('a refusal that passes is repeated under the same id (OT10)', async () => {
  await joined();
  document.edit(['x']);
  refuse(ErrorCode.SERVICE_UNAVAILABLE, { retryAfterMs: 300 });
  await vi.advanceTimersByTimeAsync(299);
  expect(operations()).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  refuse(ErrorCode.RATE_LIMIT);
  await vi.advanceTimersByTimeAsync(1000);
  expect(operations()).toHaveLength(3);
  expect(new Set(operations().map(({ id }) => id)).size).toBe(1);
  client.disconnect();
});

test('a refusal that stays undoes the operation, and keeps what follows it', async () => {
  await joined();
  const rejected = vi.fn();
  document.on('rejected', rejected);
  const submitted = expect(document.submit(['bad'])).rejects.toMatchObject({ code: 2003 });
  document.edit([3, 'good']);
  refuse(ErrorCode.NO_PERMISSION);
  await submitted;
  expect(document.content).toBe('goodabc');
  expect(rejected).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ operations: [['bad']] }));
  expect(operations().at(-1)!.payload).toEqual({ operation: ['good'], version: 3 });
  expect(document.canUndo).toBe(false); // which steps the refusal was part of is not known
  client.disconnect();
});

test('after a reconnection what was missed comes first, then the operation in flight with its id (OT9)', async () => {
  await joined();
  document.edit(['x']);
  const { id } = operations()[0]!;
  socket().end(CloseCode.ABNORMAL);
  document.edit([1, 'offline']);
  expect(room.status).toBe('connecting');
  await vi.advanceTimersByTimeAsync(1);
  socket().accept({ connectionId: 'c2' });
  expect(socket().sent('join_room')[0]!.payload).toEqual({ roomId: 'r', lastSyncVersion: 3, epoch: 'e1' });
  socket().joined('r', { version: 4 }, { recovery: { recovered: true, missed: 1 } });
  expect(operations()).toHaveLength(0);
  expect(room.status).toBe('connecting');
  others(['new '], 4);
  expect(operations()[0]).toMatchObject({ id, payload: { operation: ['x'], version: 4 } });
  expect(document.content).toBe('xofflinenew abc');
  client.disconnect();
});

test('the own operation among those missed is its acknowledgement (OT3)', async () => {
  await joined();
  const submitted = document.submit(['x']);
  const { id } = operations()[0]!;
  await reconnected();
  socket().joined('r', { version: 5 }, { recovery: { recovered: true, missed: 2 } });
  others(['x'], 4, id);
  others([4, '!'], 5);
  expect(await submitted).toBe(4);
  expect(document.content).toBe('xabc!');
  expect(operations()).toHaveLength(0);
  expect(room.status).toBe('saved');
  client.disconnect();
});

test('where the gateway cannot continue, what is pending is handed back', async () => {
  await joined();
  const rejected = vi.fn();
  const reset = vi.fn();
  document.on('rejected', rejected);
  document.on('reset', reset);
  const submitted = expect(document.submit(['x'])).rejects.toMatchObject({ code: 3002 });
  await reconnected();
  const recovery = { recovered: false, reason: 'epoch_changed' } as const;
  socket().joined('r', { data: 'other', version: 9, epoch: 'e2' }, { recovery });
  await submitted;
  expect(reset).toHaveBeenCalledWith('other');
  expect(rejected).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ operations: [['x']] }));
  expect(document.pending).toEqual([]);
  client.disconnect();
});

test.each([
  ['a wrong checksum', () => refuse(ErrorCode.CHECKSUM_FAILED)],
  ['an unknown version', () => refuse(ErrorCode.VERSION_MISMATCH)],
  ['an operation that does not fit', () => others([99, 'x'], 4)],
])('after %s the room starts from the full state, and pending operations that fit it are kept', async (_, part) => {
  await joined();
  document.edit([3, 'x']);
  part();
  others([1, 'ignored'], 5);
  const rejoin = socket().sent('join_room')[1]!;
  expect(rejoin.payload).toEqual({ roomId: 'r' });
  socket().joined('r', { data: 'abc', version: 3 });
  expect(document.content).toBe('abcx');
  expect(operations().at(-1)!.payload).toEqual({ operation: [3, 'x'], version: 3 });
  expect(room.status).toBe('saving');
  client.disconnect();
});

test('a gap in the versions is closed by what was missed', async () => {
  await joined();
  others(['x'], 6);
  expect(socket().sent('join_room')[1]!.payload).toMatchObject({ lastSyncVersion: 3 });
  socket().joined('r', { version: 4 }, { recovery: { recovered: true, missed: 1 } });
  others(['y'], 4);
  expect(document.content).toBe('yabc');
  client.disconnect();
});

test('a document that was made anew is joined again (OT6)', async () => {
  await joined();
  socket().say('error', { code: ErrorCode.VERSION_MISMATCH, message: 'imported', recoverable: true }, 'r');
  expect(socket().sent('join_room')).toHaveLength(2);
  socket().joined('r', { data: 'new', version: 0, epoch: 'e2' });
  expect(document.content).toBe('new');
  client.disconnect();
});

test('joining again is repeated where the refusal passes, and told where it does not', async () => {
  await joined();
  const errors = vi.fn();
  room.on('error', errors);
  await reconnected();
  const asked = (): string => socket().sent('join_room').at(-1)!.id;
  const answer = (code: number): void =>
    socket().say('error', { code, message: 'no', details: { messageId: asked() }, recoverable: true }, 'r');
  answer(ErrorCode.SERVICE_UNAVAILABLE);
  await vi.advanceTimersByTimeAsync(1);
  expect(socket().sent('join_room')).toHaveLength(2);
  answer(ErrorCode.ROOM_FULL);
  await vi.advanceTimersByTimeAsync(1);
  expect(errors).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: ErrorCode.ROOM_FULL }));
  expect(room.status).toBe('closed');
  client.disconnect();
});

test('who may not be in the room any more is told, and keeps what was pending (S11)', async () => {
  await joined();
  const submitted = expect(document.submit(['x'])).rejects.toMatchObject({ code: 2003 });
  const details = { roomId: 'r' };
  socket().say('error', { code: ErrorCode.NO_PERMISSION, message: 'out', details, recoverable: true }, 'r');
  socket().say('room_left', { roomId: 'r' }, 'r');
  await submitted;
  expect([room.permission, room.status]).toEqual(['none', 'closed']);
  expect(document.pending).toEqual([['x']]);
  expect(client.rooms.size).toBe(0);
  client.disconnect();
});

test('one in so many operations carries the checksum of what it was written against (OT8)', async () => {
  await joined('abc', 3, { checksumEvery: 2 });
  for (let version = 4; version <= 7; version++) {
    document.edit(['x']);
    acknowledge(version);
  }
  const sums = operations().map(({ payload }) => payload.checksum);
  expect(sums).toEqual([undefined, checksum('xabc'), undefined, checksum('xxxabc')]);
  await reconnected();
  socket().joined('r', { version: 7 }, { recovery: { recovered: true, missed: 0 } });
  document.edit(['x']);
  expect(operations()[0]!.payload.checksum).toBe(checksum('xxxxabc'));
  client.disconnect();
});

test('edits that follow each other are one step, and others stay when it is undone', async () => {
  await joined('', 0);
  const history: unknown[] = [];
  document.on('history', steps => history.push(steps));
  document.edit(['a']);
  await vi.advanceTimersByTimeAsync(499);
  document.edit([1, 'b']);
  await vi.advanceTimersByTimeAsync(500);
  document.edit([2, 'c']);
  others(['-'], 1);
  expect(document.content).toBe('abc-');
  document.undo();
  expect(document.content).toBe('ab-');
  expect(document.undo('an editor')).toEqual([{ d: 'ab' }]);
  expect(document.content).toBe('-');
  expect(document.undo()).toBeUndefined();
  document.redo();
  expect(document.content).toBe('ab-');
  document.edit(['!']);
  expect(document.redo()).toBeUndefined();
  expect(history).toEqual([
    { canUndo: true, canRedo: false },
    { canUndo: true, canRedo: true },
    { canUndo: false, canRedo: true },
    { canUndo: true, canRedo: true },
    { canUndo: true, canRedo: false },
  ]);
  client.disconnect();
});

test('of more steps than are kept the oldest is forgotten', async () => {
  script = new Script();
  client = script.client({ types: [text], undo: { depth: 2, mergeInterval: 0 } });
  void client.connect();
  await settle();
  socket().accept();
  const joining = client.joinRoom('r', { type: text });
  await settle();
  socket().joined('r', {});
  const { document: short } = await joining;
  for (const letter of ['a', 'b', 'c']) short.edit([letter]);
  while (short.undo());
  expect(short.content).toBe('a');
  client.disconnect();
});

test('an editor knows its own changes by their source', async () => {
  await joined();
  const sources: unknown[] = [];
  document.on('change', ({ source, origin }) => sources.push([origin, source]));
  document.edit(['x'], 'editor');
  others(['y'], 4);
  document.undo('button');
  expect(sources).toEqual([
    ['local', 'editor'],
    ['remote', undefined],
    ['undo', 'button'],
  ]);
  client.disconnect();
});

test('an editor shows what is there, though a program before it answers changes and resets by edits', async () => {
  await joined('abc', 3);
  document.on('change', ({ origin }) => {
    if (origin === 'remote') document.edit(insert(document.content.length, '!'));
  });
  document.on('reset', content => document.edit(insert(content.length, '?')));
  let shown = document.content;
  const editor = new Bridge<string, TextOperation>(document, {
    show: operation => {
      shown = text.apply(shown, operation);
    },
    replace: content => {
      shown = content;
    },
  });
  others([3, 'def'], 4);
  expect([document.content, shown]).toEqual(['abcdef!', 'abcdef!']);
  await reconnected();
  socket().joined('r', { data: 'other', version: 1, epoch: 'e2' }, { recovery: { recovered: false } });
  await settle();
  expect([document.content, shown]).toEqual(['other?', 'other?']);
  editor.close();
});

test('what an earlier page left is brought in, even if the connection is lost meanwhile', async () => {
  const record = { type: 'text', epoch: 'e1', version: 3, messageId: 'mine', operations: [['x'], [1, 'y']] };
  const slot = { found: record, put: vi.fn(async () => {}), clear: async () => {}, close: () => {} };
  script = new Script();
  client = script.client({ types: [text], checksumEvery: 0, persistence: { open: async () => slot } });
  void client.connect();
  await settle();
  socket().accept();
  const joining = client.joinRoom('r');
  await settle();
  socket().joined('r', { data: 'xabc!', version: 5 });
  await settle();
  expect(socket().sent('get_history')[0]!.payload).toMatchObject({ after: 3 });
  await reconnected();
  socket().joined('r', { version: 5 }, { recovery: { recovered: true, missed: 0 } });
  await settle();
  const [question] = socket().sent('get_history');
  const entry = { userId: 'ada', numericId: 7, version: 3, timestamp: 0 };
  const past = [
    { ...entry, operation: ['x'], messageId: 'mine', transformedVersion: 4 },
    { ...entry, operation: [4, '!'], messageId: 'theirs', transformedVersion: 5 },
  ];
  socket().say('history', { messageId: question!.id, operations: past, oldest: 0, version: 5 }, 'r');
  ({ document } = await joining);
  expect(document.content).toBe('xyabc!');
  await settle();
  expect(operations().map(({ payload }) => payload)).toEqual([{ operation: [1, 'y'], version: 5 }]);
  expect(slot.put).toHaveBeenCalledWith(expect.objectContaining({ version: 5, operations: [[1, 'y']] }));
  acknowledge(6);
  expect(await client.joinRoom('r')).toBe(client.rooms.get('r')); // which does not bring it in once more
  expect(document.content).toBe('xyabc!');
  client.disconnect();
});

test('an operation is in the trace of its first edit, however often it is sent (TC1)', async () => {
  let current: string | undefined;
  await joined('abc', 3, { trace: () => current });
  const edit = (trace: string | undefined, operation: TextOperation): void => {
    current = trace;
    document.edit(operation);
    current = 'of somebody who edits nothing';
  };
  const sent = (): unknown => operations().at(-1)!.payload.traceparent;
  edit('first', ['x']);
  expect(sent()).toBe('first');
  edit('second', [1, 'y']);
  edit('third', [2, 'z']); // goes with the second
  acknowledge(4);
  expect(sent()).toBe('second');
  edit('fourth', [3, '!']);
  await reconnected();
  socket().joined('r', { version: 4 }, { recovery: { recovered: true, missed: 0 } });
  expect(sent()).toBe('second');
  refuse(ErrorCode.INVALID_OPERATION);
  expect(sent()).toBe('fourth');
  acknowledge(5);
  edit(undefined, ['?']);
  expect(operations().at(-1)!.payload).not.toHaveProperty('traceparent');
  client.disconnect();
});

test("a change says where another's operation is in a trace (TC1)", async () => {
  await joined();
  const places: unknown[] = [];
  document.on('change', ({ traceparent }) => places.push(traceparent));
  const who = { userId: 'ben', numericId: 8, messageId: 'theirs', version: 3 };
  socket().say('operation_broadcast', { ...who, operation: ['x'], transformedVersion: 4, traceparent: 'theirs' }, 'r');
  socket().say('operation_broadcast', { ...who, operation: ['x'], transformedVersion: 5 }, 'r');
  document.edit(['y']);
  expect(places).toEqual(['theirs', undefined, undefined]);
  client.disconnect();
});
