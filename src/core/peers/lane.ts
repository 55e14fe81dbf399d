import type { Counters } from "../counters.ts";
import type { QueueLimits } from "../limits.ts";
import { sizeOf } from "../publication.ts";
import { ReasonCode } from "../reason-code.ts";
import { Backoff } from "./backoff.ts";
import type { Batch, BatchAnswer, DurableItem, LaneName, Origin, Outcome, PeerItem } from "./message.ts";
import type { Outbox } from "./outbox.ts";

export type Settle = (outcome: Outcome) => void;

/** What becomes of an item when the other shard does not answer. */
export type Fate = "dropped" | "kept" | "failed";

/** An item, or one that is made when it goes, of what holds then. */
export type Posted = PeerItem | (() => PeerItem);

interface Entry {
  item: Posted;
  readonly fate: Fate;
  readonly sizeBytes: number;
  readonly sinceMs: number;
  /** Told what came of the item, once. */
  settle: Settle | undefined;
  /** Its number in the outbox, if it is there. */
  ordinal: number | undefined;
}

export interface LaneParts {
  readonly name: LaneName;
  readonly from: number;
  readonly to: number;
  /** A random number of the shard's present life. */
  readonly life: number;
  readonly outbox: Outbox;
  readonly counters: Counters;
  /** Of items that only memory holds. */
  readonly memory: QueueLimits;
  /** How long anybody waits for an answer before the outbox takes over. */
  readonly patienceMs: number;
  readonly backoff: Backoff;
  /**
   * Takes every outcome, also of an item that was read from the outbox after a reset, and passes it on. `isKept`: the
   * item was in the outbox, which lets go of it now.
   */
  readonly onOutcome: (
    item: PeerItem,
    outcome: Outcome,
    to: number,
    settle: Settle | undefined,
    isKept: boolean,
  ) => void;
}

const batchLimits = { count: 500, bytes: 1024 * 1024 };
/** A call that has not been answered by then has failed. */
const callMs = 5_000;
/** A shard that is heard is tried no later than this after the last failure. */
const heardMs = 20_000;
/** How long after something was put there an alarm looks after the outbox, should everybody have forgotten it. */
const lookAfterMs = 30_000;
/** Streams that begin in the same millisecond differ by the lives they belong to. */
const livesPerMs = 1024;
/** Who asks for an answer of a sleeping lane need not wait longer for a try. */
const soonMs = 500;
/** After so many failures in a row the lane sleeps: what must be kept is in the outbox, and the alarm wakes it. */
const failuresMax = 5;

export const taken: Outcome = { reasonCode: ReasonCode.Success };
const unanswered: Outcome = {
  reasonCode: ReasonCode.UnspecifiedError,
  reasonString: "Another part of the broker does not answer",
};
const crowded: Outcome = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "Too much is waiting for another part of the broker",
};

/**
 * The sending end of a lane: one batch under way, and behind it what came since, which makes the next one. So items
 * stay in order, and the more come the fewer calls each costs. Items that must not be lost move to the outbox when
 * the other shard is slow; what is in the outbox goes before everything else.
 */
export class Lane {
  readonly #parts: LaneParts;
  #waiting: Entry[] = [];
  #waitingBytes = 0;
  /** Items among them that somebody waits for. */
  #awaitedCount = 0;
  #underWay:
    | { readonly batch: BatchHead; readonly entries: Entry[]; sentAtMs: number | undefined }
    | undefined;
  /** Who waits for items in the outbox that have not been read from it. */
  readonly #settlers = new Map<number, { readonly settle: Settle; readonly sinceMs: number }>();
  /** Items that are to be kept go through the outbox until it is empty, for the order's sake. */
  #isSpilled = false;
  /** What waits goes behind an outbox that is not written yet; the flush brings it on its way. */
  #isHeld = false;
  #stream = 0;
  #sequence = 0;
  #failures = 0;
  #failedAtMs = -Infinity;
  #retryAtMs = -Infinity;

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  get isIdle(): boolean {
    return this.#underWay === undefined && this.#waiting.length === 0 && this.#parts.outbox.isEmpty;
  }

  /** An item that memory holds, until the other shard is slow. */
  post(item: Posted, fate: Fate, settle: Settle | undefined, sizeBytes: number, nowMs: number): void {
    const isFull = this.#isFull(sizeBytes);
    if (fate === "kept" && (isFull || this.#isSpilled)) {
      // What came before goes before.
      if (!this.#isSpilled) this.#spill();
      this.#isSpilled = true;
      this.#keep(item as DurableItem, settle, nowMs);
      return;
    }
    // Now and then a message that may be lost tries whether the other shard is back.
    const triesAtMs = Math.min(this.#retryAtMs, this.#failedAtMs + heardMs);
    const isLost = fate === "dropped" && this.#isAsleep && nowMs < triesAtMs;
    if (isFull || isLost) {
      this.#lose(fate, settle);
      return;
    }
    // Somebody asks: the other shard is tried again before its time.
    if (fate === "failed") this.#retryAtMs = Math.min(this.#retryAtMs, nowMs + soonMs);
    else if (fate === "dropped") this.noteHeard();
    this.#wait({ item, fate, settle, sizeBytes, sinceMs: nowMs, ordinal: undefined });
  }

  /** An item that is written before it is sent. */
  postDurable(item: DurableItem, settle: Settle | undefined, nowMs: number): void {
    // It must not overtake a message of the same QoS that is still to be kept; those of QoS 2 are in the outbox.
    if (item.type !== "removeRoute" && item.publication.message.qos === 1) this.#spill();
    this.#keep(item, settle, nowMs);
  }

  /** Takes back what waits in memory to open a route. */
  withdrawRoute(filter: string): void {
    this.#waiting = this.#waiting.filter(({ item, sizeBytes }) => {
      const isKept = typeof item === "function" || item.type !== "addRoute" || item.filter !== filter;
      if (!isKept) this.#waitingBytes -= sizeBytes;
      return isKept;
    });
  }

  /** The other shard failed so often that only the alarm, or somebody who asks, tries it again. */
  get #isAsleep(): boolean {
    return this.#failures >= failuresMax;
  }

  /** The batch to send now, if any: a new one, or one that failed. */
  next(nowMs: number): BatchHead | undefined {
    // Until then the outbox keeps what it has, and the shard may sleep.
    if (nowMs < this.#retryAtMs) return undefined;
    if (this.#underWay === undefined) this.#load(nowMs);
    const underWay = this.#underWay;
    if (underWay === undefined || underWay.sentAtMs !== undefined) return undefined;
    underWay.sentAtMs = nowMs;
    return underWay.batch;
  }

  /** The other shard has answered the batch of that stream and sequence. */
  answered(stream: number, sequence: number, answer: BatchAnswer, nowMs: number): void {
    const underWay = this.#underWay;
    if (underWay?.batch.stream !== stream || underWay.batch.sequence !== sequence) return;
    if (answer.type === "refused") return this.#refused(answer, nowMs);
    if (answer.outcomes.length !== underWay.entries.length) return this.failed(stream, sequence, nowMs);
    this.#underWay = undefined;
    this.#failures = 0;
    this.#retryAtMs = -Infinity;
    for (const [index, entry] of underWay.entries.entries()) {
      const outcome = answer.outcomes[index] as Outcome;
      const { ordinal, settle } = entry;
      if (ordinal !== undefined) this.#parts.outbox.done(ordinal);
      this.#parts.onOutcome(madeOf(entry), outcome, this.#parts.to, settle, ordinal !== undefined);
    }
    if (this.#parts.outbox.isEmpty) this.#isSpilled = false;
  }

  /** The batch may or may not have arrived. */
  failed(stream: number, sequence: number, nowMs: number): void {
    const underWay = this.#underWay;
    if (underWay?.batch.stream !== stream || underWay.batch.sequence !== sequence) return;
    underWay.sentAtMs = undefined;
    this.#failures += 1;
    this.#failedAtMs = nowMs;
    this.#parts.counters.peerFailures += 1;
    this.#retryAtMs = nowMs + this.#parts.backoff.delayMs(this.#failures);
    if (this.#failures >= failuresMax) this.#giveUp(nowMs);
  }

  /** The other shard calls, so it lives, though its answers may still be lost. */
  noteHeard(): void {
    this.#retryAtMs = Math.min(this.#retryAtMs, this.#failedAtMs + heardMs);
  }

  /** When {@link tick} is to be called; a timer is enough, for memory waits for it. */
  get timerDueAtMs(): number {
    const underWay = this.#underWay;
    let dueAtMs = this.#patienceEndsAtMs();
    if (underWay?.sentAtMs !== undefined) dueAtMs = Math.min(dueAtMs, underWay.sentAtMs + callMs);
    else if (underWay !== undefined || (this.#waiting.length > 0 && !this.#isHeld))
      dueAtMs = Math.min(dueAtMs, this.#retryAtMs);
    return dueAtMs;
  }

  /**
   * When the outbox is to be looked after even if all memory is lost. Undefined when there is nothing in it but what
   * somebody waits for, and would come back to.
   */
  alarmDueAtMs(nowMs: number): number | undefined {
    const underWay = this.#underWay?.entries ?? [];
    const awaited = underWay.filter(({ ordinal, settle }) => ordinal !== undefined && settle !== undefined);
    if (this.#parts.outbox.count <= awaited.length + this.#settlers.size) return undefined;
    return Math.max(this.#retryAtMs, nowMs + lookAfterMs);
  }

  tick(nowMs: number): void {
    const underWay = this.#underWay;
    if (underWay?.sentAtMs !== undefined && underWay.sentAtMs + callMs <= nowMs) {
      this.failed(underWay.batch.stream, underWay.batch.sequence, nowMs);
    }
    if (this.#patienceEndsAtMs() <= nowMs) this.#spill();
  }

  #wait(entry: Entry): void {
    this.#waiting.push(entry);
    this.#waitingBytes += entry.sizeBytes;
    if (isAwaited(entry)) this.#awaitedCount += 1;
  }

  #takeWaiting(): Entry[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#awaitedCount = 0;
    return waiting;
  }

  #isFull(sizeBytes: number): boolean {
    const { messagesMax, bytesMax } = this.#parts.memory;
    return this.#waiting.length >= messagesMax || this.#waitingBytes + sizeBytes > bytesMax;
  }

  #keep(item: DurableItem, settle: Settle | undefined, nowMs: number): void {
    const ordinal = this.#parts.outbox.append(item);
    if (ordinal === undefined) this.#lose("kept", settle);
    else if (settle !== undefined) this.#settlers.set(ordinal, { settle, sinceMs: nowMs });
  }

  #lose(fate: Fate, settle: Settle | undefined): void {
    if (fate !== "failed") this.#parts.counters.droppedPeerBusy += 1;
    settle?.(crowded);
  }

  /** Makes a batch: first of the outbox, then of what waits in memory. */
  #load(nowMs: number): void {
    const entries: Entry[] = [];
    let leftBytes = batchLimits.bytes;
    for (const { ordinal, item, sizeBytes } of this.#parts.outbox.read(batchLimits)) {
      const settler = this.#settlers.get(ordinal);
      this.#settlers.delete(ordinal);
      const sinceMs = settler?.sinceMs ?? nowMs;
      const numbered = numberedBy(item, { shard: this.#parts.from, sequence: ordinal });
      entries.push({ item: numbered, fate: "kept", settle: settler?.settle, sizeBytes, sinceMs, ordinal });
      leftBytes -= sizeBytes;
    }
    this.#loadWaiting(entries, leftBytes);
    this.#isHeld = entries.length === 0;
    if (this.#isHeld) return;
    if (this.#stream === 0) this.#begin(nowMs);
    this.#sequence += 1;
    const { name: lane, to } = this.#parts;
    const items = entries.map((entry) => madeOf(entry));
    const batch = { lane, to, stream: this.#stream, sequence: this.#sequence, items };
    this.#underWay = { batch, entries, sentAtMs: undefined };
  }

  #loadWaiting(entries: Entry[], bytes: number): void {
    const isOutboxLeft = this.#parts.outbox.count > entries.length;
    let leftBytes = bytes;
    let count = 0;
    for (const entry of this.#waiting) {
      // What tells of the present must not go before what led to it.
      if (typeof entry.item === "function" && isOutboxLeft) break;
      const made = typeof entry.item === "function" ? entry.item() : entry.item;
      const sizeBytes = Math.max(entry.sizeBytes, sizeOfItem(made));
      const isOver = entries.length >= batchLimits.count || sizeBytes > leftBytes;
      if (isOver && entries.length > 0) break;
      entry.item = made;
      entries.push(entry);
      leftBytes -= sizeBytes;
      this.#waitingBytes -= entry.sizeBytes;
      if (isAwaited(entry)) this.#awaitedCount -= 1;
      count += 1;
    }
    this.#waiting.splice(0, count);
  }

  /** A new stream: what the receiver knows of an earlier one does not hold for it. */
  #begin(nowMs: number, after = 0): void {
    const byClock = nowMs * livesPerMs + (this.#parts.life % livesPerMs);
    this.#stream = Math.max(byClock, this.#stream + 1, after + 1);
    this.#sequence = 0;
  }

  #refused(answer: BatchAnswer & { type: "refused" }, nowMs: number): void {
    const underWay = this.#underWay;
    if (underWay === undefined) return;
    const isOutOfStep = answer.refusal === "stream" || answer.refusal === "sequence";
    if (!isOutOfStep) return this.failed(underWay.batch.stream, underWay.batch.sequence, nowMs);
    this.#begin(nowMs, answer.stream);
    this.#sequence = 1;
    const batch = { ...underWay.batch, stream: this.#stream, sequence: 1 };
    this.#underWay = { ...underWay, batch, sentAtMs: undefined };
    this.#failures += 1;
    this.#retryAtMs = nowMs + this.#parts.backoff.delayMs(this.#failures);
  }

  #patienceEndsAtMs(): number {
    const isAnyAwaited = this.#awaitedCount > 0;
    let sinceMs = (isAnyAwaited ? this.#waiting.find(isAwaited)?.sinceMs : undefined) ?? Infinity;
    for (const entry of this.#underWay?.entries ?? []) {
      if (isAwaited(entry)) sinceMs = Math.min(sinceMs, entry.sinceMs);
    }
    const [settler] = this.#settlers.values();
    return Math.min(sinceMs, settler?.sinceMs ?? Infinity) + this.#parts.patienceMs;
  }

  /** Nobody waits any longer: what is to be kept is in the outbox from now on, and its sender may go on. */
  #spill(): void {
    for (const entry of this.#underWay?.entries ?? []) if (entry.fate === "kept") this.#spillEntry(entry);
    for (const entry of this.#takeWaiting()) {
      if (entry.fate === "kept") this.#spillEntry(entry);
      else this.#wait(entry);
    }
    const settlers = [...this.#settlers.values()];
    this.#settlers.clear();
    for (const { settle } of settlers) settle(taken);
  }

  #spillEntry(entry: Entry): void {
    this.#isSpilled = true;
    entry.ordinal ??= this.#parts.outbox.append(entry.item as DurableItem);
    const { settle } = entry;
    entry.settle = undefined;
    if (entry.ordinal === undefined) this.#lose("kept", settle);
    else settle?.(taken);
  }

  #giveUp(nowMs: number): void {
    this.#spill();
    this.#isSpilled = true;
    const lost = [...(this.#underWay?.entries ?? []), ...this.#takeWaiting()];
    this.#underWay = undefined;
    this.#begin(nowMs);
    for (const { fate, settle } of lost) {
      if (fate === "dropped") this.#parts.counters.droppedPeerBusy += 1;
      if (fate !== "kept") settle?.(unanswered);
    }
  }
}

/** A batch without what every batch of the shard has. */
export type BatchHead = Pick<Batch, "lane" | "to" | "stream" | "sequence" | "items">;

function sizeOfItem(item: PeerItem): number {
  if (item.type !== "retained") return 0;
  return item.publications.reduce((sum, publication) => sum + sizeOf(publication), 0);
}

/** From now on the item is what it is, also when it is sent again. */
function madeOf(entry: Entry): PeerItem {
  if (typeof entry.item === "function") entry.item = entry.item();
  return entry.item;
}

/** What has been written may be sent again after a reset, so it tells the number by which it is known. */
function numberedBy(item: DurableItem, origin: Origin): DurableItem {
  return item.type === "removeRoute" || item.origin !== undefined ? item : { ...item, origin };
}

function isAwaited({ fate, settle }: Entry): boolean {
  return fate === "kept" && settle !== undefined;
}
