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

  readShard() {
    return this.#readable.readShard();
  }

  readSessions() {
    return this.#readable.readSessions();
  }

  readRetainedNames() {
    return this.#readable.readRetainedNames();
  }

  readRetained(topicName: string) {
    return this.#readable.readRetained(topicName);
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

  readPolicy() {
    return this.#readable.readPolicy();
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
