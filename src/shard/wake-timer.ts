/** One timer that is armed anew whenever what it is for has changed. While it is armed the object stays awake. */
export class WakeTimer {
  readonly #nowMs: () => number;
  readonly #fire: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueAtMs: number | undefined;

  constructor(nowMs: () => number, fire: () => void) {
    this.#nowMs = nowMs;
    this.#fire = fire;
  }

  /** Infinity: not at all. */
  arm(atMs: number): void {
    const dueAtMs = atMs === Infinity ? undefined : atMs;
    if (dueAtMs === this.#dueAtMs) return;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#dueAtMs = dueAtMs;
    if (dueAtMs === undefined) return;
    const whenDue = (): void => {
      this.#dueAtMs = undefined;
      this.#fire();
    };
    this.#timer = setTimeout(whenDue, Math.max(0, dueAtMs - this.#nowMs()));
  }
}
