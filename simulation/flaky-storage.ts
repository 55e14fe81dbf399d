import type { ShardStorage, WriteSet } from "../src/core/storage-port.ts";

/** An exception that was planned. */
export class PlannedFailure extends Error {}

/** Storage of which a read fails when it is to. */
export class FlakyStorage implements ShardStorage {
  readonly #storage: ShardStorage;
  failsNext = false;

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  get rowsRead(): number {
    return this.#storage.rowsRead;
  }

  get rowsWritten(): number {
    return this.#storage.rowsWritten;
  }

  get storedBytes(): number {
    return this.#storage.storedBytes;
  }

  readShard() {
    return this.#readable.readShard();
  }

  readSessions() {
    return this.#readable.readSessions();
  }

  readRetainedHeads() {
    return this.#readable.readRetainedHeads();
  }

  readRetainedPublications(slot: number) {
    return this.#readable.readRetainedPublications(slot);
  }

  readSegmentHeads() {
    return this.#readable.readSegmentHeads();
  }

  readSegmentHead(slot: number) {
    return this.#readable.readSegmentHead(slot);
  }

  readSegment(slot: number) {
    return this.#readable.readSegment(slot);
  }

  readRoutes() {
    return this.#readable.readRoutes();
  }

  commit(writes: WriteSet): void {
    this.#storage.commit(writes);
  }

  get #readable(): ShardStorage {
    if (!this.failsNext) return this.#storage;
    this.failsNext = false;
    throw new PlannedFailure("a read fails");
  }
}
