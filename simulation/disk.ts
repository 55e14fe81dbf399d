import type { ShardStorage, WriteSet } from "../src/core/storage-port.ts";
import { MemoryShardStorage } from "../src/storage/memory-shard-storage.ts";

interface Batch {
  readonly number: number;
  readonly writes: WriteSet[];
  /** Set when the alarm changed: when it is due now, if at all. */
  alarm?: { readonly dueAtMs: number | undefined };
}

/**
 * The storage of a shard as the platform keeps it: what is written can be read at once, but is safe only later; all that
 * one event writes becomes safe together; a crash goes back to what is safe.
 */
export class Disk {
  /** As the living object sees it. */
  storage: ShardStorage = new MemoryShardStorage();
  alarmAtMs: number | undefined;
  /** All that is safe, in its order. */
  readonly #safe: WriteSet[] = [];
  #safeAlarmAtMs: number | undefined;
  #batches: Batch[] = [];
  #open: Batch | undefined;
  #lastNumber = 0;

  /** The last batch that a message must wait for; 0 when everything is safe. */
  get pendingNumber(): number {
    return this.#open?.number ?? this.#batches.at(-1)?.number ?? 0;
  }

  get isSafe(): boolean {
    return this.pendingNumber === 0;
  }

  write(writes: WriteSet): void {
    // A copy: what the core does to its own records later is not written.
    const copy = copyOf(writes);
    this.storage.commit(copy);
    this.#batch().writes.push(copy);
  }

  setAlarm(dueAtMs: number | undefined, isConfirmed: boolean): void {
    this.alarmAtMs = dueAtMs;
    if (isConfirmed || this.#open !== undefined) this.#batch().alarm = { dueAtMs };
    // Nothing waits for it. That it may be forgotten does no harm: it is as if it became safe just before the crash.
    else this.#safeAlarmAtMs = dueAtMs;
  }

  /** The event is over. Returns the number of the batch that it wrote, if any. */
  seal(): number | undefined {
    const batch = this.#open;
    if (batch === undefined) return undefined;
    this.#open = undefined;
    this.#batches.push(batch);
    return batch.number;
  }

  /** Batches up to that number are safe now. */
  secure(number: number): void {
    for (
      let [first] = this.#batches;
      first !== undefined && first.number <= number;
      [first] = this.#batches
    ) {
      this.#batches.shift();
      this.#safe.push(...first.writes);
      if (first.alarm !== undefined) this.#safeAlarmAtMs = first.alarm.dueAtMs;
    }
  }

  crash(): void {
    this.#batches = [];
    this.#open = undefined;
    this.storage = new MemoryShardStorage();
    for (const writes of this.#safe) this.storage.commit(copyOf(writes));
    this.alarmAtMs = this.#safeAlarmAtMs;
  }

  #batch(): Batch {
    if (this.#open === undefined) {
      this.#lastNumber += 1;
      this.#open = { number: this.#lastNumber, writes: [] };
    }
    return this.#open;
  }
}

/** As deep as what the core could change. */
function copyOf<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [key, copyOf(one)])) as Value;
  if (Array.isArray(value)) return value.map(copyOf) as Value;
  const copy = { ...value };
  for (const name in copy) if (typeof copy[name] === "object") copy[name] = copyOf(copy[name]);
  return copy;
}
