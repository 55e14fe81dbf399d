/**
 * A rate with a burst. What must be written now is written without a token; what may wait then waits longer, but
 * not more than for one token more.
 */
export class TokenBucket {
  readonly #ratePerSec: number;
  readonly #burst: number;
  #tokens: number;
  #countedAtMs: number | undefined;

  /** `ratePerSec` may be Infinity: then there is always a token. */
  constructor(ratePerSec: number, burst: number) {
    this.#ratePerSec = ratePerSec;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** The time from which a token is there; not after `nowMs` means now. */
  availableAtMs(nowMs: number): number {
    if (this.#ratePerSec === Infinity) return nowMs;
    this.#refill(nowMs);
    return this.#tokens >= 1 ? nowMs : nowMs + Math.ceil(((1 - this.#tokens) * 1000) / this.#ratePerSec);
  }

  spend(nowMs: number): void {
    if (this.#ratePerSec === Infinity) return;
    this.#refill(nowMs);
    this.#tokens = Math.max(-1, this.#tokens - 1);
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - (this.#countedAtMs ?? nowMs));
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsedMs * this.#ratePerSec) / 1000);
    this.#countedAtMs = nowMs;
  }
}
