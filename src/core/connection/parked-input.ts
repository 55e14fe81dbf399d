import type { AuthenticationRequest } from "../authentication.ts";
import type { Fault } from "../input.ts";
import type { ClientPacket, ConnectPacket } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";

/** Packets of one connection that may wait for an authentication, about. */
export const parkedBytesMax = 64 * 1024;

/**
 * What all clients that are not admitted may have a shard hold, about: their CONNECTs, parked packets, bytes of packets
 * that are not complete, and questions to the host. An object has 128 MB, which are for those who are admitted.
 */
export const parkedBytesOfShardMax = 8 * 1024 * 1024;

/** What a question to the host takes beside what it is asked about: promises, and what it derives and fetches. */
const questionBytes = 512;

/** What is parked in the whole shard. */
export class ParkingSpace {
  #usedBytes = 0;
  /** By connection. The host holds what it is asked until it answers, whatever becomes of the client. */
  readonly #questions = new Map<string, Share>();

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes so much, or gives it back when it is negative; false when there is no room. */
  take(sizeBytes: number): boolean {
    if (sizeBytes > 0 && this.#usedBytes + sizeBytes > parkedBytesOfShardMax) return false;
    this.#usedBytes += sizeBytes;
    return true;
  }

  /** The host is to be asked; false when there is no room for it. */
  ask(connectionId: string, request: AuthenticationRequest): boolean {
    const question = new Share(this);
    // What the host wants to be told again is its own.
    const shown = request.type === "method" ? request.data : request;
    if (!question.resize(questionBytes + weightOf(shown))) return false;
    this.#questions.set(connectionId, question);
    return true;
  }

  /** The host has answered, perhaps about a client that is not there any more. */
  answered(connectionId: string): void {
    this.#questions.get(connectionId)?.resize(0);
    this.#questions.delete(connectionId);
  }
}

/** A part of the space. */
class Share {
  readonly #space: ParkingSpace;
  #sizeBytes = 0;

  constructor(space: ParkingSpace) {
    this.#space = space;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** False when there is no room for more; it stays as it was then. */
  resize(sizeBytes: number): boolean {
    if (!this.#space.take(sizeBytes - this.#sizeBytes)) return false;
    this.#sizeBytes = sizeBytes;
    return true;
  }
}

/** What the shard holds of a client until it is admitted; of packets, in order, those that wait for the host's answer. */
export class ParkedInput {
  readonly #connect: Share;
  readonly #unfinished: Share;
  readonly #waiting: Share;
  #packets: ClientPacket[] = [];
  /** What came after the packets and is none. */
  fault: Fault | undefined;
  /** The socket was closed after all of this. */
  isHungUp = false;

  constructor(space: ParkingSpace) {
    this.#connect = new Share(space);
    this.#unfinished = new Share(space);
    this.#waiting = new Share(space);
  }

  get isEmpty(): boolean {
    return this.#packets.length === 0;
  }

  /** CONNECT waits for its client's authentication; false when there is no room for it. */
  keepConnect(packet: ConnectPacket): boolean {
    return this.#connect.resize(weightOf(packet));
  }

  /** So many bytes are kept of a packet that is not complete; false when there is no room for them. */
  keepUnfinished(sizeBytes: number): boolean {
    return this.#unfinished.resize(sizeBytes);
  }

  /** Why a packet may not wait; undefined when it does. */
  park(packet: ClientPacket): Refusal | undefined {
    const sizeBytes = this.#waiting.sizeBytes + weightOf(packet);
    if (sizeBytes > parkedBytesMax) return tooMuch;
    if (!this.#waiting.resize(sizeBytes)) return noRoom;
    this.#packets.push(packet);
    return undefined;
  }

  /** The packets, which wait no longer. */
  take(): ClientPacket[] {
    const packets = this.#packets;
    this.#packets = [];
    this.#waiting.resize(0);
    return packets;
  }

  /** The client is admitted: of what was held, only the packets are still wanted. */
  release(): void {
    this.#connect.resize(0);
    this.#unfinished.resize(0);
  }

  /** Nobody wants any of it any more. */
  clear(): void {
    this.release();
    this.take();
  }
}

/** About what a packet takes in memory. */
function weightOf(value: unknown): number {
  if (value instanceof Uint8Array) return 16 + value.length;
  if (typeof value === "string") return 16 + value.length;
  if (typeof value !== "object" || value === null) return 8;
  return Object.values(value).reduce((sum: number, part) => sum + weightOf(part), 32);
}

/** The client may come again when others have been admitted. */
export const noRoom: Refusal = {
  reasonCode: ReasonCode.ServerBusy,
  reasonString: "Too much is held for clients that are not admitted yet",
};

const tooMuch: Refusal = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "Too much was sent before the credentials were checked",
};
