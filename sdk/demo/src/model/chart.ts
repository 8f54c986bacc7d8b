/** The arithmetic of charts: round numbers for an axis, and the path of a line. */

export interface Scale {
  readonly min: number;
  readonly max: number;
  /** Round numbers from `min` to `max`, both included. */
  readonly ticks: readonly number[];
}

/** A scale of about `count` steps that has all the values on it, and something above and below. */
export function scaleFor(values: readonly number[], count = 4): Scale {
  const low = Math.min(...values);
  const high = Math.max(...values);
  if (!Number.isFinite(low) || !Number.isFinite(high)) return { min: 0, max: 1, ticks: [0, 1] };
  const step = roundStep(Math.max(high - low, Math.abs(high) * 0.01, 1) / count);
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, at) => round((first + at) * step));
  return { min: ticks[0]!, max: ticks.at(-1)!, ticks };
}

/** From 0 to a round number that is no less than any value. */
export function scaleFromZero(values: readonly number[], count = 4): Scale {
  return scaleFor([0, ...values], count);
}

/** A value's part of the way from the bottom of a scale to its top. */
export function part(value: number, { min, max }: Scale): number {
  return (value - min) / (max - min);
}

/** The path of a line through `values`, from the left edge to the right one. */
export function linePath(values: readonly number[], scale: Scale, width: number, height: number): string {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  return values
    .map((value, at) => `${at ? 'L' : 'M'}${round(at * step)} ${round((1 - part(value, scale)) * height)}`)
    .join('');
}

/** 1, 2 or 5 times a power of ten, no less than `least`. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map(factor => factor * power).find(step => step >= least * (1 - 1e-9))!;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
