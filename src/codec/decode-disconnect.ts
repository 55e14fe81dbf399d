/** DISCONNECT and AUTH, sections 3.14 and 3.15. */
import type { AuthPacket, DisconnectPacket, ProtocolVersion } from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";
import type { ByteReader } from "./byte-reader.ts";
import { protocolError } from "./fault.ts";
import { readProperties } from "./property-reader.ts";
import { readReasonCode } from "./reason-code-reader.ts";

export function decodeDisconnect(reader: ByteReader, protocolVersion: ProtocolVersion): DisconnectPacket {
  // Section 3.14.2.1: without a Reason Code it is Normal disconnection; 3.x never has one.
  if (protocolVersion < 5 || reader.remaining === 0) {
    return { type: "disconnect", reasonCode: ReasonCode.NormalDisconnection };
  }
  const reasonCode = readReasonCode(reader, "disconnect");
  const properties = reader.remaining > 0 ? readProperties(reader, "disconnect") : {};
  return { type: "disconnect", reasonCode, ...properties };
}

export function decodeAuth(reader: ByteReader): AuthPacket {
  // Section 3.15.2.1: left out it would be Success, which clients don't send.
  if (reader.remaining === 0) throw protocolError("AUTH has no Reason Code");
  const reasonCode = readReasonCode(reader, "auth");
  const properties = reader.remaining > 0 ? readProperties(reader, "auth") : {};
  // Section 3.15.2.2.2: omitting the Authentication Method is a Protocol Error.
  if (properties.authenticationMethod === undefined) throw protocolError("AUTH has no Authentication Method");
  return { type: "auth", reasonCode, ...properties };
}
