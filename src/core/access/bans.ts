import type { Ban } from "./policy.ts";

/** Of somebody who connects, or is connected. */
export interface Presence {
  readonly clientId: string;
  readonly username?: string | undefined;
  /** The client's network address, as the platform tells it. */
  readonly address?: string | undefined;
}

/** Who may not connect, found without looking through all bans. */
export class Bans {
  /** Until when, in ms since 1970. */
  readonly #untilMs = new Map<string, number>();

  constructor(bans: readonly Ban[]) {
    for (const { by, value, untilMs = Infinity } of bans) {
      const key = keyOf(by, value);
      this.#untilMs.set(key, Math.max(untilMs, this.#untilMs.get(key) ?? 0));
    }
  }

  has({ clientId, username, address }: Presence, nowMs: number): boolean {
    if (this.#untilMs.size === 0) return false;
    return (
      this.#isBanned("client", clientId, nowMs) ||
      this.#isBanned("username", username, nowMs) ||
      this.#isBanned("address", address, nowMs)
    );
  }

  #isBanned(by: Ban["by"], value: string | undefined, nowMs: number): boolean {
    return value !== undefined && (this.#untilMs.get(keyOf(by, value)) ?? 0) > nowMs;
  }
}

function keyOf(by: Ban["by"], value: string): string {
  return `${by} ${value}`;
}
