import { PacketDecoder } from "../codec/index.ts";
import { joinedBytesMax } from "../core/limits.ts";
import type { Frame } from "./relay-socket.ts";

/** Reads the beginning of a client's stream, until it is known whose it is. */
export class ConnectReader {
  readonly #decoder: PacketDecoder;
  readonly #frameBytesMax: number;

  constructor(maximumPacketSizeBytes: number) {
    this.#frameBytesMax = maximumPacketSizeBytes + joinedBytesMax;
    this.#decoder = new PacketDecoder({ maximumPacketSizeBytes });
  }

  /** Part of the CONNECT has arrived. */
  get isInsidePacket(): boolean {
    return this.#decoder.isInsidePacket;
  }

  /**
   * Takes the next frame. The Client Identifier once CONNECT is whole, undefined before. It is empty when there is
   * none: the client wants one assigned, or has sent what any shard refuses.
   */
  push(frame: Frame): string | undefined {
    if (typeof frame === "string" || frame.byteLength > this.#frameBytesMax) return "";
    const { packets, fault } = this.#decoder.push(new Uint8Array(frame));
    const [first] = packets;
    if (first?.type === "connect") return first.clientId;
    return fault === undefined ? undefined : "";
  }
}
