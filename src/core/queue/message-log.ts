import { assert } from "../assert.ts";
import type { Publication } from "../publication.ts";
import { sizeOf } from "../publication.ts";
import { lazyAcksMax, Times } from "../limits.ts";
import type { LogTarget, SegmentHead, SegmentRecord, ShardStorage } from "../storage-port.ts";
import type { LogSession, QueuedMessage } from "./segment.ts";
import { mentions, Segment, stateBytes, targetBytesOf, targetsOf } from "./segment.ts";

interface UnwrittenMessage {
  readonly publication: Publication;
  readonly targets: LogTarget[];
  readonly sessions: LogSession[];
  targetsBytes: number;
}

export interface LogPage {
  readonly messages: QueuedMessage[];
  /** Where the next page begins. */
  readonly nextSeq: number;
}

/** Delivery states that a flush takes along from rows in which nothing else is awaited. */
const movedStatesMax = 64;

/** Rows stay below Cloudflare's 2 MB with room for the encoding. */
const segmentBytesMax = 1_200_000;

/**
 * The queue of all the sessions of a shard: an append-only log in rows that are written whole and overwritten when
 * nothing in them is awaited any more (a deleted row would cost as much as a written one).
 */
export class MessageLog {
  readonly #storage: ShardStorage;
  /** By `seq`, ascending. */
  readonly #segments = new Map<number, Segment>();
  readonly #freeSlots: number[] = [];
  /** Segments of which only delivery states are awaited. */
  readonly #stateOnly = new Set<Segment>();
  readonly #unwrittenStates = new Set<LogSession>();
  #slotCount = 0;
  #nextSeq = 1;
  /** By slot: segments of a commit that is on its way. */
  readonly #flushed = new Map<number, SegmentRecord>();
  #unwritten: UnwrittenMessage[] = [];
  #mustFlush = false;
  #lazyCount = 0;
  #lazySinceMs: number | undefined;

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  /** Sequence of the next segment. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Something in here holds back a packet, or has waited long enough. */
  get mustFlush(): boolean {
    return this.#mustFlush;
  }

  get segmentCount(): number {
    return this.#segments.size;
  }

  append(publication: Publication, target: LogTarget, session: LogSession): void {
    let last = this.#unwritten[this.#unwritten.length - 1];
    if (last?.publication !== publication || last.targetsBytes > segmentBytesMax / 2) {
      last = { publication, targets: [], sessions: [], targetsBytes: 0 };
      this.#unwritten.push(last);
    }
    last.targets.push(target);
    last.targetsBytes += targetBytesOf(target);
    last.sessions.push(session);
    this.#mustFlush = true;
  }

  /** The session's delivery state is newer than what is stored, and a packet waits for it to be written. */
  noteChanged(session: LogSession): void {
    this.#unwrittenStates.add(session);
    this.#mustFlush = true;
  }

  /** The session's delivery state is newer than what is stored; it is written with the next flush. */
  noteAcknowledged(session: LogSession, nowMs: number): void {
    this.#unwrittenStates.add(session);
    this.#lazyCount += 1;
    this.#lazySinceMs ??= nowMs;
    if (this.#lazyCount >= lazyAcksMax) this.#mustFlush = true;
  }

  /** What was flushed is in storage now, where it is read from. */
  noteCommitted(): void {
    this.#flushed.clear();
  }

  /** The session's own row now holds its delivery state. */
  noteStoredInRow(session: LogSession): void {
    this.#unwrittenStates.delete(session);
    this.#dropState(session);
  }

  /**
   * The session's delivery state comes from an attachment and may be newer than what is stored: what it has freed
   * may only be overwritten together with it.
   */
  noteRestored(session: LogSession): void {
    this.#unwrittenStates.add(session);
    // How long it has waited is not known: long enough.
    this.#lazySinceMs = -Infinity;
  }

  /** What could wait has waited long enough after some time. */
  noteTime(nowMs: number): void {
    if (this.#lazySinceMs !== undefined && nowMs - this.#lazySinceMs >= Times.lazyStateMs)
      this.#mustFlush = true;
  }

  /** The last chance to write what could wait. */
  noteDraining(): void {
    if (this.#unwrittenStates.size > 0) this.#mustFlush = true;
  }

  /** A (message, session) pair is delivered, dropped or its session gone. */
  release(segment: Segment): void {
    segment.liveCount -= 1;
    assert(segment.liveCount >= 0, "a segment holds no less than nothing");
    if (segment.liveCount > 0) {
      if (segment.liveCount === segment.holders.size) this.#stateOnly.add(segment);
      return;
    }
    this.#stateOnly.delete(segment);
    this.#segments.delete(segment.seq);
    this.#freeSlots.push(segment.slot);
  }

  /** Messages for the session that no flush has written. */
  unwrittenFor(session: LogSession): QueuedMessage[] {
    const found: QueuedMessage[] = [];
    for (const { publication, sessions, targets } of this.#unwritten) {
      for (const [index, target] of targets.entries()) {
        if (sessions[index] === session) found.push({ publication, target });
      }
    }
    return found;
  }

  /** The session is gone: its waiting messages, from segment `fromSeq` on, need no keeping. */
  forget(session: LogSession, fromSeq: number, throughOrdinal: number): void {
    this.noteStoredInRow(session);
    for (const message of this.#unwritten) {
      for (let index = message.sessions.length - 1; index >= 0; index -= 1) {
        if (message.sessions[index] !== session) continue;
        message.sessions.splice(index, 1);
        message.targets.splice(index, 1);
      }
    }
    this.#unwritten = this.#unwritten.filter((message) => message.targets.length > 0);
    for (const segment of this.#segments.values()) {
      if (segment.seq < fromSeq) continue;
      let last = 0;
      for (const { ordinal } of targetsOf(this.#head(segment), session)) {
        last = ordinal;
        if (session.isPending(ordinal)) this.release(segment);
      }
      // Ordinals ascend with the log.
      if (last >= throughOrdinal) return;
    }
  }

  /** Takes in a newer delivery state of the session: what it says is done needs no keeping. */
  reconcile(session: LogSession, restoreState: () => void): void {
    const pending: { segment: Segment; target: LogTarget; sizeBytes: number }[] = [];
    for (const segment of this.#segments.values()) {
      for (const { targets, sizeBytes } of this.#head(segment).messages) {
        for (const target of targets) {
          const isOurs = target.sessionNumber === session.sessionNumber && session.isPending(target.ordinal);
          if (isOurs) pending.push({ segment, target, sizeBytes });
        }
      }
    }
    restoreState();
    for (const { segment, target, sizeBytes } of pending) {
      if (session.isPending(target.ordinal)) session.onFound(target, segment, sizeBytes);
      else this.release(segment);
    }
  }

  /**
   * Messages for the session with ordinals above `after`, in order: at least one if any is in the log, and no more
   * than the limits say. `fromSeq` is a segment not after the first of them; none has an ordinal above `through`.
   */
  read(
    session: LogSession,
    { after, through }: { after: number; through: number },
    fromSeq: number,
    limits: { count: number; bytes: number },
  ): LogPage {
    const messages: QueuedMessage[] = [];
    let sizeBytes = 0;
    for (const segment of this.#segments.values()) {
      if (segment.seq < fromSeq) continue;
      if (messages.length >= limits.count || sizeBytes >= limits.bytes)
        return { messages, nextSeq: segment.seq };
      const head = this.#head(segment);
      if (!mentions(head, session)) continue;
      const { publications } = this.#record(segment);
      let last = 0;
      for (const [index, { targets }] of head.messages.entries()) {
        for (const target of targets) {
          if (target.sessionNumber !== session.sessionNumber) continue;
          last = target.ordinal;
          if (target.ordinal <= after || !session.isPending(target.ordinal)) continue;
          if (messages.length >= limits.count || sizeBytes >= limits.bytes) {
            return { messages, nextSeq: segment.seq };
          }
          const publication = publications[index];
          assert(publication !== undefined, "a segment holds a message for each of its targets");
          messages.push({ publication, target, segment });
          sizeBytes += sizeOf(publication);
        }
      }
      // Ordinals ascend with the log.
      if (last >= through) break;
    }
    return { messages, nextSeq: this.#nextSeq };
  }

  /** Turns all that is unwritten into segments and tells the sessions where their messages are. */
  flush(): SegmentRecord[] {
    const records: SegmentRecord[] = [];
    let messages: UnwrittenMessage[] = [];
    let states: LogSession[] = [];
    let sizeBytes = 0;
    /** Makes room for one more item, in a row of its own if need be. */
    const reserve = (itemBytes: number): void => {
      if (sizeBytes > 0 && sizeBytes + itemBytes > segmentBytesMax) {
        records.push(this.#write(messages, states));
        messages = [];
        states = [];
        sizeBytes = 0;
      }
      sizeBytes += itemBytes;
    };
    if (this.#unwritten.length + this.#unwrittenStates.size > 0) this.#moveStates();
    for (const message of this.#unwritten) {
      reserve(sizeOf(message.publication) + message.targetsBytes);
      messages.push(message);
    }
    for (const session of this.#unwrittenStates) {
      reserve(stateBytes(session.deliveryState()));
      states.push(session);
    }
    if (sizeBytes > 0) records.push(this.#write(messages, states));
    this.#unwritten = [];
    this.#unwrittenStates.clear();
    this.#mustFlush = false;
    this.#lazyCount = 0;
    this.#lazySinceMs = undefined;
    return records;
  }

  /**
   * Rebuilds the list of segments. `sessionOf` must know every session that still is, each with its newest delivery
   * state, which lies in the segment that `stateSeqs` names; what is for nobody is dead.
   */
  restore(
    heads: readonly SegmentHead[],
    stateSeqs: ReadonlyMap<LogSession, number>,
    sessionOf: (sessionNumber: number) => LogSession | undefined,
  ): void {
    for (const head of heads) {
      const segment = new Segment(head.slot, head.seq);
      this.#segments.set(segment.seq, segment);
      this.#slotCount = Math.max(this.#slotCount, head.slot);
      this.#nextSeq = Math.max(this.#nextSeq, head.seq + 1);
      for (const { targets, sizeBytes } of head.messages) {
        for (const target of targets) {
          const session = sessionOf(target.sessionNumber);
          if (session?.isPending(target.ordinal) !== true) continue;
          segment.liveCount += 1;
          session.onFound(target, segment, sizeBytes);
        }
      }
    }
    for (const [session, seq] of stateSeqs) this.#holdState(session, this.#segments.get(seq));
    for (const segment of this.#segments.values()) {
      if (segment.liveCount > 0 && segment.liveCount === segment.holders.size) this.#stateOnly.add(segment);
      if (segment.liveCount > 0) continue;
      this.#segments.delete(segment.seq);
      this.#freeSlots.push(segment.slot);
    }
  }

  #write(messages: UnwrittenMessage[], states: LogSession[]): SegmentRecord {
    const segment = new Segment(this.#freeSlots.pop() ?? (this.#slotCount += 1), this.#nextSeq);
    this.#nextSeq += 1;
    this.#segments.set(segment.seq, segment);
    for (const message of messages) {
      segment.liveCount += message.targets.length;
      for (const [index, session] of message.sessions.entries()) {
        session.onLogged((message.targets[index] as LogTarget).ordinal, segment);
      }
    }
    const deliveryStates = states.map((session) => [session.sessionNumber, session.deliveryState()] as const);
    for (const session of states) {
      this.#dropState(session);
      this.#holdState(session, segment);
    }
    if (messages.length === 0 && states.length <= movedStatesMax / 2) this.#stateOnly.add(segment);
    const record: SegmentRecord = {
      slot: segment.slot,
      seq: segment.seq,
      messages: messages.map(({ publication, targets }) => ({ sizeBytes: sizeOf(publication), targets })),
      publications: messages.map(({ publication }) => publication),
      deliveryStates,
    };
    this.#flushed.set(segment.slot, record);
    return record;
  }

  #holdState(session: LogSession, segment: Segment | undefined): void {
    assert(segment !== undefined, "a delivery state lies in a segment");
    session.deliveryStateSegment = segment;
    segment.holders.add(session);
    segment.liveCount += 1;
  }

  /** States are small: packed into the row that is written anyway, they free those that they lie in alone. */
  #moveStates(): void {
    let count = 0;
    for (const segment of this.#stateOnly) {
      if (count + segment.holders.size > movedStatesMax) return;
      for (const session of segment.holders) this.#unwrittenStates.add(session);
      count += segment.holders.size;
    }
  }

  #dropState(session: LogSession): void {
    const segment = session.deliveryStateSegment;
    if (segment === undefined) return;
    session.deliveryStateSegment = undefined;
    segment.holders.delete(session);
    this.release(segment);
  }

  #head(segment: Segment): SegmentHead {
    const head = this.#flushed.get(segment.slot) ?? this.#storage.readSegmentHead(segment.slot);
    assert(head !== undefined, "a live segment has a row");
    return head;
  }

  #record(segment: Segment): SegmentRecord {
    const record = this.#flushed.get(segment.slot) ?? this.#storage.readSegment(segment.slot);
    assert(record !== undefined, "a live segment has a row");
    return record;
  }
}
