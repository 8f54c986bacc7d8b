/** The parts that need neither a gateway nor a connection. */

import { expect, test, vi } from 'vitest';
import { Copy } from '../../src/document/copy.js';
import { Journal } from '../../src/document/journal.js';
import {
  type Cursor,
  CursorInterpolator,
  decodeFrames,
  Emitter,
  encodeFrame,
  type ShownCursor,
} from '../../src/index.js';
import { text } from '../../src/ot/text.js';
import { Pacer, Throttle } from '../../src/pacing.js';
import type { PendingRecord, PendingSlot } from '../../src/persistence/store.js';
import { uuid } from '../../src/uuid.js';

test('what is no frame is refused (B1)', () => {
  const nothing = (): void => {};
  for (const size of [0, 2, 7, 17, 19, 25, 27])
    expect(() => decodeFrames(new ArrayBuffer(size), nothing)).toThrow(RangeError);
  const frame = encodeFrame(1, { user: 1, x: 0, y: 0, timestamp: 0 });
  new DataView(frame).setUint16(0, 3);
  expect(() => decodeFrames(frame, nothing)).toThrow('unknown type 3');
  const batch = new ArrayBuffer(8 + 24);
  new DataView(batch).setUint32(0, 0x0101_0002); // two records are announced
  expect(() => decodeFrames(batch, nothing)).toThrow('2 records');
  for (const x of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 24 + 2]) {
    expect(() => encodeFrame(1, { user: 1, x, y: 0, timestamp: 0 })).toThrow(RangeError);
  }
});

test('a bucket lets the burst through at once, and then one per interval', () => {
  const pacer = new Pacer(10, 1);
  for (let sent = 0; sent < 10; sent++) {
    expect(pacer.delay(0)).toBe(0);
    pacer.sent(0);
  }
  expect(pacer.delay(0)).toBeCloseTo(100);
  expect(pacer.delay(100)).toBeCloseTo(0);
  expect(() => new Pacer(0)).toThrow(RangeError);
});

test('a throttle lets the newest value through, and keeps it without a timer while it is held', () => {
  vi.useFakeTimers();
  const sent: number[] = [];
  let isOpen = true;
  const throttle = new Throttle<number>(100, value => isOpen && sent.push(value) > 0);
  throttle.put(1);
  expect([sent, vi.getTimerCount()]).toEqual([[], 0]);
  throttle.release();
  for (const value of [2, 3]) throttle.put(value);
  expect(sent).toEqual([1]);
  vi.advanceTimersByTime(99);
  expect(sent).toEqual([1]);
  isOpen = false;
  vi.advanceTimersByTime(1);
  isOpen = true;
  vi.advanceTimersByTime(100);
  expect(sent).toEqual([1, 3]);
  throttle.put(4);
  throttle.hold();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(1000);
  throttle.release();
  expect(sent).toEqual([1, 3, 4]);
  vi.useRealTimers();
});

test('cursors are drawn once a frame as long as one moves, and a rest is no slow movement', () => {
  vi.useFakeTimers();
  vi.stubGlobal('requestAnimationFrame', (draw: (now: number) => void) =>
    setTimeout(() => draw(performance.now()), 16),
  );
  vi.stubGlobal('cancelAnimationFrame', clearTimeout);
  class Source extends Emitter<{ cursor: Cursor; cursorHidden: string }> {
    readonly cursors = new Map<string, Cursor>();

    move(x: number): void {
      this.emit('cursor', { userId: 'ada', x, y: 0, timestamp: 0 });
    }

    hide(): void {
      this.emit('cursorHidden', 'ada');
    }
  }
  const source = new Source();
  const frames: ShownCursor[][] = [];
  const smooth = new CursorInterpolator(source, { delay: 50 });
  const stop = smooth.start(cursors => frames.push(cursors));
  source.move(0);
  vi.advanceTimersByTime(1000);
  const drawn = frames.length;
  expect(drawn).toBeLessThan(5);
  source.move(100);
  expect(smooth.at(performance.now())[0]!.x).toBe(0);
  expect(smooth.at(performance.now() + 25)[0]!.x).toBeCloseTo(50);
  vi.advanceTimersByTime(200);
  expect(frames.at(-1)).toEqual([{ userId: 'ada', x: 100, y: 0 }]);
  expect(frames.length - drawn).toBeLessThan(8);
  source.hide();
  vi.advanceTimersByTime(20);
  expect(frames.at(-1)).toEqual([]);
  source.move(7);
  stop();
  vi.advanceTimersByTime(100);
  expect(frames.at(-1)).toEqual([]);
  smooth.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('ids are UUIDs of version 4', () => {
  const ids = new Set(Array.from({ length: 1000 }, uuid));
  expect(ids.size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
});

test('an operation may be sent when it is stored under its id, and the newest state is written next', async () => {
  const records: PendingRecord[] = [];
  let finish: () => void = () => {};
  const cleared = vi.fn(async () => {});
  const slot: PendingSlot = {
    found: undefined,
    put: record => {
      records.push(record);
      return new Promise(resolve => {
        finish = resolve;
      });
    },
    clear: cleared,
    close: () => {},
  };
  const kept = vi.fn();
  const journal = new Journal(slot, kept, () => expect.unreachable());
  const copy = new Copy(text, '', 0, 'e');
  journal.update(copy); // nothing is pending, and nothing is stored
  copy.edit(['a']);
  journal.update(copy);
  const { messageId } = copy.inFlight!;
  expect(journal.isKept(messageId)).toBe(false);
  for (const letter of ['b', 'c']) {
    copy.edit([letter]);
    journal.update(copy);
  }
  expect(records).toHaveLength(1);
  finish();
  await vi.waitFor(() => expect(records).toHaveLength(2));
  expect(kept).toHaveBeenCalledTimes(1);
  expect(journal.isKept(messageId)).toBe(true);
  expect(records[1]).toMatchObject({ messageId, version: 0, epoch: 'e', operations: [['a'], ['cb']] });
  finish();
  copy.acknowledged(1);
  journal.update(copy);
  await vi.waitFor(() => expect(records).toHaveLength(3));
  expect(journal.isKept(copy.inFlight!.messageId)).toBe(false);
  finish();
  copy.acknowledged(2);
  journal.update(copy);
  await vi.waitFor(() => expect(cleared).toHaveBeenCalledTimes(1));
});
