import { assert } from "../assert.ts";
import type { MessageLog } from "../queue/message-log.ts";
import type { LogSession, Segment } from "../queue/segment.ts";
import type { QueueLimits } from "../limits.ts";
import { sizeOf } from "../publication.ts";
import type { DeliveryState, LogTarget } from "../storage-port.ts";
import { fromLetter, toLetter } from "./letter.ts";
import type { DurableItem } from "./message.ts";

export interface OutboxItem {
  readonly ordinal: number;
  readonly item: DurableItem;
  readonly sizeBytes: number;
}

/**
 * What a shard owes to another and has promised to remember: items in the message log, in order, until the other
 * shard has answered. Its numbers are durable, so that the receiver can tell an item that it has already.
 */
export class Outbox implements LogSession {
  readonly sessionNumber: number;
  deliveryStateSegment?: Segment | undefined;
  readonly #log: MessageLog;
  readonly #limits: QueueLimits;
  #nextOrdinal = 1;
  /** Items up to this one are done. */
  #doneThrough = 0;
  /** Items that are not done, and where they lie; undefined while they are not written. */
  readonly #pending = new Map<number, { segment: Segment | undefined; readonly sizeBytes: number }>();
  #pendingBytes = 0;
  /** Done before they were written. */
  readonly #doneEarly = new Set<number>();
  #isRestoring = false;

  constructor(sessionNumber: number, log: MessageLog, limits: QueueLimits) {
    this.sessionNumber = sessionNumber;
    this.#log = log;
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#pending.size === 0;
  }

  get count(): number {
    return this.#pending.size;
  }

  /** The item's number, or undefined when the outbox is full. */
  append(item: DurableItem): number | undefined {
    const { publication, letter } = toLetter(item);
    const sizeBytes = sizeOf(publication);
    const { messagesMax, bytesMax } = this.#limits;
    if (this.#pending.size >= messagesMax || this.#pendingBytes + sizeBytes > bytesMax) return undefined;
    const ordinal = this.#nextOrdinal;
    this.#nextOrdinal += 1;
    this.#pending.set(ordinal, { segment: undefined, sizeBytes });
    this.#pendingBytes += sizeBytes;
    const { qos } = publication.message;
    this.#log.append(
      publication,
      { sessionNumber: this.sessionNumber, ordinal, qos, retain: false, letter },
      this,
    );
    return ordinal;
  }

  /** The first items, of those that are written. */
  read(limits: { readonly count: number; readonly bytes: number }): OutboxItem[] {
    for (const ordinal of this.#doneEarly) this.#release(ordinal);
    const ordinal = this.#doneThrough + 1;
    const segment = this.#pending.get(ordinal)?.segment;
    if (segment === undefined) return [];
    const range = { after: ordinal - 1, through: this.#nextOrdinal - 1 };
    return this.#log.read(this, range, segment.seq, limits).messages.map(({ publication, target }) => {
      assert(target.letter !== undefined, "what lies in an outbox has a letter");
      const item = fromLetter(publication, target.letter);
      return { ordinal: target.ordinal, item, sizeBytes: sizeOf(publication) };
    });
  }

  /** Written at once: after a sleep the item would go out again, to everybody who has subscribed since. */
  done(ordinal: number): void {
    if (!this.#pending.has(ordinal)) return;
    this.#doneEarly.add(ordinal);
    this.#release(ordinal);
    this.#passDone();
    this.#log.noteChanged(this);
  }

  /** The shard wakes: the log is about to tell what it has. */
  beginRestoring(): void {
    this.#isRestoring = true;
  }

  endRestoring(): void {
    this.#isRestoring = false;
    this.#passDone();
  }

  restoreState({ nextOrdinal, sentThrough }: DeliveryState): void {
    this.#nextOrdinal = nextOrdinal;
    this.#doneThrough = sentThrough;
  }

  deliveryState(): DeliveryState {
    return {
      nextOrdinal: this.#nextOrdinal,
      sentThrough: this.#doneThrough,
      inflight: [],
      receivedQos2: [],
    };
  }

  #passDone(): void {
    while (this.#doneThrough < this.#nextOrdinal - 1 && this.#isDone(this.#doneThrough + 1)) {
      this.#doneThrough += 1;
    }
  }

  #isDone(ordinal: number): boolean {
    return !this.#pending.has(ordinal) || this.#doneEarly.has(ordinal);
  }

  /** What is not written yet has its place in the log when it is. */
  #release(ordinal: number): void {
    const entry = this.#pending.get(ordinal);
    if (entry?.segment === undefined) return;
    this.#doneEarly.delete(ordinal);
    this.#pending.delete(ordinal);
    this.#pendingBytes -= entry.sizeBytes;
    this.#log.release(entry.segment, entry.sizeBytes);
  }

  isPending(ordinal: number): boolean {
    return this.#pending.has(ordinal) || (this.#isRestoring && ordinal > this.#doneThrough);
  }

  onLogged(ordinal: number, segment: Segment): void {
    const entry = this.#pending.get(ordinal);
    if (entry !== undefined) entry.segment = segment;
  }

  onFound({ ordinal }: LogTarget, segment: Segment, sizeBytes: number): void {
    this.#nextOrdinal = Math.max(this.#nextOrdinal, ordinal + 1);
    this.#pending.set(ordinal, { segment, sizeBytes });
    this.#pendingBytes += sizeBytes;
  }
}
