/** From the byte stream of one client to its packets. */
import type { ClientPacket, ProtocolVersion } from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";
import { ByteReader } from "./byte-reader.ts";
import { decodePacket } from "./decode-packet.ts";
import { FaultError, refusal } from "./fault.ts";
import type { DecodeFault } from "./fault.ts";
import { checkFirstByte, readPacketSizeBytes } from "./fixed-header.ts";
import { PacketAssembler } from "./packet-assembler.ts";

/** Greatest size of a CONNECT: nobody is known before it, and it has to be kept until it is whole. */
export const connectBytesMax = 64 * 1024;

/** What a chunk of bytes brought. The packets stood before the fault and are valid. */
export interface Decoded {
  packets: ClientPacket[];
  fault?: DecodeFault;
}

export interface PacketDecoderOptions {
  /** Greatest size of a whole packet, fixed header included. */
  readonly maximumPacketSizeBytes: number;
  /** The version of a connection whose CONNECT was decoded before; without it CONNECT is expected. */
  readonly protocolVersion?: ProtocolVersion;
}

/**
 * Decodes what a client sends over one Network Connection, strictly. Nothing that it returns shares memory
 * with the chunks. Packets that need no answer to be refused are refused as early as their first byte.
 */
export class PacketDecoder {
  readonly #maximumPacketSizeBytes: number;
  readonly #unfinished = new PacketAssembler();
  #protocolVersion: ProtocolVersion | undefined;
  #fault: DecodeFault | undefined;

  constructor(options: PacketDecoderOptions) {
    this.#maximumPacketSizeBytes = options.maximumPacketSizeBytes;
    this.#protocolVersion = options.protocolVersion;
  }

  /** The version of the CONNECT decoded or restored; undefined before. */
  get protocolVersion(): ProtocolVersion | undefined {
    return this.#protocolVersion;
  }

  /** Part of a packet has arrived and its other bytes are awaited. */
  get isInsidePacket(): boolean {
    return this.#unfinished.sizeBytes > 0;
  }

  /** What is kept of that part; 0 at a packet boundary. */
  get unfinishedBytes(): number {
    return this.#unfinished.capacityBytes;
  }

  /**
   * Takes the next bytes of the stream, cut anywhere. Never throws: what is wrong with them comes as a fault,
   * after which every further call returns that fault and no packets.
   */
  push(bytes: Uint8Array): Decoded {
    const packets: ClientPacket[] = [];
    if (this.#fault !== undefined) return { packets, fault: this.#fault };
    try {
      const rest = this.#finishPacket(bytes, packets);
      this.#decodePackets(bytes, rest, packets);
      return { packets };
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      this.#unfinished.clear();
      this.#fault = error.fault;
      return { packets, fault: error.fault };
    }
  }

  /** Completes the unfinished packet, if there is one, and returns where in `bytes` the next one begins. */
  #finishPacket(bytes: Uint8Array, packets: ClientPacket[]): number {
    const unfinished = this.#unfinished;
    let offset = 0;
    while (unfinished.sizeBytes > 0 && offset < bytes.length) {
      const missing = this.#missingBytes(unfinished.bytes);
      const part = bytes.subarray(offset, offset + missing);
      unfinished.append(part);
      offset += part.length;
      if (this.#missingBytes(unfinished.bytes) > 0) continue;
      packets.push(this.#decode(unfinished.bytes, 0, unfinished.sizeBytes));
      unfinished.clear();
    }
    return offset;
  }

  /** How many bytes the packet that begins with `bytes` lacks; 1 as long as its size is unknown. */
  #missingBytes(bytes: Uint8Array): number {
    const sizeBytes = this.#checkedSizeBytes(bytes, 0);
    return sizeBytes === 0 ? 1 : sizeBytes - bytes.length;
  }

  #decodePackets(bytes: Uint8Array, start: number, packets: ClientPacket[]): void {
    let offset = start;
    while (offset < bytes.length) {
      const sizeBytes = this.#checkedSizeBytes(bytes, offset);
      if (sizeBytes === 0 || offset + sizeBytes > bytes.length) {
        this.#unfinished.append(bytes.subarray(offset));
        return;
      }
      packets.push(this.#decode(bytes, offset, offset + sizeBytes));
      offset += sizeBytes;
    }
  }

  /** Size of the packet at `offset`, 0 if not known yet; refuses what its fixed header allows to refuse. */
  #checkedSizeBytes(bytes: Uint8Array, offset: number): number {
    checkFirstByte(bytes[offset]!, this.#protocolVersion);
    const sizeBytes = readPacketSizeBytes(bytes, offset, bytes.length);
    // [MQTT-3.2.2-15] the size that the server announced; checked before anything is kept.
    if (sizeBytes > this.#sizeBytesMax) {
      throw refusal(ReasonCode.PacketTooLarge, "Packet is larger than the server accepts");
    }
    return sizeBytes;
  }

  get #sizeBytesMax(): number {
    const sizeBytesMax = this.#maximumPacketSizeBytes;
    return this.#protocolVersion === undefined ? Math.min(sizeBytesMax, connectBytesMax) : sizeBytesMax;
  }

  #decode(bytes: Uint8Array, start: number, end: number): ClientPacket {
    const packet = decodePacket(new ByteReader(bytes, start, end), this.#protocolVersion);
    if (packet.type === "connect") this.#protocolVersion = packet.protocolVersion;
    return packet;
  }
}
