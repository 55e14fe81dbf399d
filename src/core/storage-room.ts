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
  #lookedAtMs = NaN;
  #isLarge = false;

  constructor(storage: Pick<ShardStorage, "storedBytes">, storedBytesMax: number) {
    this.#storage = storage;
    this.#storedBytesMax = storedBytesMax;
  }

  isFull(nowMs: number): boolean {
    if (this.#lookedAtMs !== nowMs) {
      // To ask for the size takes the database a query.
      this.#lookedAtMs = nowMs;
      this.#isLarge = this.#storage.storedBytes >= this.#storedBytesMax;
    }
    return this.#isLarge || nowMs < this.#refusesUntilMs;
  }

  /** A write has failed for lack of room. */
  noteFull(nowMs: number): void {
    this.#refusesUntilMs = nowMs + refusalMs;
  }
}
