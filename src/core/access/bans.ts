import type { Network } from "../network.ts";
import { formatNetwork, parseAddress, shortened } from "../network.ts";
import type { Ban } from "./policy.ts";

/** Of somebody who connects, or is connected. */
export interface Presence {
  readonly clientId: string;
  /** In normal form, as every identity has it. */
  readonly username?: string | undefined;
  /** The client's network address, as the platform tells it. */
  readonly address?: string | undefined;
}

/** Who may not connect, found without looking through all bans. */
export class Bans {
  /** Until when, in ms since 1970. */
  readonly #untilMs = new Map<string, number>();
  /** By IP version, the sizes of the networks that are banned. */
  readonly #prefixLengths: Record<Network["version"], Set<number>> = { 4: new Set(), 6: new Set() };

  /** In normal form. */
  constructor(bans: readonly Ban[]) {
    for (const { by, value, untilMs = Infinity } of bans) {
      const key = keyOf(by, value);
      this.#untilMs.set(key, Math.max(untilMs, this.#untilMs.get(key) ?? 0));
      if (by === "address") this.#addPrefixLength(value);
    }
  }

  has({ clientId, username, address }: Presence, nowMs: number): boolean {
    if (this.#untilMs.size === 0) return false;
    return (
      this.#isBanned("client", clientId, nowMs) ||
      (username !== undefined && this.#isBanned("username", username, nowMs)) ||
      (address !== undefined && this.#isAddressBanned(address, nowMs))
    );
  }

  /** There may be thousands of bans, and they are read at every wake-up: the text says enough. */
  #addPrefixLength(value: string): void {
    const [address = "", prefixLength = "32"] = value.split("/");
    this.#prefixLengths[address.includes(":") ? 6 : 4].add(Number(prefixLength));
  }

  /** Asks once for each size of network that there is a ban of. */
  #isAddressBanned(text: string, nowMs: number): boolean {
    const address = parseAddress(text);
    if (address === undefined) return false;
    for (const prefixLength of this.#prefixLengths[address.version]) {
      const network = formatNetwork(shortened(address, prefixLength));
      if (this.#isBanned("address", network, nowMs)) return true;
    }
    return false;
  }

  #isBanned(by: Ban["by"], value: string, nowMs: number): boolean {
    return (this.#untilMs.get(keyOf(by, value)) ?? 0) > nowMs;
  }
}

function keyOf(by: Ban["by"], value: string): string {
  return `${by} ${value}`;
}
