import { assert } from "../assert.ts";
import type { SegmentHead, SegmentRecord, ShardStorage } from "../storage-port.ts";
import type { LogSession } from "./segment.ts";
import { Segment, storedBytesOf } from "./segment.ts";

/** Dead rows may take this much more than live ones before some are deleted. */
const deadBytesMax = 1024 * 1024;
/** Dead rows deleted at a time; each costs as much as a written one. */
const deletionsMax = 16;

/** Heads of rows that are kept at hand. */
const headsMax = 8;

interface FreeSlot {
  readonly slot: number;
  /** What the dead row takes until it is overwritten. */
  readonly storedBytes: number;
}

/** The segments of the log in their order, the rows they lie in, and the rows that may be overwritten. */
export class Segments {
  readonly #storage: ShardStorage;
  #oldest: Segment | undefined;
  #newest: Segment | undefined;
  #count = 0;
  readonly #freeSlots: FreeSlot[] = [];
  #freeBytes = 0;
  #storedBytes = 0;
  #slotCount = 0;
  #nextSeq = 1;
  /** Segments of which only delivery states are awaited. */
  readonly stateOnly = new Set<Segment>();
  /** Segments more dead than alive, and what their rows take. */
  readonly sparse = new Set<Segment>();
  #sparseBytes = 0;
  /** By slot: those read last. */
  readonly #heads = new Map<number, SegmentHead>();
  /** By slot: segments of a commit that is on its way. */
  readonly #flushed = new Map<number, SegmentRecord>();

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  get count(): number {
    return this.#count;
  }

  /** Sequence of the next segment. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** About what all live rows take. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  /** About what the rows of {@link sparse} take. */
  get sparseBytes(): number {
    return this.#sparseBytes;
  }

  /** From the first that is not older than `seq`, in order. */
  *from(seq: number): Iterable<Segment> {
    for (let segment = this.#oldest; segment !== undefined; segment = segment.newer) {
      if (segment.seq >= seq) yield segment;
    }
  }

  add(): Segment {
    const free = this.#freeSlots.pop();
    this.#freeBytes -= free?.storedBytes ?? 0;
    const segment = new Segment(free?.slot ?? (this.#slotCount += 1), this.#nextSeq);
    this.#append(segment);
    return segment;
  }

  /** The segment is as the head of its row says. */
  restore(head: SegmentHead): Segment {
    const segment = new Segment(head.slot, head.seq, head.fromSeq);
    this.#slotCount = Math.max(this.#slotCount, head.slot);
    this.#append(segment);
    this.#grow(segment, storedBytesOf(head));
    return segment;
  }

  /** A row that is dead already. */
  restoreFree(head: SegmentHead): void {
    this.#slotCount = Math.max(this.#slotCount, head.slot);
    this.#nextSeq = Math.max(this.#nextSeq, head.seq + 1);
    this.#free({ slot: head.slot, storedBytes: storedBytesOf(head) });
  }

  /** The segment's row is about to be written. */
  write(segment: Segment, content: Omit<SegmentRecord, "slot" | "seq" | "fromSeq">): SegmentRecord {
    const { slot, seq, fromSeq } = segment;
    const record = { slot, seq, ...(fromSeq < seq && { fromSeq }), ...content };
    this.#flushed.set(slot, record);
    this.#heads.delete(slot);
    this.#grow(segment, storedBytesOf(record));
    return record;
  }

  /** What was flushed is in storage now, where it is read from. */
  noteCommitted(): void {
    this.#flushed.clear();
  }

  head(segment: Segment): SegmentHead {
    const head = this.#flushed.get(segment.slot) ?? this.#heads.get(segment.slot) ?? this.#readHead(segment);
    assert(head !== undefined, "a live segment has a row");
    return head;
  }

  record(segment: Segment): SegmentRecord {
    const record = this.#flushed.get(segment.slot) ?? this.#storage.readSegment(segment.slot);
    assert(record !== undefined, "a live segment has a row");
    return record;
  }

  /** One (message, session) pair or delivery state less. */
  release(from: Segment, sizeBytes: number): void {
    let segment = from;
    while (segment.mergedInto !== undefined) segment = segment.mergedInto;
    segment.liveCount -= 1;
    segment.liveBytes -= sizeBytes;
    assert(segment.liveCount >= 0, "a segment holds no less than nothing");
    if (segment.liveCount === 0) this.end(segment);
    else this.review(segment);
  }

  /** Looks whether the segment, after some change, is worth taking along or packing. */
  review(segment: Segment): void {
    if (segment.holdsOnlyStates) this.stateOnly.add(segment);
    const isKnown = this.sparse.has(segment);
    if (segment.isSparse === isKnown) return;
    if (isKnown) this.sparse.delete(segment);
    else this.sparse.add(segment);
    this.#sparseBytes += isKnown ? -segment.storedBytes : segment.storedBytes;
  }

  /** The newest one takes in what is alive in the others, which are neighbours, older ones first. */
  merge(group: readonly Segment[]): Segment {
    const newest = group.at(-1);
    assert(newest !== undefined, "there is something to merge");
    newest.fromSeq = Math.min(...group.map(({ fromSeq }) => fromSeq));
    this.#forget(newest);
    newest.writtenBytes = newest.liveBytes;
    for (const other of group) {
      if (other === newest) continue;
      newest.liveCount += other.liveCount;
      newest.liveBytes += other.liveBytes;
      newest.writtenBytes += other.liveBytes;
      for (const session of other.holders) this.#moveState(session, newest);
      other.mergedInto = newest;
      this.end(other);
    }
    return newest;
  }

  /** Rows to delete: after a large backlog has gone, dead ones would take more than everything else. */
  takeDeadSlots(): number[] {
    const slots: number[] = [];
    while (this.#freeBytes > this.#storedBytes + deadBytesMax && slots.length < deletionsMax) {
      const free = this.#freeSlots.pop();
      if (free === undefined) break;
      this.#freeBytes -= free.storedBytes;
      slots.push(free.slot);
    }
    return slots;
  }

  /** Many sessions ask for the same ones. */
  #readHead({ slot }: Segment): SegmentHead | undefined {
    const head = this.#storage.readSegmentHead(slot);
    const [oldest] = this.#heads.keys();
    if (this.#heads.size >= headsMax && oldest !== undefined) this.#heads.delete(oldest);
    if (head !== undefined) this.#heads.set(slot, head);
    return head;
  }

  #append(segment: Segment): void {
    this.#nextSeq = Math.max(this.#nextSeq, segment.seq + 1);
    segment.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = segment;
    else this.#newest.newer = segment;
    this.#newest = segment;
    this.#count += 1;
  }

  #moveState(session: LogSession, to: Segment): void {
    session.deliveryStateSegment = to;
    to.holders.add(session);
  }

  #grow(segment: Segment, storedBytes: number): void {
    segment.storedBytes = storedBytes;
    this.#storedBytes += storedBytes;
  }

  /** Nothing in it is awaited: its row may be overwritten. */
  end(segment: Segment): void {
    const { older, newer, slot, storedBytes } = segment;
    this.#forget(segment);
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    this.#count -= 1;
    this.#free({ slot, storedBytes });
  }

  /** It is in its place in the log only. */
  #forget(segment: Segment): void {
    this.stateOnly.delete(segment);
    if (this.sparse.delete(segment)) this.#sparseBytes -= segment.storedBytes;
    this.#storedBytes -= segment.storedBytes;
  }

  #free(free: FreeSlot): void {
    this.#freeSlots.push(free);
    this.#freeBytes += free.storedBytes;
  }
}
