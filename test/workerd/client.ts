import type { ClientPacket, ProtocolVersion } from "../../src/core/packet.ts";
import { encodeClientPacket } from "../codec/client-encode.ts";
import { decodeServerPackets, type ReceivedPacket } from "../codec/server-decode.ts";
import { Inbox } from "../support/inbox.ts";

const deadlineMs = 4000;

/** The packets whose `type` may be `Type`. */
type PacketOf<Type, Packet = ReceivedPacket> = Packet extends { readonly type: infer Types }
  ? Type extends Types
    ? Packet
    : never
  : never;

export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** A WebSocket to a shard that speaks in packets, and answers nothing by itself. */
export class Client {
  readonly version: ProtocolVersion;
  /** Resolves when the server has closed the socket, or answered the client's close. */
  readonly closed: Promise<Closing>;
  readonly #socket: WebSocket;
  /** The types of the packets that each WebSocket message brought. */
  readonly messages: (readonly string[])[] = [];
  readonly #inbox = new Inbox<ReceivedPacket>();
  #isClosed = false;
  #isDropped = false;

  constructor(socket: WebSocket, version: ProtocolVersion, onPacket: (packet: ReceivedPacket) => void) {
    this.version = version;
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#receive(data as ArrayBuffer, onPacket));
    this.closed = new Promise((resolve) =>
      socket.addEventListener("close", ({ code, reason }) => {
        this.#isClosed = true;
        this.#inbox.end(new Error(`closed with ${code} ${reason}`));
        resolve({ code, reason });
      }),
    );
    socket.accept();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Packets that arrived and were not taken. */
  get untaken(): readonly ReceivedPacket[] {
    return this.#inbox.items;
  }

  send(...packets: readonly ClientPacket[]): void {
    this.sendBytes(...packets.map((packet) => encodeClientPacket(packet, this.version)));
  }

  /** Sends the parts as one WebSocket message. */
  sendBytes(...parts: readonly Uint8Array[]): void {
    this.#socket.send(parts.length === 1 && parts[0] !== undefined ? parts[0] : join(parts));
  }

  /** Takes the first packet of that type, waiting for it if need be. */
  async next<Type extends ReceivedPacket["type"]>(type: Type): Promise<PacketOf<Type>> {
    const packet = await this.#inbox.take(type, (one) => one.type === type, deadlineMs);
    return packet as PacketOf<Type>;
  }

  /** Takes the first packet, waiting for it if need be. */
  nextAny(what: string): Promise<ReceivedPacket> {
    return this.#inbox.take(what, () => true, deadlineMs);
  }

  /** Asks, and waits for the answer or the end: by then all that the server sent before is here. */
  async ping(): Promise<void> {
    if (this.#isClosed) return;
    this.#socket.send(encodeClientPacket({ type: "pingreq" }, this.version));
    const closed = this.closed.then(() => undefined);
    await Promise.race([this.next("pingresp").catch((error: Error) => this.#excuse(error)), closed]);
  }

  /** Ends the connection without DISCONNECT; resolves when the server knows. */
  async vanish(): Promise<void> {
    if (this.#isClosed) return;
    this.#socket.close(1000, "");
    await this.closed;
  }

  /** The connection is lost: what the server sent and nobody took never arrived. */
  drop(): void {
    this.#isDropped = true;
    this.#isClosed = true;
  }

  #receive(data: ArrayBuffer, onPacket: (packet: ReceivedPacket) => void): void {
    if (this.#isDropped) return;
    const packets = decodeServerPackets(new Uint8Array(data), this.version);
    this.messages.push(packets.map(({ type }) => type));
    for (const packet of packets) {
      if (packet.type !== "pingresp") onPacket(packet);
      this.#inbox.push(packet);
    }
  }

  #excuse(error: Error): void {
    if (!this.#isClosed) throw error;
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
