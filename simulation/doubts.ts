import type { LinkRecord } from "./link.ts";

/** What happened to the connections of a shard lately: a crash undoes what is not safe. */
export class Doubts {
  /** What was handled before that time is safe. */
  #safeThroughMs = -Infinity;
  #recent: LinkRecord[] = [];

  note(record: LinkRecord): void {
    this.#recent = this.#recent.filter((other) => this.#isDoubtful(other));
    this.#recent.push(record);
  }

  noteSafe(throughMs: number): void {
    this.#safeThroughMs = throughMs;
  }

  /** A crash: nobody can tell from outside which of it holds. */
  raise(): void {
    for (const record of this.#recent) if (this.#isDoubtful(record)) record.isUncertain = true;
  }

  #isDoubtful({ attachedAtMs = 0, endedAtMs = 0 }: LinkRecord): boolean {
    return Math.max(attachedAtMs, endedAtMs) >= this.#safeThroughMs;
  }
}
