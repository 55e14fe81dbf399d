/** Encodes what a server sends, PUBLISH apart. */
import type {
  AuthPacket,
  ConnackPacket,
  DisconnectPacket,
  ProtocolVersion,
  PublishResponsePacket,
  ServerPacket,
  SubscribeResponsePacket,
} from "../core/packet.ts";
import { isFailure, ReasonCode } from "../core/reason-code.ts";
import { ByteWriter } from "./byte-writer.ts";
import { connackReturnCode } from "./connack-return-code.ts";
import { propertiesSizeBytes, withLengthSizeBytes, writeProperties } from "./property-writer.ts";

/** The first byte of each packet: its type and the flags of [MQTT-2.1.3-1]. */
const FIRST_BYTE = {
  connack: 0x20,
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
  suback: 0x90,
  unsuback: 0xb0,
  pingresp: 0xd0,
  disconnect: 0xe0,
  auth: 0xf0,
} as const;

const SUBACK_FAILURE_V3 = 0x80;

/**
 * The bytes of `packet` in the form of `protocolVersion`, as short as it can be told. They may be a view of a
 * larger buffer: send the array, never its `buffer`.
 * @throws Error for DISCONNECT and AUTH to a 3.x client, who knows neither from a server.
 * @throws RangeError when a string or binary value takes more than 65,535 bytes.
 */
export function encodePacket(packet: ServerPacket, protocolVersion: ProtocolVersion): Uint8Array {
  switch (packet.type) {
    case "connack":
      return protocolVersion === 5 ? encodeConnack(packet) : encodeConnackV3(packet, protocolVersion);
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp":
      return encodePublishResponse(packet, protocolVersion);
    case "suback":
    case "unsuback":
      return protocolVersion === 5 ? encodeSubscribeResponse(packet) : encodeSubscribeResponseV3(packet);
    case "pingresp":
      return new ByteWriter(FIRST_BYTE.pingresp, 0).bytes;
    case "disconnect":
    case "auth":
      if (protocolVersion < 5) throw new Error(`${packet.type} is not sent to a client of MQTT 3.x`);
      return encodeReason(packet);
  }
}

function encodeConnack(packet: ConnackPacket): Uint8Array {
  const listSizeBytes = propertiesSizeBytes("connack", packet);
  const writer = new ByteWriter(FIRST_BYTE.connack, 2 + withLengthSizeBytes(listSizeBytes));
  // [MQTT-3.2.2-1] bits 7–1 are 0.
  writer.writeByte(packet.sessionPresent ? 1 : 0);
  writer.writeByte(packet.reasonCode);
  writeProperties(writer, "connack", packet, listSizeBytes);
  return writer.bytes;
}

function encodeConnackV3(packet: ConnackPacket, protocolVersion: ProtocolVersion): Uint8Array {
  const writer = new ByteWriter(FIRST_BYTE.connack, 2);
  // MQTT 3.1 has no Session Present flag: the byte is reserved.
  writer.writeByte(packet.sessionPresent && protocolVersion === 4 ? 1 : 0);
  writer.writeByte(connackReturnCode(packet.reasonCode));
  return writer.bytes;
}

function encodePublishResponse(packet: PublishResponsePacket, protocolVersion: ProtocolVersion): Uint8Array {
  const { type, packetIdentifier, reasonCode } = packet;
  const listSizeBytes = protocolVersion === 5 ? propertiesSizeBytes(type, packet) : 0;
  // Sections 3.4.2.1 and 3.4.2.2.1: Success and an empty Property Length may be left out.
  const isShort = protocolVersion < 5 || (reasonCode === ReasonCode.Success && listSizeBytes === 0);
  if (isShort) {
    return Uint8Array.of(FIRST_BYTE[type], 2, packetIdentifier >> 8, packetIdentifier);
  }
  const propertySizeBytes = listSizeBytes === 0 ? 0 : withLengthSizeBytes(listSizeBytes);
  const writer = new ByteWriter(FIRST_BYTE[type], 3 + propertySizeBytes);
  writer.writeUint16(packetIdentifier);
  writer.writeByte(reasonCode);
  if (listSizeBytes > 0) writeProperties(writer, type, packet, listSizeBytes);
  return writer.bytes;
}

function encodeSubscribeResponse(packet: SubscribeResponsePacket): Uint8Array {
  const { type, packetIdentifier, reasonCodes } = packet;
  const listSizeBytes = propertiesSizeBytes(type, packet);
  const remainingLength = 2 + withLengthSizeBytes(listSizeBytes) + reasonCodes.length;
  const writer = new ByteWriter(FIRST_BYTE[type], remainingLength);
  writer.writeUint16(packetIdentifier);
  writeProperties(writer, type, packet, listSizeBytes);
  // [MQTT-3.9.3-1], [MQTT-3.11.3-1]: one Reason Code per filter, in the same order.
  for (const reasonCode of reasonCodes) writer.writeByte(reasonCode);
  return writer.bytes;
}

function encodeSubscribeResponseV3(packet: SubscribeResponsePacket): Uint8Array {
  // UNSUBACK of 3.x has no payload.
  const reasonCodes = packet.type === "suback" ? packet.reasonCodes : [];
  const writer = new ByteWriter(FIRST_BYTE[packet.type], 2 + reasonCodes.length);
  writer.writeUint16(packet.packetIdentifier);
  for (const reasonCode of reasonCodes) {
    writer.writeByte(isFailure(reasonCode) ? SUBACK_FAILURE_V3 : reasonCode);
  }
  return writer.bytes;
}

function encodeReason(packet: DisconnectPacket | AuthPacket): Uint8Array {
  const { type, reasonCode } = packet;
  const listSizeBytes = propertiesSizeBytes(type, packet);
  if (listSizeBytes > 0) {
    const writer = new ByteWriter(FIRST_BYTE[type], 1 + withLengthSizeBytes(listSizeBytes));
    writer.writeByte(reasonCode);
    writeProperties(writer, type, packet, listSizeBytes);
    return writer.bytes;
  }
  // Sections 3.14.2.1 and 3.15.2.1: code 0x00 may be left out, and so may an empty Property Length.
  if (reasonCode === ReasonCode.Success) return new ByteWriter(FIRST_BYTE[type], 0).bytes;
  return encodeBareReason(packet);
}

function encodeBareReason({ type, reasonCode }: DisconnectPacket | AuthPacket): Uint8Array {
  // Section 3.14.2.2.1 allows DISCONNECT to end here; for AUTH the Property Length is always told.
  if (type === "disconnect") return Uint8Array.of(FIRST_BYTE.disconnect, 1, reasonCode);
  return Uint8Array.of(FIRST_BYTE.auth, 2, reasonCode, 0);
}
