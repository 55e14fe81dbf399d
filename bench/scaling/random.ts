/** Numbers that look random and are the same in every run: the linear congruential generator of Numerical Recipes. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, without, 1. */
  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** The wait for the next of events that come by themselves at that rate. */
  waitSec(ratePerSec: number): number {
    return -Math.log(1 - this.next()) / ratePerSec;
  }
}
