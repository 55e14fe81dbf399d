import type { Decoded } from "../codec/index.ts";
import { PacketDecoder } from "../codec/index.ts";
import type { CostShare } from "../core/cost/cost-meter.ts";
import type { CloseCode, ConnectionAttachment } from "../core/effect.ts";
import type { Fault } from "../core/input.ts";
import { joinedBytesMax } from "../core/limits.ts";
import { ReasonCode } from "../core/reason-code.ts";
import { decodeAttachment, encodeAttachment } from "./attachment-codec.ts";
import type { SocketMode } from "../config.ts";

/** Unsent bytes of a socket from which QoS 0 messages are left out. */
const bufferedBytesMax = 1024 * 1024;

/** RFC 6455 allows 123 bytes of reason, and UTF-8 takes at most three for a character. */
const closeReasonLengthMax = 41;

/** [MQTT-6.0.0-1] MQTT travels in binary frames only. */
const textFrameFault: Fault = {
  reasonCode: ReasonCode.ProtocolError,
  reasonString: "A WebSocket text frame is not MQTT",
  closeCode: 1003,
};

const largeFrameFault: Fault = {
  reasonCode: ReasonCode.PacketTooLarge,
  reasonString: "The WebSocket message is too large",
  closeCode: 1009,
};

/** One client's WebSocket: bytes in through the decoder, bytes out through one buffer. */
export class ClientSocket {
  readonly connectionId: string;
  readonly #socket: WebSocket;
  readonly #mode: SocketMode;
  readonly #maximumPacketSizeBytes: number;
  /** Made for the first bytes: of thousands that a wake-up restores, few have something to say. */
  #decoder: PacketDecoder | undefined;
  #attachment: ConnectionAttachment | undefined;
  #restoredCost: CostShare | undefined;
  #outgoing: Uint8Array[] = [];
  #outgoingBytes = 0;
  #unsentBytes = 0;
  #sentBytes = 0;
  #isClosed = false;

  constructor(connectionId: string, socket: WebSocket, mode: SocketMode, maximumPacketSizeBytes: number) {
    this.connectionId = connectionId;
    this.#socket = socket;
    this.#mode = mode;
    this.#maximumPacketSizeBytes = maximumPacketSizeBytes;
  }

  /** The socket of a connection that slept; undefined for one that is being closed. */
  static restore(socket: WebSocket, maximumPacketSizeBytes: number): ClientSocket | undefined {
    const found = decodeAttachment(socket.deserializeAttachment());
    if (found === undefined) return undefined;
    const { connectionId, attachment, cost } = found;
    const restored = new ClientSocket(connectionId, socket, "hibernating", maximumPacketSizeBytes);
    restored.#attachment = attachment;
    restored.#restoredCost = cost;
    return restored;
  }

  /** What was last attached; undefined once the connection is closed. */
  get attachment(): ConnectionAttachment | undefined {
    return this.#attachment;
  }

  /** Its share of what the shard has counted, as it was when the socket woke. */
  get restoredCost(): CostShare | undefined {
    return this.#restoredCost;
  }

  /** What is kept of a packet that is not complete; 0 at a packet boundary. */
  get unfinishedBytes(): number {
    return this.#decoder?.unfinishedBytes ?? 0;
  }

  get hasOutgoing(): boolean {
    return this.#outgoingBytes > 0;
  }

  /** So much is on its way that QoS 0 messages are left out and others wait. */
  get isFull(): boolean {
    if (this.#unsentBytes > 0) this.measureUnsent();
    return this.#outgoingBytes + this.#unsentBytes > bufferedBytesMax;
  }

  /** All that was ever sent. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Bytes that the client had not taken when something was sent last. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  measureUnsent(): number {
    this.#unsentBytes = bufferedAmountOf(this.#socket);
    return this.#unsentBytes;
  }

  /** What comes after the close from here is not looked at, nor kept. */
  decode(data: ArrayBuffer | string): Decoded {
    if (this.#isClosed) return { packets: [] };
    if (typeof data === "string") return { packets: [], fault: textFrameFault };
    if (data.byteLength > this.#maximumPacketSizeBytes + joinedBytesMax) {
      return { packets: [], fault: largeFrameFault };
    }
    this.#decoder ??= this.#newDecoder();
    return this.#decoder.push(new Uint8Array(data));
  }

  attach(attachment: ConnectionAttachment, cost: CostShare): void {
    this.#attachment = attachment;
    if (this.#mode === "hibernating") {
      this.#socket.serializeAttachment(encodeAttachment(this.connectionId, attachment, cost));
    }
  }

  write(bytes: Uint8Array): void {
    this.#outgoing.push(bytes);
    this.#outgoingBytes += bytes.length;
  }

  /** Sends what was written, as one WebSocket message: a message may hold many packets ([MQTT-6.0.0-2]). */
  flush(): void {
    if (this.#outgoingBytes === 0) return;
    const [first] = this.#outgoing;
    const bytes = this.#outgoing.length === 1 && first !== undefined ? first : this.#join();
    this.#outgoing = [];
    this.#outgoingBytes = 0;
    // Between the peer's close and its event, sending fails; the event will say so.
    if (this.#socket.readyState !== WebSocket.READY_STATE_OPEN) return;
    this.#socket.send(bytes);
    this.#sentBytes += bytes.length;
    this.measureUnsent();
  }

  close(code: CloseCode, reason: string): void {
    this.flush();
    this.#isClosed = true;
    this.#decoder = undefined;
    this.#attachment = undefined;
    // A closing socket is still listed after a hibernation: it must not be taken for a connection.
    if (this.#mode === "hibernating") this.#socket.serializeAttachment(null);
    this.#socket.close(code, isAscii(reason) ? reason.slice(0, 123) : reason.slice(0, closeReasonLengthMax));
  }

  #newDecoder(): PacketDecoder {
    const protocolVersion = this.#attachment?.client?.protocolVersion;
    return new PacketDecoder({
      maximumPacketSizeBytes: this.#maximumPacketSizeBytes,
      ...(protocolVersion !== undefined && { protocolVersion }),
    });
  }

  #join(): Uint8Array {
    const joined = new Uint8Array(this.#outgoingBytes);
    let offset = 0;
    for (const bytes of this.#outgoing) {
      joined.set(bytes, offset);
      offset += bytes.length;
    }
    return joined;
  }
}

function isAscii(text: string): boolean {
  return /^\p{ASCII}*$/u.test(text);
}

/** Newer runtimes tell how much a peer has not taken yet; workerd 1.20261023 does not. */
function bufferedAmountOf(socket: WebSocket): number {
  return (socket as { bufferedAmount?: number }).bufferedAmount ?? 0;
}
