import { describe, expect, it } from 'vitest';
import { amount, bytes, count, duration, latency, percent } from '../src/format.js';

describe('figures', () => {
  it.each([
    [0, '0'],
    [0.254, '0.25'],
    [7, '7'],
    [9.96, '10'],
    [1204.4, '1,204'],
    [38_240, '38.2K'],
  ])('%d is %s', (value, shown) => expect(amount(value)).toBe(shown));

  it.each([
    [0, '0 ms'],
    [0.4231, '0.42 ms'],
    [16.67, '17 ms'],
    [1240, '1.2 s'],
  ])('%d ms is %s', (value, shown) => expect(latency(value)).toBe(shown));

  it.each([
    [0, '0 s'],
    [59.9, '59 s'],
    [61, '1 min 1 s'],
    [3_660, '1 h 1 min'],
    [90_000, '1 d 1 h'],
    [-3, '0 s'],
  ])('%d s is %s', (value, shown) => expect(duration(value)).toBe(shown));

  it.each([
    [512, '512 B'],
    [1536, '1.5 KiB'],
    [3 * 2 ** 30, '3 GiB'],
    [5000 * 2 ** 30, '5,000 GiB'],
  ])('%d bytes are %s', (value, shown) => expect(bytes(value)).toBe(shown));

  it('has one and many', () => {
    expect([count(1, 'user'), count(2, 'user'), count(0, 'entry', 'entries')]).toEqual([
      '1 user',
      '2 users',
      '0 entries',
    ]);
    expect(percent(0.873)).toBe('87 %');
  });
});
