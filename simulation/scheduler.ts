import { Violation } from "./history.ts";

interface Entry {
  readonly atMs: number;
  readonly sequence: number;
  readonly work: () => void;
}

/** Far more than any run takes: the shards keep each other busy for ever. */
const eventsMax = 100_000;

/** What is to happen, in order of time, and at the same time in the order in which it was scheduled. */
export class Scheduler {
  nowMs: number;
  #sequence = 0;
  #eventCount = 0;
  /** A binary heap. */
  readonly #entries: Entry[] = [];

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  at(atMs: number, work: () => void): void {
    this.#sequence += 1;
    const entry = { atMs: Math.max(atMs, this.nowMs), sequence: this.#sequence, work };
    const entries = this.#entries;
    let index = entries.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, entries[parent] as Entry)) break;
      entries[index] = entries[parent] as Entry;
      index = parent;
    }
    entries[index] = entry;
  }

  after(delayMs: number, work: () => void): void {
    this.at(this.nowMs + delayMs, work);
  }

  /** Lets everything happen up to that time. */
  runUntil(untilMs: number): void {
    for (let [first] = this.#entries; first !== undefined && first.atMs <= untilMs; [first] = this.#entries) {
      this.#removeFirst();
      this.nowMs = first.atMs;
      this.#eventCount += 1;
      if (this.#eventCount > eventsMax) throw new Violation("quiet", "there is no end of events");
      first.work();
    }
    this.nowMs = untilMs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  #removeFirst(): void {
    const entries = this.#entries;
    const last = entries.pop() as Entry;
    if (entries.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= entries.length) break;
      const right = entries[child + 1];
      if (right !== undefined && isBefore(right, entries[child] as Entry)) child += 1;
      if (!isBefore(entries[child] as Entry, last)) break;
      entries[index] = entries[child] as Entry;
      index = child;
    }
    entries[index] = last;
  }
}

function isBefore(left: Entry, right: Entry): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.sequence < right.sequence);
}
