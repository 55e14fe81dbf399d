/** How long to wait before the next try: twice as long each time, and never in step with others. */
export class Backoff {
  #state: number;

  /** `seed` is any whole number; the same one gives the same waits. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From half the full wait up to it. */
  delayMs(failures: number): number {
    const fullMs = Math.min(firstMs * 2 ** (failures - 1), longestMs);
    return Math.round(fullMs * (0.5 + this.#next() / 2));
  }

  /** A number from 0 to 1, by the linear congruential generator of Numerical Recipes. */
  #next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32;
  }
}

const firstMs = 100;
const longestMs = 300_000;
