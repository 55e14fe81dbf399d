/** A rate with a burst: in t seconds it gives no more than burst + rate × t. Begins full, as after a quiet time. */
export class RateBucket {
  readonly #ratePerSec: number;
  readonly #burst: number;
  #spent = 0;
  #countedAtMs = 0;

  constructor(ratePerSec: number, burst: number) {
    this.#ratePerSec = ratePerSec;
    this.#burst = burst;
  }

  /** Takes so much, or nothing and returns false when there is less. */
  take(amount: number, nowMs: number): boolean {
    const elapsedMs = Math.max(0, nowMs - this.#countedAtMs);
    this.#spent = Math.max(0, this.#spent - (elapsedMs * this.#ratePerSec) / 1000);
    // Also when a clock goes back: from there it fills again.
    this.#countedAtMs = nowMs;
    if (this.#spent + amount > this.#burst) return false;
    this.#spent += amount;
    return true;
  }
}
