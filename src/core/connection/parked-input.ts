import type { Fault } from "../input.ts";
import type { ClientPacket } from "../packet.ts";

/** Packets of one connection that may wait for an authentication, about. */
export const parkedBytesMax = 64 * 1024;

/** The same of all connections of a shard. */
export const parkedBytesOfShardMax = 8 * 1024 * 1024;

/** What is parked in the whole shard. */
export class ParkingSpace {
  usedBytes = 0;
}

/** What a client sent while the answer to its credentials was awaited, in order. */
export class ParkedInput {
  readonly #space: ParkingSpace;
  #packets: ClientPacket[] = [];
  #sizeBytes = 0;
  /** What came after the packets and is none. */
  fault: Fault | undefined;
  /** The socket was closed after all of this. */
  isHungUp = false;

  constructor(space: ParkingSpace) {
    this.#space = space;
  }

  get isEmpty(): boolean {
    return this.#packets.length === 0;
  }

  /** False when there is no room for it. */
  add(packet: ClientPacket): boolean {
    const sizeBytes = weightOf(packet);
    if (this.#sizeBytes + sizeBytes > parkedBytesMax) return false;
    if (this.#space.usedBytes + sizeBytes > parkedBytesOfShardMax) return false;
    this.#sizeBytes += sizeBytes;
    this.#space.usedBytes += sizeBytes;
    this.#packets.push(packet);
    return true;
  }

  /** The packets, which wait no longer; to be called, too, when nobody wants them any more. */
  take(): ClientPacket[] {
    const packets = this.#packets;
    this.#packets = [];
    this.#space.usedBytes -= this.#sizeBytes;
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
