/** Figures as they are shown. */

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });

/** What stands for a figure that is not known. */
export const UNKNOWN = '–';

/** A rate or a count: 0.25, 7, 1,204, 38.2K. */
export function amount(value: number): string {
  if (value >= 10_000) return compact.format(value);
  return value > 0 && value < 10 && !Number.isInteger(value) ? exact.format(value) : number.format(value);
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  let left = value;
  while (left >= 1024 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${amount(left)} ${units[unit]}`;
}

/** A latency, given in ms: 0.42 ms, 17 ms, 1.2 s. */
export function latency(value: number): string {
  if (value >= 1000) return `${exact.format(value / 1000)} s`;
  return value < 10 ? `${exact.format(value)} ms` : `${number.format(value)} ms`;
}

/** A time that has passed, given in seconds, in its two largest units. */
export function duration(seconds: number): string {
  const whole = Math.floor(Math.max(0, seconds));
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86_400)];
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

export function percent(share: number): string {
  return `${number.format(share * 100)} %`;
}

/** One participant, two participants. */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${amount(value)} ${value === 1 ? one : many}`;
}

/** The beginning of an id, by which people tell nodes apart. */
export function short(id: string): string {
  return id.slice(0, 8);
}
