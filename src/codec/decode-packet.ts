/** From the bytes of one whole packet to its fields. */
import type { ClientPacket, ProtocolVersion } from "../core/packet.ts";
import type { ByteReader } from "./byte-reader.ts";
import { decodeConnect } from "./decode-connect.ts";
import { decodeAuth, decodeDisconnect } from "./decode-disconnect.ts";
import { publishResponseDecoder } from "./decode-publish-response.ts";
import { decodePublish } from "./decode-publish.ts";
import { decodeSubscribe, decodeUnsubscribe } from "./decode-subscribe.ts";
import { malformed } from "./fault.ts";
import { PacketType } from "./fixed-header.ts";

type BodyDecoder = (reader: ByteReader, protocolVersion: ProtocolVersion, firstByte: number) => ClientPacket;

const BODY_DECODERS: Readonly<Record<number, BodyDecoder>> = {
  [PacketType.Publish]: decodePublish,
  [PacketType.Puback]: publishResponseDecoder("puback"),
  [PacketType.Pubrec]: publishResponseDecoder("pubrec"),
  [PacketType.Pubrel]: publishResponseDecoder("pubrel"),
  [PacketType.Pubcomp]: publishResponseDecoder("pubcomp"),
  [PacketType.Subscribe]: decodeSubscribe,
  [PacketType.Unsubscribe]: decodeUnsubscribe,
  [PacketType.Pingreq]: () => ({ type: "pingreq" }),
  [PacketType.Disconnect]: decodeDisconnect,
  [PacketType.Auth]: decodeAuth,
};

/**
 * Decodes the one packet in `reader`, whose first byte was checked and whose size is right. Without
 * `protocolVersion` that packet is CONNECT.
 * @throws FaultError for whatever is wrong with it.
 */
export function decodePacket(reader: ByteReader, protocolVersion: ProtocolVersion | undefined): ClientPacket {
  const firstByte = reader.readByte();
  reader.readVariableByteInteger();
  if (protocolVersion === undefined) return decodeConnect(reader);
  const packet = BODY_DECODERS[firstByte >> 4]!(reader, protocolVersion, firstByte);
  if (reader.remaining > 0) throw malformed("Packet has bytes after its last field");
  return packet;
}
