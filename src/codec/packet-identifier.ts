/** Packet Identifiers, section 2.2.1. */
import type { ByteReader } from "./byte-reader.ts";
import { protocolError } from "./fault.ts";

/** @throws FaultError Protocol Error for 0: [MQTT-2.2.1-3] wants another value. */
export function readPacketIdentifier(reader: ByteReader): number {
  const packetIdentifier = reader.readUint16();
  if (packetIdentifier === 0) throw protocolError("Packet Identifier is 0");
  return packetIdentifier;
}
