import type { MessageLog } from "./message-log.ts";
import type { LocatedMessage, LogSession, QueuedMessage } from "./segment.ts";
import { sizeOf } from "../publication.ts";

/** The message of a session that has waited longest: what is to be known to drop it. */
export type OldestMessage = Omit<LocatedMessage, "segment"> & Pick<QueuedMessage, "segment">;

/** How many places are looked up at a time. */
const locatedMax = 64;

/** Finds the oldest waiting message of a session in the log, without reading messages. */
export class OldestWaiting {
  readonly #log: MessageLog;
  readonly #owner: LogSession;
  /** In order, as far as they have been looked up. */
  #located: LocatedMessage[] = [];
  /** No segment before this one holds what comes after them; packing only moves messages to later ones. */
  #nextSeq = 0;

  constructor(log: MessageLog, owner: LogSession) {
    this.#log = log;
    this.#owner = owner;
  }

  /** The first above the ordinal `after`. `fromSeq`: a segment not after it; absent when none is written. */
  find(after: number, fromSeq: number | undefined, looksFar: boolean): OldestMessage | undefined {
    while (this.#located[0] !== undefined && this.#located[0].ordinal <= after) this.#located.shift();
    if (this.#located.length === 0 && fromSeq !== undefined) {
      this.#located = this.#log.locate(this.#owner, after, Math.max(fromSeq, this.#nextSeq), locatedMax);
      this.#nextSeq = this.#located.at(-1)?.segment.seq ?? this.#nextSeq;
    }
    if (this.#located[0] !== undefined || !looksFar) return this.#located[0];
    const unwritten = this.#log.unwrittenFor(this.#owner).find(({ target }) => target.ordinal > after);
    return unwritten && toOldest(unwritten);
  }

  forget(): void {
    this.#located = [];
    this.#nextSeq = 0;
  }
}

export function toOldest({ publication, target, segment }: QueuedMessage): OldestMessage {
  const { expiresAtMs } = publication;
  const sizeBytes = sizeOf(publication);
  return { ordinal: target.ordinal, sizeBytes, expiresAtMs, ...(segment !== undefined && { segment }) };
}
