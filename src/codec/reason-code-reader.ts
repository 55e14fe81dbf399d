/** Which Reason Codes a client's packets may carry. */
import type { ReasonCode } from "../core/reason-code.ts";
import type { ByteReader } from "./byte-reader.ts";
import { protocolError } from "./fault.ts";

const PUBLISH_RECEIVED = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASED = [0x00, 0x92];

const ALLOWED = {
  // [MQTT-3.4.2-1] and [MQTT-3.5.2-1]
  puback: new Set(PUBLISH_RECEIVED),
  pubrec: new Set(PUBLISH_RECEIVED),
  // [MQTT-3.6.2-1] and [MQTT-3.7.2-1]
  pubrel: new Set(RELEASED),
  pubcomp: new Set(RELEASED),
  // [MQTT-3.14.2-1], without the codes that table 3-10 leaves to the server.
  disconnect: new Set([0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]),
  // [MQTT-3.15.2-1], without Success: that is the server's to say.
  auth: new Set([0x18, 0x19]),
} as const;

/**
 * Reads a Reason Code that a client may give in a packet of this type.
 * @throws FaultError Protocol Error for any other.
 */
export function readReasonCode(reader: ByteReader, packetType: keyof typeof ALLOWED): ReasonCode {
  const reasonCode = reader.readByte();
  if (!ALLOWED[packetType].has(reasonCode))
    throw protocolError(`Reason Code is not allowed in ${packetType}`);
  return reasonCode as ReasonCode;
}
