import type { MessageLog } from "../queue/message-log.ts";
import type { LogSession, Segment } from "../queue/segment.ts";
import { ReasonCode } from "../reason-code.ts";
import type { DeliveryState } from "../storage-port.ts";
import type { Outcome } from "./message.ts";

/** A lane sends nothing again that is older than this many items. */
const repeatedMax = 2000;

/**
 * What has been applied of the numbered messages of one shard that come through one owner of topics. Written
 * together with what they did, so that a message which comes again is known, whatever happened in between.
 */
export class Watermark implements LogSession {
  readonly sessionNumber: number;
  deliveryStateSegment?: Segment | undefined;
  readonly #log: MessageLog;
  #sequence = 0;
  /** Of the last ones, those that found nobody. */
  #unmatched: number[] = [];

  constructor(sessionNumber: number, log: MessageLog) {
    this.sessionNumber = sessionNumber;
    this.#log = log;
  }

  /** What came of the message when it was applied; undefined when it is new. */
  outcomeOf(sequence: number): Outcome | undefined {
    if (sequence > this.#sequence) return undefined;
    const isMatched = !this.#unmatched.includes(sequence);
    return { reasonCode: isMatched ? ReasonCode.Success : ReasonCode.NoMatchingSubscribers };
  }

  /** The message has been applied, in this turn. */
  note(sequence: number, isMatched: boolean): void {
    this.#sequence = sequence;
    if (!isMatched) {
      this.#unmatched = this.#unmatched.filter((other) => other > sequence - repeatedMax);
      this.#unmatched.push(sequence);
    }
    this.#log.noteChanged(this);
  }

  restoreState({ sentThrough, receivedQos2 }: DeliveryState): void {
    this.#sequence = sentThrough;
    this.#unmatched = [...receivedQos2];
  }

  deliveryState(): DeliveryState {
    return {
      nextOrdinal: this.#sequence + 1,
      sentThrough: this.#sequence,
      inflight: [],
      receivedQos2: this.#unmatched,
    };
  }

  /** It has no messages of its own. */
  isPending(): boolean {
    return false;
  }

  onLogged(): void {}

  onFound(): void {}
}
