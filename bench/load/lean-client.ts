import {
  ackFrame,
  CLOSE_FRAME,
  connectFrame,
  DISCONNECT_FRAME,
  PacketType,
  PINGREQ_FRAME,
  publishFrame,
  subscribeFrame,
  type PublishTemplate,
  type QoS,
} from "./packets.ts";
import { LeanWebSocket } from "./web-socket.ts";

const PACKET_ID_MAX = 65_535;

/** Speaks as much MQTT 3.1.1 as the scenarios need, and parses as little as it can. */
export class LeanClient {
  /** A message came; it is acknowledged already. */
  onMessage: (packet: Buffer) => void = () => undefined;
  /** A message of this client has been acknowledged in full (QoS 1 and 2). */
  onAcknowledged: () => void = () => undefined;
  readonly #webSocket: LeanWebSocket;
  readonly #waiters = new Map<number, () => void>();
  readonly #closed: Promise<void>;
  #pending: Buffer = Buffer.alloc(0);
  #lastPacketId = 0;
  #isEnding = false;

  private constructor(webSocket: LeanWebSocket) {
    this.#webSocket = webSocket;
    webSocket.onData = (bytes) => this.#onBytes(bytes);
    this.#closed = new Promise((resolve, reject) => {
      webSocket.onClose = () =>
        this.#isEnding ? resolve() : reject(new Error("the broker closed the connection"));
    });
    // A lost connection must end the run; it would wait for ever otherwise.
    this.#closed.catch((error: unknown) => {
      throw error;
    });
  }

  static async connect(url: string, clientId: string, cleanSession = true): Promise<LeanClient> {
    const client = await LeanClient.open(url);
    await client.introduce(clientId, cleanSession);
    return client;
  }

  /** Without CONNECT yet, so that a caller can time what comes after it. */
  static async open(url: string): Promise<LeanClient> {
    return new LeanClient(await LeanWebSocket.open(url));
  }

  async introduce(clientId: string, cleanSession: boolean): Promise<void> {
    this.#webSocket.send(connectFrame(clientId, cleanSession));
    await this.#arrival(PacketType.Connack);
  }

  /** Makes one subscription, or several with one packet. */
  async subscribe(topicFilters: string | readonly string[], qos: QoS): Promise<void> {
    this.#webSocket.send(subscribeFrame([topicFilters].flat(), qos));
    await this.#arrival(PacketType.Suback);
  }

  async ping(): Promise<void> {
    this.#webSocket.send(PINGREQ_FRAME);
    await this.#arrival(PacketType.Pingresp);
  }

  publish(template: PublishTemplate): void {
    this.#lastPacketId = this.#lastPacketId === PACKET_ID_MAX ? 1 : this.#lastPacketId + 1;
    this.#webSocket.send(publishFrame(template, this.#lastPacketId));
  }

  /** DISCONNECT and close; resolves when the connection is gone. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#webSocket.send(DISCONNECT_FRAME);
    this.#webSocket.send(CLOSE_FRAME);
    await this.#closed;
  }

  destroy(): void {
    this.#isEnding = true;
    this.#webSocket.destroy();
  }

  #arrival(packetType: number): Promise<void> {
    return new Promise((resolve) => this.#waiters.set(packetType, resolve));
  }

  #onBytes(bytes: Buffer): void {
    const buffer = this.#pending.length > 0 ? Buffer.concat([this.#pending, bytes]) : bytes;
    let offset = 0;
    for (;;) {
      const end = packetEnd(buffer, offset);
      if (end === undefined || end > buffer.length) break;
      this.#onPacket(buffer, offset, end);
      offset = end;
    }
    this.#pending = buffer.subarray(offset);
  }

  #onPacket(buffer: Buffer, start: number, end: number): void {
    const type = (buffer[start] as number) >> 4;
    if (type === PacketType.Publish) return this.#onPublish(buffer, start, end);
    if (type === PacketType.Puback || type === PacketType.Pubcomp) return this.onAcknowledged();
    if (type === PacketType.Pubrec) return this.#answer(PacketType.Pubrel, buffer.readUInt16BE(start + 2));
    if (type === PacketType.Pubrel) return this.#answer(PacketType.Pubcomp, buffer.readUInt16BE(start + 2));
    this.#waiters.get(type)?.();
    this.#waiters.delete(type);
  }

  #onPublish(buffer: Buffer, start: number, end: number): void {
    const qos = ((buffer[start] as number) >> 1) & 3;
    if (qos > 0) {
      const topicStart = start + headerBytes(buffer, start);
      const packetId = buffer.readUInt16BE(topicStart + 2 + buffer.readUInt16BE(topicStart));
      this.#answer(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId);
    }
    this.onMessage(buffer.subarray(start, end));
  }

  #answer(type: number, packetId: number): void {
    this.#webSocket.send(ackFrame(type, packetId));
  }
}

/** Size of the fixed header, whose length is known to be complete. */
function headerBytes(buffer: Buffer, start: number): number {
  let size = 2;
  while ((buffer[start + size - 1] as number) >= 0x80) size += 1;
  return size;
}

/** Where the packet at `start` ends; undefined while its length has not come. */
function packetEnd(buffer: Buffer, start: number): number | undefined {
  let length = 0;
  for (let index = 1; index <= 4; index += 1) {
    const byte = buffer[start + index];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 128 ** (index - 1);
    if (byte < 0x80) return start + 1 + index + length;
  }
  throw new Error("the broker sent a Remaining Length of more than four bytes");
}
