import { expect, it } from 'vitest';
import { Series } from '../src/series.js';

function seriesOf(...samples: readonly (readonly [time: number, value: number | null])[]): Series {
  const series = new Series(1000);
  for (const [time, value] of samples) series.add(time, value);
  return series;
}

it('draws from left to right, up from 0', () => {
  expect(seriesOf([0, 0], [500, 3], [1000, 1.5]).path(1000, 100, 40, 0, 1000)).toBe('M0.0 40.0L50.0 10.0L100.0 25.0');
});

it('does not let what is small look large', () => {
  expect(seriesOf([1000, 3]).path(1000, 100, 40, 30, 1000)).toBe('M100.0 37.0');
});

it('has a flat line at the bottom where all is 0, and none where nothing is known', () => {
  expect(seriesOf([0, 0], [1000, 0]).path(1000, 100, 40, 0, 1000)).toBe('M0.0 40.0L100.0 40.0');
  expect(seriesOf([0, null]).path(1000, 100, 40, 0, 1000)).toBe('');
});

it('leaves a gap where nobody has looked', () => {
  expect(seriesOf([0, 3], [800, 3], [1000, 3]).path(1000, 100, 40, 0, 300)).toBe('M0.0 10.0M80.0 10.0L100.0 10.0');
});

it('forgets what is older than its span', () => {
  const series = seriesOf([0, 9], [900, 1], [1001, 2]);
  expect(series.largest).toBe(2);
});
