/** What the inspector makes of messages. */

import { CURSOR, Emitter, encodeFrame, SELECTION, type Traffic } from '@fastcollab/client';
import { describe, expect, test } from 'vitest';
import { Recorder } from '../src/collab/recorder.js';
import { type Filter, GROUPS, hexadecimal, Message, matches, sizeInWords } from '../src/model/traffic.js';

function message(data: unknown, direction: Traffic['direction'] = 'in'): Message {
  const wire = data instanceof ArrayBuffer || typeof data === 'string' ? data : JSON.stringify(data);
  return new Message(0, 0, { direction, data: wire });
}

function batched(kind: number, count: number): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(8 + 24 * count));
  view.setUint16(0, 0x0100 | kind);
  view.setUint16(2, count);
  view.setUint32(4, 3);
  return view.buffer;
}

describe('a message', () => {
  test.each([
    [{ type: 'operation', roomId: 'board', payload: {} }, 'operation', 'operations', 'board'],
    [{ type: 'presence_update', payload: {} }, 'presence_update', 'presence', ''],
    [{ type: 'room_joined', roomId: 'board', payload: {} }, 'room_joined', 'control', 'board'],
    [
      { type: 'batch', payload: { messages: [{ type: 'ack', roomId: 'b' }, { type: 'ack' }] } },
      'batch of 2',
      'operations',
      'b',
    ],
    [{ type: 'batch', payload: { messages: [] } }, 'batch of 0', 'control', ''],
    ['no json', 'not understood', 'control', ''],
    ['{"type":"batch"}', 'not understood', 'control', ''],
    [encodeFrame(CURSOR, { user: 7, x: 1, y: 2, timestamp: 0 }), 'cursor', 'cursors', ''],
    [encodeFrame(SELECTION, { user: 7, x: 1, y: 2, timestamp: 0 }), 'selection', 'presence', ''],
    [batched(1, 4), '4 cursors', 'cursors', ''],
    [batched(2, 1), 'selection', 'presence', ''],
    [new ArrayBuffer(3), 'not understood', 'control', ''],
  ])('%# is named by what it is', (data, type, group, roomId) => {
    expect(message(data).meaning).toEqual({ type, group, roomId });
  });

  test('is shown with what is in it, whatever that is', () => {
    expect(message({ type: 'ping' }).text).toBe('{\n  "type": "ping"\n}');
    expect(message('no json').text).toBe('no json');
    const frame = message(encodeFrame(CURSOR, { user: 7, x: 1.5, y: -2, timestamp: 1000 }));
    expect(frame.text).toContain('"x": 1.5');
    expect(frame.text).toContain('0000  00 01 00 00 00 07 3f c0 00 00 c0 00 00 00 00 00');
    expect(message(batched(1, 2)).text).toContain('"room": 3');
    expect(message(new Uint8Array([9, 9, 9]).buffer).text).toContain('0000  09 09 09');
    expect([message('12345').size, frame.size]).toEqual([5, 18]);
  });

  test('passes a filter if its direction, its group and its name do', () => {
    const sent = message({ type: 'operation', roomId: 'Board' }, 'out');
    const all: Filter = { groups: new Set(GROUPS), directions: new Set(['in', 'out']), search: '' };
    expect(matches(sent, all)).toBe(true);
    expect(matches(sent, { ...all, search: ' board ' })).toBe(true);
    expect(matches(sent, { ...all, search: 'OPERA' })).toBe(true);
    expect(matches(sent, { ...all, search: 'plan' })).toBe(false);
    expect(matches(sent, { ...all, directions: new Set(['in']) })).toBe(false);
    expect(matches(sent, { ...all, groups: new Set(['cursors']) })).toBe(false);
  });
});

test('bytes are shown sixteen in a line, and not without end', () => {
  const lines = hexadecimal(new Uint8Array(600).buffer).split('\n');
  expect(lines).toHaveLength(33);
  expect(lines[1]).toMatch(/^0010 {2}(00 ){15}00$/);
  expect(lines[32]).toBe('… 88 bytes more');
});

test('sizes are said in few digits', () => {
  expect([0, 999, 1000, 12_345, 999_400, 2_500_000].map(sizeInWords)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '12 kB',
    '999 kB',
    '2.5 MB',
  ]);
});

test('the recorder keeps the newest messages, unless it is paused', () => {
  class Client extends Emitter<{ traffic: Traffic }> {
    say(data: string): void {
      this.emit('traffic', { direction: 'in', data });
    }
  }
  const client = new Client();
  const recorder = new Recorder(client as any);
  for (let number = 0; number < 2500; number++) client.say(String(number));
  recorder.isPaused = true;
  client.say('unheard');
  expect(recorder.count).toBe(2500);
  const kept = recorder.messages();
  expect(kept).toHaveLength(2000);
  expect([kept[0]!.data, kept.at(-1)!.data]).toEqual(['500', '2499']);
  expect(new Set(kept.map(each => each.number)).size).toBe(2000);
  recorder.clear();
  expect(recorder.messages()).toEqual([]);
});
