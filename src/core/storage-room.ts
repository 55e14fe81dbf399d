import type { ShardStorage } from "./storage-port.ts";

/** After a write has failed for lack of room, new work is refused this long, and then tried again. */
const refusalMs = 60_000;

/**
 * Whether there is room for more in the shard's storage. Without it, new work is refused (0x97), while what is stored is
 * read, delivered and removed as ever.
 */
export class StorageRoom {
  readonly #storage: Pick<ShardStorage, "storedBytes">;
  readonly #storedBytesMax: number;
  #refusesUntilMs = -Infinity;

  constructor(storage: Pick<ShardStorage, "storedBytes">, storedBytesMax: number) {
    this.#storage = storage;
    this.#storedBytesMax = storedBytesMax;
  }

  isFull(nowMs: number): boolean {
    return nowMs < this.#refusesUntilMs || this.#storage.storedBytes >= this.#storedBytesMax;
  }

  /** A write has failed for lack of room. */
  noteFull(nowMs: number): void {
    this.#refusesUntilMs = nowMs + refusalMs;
  }
}
