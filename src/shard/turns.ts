/**
 * Says when a shard settles: a quiet one at the end of each event, a busy one after all the events that one turn of the
 * event loop brings.
 */
export class Turns {
  readonly #settle: () => void;
  readonly #onEnd: (hasJoined: boolean) => void;
  /** Set while events join those before them. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasJoined = false;

  /** `onEnd` is called when a turn is over, and told whether events have joined those that were settled. */
  constructor(settle: () => void, onEnd: (hasJoined: boolean) => void) {
    this.#settle = settle;
    this.#onEnd = onEnd;
  }

  /** An event has been handled. */
  settleOrJoin(): void {
    if (this.#timer !== undefined) {
      this.#hasJoined = true;
      return;
    }
    this.#settle();
    this.#timer = setTimeout(() => this.#end(), 0);
  }

  #end(): void {
    const hasJoined = this.#hasJoined;
    this.#timer = undefined;
    this.#hasJoined = false;
    this.#onEnd(hasJoined);
  }
}
