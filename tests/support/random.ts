// Seeded randomness: what is decided by chance can be decided again. (When each thing happens, cannot.)

export interface Random {
  /** From 0 to below 1. */
  next(): number;
  /** A whole number from `least` to `most`. */
  int(least: number, most: number): number;
  pick<T>(items: readonly T[]): T;
  /** True in a share of `probability` of all cases. */
  chance(probability: number): boolean;
  /** A generator of its own, so that one consumer's pace does not change another's fortune. */
  fork(): Random;
}

/** mulberry32 */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const random: Random = {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    },
    int: (least, most) => least + Math.floor(random.next() * (most - least + 1)),
    pick: (items) => items[random.int(0, items.length - 1)] as never,
    chance: (probability) => random.next() < probability,
    fork: () => seeded(random.int(0, 2 ** 31)),
  };
  return random;
}
