/** PUBACK, PUBREC, PUBREL and PUBCOMP, sections 3.4 to 3.7. */
import type { ProtocolVersion, PublishResponsePacket } from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";
import type { ByteReader } from "./byte-reader.ts";
import { readPacketIdentifier } from "./packet-identifier.ts";
import { readProperties } from "./property-reader.ts";
import { readReasonCode } from "./reason-code-reader.ts";

/** Makes the decoder of one of the four. */
export function publishResponseDecoder(type: PublishResponsePacket["type"]) {
  return (reader: ByteReader, protocolVersion: ProtocolVersion): PublishResponsePacket => {
    const packetIdentifier = readPacketIdentifier(reader);
    // Section 3.4.2.1: the end of the packet here means Success.
    if (protocolVersion < 5 || reader.remaining === 0) {
      return { type, packetIdentifier, reasonCode: ReasonCode.Success };
    }
    const reasonCode = readReasonCode(reader, type);
    const properties = reader.remaining > 0 ? readProperties(reader, type) : {};
    return { type, packetIdentifier, reasonCode, ...properties };
  };
}
