/** Examples that Python has made are understood here, and those for Python are made: `npx vitest -u` writes them. */

import { readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { canonicalJson, checksum, decodeFrames, encodeFrame, type FrameRecord } from '../../src/index.js';
import { insertOp, json1, moveOp, registerSubtype } from '../../src/ot/json1.js';
import { richText } from '../../src/ot/rich-text.js';
import { text } from '../../src/ot/text.js';
import type { DocumentType } from '../../src/ot/type.js';
import { CloseCode, ErrorCode, reconnects } from '../../src/wire/errors.js';
import { Script, settle } from './script.js';

registerSubtype(richText);

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const FOLDER = '../../../../../tests/vectors/';
const python = JSON.parse(readFileSync(new URL(`${FOLDER}python.json`, import.meta.url), 'utf8'));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const hex = (data: ArrayBuffer): string => Buffer.from(data).toString('hex');
const bytes = (digits: string): ArrayBuffer => new Uint8Array(Buffer.from(digits, 'hex')).buffer;

function asFloats(record: FrameRecord): FrameRecord {
  const floats = { ...record, x: Math.fround(record.x), y: Math.fround(record.y) };
  return floats;
}

test('frames are those of the gateway, byte for byte (B1)', () => {
  for (const { kind, record, hex: digits } of python.frames) {
    expect(hex(encodeFrame(kind, record))).toBe(digits);
    decodeFrames(bytes(digits), (...read) => expect(read).toEqual([kind, undefined, asFloats(record)]));
  }
});

test('batches are read record by record (B6)', () => {
  for (const { kind, handle, records, hex: digits } of python.batches) {
    const read: FrameRecord[] = [];
    decodeFrames(bytes(digits), (...found) => {
      expect(found.slice(0, 2)).toEqual([kind, handle]);
      read.push(found[2]);
    });
    expect(read).toEqual(records.map(asFloats));
  }
});

test('error codes and close codes are the same, and so is what they mean for reconnecting (X1, X3)', () => {
  expect(ErrorCode).toEqual(python.errorCodes);
  const codes = Object.entries(CloseCode).map(([name, code]) => [name, { code, reconnect: reconnects(code) }]);
  expect(Object.fromEntries(codes)).toEqual(python.closeCodes);
  // Of other codes, those below 4000 are a proxy's.
  expect([1005, 1012, 1015, 3000, 4000, 4999].map(reconnects)).toEqual([true, true, true, true, false, false]);
});

test('checksums are the same (OT8)', () => {
  for (const { value, canonical, checksum: sum } of python.checksums) {
    expect(canonicalJson(value)).toBe(canonical);
    expect(checksum(value)).toBe(sum);
  }
  expect(checksum(undefined)).toBe(python.absent);
});

test.each([text, json1, richText])('$name transforms as the gateway does', (type: DocumentType) => {
  const cases = python[type.name];
  expect(cases.length).toBeGreaterThan(5);
  for (const { document, a, b, c, positions, answers } of cases) {
    expect(type.apply(document, a)).toEqual(answers['apply a']);
    expect(type.transform(a, b, 'left')).toEqual(answers['a over b, left']);
    expect(type.transform(b, a, 'right')).toEqual(answers['b over a, right']);
    expect(type.compose(a, c)).toEqual(answers['compose a, c']);
    expect(type.invert(a, document)).toEqual(answers['invert a']);
    expect(type.normalize(a)).toEqual(answers['normalize a']);
    for (const [index, position] of positions.entries()) {
      for (const side of ['left', 'right'] as const) {
        const moved = type.transformPosition(position, a, side);
        expect(moved).toEqual(answers[`position ${index} over a, ${side}`]);
      }
    }
  }
});

test('what a gateway says is understood', async () => {
  const script = new Script();
  const client = script.client({ types: [text] });
  const events: unknown[] = [];
  client.on('tokenExpiring', at => events.push(['tokenExpiring', at]));
  void client.connect();
  await settle();
  const [connected, roomJoined, ...rest] = python.session as string[];
  script.socket.onopen!({});
  script.socket.onmessage!({ data: connected });
  const joining = client.joinRoom('r');
  await settle();
  script.socket.onmessage!({ data: roomJoined });
  const room = await joining;
  room.on('userJoined', ({ userId, picture }) => events.push(['userJoined', userId, picture]));
  room.on('userLeft', ({ userId }) => events.push(['userLeft', userId]));
  room.on('presence', ({ selection, status, data }) => events.push(['presence', selection, status, data]));
  room.on('cursor', ({ x, y, viewportY }) => events.push(['cursor', x, y, viewportY]));
  room.on('cursorHidden', userId => events.push(['cursorHidden', userId]));
  room.on('event', event => events.push(['event', event]));
  room.on('permission', permission => events.push(['permission', permission]));
  room.on('error', error => events.push(['error', error.message]));
  room.on('status', status => events.push(['status', status]));
  room.document.on('change', ({ userId, operation, traceparent }) =>
    events.push(['change', userId, operation, traceparent]),
  );
  for (const message of rest) script.socket.onmessage!({ data: message });
  const selection = { ranges: [{ anchor: 1, head: 2 }], color: '#00f' };
  const moved = { ranges: [{ anchor: 2, head: 3 }], color: '#00f' };
  expect(events).toEqual([
    ['userJoined', 'ben', 'https://b/'],
    ['cursor', 1.5, 2, undefined],
    ['presence', selection, 'idle', [1]],
    ['presence', moved, 'idle', [1]],
    ['change', 'ben', ['x'], TRACEPARENT],
    ['event', { name: 'wave', data: { hand: 'left' }, userId: 'ben' }],
    ['permission', 'read'],
    ['tokenExpiring', 60_000],
    ['error', 'too fast'],
    ['cursor', 3, 4, 640],
    ['presence', null, null, undefined],
    ['cursorHidden', 'ben'],
    ['userLeft', 'ben'],
    ['status', 'closed'],
  ]);
  expect(room.document.content).toBe('xabc');
  expect(client.rooms.size).toBe(0);
  client.disconnect();
});

test('what the client says is as Python has read it', async () => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  let count = 0;
  vi.spyOn(crypto, 'getRandomValues').mockImplementation(array => {
    (array as Uint8Array).fill(0)[15] = ++count;
    return array;
  });
  const vectors = {
    frames: [
      { user: 0, x: 1.5, y: -2, timestamp: 1000 },
      { user: 1, x: 0.25, y: 1e6, timestamp: 0xffffffff, viewportX: 0, viewportY: -0.5 },
      { user: 0xffffffff, x: 2 ** 24, y: -(2 ** 24), timestamp: 0, viewportX: 2 ** 24, viewportY: 1 },
      { user: 9, x: 3, y: 8, timestamp: 5 },
    ].map((record, index) => {
      const kind = index === 3 ? 2 : 1;
      return { kind, record, hex: hex(encodeFrame(kind, record)) };
    }),
    messages: await messages(),
    checksums: [
      ['a\u2028\u{1f469}"', { z: [1.5, -1e-9, 1e22], a: null }],
      { '\u{1f600}': 1, '\uff5e': 2, '2': 3, '10': 4 },
      'abc',
      0.1 + 0.2,
      [[], {}],
      true,
    ].map(value => ({ value, canonical: canonicalJson(value), checksum: checksum(value) })),
    documents: documents(),
  };
  await expect(`${JSON.stringify(vectors, null, 1)}\n`).toMatchFileSnapshot(`${FOLDER}typescript.json`);
});

/** One message of each type that the client sends. */
async function messages(): Promise<string[]> {
  const script = new Script();
  const trace = (): string => TRACEPARENT;
  const client = script.client({ types: [text], cursors: 'json', tokenInHandshake: false, deviceId: 'd', trace });
  void client.connect();
  await settle();
  const { socket } = script;
  socket.accept({}, 'fastcollab.v1');
  const joining = client.joinRoom('r', { type: text });
  await settle();
  socket.joined('r', { data: 'abc', version: 3 });
  const room = await joining;
  room.updateCursor({ x: 1, y: 2, viewportX: 3, viewportY: 4 });
  room.updateSelection([{ anchor: 0, head: 2 }], '#f00');
  room.updatePresence({ status: 'here', data: { page: 1 } });
  room.document.edit(['x']);
  for (const answered of [
    client.refreshToken('d.e.f'),
    room.broadcast('wave', { hand: 'left' }),
    room.sendEvent('ben', 'wave'),
    room.contentAt(1),
    room.history(1, 10),
    room.restore(1),
  ]) {
    answered.catch(() => {}); // nobody answers
  }
  const { texts } = socket;
  client.leaveRoom('r');
  client.disconnect();

  const other = new Script();
  const binary = other.client({ types: [text] });
  void binary.connect();
  await settle();
  other.socket.accept();
  for (const id of ['r', 's']) {
    const joined = binary.joinRoom(id);
    await settle();
    other.socket.joined(id, {});
    await joined;
  }
  binary.rooms.get('r')!.updateCursor({ x: 1, y: 2 });
  const activation = other.socket.texts.at(-1)!;
  binary.disconnect();
  return [...texts, activation];
}

/** Two operations on a document, and what both lead to. */
function documents(): Record<string, unknown[]> {
  const both = (type: DocumentType, document: any, a: any, b: any): unknown => ({
    document,
    a,
    b,
    both: type.apply(type.apply(document, b), type.transform(a, b, 'left')),
    inverse: type.invert(a, document),
  });
  return {
    text: [
      both(text, 'hello 👩', [5, ' there'], [5, '!']),
      both(text, 'hello 👩', [4, { d: 3 }], [6, { d: 1 }, 'x']),
      both(text, '', ['left'], ['right']),
    ],
    json1: [
      both(json1, { list: ['a', 'b', 'c'] }, moveOp(['list', 2], ['list', 0]), ['list', 2, { es: [1, 'x'] }]),
      both(json1, { list: [1, 2] }, insertOp(['list', 1], 'left'), insertOp(['list', 1], 'right')),
      both(json1, { n: 1 }, ['n', { ena: 2 }], ['n', { ena: 3 }]),
    ],
    'rich-text': [
      both(richText, [{ insert: 'one' }], [{ retain: 3 }, { insert: 'left' }], [{ retain: 3 }, { insert: 'right' }]),
      both(richText, [{ insert: 'one' }], [{ retain: 2, attributes: { bold: true } }], [{ delete: 1 }]),
      both(richText, [{ insert: '👩' }], [{ insert: { image: 'a' } }], [{ retain: 2, attributes: { link: 'b' } }]),
    ],
  };
}
