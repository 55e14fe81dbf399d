import { generate, parser as createParser, type Packet, type PacketCmd } from "mqtt-packet";
import { WebSocket, type ClientOptions } from "ws";
import { Inbox } from "./inbox.ts";
import { withDeadline } from "./wait.ts";

export type ProtocolVersion = 3 | 4 | 5;
export type PacketOf<C extends PacketCmd> = Extract<Packet, { cmd: C }> & {
  /** The whole packet as it came over the wire. */
  readonly bytes: Buffer;
};
export interface Closed {
  readonly code: number;
  readonly reason: string;
}
export interface RawClientOptions {
  readonly protocolVersion?: ProtocolVersion;
  readonly subprotocols?: string[];
  readonly webSocket?: ClientOptions;
}
type ReceivedPacket = Packet & { readonly bytes: Buffer };

/** A WebSocket that says what well-behaved MQTT clients cannot say. It answers nothing by itself. */
export class RawClient {
  readonly socket: WebSocket;
  readonly protocolVersion: ProtocolVersion;
  /** All packets, taken or not, in order of arrival. */
  readonly received: ReceivedPacket[] = [];
  readonly #inbox = new Inbox<ReceivedPacket>();
  readonly #closed: Promise<Closed>;
  #pending: Buffer = Buffer.alloc(0);

  private constructor(socket: WebSocket, protocolVersion: ProtocolVersion) {
    this.socket = socket;
    this.protocolVersion = protocolVersion;
    this.#closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.#inbox.end(new Error(`the connection closed with ${code}`));
        resolve({ code, reason: reason.toString() });
      });
    });
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer) => this.#onBytes(data));
  }

  static async open(url: string, options: RawClientOptions = {}): Promise<RawClient> {
    const socket = new WebSocket(url, options.subprotocols ?? ["mqtt"], {
      perMessageDeflate: false,
      ...options.webSocket,
    });
    const client = new RawClient(socket, options.protocolVersion ?? 5);
    const opened = new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    await withDeadline(opened, "the WebSocket to open");
    return client;
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Sends a well-formed packet as one frame. */
  send(packet: Packet): void {
    this.sendBytes(this.encode(packet));
  }

  encode(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.protocolVersion });
  }

  /** Sends any bytes as one binary frame. */
  sendBytes(bytes: Uint8Array): void {
    this.socket.send(bytes);
  }

  /** Sends the bytes in frames of `frameBytes` each. */
  sendInFrames(bytes: Uint8Array, frameBytes: number): void {
    for (let offset = 0; offset < bytes.length; offset += frameBytes) {
      this.sendBytes(bytes.subarray(offset, offset + frameBytes));
    }
  }

  sendText(text: string): void {
    this.socket.send(text);
  }

  /** The next packet of that type, skipping others, which stay for later calls. */
  next<C extends PacketCmd>(type: C, deadlineMs?: number): Promise<PacketOf<C>> {
    return this.#inbox.take(type, (packet) => packet.cmd === type, deadlineMs) as Promise<PacketOf<C>>;
  }

  /** The next packet, which must be of that type. */
  async expectNext<C extends PacketCmd>(type: C): Promise<PacketOf<C>> {
    const packet = await this.#inbox.take(type);
    if (packet.cmd !== type) throw new Error(`expected ${type}, got ${JSON.stringify(packet)}`);
    return packet as PacketOf<C>;
  }

  get untaken(): readonly ReceivedPacket[] {
    return this.#inbox.items;
  }

  closed(deadlineMs?: number): Promise<Closed> {
    return withDeadline(this.#closed, "the connection to close", deadlineMs);
  }

  /** Ends the TCP connection without a closing handshake, as a client that crashes does. */
  terminate(): void {
    this.socket.terminate();
  }

  #onBytes(data: Buffer): void {
    this.#pending = this.#pending.length > 0 ? Buffer.concat([this.#pending, data]) : data;
    for (;;) {
      const sizeBytes = packetSizeBytes(this.#pending);
      if (sizeBytes === undefined || this.#pending.length < sizeBytes) return;
      this.#onPacket(Buffer.from(this.#pending.subarray(0, sizeBytes)));
      this.#pending = this.#pending.subarray(sizeBytes);
    }
  }

  #onPacket(bytes: Buffer): void {
    const packet = Object.assign(decode(bytes, this.protocolVersion), { bytes });
    this.received.push(packet);
    this.#inbox.push(packet);
  }
}

/** Total size of the packet that starts the buffer; undefined while its length is not complete. */
function packetSizeBytes(buffer: Buffer): number | undefined {
  let remainingLength = 0;
  for (let index = 1; index <= 4; index += 1) {
    const byte = buffer[index];
    if (byte === undefined) return undefined;
    remainingLength += (byte & 0x7f) * 128 ** (index - 1);
    if (byte < 0x80) return 1 + index + remainingLength;
  }
  throw new Error("the broker sent a Remaining Length of more than four bytes");
}

function decode(bytes: Buffer, protocolVersion: ProtocolVersion): Packet {
  const parser = createParser({ protocolVersion });
  let result: Packet | undefined;
  parser.on("packet", (packet) => {
    result = packet;
  });
  parser.on("error", (error: unknown) => {
    throw error;
  });
  parser.parse(bytes);
  if (!result) throw new Error(`the broker sent a packet that cannot be read: ${bytes.toString("hex")}`);
  return result;
}
