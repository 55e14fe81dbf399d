import { callsPerSecMax, lullSec } from "../scaling/links.ts";

const lullMs = lullSec * 1000;

/** The sessions that a shard holds with others, by the rules of `src/shard/peer-links.ts` and a simulated clock. */
export class HeldSessions {
  readonly peers = new Set<number>();
  #count = 0;
  #sinceMs = 0;
  #busyUntilMs = 0;
  #lookAtMs = Infinity;

  /** Requests that are billed for a call: none inside a session, and one to open it. */
  call(to: number, nowMs: number): number {
    this.#noteCall(nowMs);
    if (nowMs >= this.#busyUntilMs) return 1;
    if (this.#lookAtMs === Infinity) this.#lookAtMs = nowMs + lullMs;
    if (this.peers.has(to)) return 0;
    this.peers.add(to);
    return 1;
  }

  /** Ends the sessions when the calls have become fewer. */
  look(nowMs: number): void {
    if (this.#lookAtMs > nowMs) return;
    this.#lookAtMs = this.#busyUntilMs > nowMs ? this.#busyUntilMs : Infinity;
    if (this.#lookAtMs === Infinity) this.peers.clear();
  }

  #noteCall(nowMs: number): void {
    if (nowMs - this.#sinceMs >= 1000) {
      this.#count = 0;
      this.#sinceMs = nowMs;
    }
    this.#count += 1;
    if (this.#count > callsPerSecMax) this.#busyUntilMs = nowMs + lullMs;
  }
}
