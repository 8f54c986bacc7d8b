/** Who hears of what, and in which order. */

import { afterEach, beforeEach, expect, type Mock, test, vi } from 'vitest';
import { Emitter } from '../../src/index.js';

class Bell extends Emitter<{ ring: number; crack: number }> {
  ring(times: number): void {
    this.emit('ring', times);
  }

  crack(length: number): void {
    this.emit('crack', length);
  }
}

let bell: Bell;
let heard: string[];
let reported: Mock;

beforeEach(() => {
  bell = new Bell();
  heard = [];
  reported = vi.fn();
  vi.stubGlobal('reportError', reported);
});

afterEach(() => {
  vi.unstubAllGlobals();
});

test('a handler that throws disturbs nobody else, and one that is taken back is not called', () => {
  const stop = bell.on('ring', times => heard.push(`first ${times}`));
  bell.on('ring', () => {
    throw new Error('deaf');
  });
  bell.on('ring', () => stop()); // within the event itself
  bell.on('ring', times => heard.push(`last ${times}`));
  bell.ring(1);
  bell.ring(2);
  expect(heard).toEqual(['first 1', 'last 1', 'last 2']);
  expect(reported).toHaveBeenCalledTimes(2);
});

test('what a handler brings about is told behind what it was called for, three deep and across events', () => {
  bell.on('ring', times => {
    heard.push(`first ${times}`);
    if (times < 3) bell.ring(times + 1);
    else bell.crack(7);
    heard.push(`first has answered ${times}`);
  });
  bell.on('ring', times => heard.push(`second ${times}`));
  bell.on('crack', length => heard.push(`crack ${length}`));
  bell.ring(1);
  expect(heard).toEqual([
    ...['first 1', 'first has answered 1', 'second 1'],
    ...['first 2', 'first has answered 2', 'second 2'],
    ...['first 3', 'first has answered 3', 'second 3'],
    'crack 7',
  ]);
});

test('a handler that brings something about and then throws has brought it about, and the bell goes on ringing', () => {
  bell.on('ring', times => {
    if (times > 2) return;
    bell.ring(times + 1);
    throw new Error(`deaf by ${times}`);
  });
  bell.on('ring', times => heard.push(`second ${times}`));
  bell.ring(1);
  bell.ring(9);
  expect(heard).toEqual(['second 1', 'second 2', 'second 3', 'second 9']);
  expect(reported.mock.calls.map(([error]) => error.message)).toEqual(['deaf by 1', 'deaf by 2']);
});

test('who is taken back hears no more of what has happened already, and who comes only of what happens then', () => {
  const late = (times: number): void => void heard.push(`late ${times}`);
  const leaving = (times: number): void => void heard.push(`leaving ${times}`);
  bell.on('ring', times => {
    if (times > 1) return;
    bell.ring(2);
    bell.off('ring', leaving);
    bell.on('ring', late);
    bell.ring(3);
  });
  bell.on('ring', leaving);
  bell.ring(1);
  expect(heard).toEqual(['late 3']);
});

test('one handler may be there twice, and each is taken back by itself', () => {
  const ringing = (times: number): void => void heard.push(`${times}`);
  const stop = bell.on('ring', ringing);
  bell.on('ring', ringing);
  stop();
  stop(); // it is none of the other's
  bell.ring(1);
  bell.off('ring', ringing);
  bell.off('ring', ringing);
  bell.ring(2);
  expect(heard).toEqual(['1']);
});
