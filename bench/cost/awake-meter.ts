/**
 * How long one object is billed: while it works, while a write or a zero timer of it is under way, and while something
 * is held open. Between events an object that could hibernate is not billed.
 */
export class AwakeMeter {
  awakeMs = 0;
  /** Work comes one after the other. */
  #busyUntilMs = 0;
  #awakeUntilMs = 0;

  /** An event that takes so long, and what is pending for some time after it. */
  work(nowMs: number, ms: number, pendingMs: number): void {
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs) + ms;
    this.hold(this.#busyUntilMs + pendingMs);
  }

  hold(untilMs: number): void {
    this.#awakeUntilMs = Math.max(this.#awakeUntilMs, untilMs);
  }

  /** Time has passed, all of it awake if something was held open. */
  pass(fromMs: number, toMs: number, isHeld: boolean): void {
    const untilMs = isHeld ? toMs : Math.min(toMs, this.#awakeUntilMs);
    this.awakeMs += Math.max(0, untilMs - fromMs);
  }
}
