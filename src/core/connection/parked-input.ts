import type { Fault } from "../input.ts";
import type { ClientPacket } from "../packet.ts";

/** Packets of one connection that may wait for an authentication, about. */
export const parkedBytesMax = 64 * 1024;

/** What a client sent while the answer to its credentials was awaited, in order. */
export class ParkedInput {
  #packets: ClientPacket[] = [];
  #sizeBytes = 0;
  /** What came after the packets and is none. */
  fault: Fault | undefined;
  /** The socket was closed after all of this. */
  isHungUp = false;

  get isEmpty(): boolean {
    return this.#packets.length === 0;
  }

  /** False when there is no room for it. */
  add(packet: ClientPacket): boolean {
    this.#sizeBytes += weightOf(packet);
    if (this.#sizeBytes > parkedBytesMax) return false;
    this.#packets.push(packet);
    return true;
  }

  /** The packets, which wait no longer. */
  take(): ClientPacket[] {
    const packets = this.#packets;
    this.#packets = [];
    this.#sizeBytes = 0;
    return packets;
  }
}

/** About what a packet takes in memory. */
function weightOf(value: unknown): number {
  if (value instanceof Uint8Array) return 16 + value.length;
  if (typeof value === "string") return 16 + value.length;
  if (typeof value !== "object" || value === null) return 8;
  return Object.values(value).reduce((sum: number, part) => sum + weightOf(part), 32);
}
