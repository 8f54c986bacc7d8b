/** Chance that can be repeated: everything follows from a seed. */

export type Random = (below: number) => number;

/** Numbers of mulberry32, whole ones below a bound. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return below => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export const PIECES: readonly string[] = ['a', 'bc', ' ', 'é', '漢', '👩', 'Zürich'];

/** Often the beginning, so that people meet there. */
export function place(random: Random, length: number): number {
  return random(2) ? 0 : random(length + 1);
}
