import type { StrikeLimits } from "./abuse-limits.ts";
import { RecentMap } from "./recent-map.ts";

/** Names that are remembered; to push one out takes as many others. */
export const strikersMax = 10_000;

interface Record {
  /** When the window began. */
  readonly sinceMs: number;
  readonly count: number;
  readonly bannedUntilMs: number;
}

/** Who does something too often within a time is banned for another. In memory only. */
export class Strikes {
  readonly #limits: StrikeLimits;
  readonly #records = new RecentMap<Record>(strikersMax);

  constructor(limits: StrikeLimits) {
    this.#limits = limits;
  }

  isBanned(name: string, nowMs: number): boolean {
    return (this.#records.get(name)?.bannedUntilMs ?? 0) > nowMs;
  }

  /** It was done once more. Returns whether that was once too often. */
  strike(name: string, nowMs: number): boolean {
    const { max, windowSec, banSec } = this.#limits;
    if (max === 0) return false;
    const known = this.#records.get(name);
    // What was under way at the ban does not lift it.
    if (known !== undefined && nowMs < known.bannedUntilMs) return true;
    const isOver = known === undefined || nowMs < known.sinceMs || nowMs >= known.sinceMs + windowSec * 1000;
    const { sinceMs, count } = isOver ? { sinceMs: nowMs, count: 0 } : known;
    const isTooOften = count >= max;
    this.#records.set(name, {
      sinceMs,
      // After the ban it begins anew.
      count: isTooOften ? 0 : count + 1,
      bannedUntilMs: isTooOften ? nowMs + banSec * 1000 : 0,
    });
    return isTooOften;
  }
}
