/** Decodes what servers send, for tests: plain and trusting, and independent of src/codec. */
import type { Delivery, ProtocolVersion, ServerPacket, UserProperty } from "../../src/core/packet.ts";

/** A PUBLISH as a client sees it. */
export interface ReceivedPublish {
  readonly type: "publish";
  readonly topicName: string;
  readonly payload: Uint8Array;
  readonly qos: Delivery["qos"];
  readonly retain: boolean;
  readonly dup: boolean;
  readonly packetIdentifier?: number;
  readonly payloadFormatIndicator?: 0 | 1;
  readonly messageExpiryIntervalSec?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  readonly subscriptionIdentifiers?: readonly number[];
  readonly topicAlias?: number;
  readonly userProperties?: readonly UserProperty[];
}

/**
 * A packet of the server. For 3.x `reasonCode` and `reasonCodes` hold the return codes of that version, and
 * those of UNSUBACK are empty.
 */
export type ReceivedPacket = ServerPacket | ReceivedPublish;

class Cursor {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) throw new Error("server packet is cut off");
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }

  number(size: number): number {
    return this.take(size).reduce((value, byte) => value * 256 + byte, 0);
  }

  varint(): number {
    let [value, factor, byte] = [0, 1, 0x80];
    for (; byte & 0x80; factor *= 128) value += ((byte = this.number(1)) & 0x7f) * factor;
    return value;
  }

  binary(): Uint8Array {
    return this.take(this.number(2));
  }

  utf8(): string {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.binary());
  }

  rest(): Uint8Array {
    return this.take(this.bytes.length - this.at);
  }
}

type Field = readonly [name: string, read: (cursor: Cursor) => unknown];
const byte = (cursor: Cursor): number => cursor.number(1);
const bool = (cursor: Cursor): boolean => cursor.number(1) === 1;
const uint16 = (cursor: Cursor): number => cursor.number(2);
const uint32 = (cursor: Cursor): number => cursor.number(4);
const utf8 = (cursor: Cursor): string => cursor.utf8();
const binary = (cursor: Cursor): Uint8Array => cursor.binary();

const FIELDS: Readonly<Record<number, Field>> = {
  0x01: ["payloadFormatIndicator", byte],
  0x02: ["messageExpiryIntervalSec", uint32],
  0x03: ["contentType", utf8],
  0x08: ["responseTopic", utf8],
  0x09: ["correlationData", binary],
  0x0b: ["subscriptionIdentifiers", (cursor) => cursor.varint()],
  0x11: ["sessionExpiryIntervalSec", uint32],
  0x12: ["assignedClientIdentifier", utf8],
  0x13: ["serverKeepAliveSec", uint16],
  0x15: ["authenticationMethod", utf8],
  0x16: ["authenticationData", binary],
  0x1a: ["responseInformation", utf8],
  0x1c: ["serverReference", utf8],
  0x1f: ["reasonString", utf8],
  0x21: ["receiveMaximum", uint16],
  0x22: ["topicAliasMaximum", uint16],
  0x23: ["topicAlias", uint16],
  0x24: ["maximumQos", byte],
  0x25: ["retainAvailable", bool],
  0x26: ["userProperties", (cursor) => [cursor.utf8(), cursor.utf8()]],
  0x27: ["maximumPacketSizeBytes", uint32],
  0x28: ["wildcardSubscriptionAvailable", bool],
  0x29: ["subscriptionIdentifiersAvailable", bool],
  0x2a: ["sharedSubscriptionAvailable", bool],
};

function properties(cursor: Cursor, version: ProtocolVersion): Record<string, unknown> {
  if (version < 5 || cursor.isAtEnd) return {};
  const list = new Cursor(cursor.take(cursor.varint()));
  const values: Record<string, unknown> = {};
  while (!list.isAtEnd) {
    const field = FIELDS[list.number(1)];
    if (field === undefined) throw new Error("server sends an unknown property");
    const [name, read] = field;
    const isList = name === "userProperties" || name === "subscriptionIdentifiers";
    if (!isList && name in values) throw new Error(`server sends ${name} twice`);
    values[name] = isList ? [...((values[name] as unknown[]) ?? []), read(list)] : read(list);
  }
  return values;
}

function publish(flags: number, cursor: Cursor, version: ProtocolVersion): Record<string, unknown> {
  const qos = (flags >> 1) & 3;
  const topicName = cursor.utf8();
  const identifier = qos > 0 ? { packetIdentifier: cursor.number(2) } : {};
  const values = properties(cursor, version);
  const fields = { topicName, qos, retain: (flags & 1) === 1, dup: (flags & 8) === 8 };
  return { type: "publish", ...fields, ...identifier, ...values, payload: cursor.rest() };
}

const RESPONSES = { 4: "puback", 5: "pubrec", 6: "pubrel", 7: "pubcomp" } as const;

function body(firstByte: number, cursor: Cursor, version: ProtocolVersion): Record<string, unknown> {
  const reasonCode = (): number => (cursor.isAtEnd ? 0 : cursor.number(1));
  switch (firstByte >> 4) {
    case 2: {
      const sessionPresent = bool(cursor);
      return {
        type: "connack",
        sessionPresent,
        reasonCode: cursor.number(1),
        ...properties(cursor, version),
      };
    }
    case 3:
      return publish(firstByte & 0x0f, cursor, version);
    case 4:
    case 5:
    case 6:
    case 7: {
      const type = RESPONSES[(firstByte >> 4) as keyof typeof RESPONSES];
      const packetIdentifier = cursor.number(2);
      return { type, packetIdentifier, reasonCode: reasonCode(), ...properties(cursor, version) };
    }
    case 9:
    case 11: {
      const type = firstByte >> 4 === 9 ? "suback" : "unsuback";
      const packetIdentifier = cursor.number(2);
      const values = properties(cursor, version);
      return { type, packetIdentifier, ...values, reasonCodes: [...cursor.rest()] };
    }
    case 13:
      return { type: "pingresp" };
    case 14:
      return { type: "disconnect", reasonCode: reasonCode(), ...properties(cursor, version) };
    case 15:
      return { type: "auth", reasonCode: reasonCode(), ...properties(cursor, version) };
    default:
      throw new Error(`server sends packet type ${firstByte >> 4}`);
  }
}

/**
 * Decodes whole packets of a server of `version`.
 * @throws Error when bytes are missing or left over, or when no server sends such a packet.
 */
export function decodeServerPackets(bytes: Uint8Array, version: ProtocolVersion): ReceivedPacket[] {
  const stream = new Cursor(bytes);
  const packets: ReceivedPacket[] = [];
  while (!stream.isAtEnd) {
    const firstByte = stream.number(1);
    const cursor = new Cursor(stream.take(stream.varint()));
    const packet = body(firstByte, cursor, version);
    if (!cursor.isAtEnd) throw new Error(`server packet ${String(packet["type"])} has bytes left over`);
    packets.push(packet as unknown as ReceivedPacket);
  }
  return packets;
}
