import { assert } from "../assert.ts";
import type { Publication } from "../publication.ts";
import { byItself, sizeOf } from "../publication.ts";
import type { Limits } from "../limits.ts";
import { lazyAcksMax, Times } from "../limits.ts";
import type { LogTarget, SegmentHead, SegmentRecord, ShardStorage } from "../storage-port.ts";
import { compact } from "./compaction.ts";
import type { LocatedMessage, LogPage, LogSession, QueuedMessage, Segment } from "./segment.ts";
import {
  heldStateBytes,
  mentions,
  messagesOf,
  segmentBytesMax,
  stateBytes,
  targetBytesOf,
} from "./segment.ts";
import type { SegmentHeads } from "./segment-heads.ts";
import { Segments } from "./segments.ts";

interface UnwrittenMessage {
  readonly publication: Publication;
  readonly sizeBytes: number;
  readonly targets: LogTarget[];
  readonly sessions: LogSession[];
  targetsBytes: number;
}

/** What a flush writes: rows, and slots whose dead rows are deleted. */
export interface LogWrites {
  readonly segments: SegmentRecord[];
  readonly deadSlots: number[];
}

/** Delivery states that a flush takes along from rows in which nothing else is awaited. */
const movedStatesMax = 64;

/** Rows that are read for one page, once it has something. */
const readBytesMax = 4 * 1024 * 1024;

/**
 * The queue of all the sessions of a shard: an append-only log in rows that are written whole and overwritten when
 * nothing in them is awaited any more (a deleted row would cost as much as a written one).
 */
export class MessageLog {
  readonly #segments: Segments;
  readonly #sparseBytesMax: number;
  readonly #unwrittenStates = new Set<LogSession>();
  #unwritten: UnwrittenMessage[] = [];
  #unwrittenBytes = 0;
  #awaitedCount = 0;
  #mustFlush = false;
  #lazyCount = 0;
  #lazySinceMs: number | undefined;
  #sessionOf: (sessionNumber: number) => LogSession | undefined = () => undefined;

  constructor(storage: ShardStorage, { logSparseBytesMax }: Pick<Limits, "logSparseBytesMax">) {
    this.#segments = new Segments(storage);
    this.#sparseBytesMax = logSparseBytesMax;
  }

  /** Sequence of the next segment. */
  get nextSeq(): number {
    return this.#segments.nextSeq;
  }

  /** Something in here holds back a packet, or has waited long enough. */
  get mustFlush(): boolean {
    return this.#mustFlush;
  }

  get segmentCount(): number {
    return this.#segments.count;
  }

  /** Messages in the log that are not delivered, each once for every session that awaits it. */
  get awaitedCount(): number {
    return this.#awaitedCount;
  }

  /** About what the rows of the log take, with what the next flush writes. */
  get sizeBytes(): number {
    return this.#segments.storedBytes + this.#unwrittenBytes;
  }

  append(publication: Publication, target: LogTarget, session: LogSession): void {
    let last = this.#unwritten[this.#unwritten.length - 1];
    if (last?.publication !== publication || last.targetsBytes > segmentBytesMax / 2) {
      last = { publication, sizeBytes: sizeOf(publication), targets: [], sessions: [], targetsBytes: 0 };
      this.#unwritten.push(last);
      this.#unwrittenBytes += last.sizeBytes;
    }
    last.targets.push(target);
    last.targetsBytes += targetBytesOf(target);
    last.sessions.push(session);
    this.#awaitedCount += 1;
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
    this.#segments.noteCommitted();
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

  /** A (message, session) pair is delivered, dropped or its session gone; `sizeBytes`: of the message. */
  release(segment: Segment, sizeBytes: number): void {
    this.#segments.release(segment, sizeBytes);
    this.#awaitedCount -= 1;
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
    this.#prune((other) => other !== session);
    for (const segment of this.#segments.from(fromSeq)) {
      let last = 0;
      for (const { target, sizeBytes } of messagesOf(this.#segments.head(segment), session)) {
        last = target.ordinal;
        if (session.isPending(last)) this.release(segment, sizeBytes);
      }
      // Ordinals ascend with the log.
      if (last >= throughOrdinal) return;
    }
  }

  /** Takes in a newer delivery state: what it says is done needs no keeping. Nothing lies before segment `fromSeq`. */
  reconcile(session: LogSession, restoreState: () => void, fromSeq = 0): void {
    const pending: { segment: Segment; target: LogTarget; sizeBytes: number }[] = [];
    for (const segment of this.#segments.from(fromSeq)) {
      for (const found of messagesOf(this.#segments.head(segment), session)) {
        if (session.isPending(found.target.ordinal)) pending.push({ segment, ...found });
      }
    }
    restoreState();
    for (const { segment, target, sizeBytes } of pending) {
      if (session.isPending(target.ordinal)) session.onFound(target, segment, sizeBytes);
      else this.release(segment, sizeBytes);
    }
  }

  /** Where the first written messages of the session above that ordinal are, in order; no more than `countMax`. */
  locate(session: LogSession, after: number, fromSeq: number, countMax: number): LocatedMessage[] {
    const located: LocatedMessage[] = [];
    for (const segment of this.#segments.from(fromSeq)) {
      for (const { target, ...about } of messagesOf(this.#segments.head(segment), session)) {
        const { ordinal } = target;
        if (ordinal <= after || !session.isPending(ordinal)) continue;
        located.push({ ordinal, segment, ...about });
        if (located.length === countMax) return located;
      }
    }
    return located;
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
    let readBytes = 0;
    for (const segment of this.#segments.from(fromSeq)) {
      const isLong = messages.length > 0 && readBytes >= readBytesMax;
      if (isLong || messages.length >= limits.count || sizeBytes >= limits.bytes)
        return { messages, nextSeq: segment.seq };
      const head = this.#segments.head(segment);
      if (!mentions(head, session)) continue;
      const { publications } = this.#segments.record(segment);
      readBytes += segment.storedBytes;
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
          messages.push({ publication: byItself(publication), target, segment });
          sizeBytes += sizeOf(publication);
        }
      }
      // Ordinals ascend with the log.
      if (last >= through) break;
    }
    return { messages, nextSeq: this.nextSeq };
  }

  /** Turns all that is unwritten into segments and tells the sessions where their messages are. */
  flush(): LogWrites {
    const firstSeq = this.nextSeq;
    if (this.#unwritten.length + this.#unwrittenStates.size > 0) this.#moveStates();
    // Some may have been dropped before they were written.
    this.#prune((session, { ordinal }) => session.isPending(ordinal));
    const segments = this.#writeAll();
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
    this.#unwrittenStates.clear();
    this.#mustFlush = false;
    this.#lazyCount = 0;
    this.#lazySinceMs = undefined;
    // The row with the highest sequence stays: the next life of the object counts on from there.
    if (segments.length === 0) return { segments, deadSlots: [] };
    if (this.#segments.sparseBytes > this.#sparseBytesMax) {
      const packed = compact(this.#segments, firstSeq, this.#sessionOf);
      if (packed !== undefined) segments.push(packed);
    }
    return { segments, deadSlots: this.#segments.takeDeadSlots() };
  }

  /**
   * Rebuilds the list of segments. `sessionOf` must know every session that still is, now and later, each with its
   * newest delivery state, which lies in the segment that `stateSeqs` names; what is for nobody is dead.
   */
  restore(
    heads: SegmentHeads,
    stateSeqs: ReadonlyMap<LogSession, number>,
    sessionOf: (sessionNumber: number) => LogSession | undefined,
  ): void {
    this.#sessionOf = sessionOf;
    const { supersededSeqs } = heads;
    const bySeq = new Map<number, Segment>();
    for (const head of heads) {
      if (supersededSeqs.has(head.seq)) this.#segments.restoreFree(head);
      else bySeq.set(head.seq, this.#restoreSegment(head));
    }
    for (const [session, seq] of stateSeqs) this.#holdState(session, bySeq.get(seq));
    for (const segment of bySeq.values()) {
      if (segment.liveCount === 0) this.#segments.end(segment);
      else this.#segments.review(segment);
    }
  }

  #restoreSegment(head: SegmentHead): Segment {
    const segment = this.#segments.restore(head);
    for (const { targets, sizeBytes } of head.messages) {
      for (const target of targets) {
        segment.writtenBytes += sizeBytes;
        const session = this.#sessionOf(target.sessionNumber);
        if (session?.isPending(target.ordinal) !== true) continue;
        segment.liveCount += 1;
        segment.liveBytes += sizeBytes;
        this.#awaitedCount += 1;
        session.onFound(target, segment, sizeBytes);
      }
    }
    return segment;
  }

  /** As many rows as it takes. */
  #writeAll(): SegmentRecord[] {
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
    for (const message of this.#unwritten) {
      reserve(message.sizeBytes + message.targetsBytes);
      messages.push(message);
    }
    for (const session of this.#unwrittenStates) {
      reserve(stateBytes(session.deliveryState()));
      states.push(session);
    }
    if (sizeBytes > 0) records.push(this.#write(messages, states));
    return records;
  }

  #write(messages: UnwrittenMessage[], states: LogSession[]): SegmentRecord {
    const segment = this.#segments.add();
    for (const { sessions, sizeBytes, targets } of messages) {
      for (const [index, session] of sessions.entries()) {
        segment.hold(sizeBytes);
        session.onLogged((targets[index] as LogTarget).ordinal, segment, sizeBytes);
      }
    }
    const deliveryStates = states.map((session) => [session.sessionNumber, session.deliveryState()] as const);
    for (const session of states) {
      this.#dropState(session);
      this.#holdState(session, segment);
    }
    if (messages.length === 0 && states.length <= movedStatesMax / 2) this.#segments.stateOnly.add(segment);
    return this.#segments.write(segment, {
      messages: messages.map(({ publication: { expiresAtMs }, sizeBytes, targets }) => ({
        sizeBytes,
        targets,
        ...(expiresAtMs !== undefined && { expiresAtMs }),
      })),
      publications: messages.map(({ publication }) => publication),
      deliveryStates,
    });
  }

  /** Leaves out the targets that are not wanted, and messages without any. */
  #prune(isWanted: (session: LogSession, target: LogTarget) => boolean): void {
    for (const { sessions, targets } of this.#unwritten) {
      for (let index = sessions.length - 1; index >= 0; index -= 1) {
        if (isWanted(sessions[index] as LogSession, targets[index] as LogTarget)) continue;
        sessions.splice(index, 1);
        targets.splice(index, 1);
        this.#awaitedCount -= 1;
      }
    }
    this.#unwritten = this.#unwritten.filter(({ targets }) => targets.length > 0);
  }

  #holdState(session: LogSession, segment: Segment | undefined): void {
    assert(segment !== undefined, "a delivery state lies in a segment");
    session.deliveryStateSegment = segment;
    segment.holders.add(session);
    segment.hold(heldStateBytes);
  }

  /** States are small: packed into the row that is written anyway, they free those that they lie in alone. */
  #moveStates(): void {
    let count = 0;
    for (const { holders } of this.#segments.stateOnly) {
      if (count === movedStatesMax) return;
      if (count + holders.size > movedStatesMax) continue;
      for (const session of holders) this.#unwrittenStates.add(session);
      count += holders.size;
    }
  }

  #dropState(session: LogSession): void {
    const segment = session.deliveryStateSegment;
    if (segment === undefined) return;
    session.deliveryStateSegment = undefined;
    segment.holders.delete(session);
    this.#segments.release(segment, heldStateBytes);
  }
}
