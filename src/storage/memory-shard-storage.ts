import type { Policy } from "../core/access/policy.ts";
import type {
  RetainedBlockRecord,
  RetainedHead,
  RouteRecord,
  SegmentHead,
  SegmentRecord,
  SessionRecord,
  ShardRecord,
  ShardStorage,
  StoredPublication,
  WriteSet,
} from "../core/storage-port.ts";

/** A shard's storage in memory: what a test or a simulation crashes, and a model for the other ones. */
export class MemoryShardStorage implements ShardStorage {
  #shard: ShardRecord | undefined;
  readonly #sessions = new Map<string, SessionRecord>();
  readonly #retainedBlocks = new Map<number, RetainedBlockRecord>();
  readonly #segments = new Map<number, SegmentRecord>();
  readonly #routes = new Map<string, RouteRecord>();
  #policy: Policy | undefined;
  rowsRead = 0;
  rowsWritten = 0;
  readonly storedBytes: number = 0;

  readShard(): ShardRecord | undefined {
    return this.#shard;
  }

  readPolicy(): Policy | undefined {
    if (this.#policy !== undefined) this.rowsRead += 1;
    return this.#policy;
  }

  *readSessions(): Iterable<SessionRecord> {
    for (const record of this.#sessions.values()) {
      this.rowsRead += 1;
      yield record;
    }
  }

  *readRetainedHeads(): Iterable<RetainedHead> {
    for (const block of this.#retainedBlocks.values()) {
      this.rowsRead += 1;
      yield block;
    }
  }

  readRetainedPublications(slot: number): readonly StoredPublication[] | undefined {
    this.rowsRead += 1;
    return this.#retainedBlocks.get(slot)?.publications;
  }

  *readSegmentHeads(): Iterable<SegmentHead> {
    for (const segment of [...this.#segments.values()].toSorted((left, right) => left.seq - right.seq)) {
      this.rowsRead += 1;
      yield segment;
    }
  }

  readSegmentHead(slot: number): SegmentHead | undefined {
    return this.readSegment(slot);
  }

  readSegment(slot: number): SegmentRecord | undefined {
    this.rowsRead += 1;
    return this.#segments.get(slot);
  }

  *readRoutes(): Iterable<RouteRecord> {
    for (const route of this.#routes.values()) {
      this.rowsRead += 1;
      yield route;
    }
  }

  commit(writes: WriteSet): void {
    // Everything that can fail happens before anything is changed.
    const shard = writes.shard;
    const sessions = [...writes.sessions];
    const retainedBlocks = [...writes.retainedBlocks];
    const segments = writes.segments.map((segment) => [segment.slot, segment] as const);
    if (shard !== undefined) {
      this.#shard = shard;
      this.rowsWritten += 1;
    }
    for (const [clientId, record] of sessions) this.#write(this.#sessions, clientId, record);
    for (const [slot, block] of retainedBlocks) this.#write(this.#retainedBlocks, slot, block);
    for (const [slot, segment] of segments) this.#write(this.#segments, slot, segment);
    for (const slot of writes.deadSlots) this.#write(this.#segments, slot, undefined);
    for (const { version, ...place } of writes.routes) {
      this.#write(this.#routes, `${place.shard} ${place.filter}`, version && { ...place, version });
    }
    if (writes.policy === undefined) return;
    this.#policy = writes.policy;
    this.rowsWritten += 1;
  }

  #write<Key, Value>(table: Map<Key, Value>, key: Key, value: Value | undefined): void {
    if (value !== undefined) table.set(key, value);
    else if (!table.delete(key)) return;
    this.rowsWritten += 1;
  }
}
