/** The fixed header of section 2.1: what its first byte says, and how long the packet is. */
import type { ProtocolVersion } from "../core/packet.ts";
import { malformed, protocolError } from "./fault.ts";
import type { FaultError } from "./fault.ts";
import { parseVariableByteInteger, variableByteIntegerSizeBytes } from "./variable-byte-integer.ts";

/** Control Packet types, section 2.1.2. */
export const PacketType = {
  Connect: 1,
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Subscribe: 8,
  Suback: 9,
  Unsubscribe: 10,
  Unsuback: 11,
  Pingreq: 12,
  Pingresp: 13,
  Disconnect: 14,
  Auth: 15,
} as const;

export const DUP_FLAG = 0x08;
export const RETAIN_FLAG = 0x01;

/** The lower half of the first byte that [MQTT-2.1.3-1] prescribes, where it isn't 0; PUBLISH has real flags. */
const RESERVED_FLAGS: Readonly<Record<number, number>> = {
  [PacketType.Pubrel]: 0x02,
  [PacketType.Subscribe]: 0x02,
  [PacketType.Unsubscribe]: 0x02,
};

const SERVER_ONLY: readonly number[] = [
  PacketType.Connack,
  PacketType.Suback,
  PacketType.Unsuback,
  PacketType.Pingresp,
];

/** What is wrong with the first byte of a client's packet; undefined `protocolVersion` is before CONNECT. */
function judgeFirstByte(
  firstByte: number,
  protocolVersion: ProtocolVersion | undefined,
): FaultError | undefined {
  const type = firstByte >> 4;
  if (protocolVersion === undefined) {
    // [MQTT-3.1.0-1] the first packet is CONNECT.
    if (type !== PacketType.Connect) return protocolError("First packet is not CONNECT");
  } else {
    // [MQTT-3.1.0-2] a second CONNECT is a Protocol Error.
    if (type === PacketType.Connect) return protocolError("CONNECT is sent a second time");
    if (type === PacketType.Auth && protocolVersion < 5) return protocolError("AUTH needs MQTT 5.0");
  }
  if (type === 0) return malformed("Packet type 0 is reserved");
  if (SERVER_ONLY.includes(type)) return protocolError("Only servers send packets of this type");
  const flags = firstByte & 0x0f;
  return type === PacketType.Publish ? judgePublishFlags(flags) : judgeFlags(type, flags, protocolVersion);
}

function judgePublishFlags(flags: number): FaultError | undefined {
  // [MQTT-3.3.1-4] both QoS bits set.
  if ((flags & 0x06) === 0x06) return malformed("PUBLISH has QoS 3");
  // [MQTT-3.3.1-2] DUP is 0 for QoS 0.
  if ((flags & 0x06) === 0 && (flags & DUP_FLAG) !== 0) return malformed("PUBLISH with QoS 0 has DUP set");
  return undefined;
}

function judgeFlags(type: number, flags: number, protocolVersion?: ProtocolVersion): FaultError | undefined {
  const expected = RESERVED_FLAGS[type] ?? 0;
  // MQTT 3.1, section 2.1: DUP is set when PUBREL, SUBSCRIBE or UNSUBSCRIBE are sent again.
  const ignored = protocolVersion === 3 && expected !== 0 ? DUP_FLAG : 0;
  // [MQTT-2.1.3-1] reserved flags have the value that the table gives.
  return (flags & ~ignored) === expected
    ? undefined
    : malformed("Reserved flags of the fixed header are wrong");
}

/** All 256 verdicts for each state of a connection. */
function verdictTable(protocolVersion?: ProtocolVersion): readonly (FaultError | undefined)[] {
  return Array.from({ length: 256 }, (_, firstByte) => judgeFirstByte(firstByte, protocolVersion));
}

const BEFORE_CONNECT = verdictTable();
const AFTER_CONNECT = { 3: verdictTable(3), 4: verdictTable(4), 5: verdictTable(5) } as const;

/**
 * Checks all that the first byte tells: packet type and flags. Without `protocolVersion` only CONNECT passes.
 * @throws FaultError Malformed Packet or Protocol Error.
 */
export function checkFirstByte(firstByte: number, protocolVersion: ProtocolVersion | undefined): void {
  const verdicts = protocolVersion === undefined ? BEFORE_CONNECT : AFTER_CONNECT[protocolVersion];
  const verdict = verdicts[firstByte];
  if (verdict !== undefined) throw verdict;
}

/**
 * Total size in bytes of the packet that begins at `offset`, or 0 while its Remaining Length is incomplete.
 * @throws FaultError Malformed Packet when the Remaining Length is.
 */
export function readPacketSizeBytes(bytes: Uint8Array, offset: number, end: number): number {
  const remainingLength = parseVariableByteInteger(bytes, offset + 1, end);
  if (remainingLength < 0) return 0;
  return 1 + variableByteIntegerSizeBytes(remainingLength) + remainingLength;
}
