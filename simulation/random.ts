/** Chance that a number decides: xoshiro128** (Blackman and Vigna), seeded by splitmix32. */
export class Random {
  readonly #seed: number;
  readonly #state: [number, number, number, number];

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    let mixed = this.#seed;
    const next = (): number => {
      mixed = (mixed + 0x9e3779b9) >>> 0;
      return scramble(mixed);
    };
    this.#state = [next(), next(), next(), next()];
  }

  /** A source of its own for a part of the world: what other parts draw does not change it. */
  fork(name: string): Random {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let index = 0; index < name.length; index += 1) {
      hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
    }
    return new Random(scramble(hash >>> 0));
  }

  /** From 0 to 1, without 1. */
  next(): number {
    const state = this.#state;
    const result = Math.imul(rotated(Math.imul(state[1], 5), 7), 9) >>> 0;
    const shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotated(state[3], 11);
    return result / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  in([least, most]: Span): number {
    return this.between(least, most);
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.next() * items.length)] as Item;
  }
}

/** The least and the most, both included. */
export type Span = readonly [least: number, most: number];

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
