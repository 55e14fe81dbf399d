import { isFailure, ReasonCode } from "../reason-code.ts";
import type { Settle } from "./lane.ts";
import type { Outcome } from "./message.ts";

/** Waits for all the places that a message went to, and tells what came of it. */
export class Gathering {
  readonly #settle: Settle | undefined;
  #left = 1;
  #isMatched = false;
  #refusal: Outcome | undefined;

  constructor(settle: Settle | undefined) {
    this.#settle = settle;
  }

  /** One place more; the answer is to be told once. Undefined when nobody wants to know. */
  expect(): Settle | undefined {
    if (this.#settle === undefined) return undefined;
    this.#left += 1;
    return (outcome) => this.#note(outcome);
  }

  /** Somebody has the message. */
  noteMatched(): void {
    this.#isMatched = true;
  }

  /** There are no further places. */
  close(): void {
    this.#note({ reasonCode: ReasonCode.NoMatchingSubscribers });
  }

  /**
   * A place that fails is that shard's loss and counted there; the others have the message. But where a queue is full,
   * the publisher is told.
   */
  #note(outcome: Outcome): void {
    const { reasonCode } = outcome;
    this.#left -= 1;
    if (outcome.isForPublisher === true) this.#refusal = outcome;
    if (reasonCode !== ReasonCode.NoMatchingSubscribers && !isFailure(reasonCode)) this.#isMatched = true;
    if (this.#left > 0) return;
    const success = this.#isMatched ? ReasonCode.Success : ReasonCode.NoMatchingSubscribers;
    this.#settle?.(this.#refusal ?? { reasonCode: success });
  }
}
