/**
 * A client in bytes, without sockets: what it sends goes through the decoder to the core, what it gets comes through
 * the encoder and is read by the decoder of the tests.
 */
import { encodePacket, PacketDecoder, PublishEncoder } from "../../src/codec/index.ts";
import type { ClientPacket, ConnectPacket, ProtocolVersion } from "../../src/core/packet.ts";
import { encodeClientPacket } from "../codec/client-encode.ts";
import { decodeServerPackets } from "../codec/server-decode.ts";
import type { ReceivedPacket } from "../codec/server-decode.ts";
import { Harness } from "../core/harness.ts";
import type { HarnessOptions, Peer, Received } from "../core/harness.ts";
import { bytes } from "../support/bytes.ts";
import type { Part } from "../support/bytes.ts";

export type WireOptions = Partial<Omit<ConnectPacket, "type">>;

let clientCount = 0;

export class WireClient implements Peer {
  /** Every packet, as the bytes that went to the socket. */
  readonly sent: Uint8Array[] = [];
  readonly received: ReceivedPacket[] = [];
  closeCode: number | undefined;
  readonly protocolVersion: ProtocolVersion;
  readonly #shard: Harness;
  readonly #connectionId: string;
  readonly #decoder: PacketDecoder;
  readonly #encoder = new PublishEncoder();

  constructor(shard: Harness, protocolVersion: ProtocolVersion = 5) {
    this.protocolVersion = protocolVersion;
    this.#shard = shard;
    this.#decoder = new PacketDecoder({ maximumPacketSizeBytes: shard.limits.maximumPacketSizeBytes });
    this.#connectionId = shard.open(this);
  }

  static connected(shard: Harness, options: WireOptions = {}): WireClient {
    return new WireClient(shard, options.protocolVersion).connect(options);
  }

  connect(options: WireOptions = {}): this {
    clientCount += 1;
    return this.send({
      type: "connect",
      protocolVersion: this.protocolVersion,
      cleanStart: true,
      keepAliveSec: 0,
      clientId: `wire${clientCount}`,
      sessionExpiryIntervalSec: 0,
      ...options,
    });
  }

  send(...packets: readonly ClientPacket[]): this {
    return this.sendBytes(...packets.map((packet) => encodeClientPacket(packet, this.protocolVersion)));
  }

  /** One WebSocket message. */
  sendBytes(...parts: readonly Part[]): this {
    const { packets, fault } = this.#decoder.push(Uint8Array.from(bytes(...parts)));
    const { unfinishedBytes } = this.#decoder;
    this.#shard.receive(this.#connectionId, packets, {
      unfinishedBytes,
      ...(fault !== undefined && { fault }),
    });
    return this;
  }

  /** The socket is lost. */
  lose(): void {
    this.#shard.lose(this.#connectionId);
  }

  get types(): string[] {
    return this.received.map(({ type }) => type);
  }

  all<Type extends ReceivedPacket["type"]>(type: Type): (ReceivedPacket & { type: Type })[] {
    return this.received.filter((packet): packet is ReceivedPacket & { type: Type } => packet.type === type);
  }

  only<Type extends ReceivedPacket["type"]>(type: Type): ReceivedPacket & { type: Type } {
    const [packet, ...more] = this.all(type);
    if (packet === undefined || more.length > 0)
      throw new Error(`there are ${this.types.join()}, not one ${type}`);
    return packet;
  }

  onReceived(packet: Received, protocolVersion: ProtocolVersion): void {
    const encoded =
      packet.type === "publish"
        ? this.#encoder.encode(packet, protocolVersion)
        : encodePacket(packet, protocolVersion);
    this.sent.push(encoded);
    this.received.push(...decodeServerPackets(encoded, protocolVersion));
  }

  onClosed(code: number): void {
    this.closeCode = code;
  }
}

/** A client of that version that sent those bytes after CONNECT, to a shard of its own. */
export function afterConnect(protocolVersion: ProtocolVersion, ...parts: readonly Part[]): WireClient {
  return WireClient.connected(new Harness(), { protocolVersion }).sendBytes(...parts);
}

/** A client of that version that began with those bytes. */
export function beginning(
  protocolVersion: ProtocolVersion,
  parts: readonly Part[],
  options: HarnessOptions = {},
): WireClient {
  return new WireClient(new Harness(options), protocolVersion).sendBytes(...parts);
}

/** A CONNECT, for either kind of client, whose session outlives the connection. */
export function lasting(protocolVersion: 4 | 5, clientId: string) {
  const sessionExpiryIntervalSec = protocolVersion === 5 ? 3600 : 0xffff_ffff;
  return { protocolVersion, clientId, cleanStart: false, sessionExpiryIntervalSec } as const;
}

/** What both versions are served alike. */
export const bothVersions = [4, 5] as const;
