/** One timer that is moved at will. While it is pending, it keeps the object awake. */
export class DueTimer {
  readonly #fire: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueAtMs: number | undefined;

  constructor(fire: () => void) {
    this.#fire = fire;
  }

  get isPending(): boolean {
    return this.#dueAtMs !== undefined;
  }

  /** Moves it there; Infinity for nowhere. */
  arm(atMs: number, nowMs: number): void {
    const dueAtMs = atMs === Infinity ? undefined : atMs;
    if (dueAtMs === this.#dueAtMs) return;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#dueAtMs = dueAtMs;
    if (dueAtMs === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#dueAtMs = undefined;
        this.#fire();
      },
      Math.max(0, dueAtMs - nowMs),
    );
  }
}
