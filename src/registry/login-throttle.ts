/** Attempts that may go wrong in a row before they are slowed down. */
export const freeAttempts = 10;

/** Then one attempt in this time. */
export const attemptIntervalMs = 1_000;

/** Attempts that old are forgotten. */
const memoryMs = 15 * 60_000;

/** Names that are remembered; to push one out takes as many attempts at others. */
const namesMax = 10_000;

interface Attempts {
  readonly count: number;
  readonly lastAtMs: number;
}

/** Slows down who guesses passwords, by user name, whether or not there is the user. In memory only. */
export class LoginThrottle {
  readonly #attempts = new Map<string, Attempts>();

  /**
   * Whether there may be an attempt now. It counts as failed until {@link succeeded}: many that are under way at the
   * same time must not pass for one.
   */
  admit(username: string, nowMs: number): boolean {
    const { count, lastAtMs } = this.#recent(username, nowMs);
    if (count >= freeAttempts && nowMs < lastAtMs + attemptIntervalMs) return false;
    this.#attempts.delete(username);
    this.#attempts.set(username, { count: count + 1, lastAtMs: nowMs });
    if (this.#attempts.size > namesMax) this.#forgetOldest();
    return true;
  }

  succeeded(username: string): void {
    this.#attempts.delete(username);
  }

  #recent(username: string, nowMs: number): Attempts {
    const known = this.#attempts.get(username);
    return known === undefined || nowMs >= known.lastAtMs + memoryMs ? { count: 0, lastAtMs: nowMs } : known;
  }

  #forgetOldest(): void {
    const [oldest] = this.#attempts.keys();
    this.#attempts.delete(oldest as string);
  }
}
