/**
 * A second decoder of what clients send, for tests: written from the specifications, plain and slow, and independent
 * of src/codec. It takes a whole stream at once. MQTT 3.1 is held to the rules of 3.1.1 where it says nothing else.
 */
import type { ClientPacket, ProtocolVersion } from "../../src/core/packet.ts";

export interface IndependentVerdict {
  readonly packets: readonly ClientPacket[];
  /** The bytes of each of the packets. */
  readonly frames: readonly Uint8Array[];
  /** Why the stream may not go on. */
  readonly refusal?: string;
  /** How many bytes at the end await the rest of their packet; 0 after a refusal. */
  readonly unfinishedBytes: number;
}

type Fields = Record<string, unknown>;

class Refused extends Error {}

function refuse(reason: string): never {
  throw new Refused(reason);
}

function refuseIf(isWrong: boolean, reason: string): void {
  if (isWrong) refuse(reason);
}

/** The bytes not read yet of a packet, or of its properties. */
class Input {
  #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  take(count: number): Uint8Array {
    refuseIf(count > this.#bytes.length, "ends too early");
    const taken = this.#bytes.slice(0, count);
    this.#bytes = this.#bytes.slice(count);
    return taken;
  }

  /** Big-endian, of that many bytes. */
  integer(byteCount: number): number {
    return this.take(byteCount).reduce((value, byte) => value * 256 + byte, 0);
  }

  variableByteInteger(): number {
    const length = parseLength(this.#bytes);
    if (length === undefined) return refuse("ends too early");
    this.take(length.byteCount);
    return length.value;
  }

  binary(): Uint8Array {
    return this.take(this.integer(2));
  }

  text(): string {
    return textOf(this.binary());
  }
}

/** Section 1.5.5, or 2.2.3 of 3.1.1; undefined when the bytes end inside it. */
function parseLength(bytes: Uint8Array): { value: number; byteCount: number } | undefined {
  const end = bytes.subarray(0, 4).findIndex((byte) => byte < 128);
  if (end === -1) return bytes.length < 4 ? undefined : refuse("a length of more than four bytes");
  refuseIf(end > 0 && bytes[end] === 0, "a length that is not in its shortest form");
  const digits = bytes.subarray(0, end + 1);
  return { value: digits.reduceRight((value, byte) => value * 128 + (byte & 127), 0), byteCount: end + 1 };
}

/** By the table of RFC 3629, section 4: lead bytes, the range of the byte after them, the bytes in all. */
const UTF8_SEQUENCES = [
  [0x01, 0x7f, 0, 0, 1],
  [0xc2, 0xdf, 0x80, 0xbf, 2],
  [0xe0, 0xe0, 0xa0, 0xbf, 3],
  [0xe1, 0xec, 0x80, 0xbf, 3],
  [0xed, 0xed, 0x80, 0x9f, 3],
  [0xee, 0xef, 0x80, 0xbf, 3],
  [0xf0, 0xf0, 0x90, 0xbf, 4],
  [0xf1, 0xf3, 0x80, 0xbf, 4],
  [0xf4, 0xf4, 0x80, 0x8f, 4],
] as const;

/** Section 1.5.4. U+0000 is not in the table, so that it is refused too. */
function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const lead = bytes[at] ?? 0;
    const sequence = UTF8_SEQUENCES.find(([from, to]) => lead >= from && lead <= to);
    if (sequence === undefined) return refuse("text that is not UTF-8, or has U+0000");
    const [, , secondFrom, secondTo, size] = sequence;
    const rest = Array.from(bytes.subarray(at + 1, at + size));
    const isWhole = rest.length === size - 1 && rest.every((byte) => byte >= 0x80 && byte <= 0xbf);
    const [second = 0] = rest;
    refuseIf(size > 1 && !(isWhole && second >= secondFrom && second <= secondTo), "text that is not UTF-8");
    const leadBits = size === 1 ? lead : lead & (0x7f >> size);
    text += String.fromCodePoint(rest.reduce((point, byte) => point * 64 + (byte & 0x3f), leadBits));
    at += size;
  }
  return text;
}

/** Section 4.7.1, 4.7.3. */
function topicName(name: string): string {
  refuseIf(name === "" || /[+#]/.test(name), "a Topic Name that is empty or has wildcards");
  return name;
}

const LEVELS = /^(?:(?:\+|[^+#/]*)\/)*(?:\+|#|[^+#/]*)$/;

/** Section 4.7.1, 4.7.3, 4.8.2. */
function topicFilter(filter: string): string {
  const [share, name = "", ...levels] = filter.split("/");
  const isShared = share === "$share" && filter.length > share.length;
  refuseIf(isShared && (name === "" || /[+#]/.test(name)), "a bad Share Name");
  const plain = isShared ? levels.join("/") : filter;
  refuseIf(plain === "" || !LEVELS.test(plain), "a bad Topic Filter");
  return filter;
}

function bit(input: Input): number {
  const value = input.integer(1);
  refuseIf(value > 1, "a value other than 0 and 1");
  return value;
}

function notZero(value: number): number {
  refuseIf(value === 0, "0 where it may not be");
  return value;
}

const flag = (input: Input): boolean => bit(input) === 1;
const uint16 = (input: Input): number => input.integer(2);
const uint32 = (input: Input): number => input.integer(4);
const text = (input: Input): string => input.text();
const binary = (input: Input): Uint8Array => input.binary();

/** Section 2.2.2.2, as far as clients send them: name, value, and the packets by their type; 0 is the Will. */
const PROPERTIES: Readonly<Record<number, readonly [string, (input: Input) => unknown, readonly number[]]>> =
  {
    0x01: ["payloadFormatIndicator", bit, [0, 3]],
    0x02: ["messageExpiryIntervalSec", uint32, [0, 3]],
    0x03: ["contentType", text, [0, 3]],
    0x08: ["responseTopic", (input) => topicName(input.text()), [0, 3]],
    0x09: ["correlationData", binary, [0, 3]],
    0x0b: ["subscriptionIdentifier", (input) => notZero(input.variableByteInteger()), [8]],
    0x11: ["sessionExpiryIntervalSec", uint32, [1, 14]],
    0x15: ["authenticationMethod", text, [1, 15]],
    0x16: ["authenticationData", binary, [1, 15]],
    0x17: ["requestProblemInformation", flag, [1]],
    0x18: ["willDelayIntervalSec", uint32, [0]],
    0x19: ["requestResponseInformation", flag, [1]],
    0x1c: ["serverReference", text, [14]],
    0x1f: ["reasonString", text, [4, 5, 6, 7, 14, 15]],
    0x21: ["receiveMaximum", (input) => notZero(uint16(input)), [1]],
    0x22: ["topicAliasMaximum", uint16, [1]],
    0x23: ["topicAlias", (input) => notZero(uint16(input)), [3]],
    0x26: ["userProperties", (input) => [input.text(), input.text()], [0, 1, 3, 4, 5, 6, 7, 8, 10, 14, 15]],
    0x27: ["maximumPacketSizeBytes", (input) => notZero(uint32(input)), [1]],
  };

function properties(input: Input, packetType: number): Fields {
  const list = new Input(input.take(input.variableByteInteger()));
  const fields: Fields = {};
  while (list.length > 0) {
    // The specification asks for the shortest form here too; every identifier in use is of one byte.
    const [name, read, places] = PROPERTIES[list.integer(1)] ?? refuse("a property that does not exist");
    refuseIf(!places.includes(packetType), `${name} where it may not be`);
    const value = read(list);
    if (name === "userProperties") fields[name] = [...((fields[name] as unknown[]) ?? []), value];
    else if (name in fields) refuse(`${name} twice`);
    else fields[name] = value;
  }
  return fields;
}

const PROTOCOLS: Readonly<Record<string, ProtocolVersion>> = {
  "MQIsdp 3": 3,
  "MQTT 4": 4,
  "MQTT 5": 5,
};
const NEVER = 0xffff_ffff;

/** Section 3.1. */
function connect(input: Input): Fields {
  const protocol = `${input.text()} ${input.integer(1)}`;
  const protocolVersion = PROTOCOLS[protocol] ?? refuse(`protocol ${protocol}`);
  const flags = input.integer(1);
  const has = (mask: number): boolean => (flags & mask) > 0;
  const cleanStart = has(0x02);
  refuseIf(has(0x01), "the reserved flag");
  refuseIf(!has(0x04) && has(0x38), "Will flags without a Will");
  refuseIf((flags & 0x18) === 0x18, "Will QoS 3");
  refuseIf(protocolVersion < 5 && has(0x40) && !has(0x80), "a Password without a User Name");
  const keepAliveSec = uint16(input);
  const sessionExpiryIntervalSec = protocolVersion < 5 && !cleanStart ? NEVER : 0;
  const own = protocolVersion < 5 ? {} : properties(input, 1);
  refuseIf("authenticationData" in own && !("authenticationMethod" in own), "data without a method");
  const clientId = input.text();
  refuseIf(clientId === "" && (protocolVersion === 3 || (protocolVersion === 4 && !cleanStart)), "no name");
  const fields: Fields = { protocolVersion, cleanStart, keepAliveSec, sessionExpiryIntervalSec, ...own };
  fields["clientId"] = clientId;
  if (has(0x04)) fields["will"] = will(input, protocolVersion, flags);
  // 3.1, section 3.1: the Remaining Length takes precedence over these two flags.
  const isThere = (mask: number): boolean => has(mask) && !(protocolVersion === 3 && input.length === 0);
  if (isThere(0x80)) fields["userName"] = input.text();
  if (isThere(0x40)) fields["password"] = input.binary();
  return { type: "connect", ...fields };
}

function will(input: Input, version: ProtocolVersion, flags: number): Fields {
  return {
    willDelayIntervalSec: 0,
    ...(version < 5 ? {} : properties(input, 0)),
    topicName: topicName(input.text()),
    payload: input.binary(),
    qos: (flags >> 3) & 3,
    retain: (flags & 0x20) > 0,
  };
}

/** Section 3.3. */
function publish(input: Input, version: ProtocolVersion, flags: number): Fields {
  const qos = (flags >> 1) & 3;
  const name = input.text();
  const identifier = qos > 0 ? { packetIdentifier: notZero(uint16(input)) } : {};
  const { topicAlias, ...own } = version < 5 ? {} : properties(input, 3);
  if (name !== "" || topicAlias === undefined) topicName(name);
  const message = {
    topicName: name,
    ...own,
    payload: input.take(input.length),
    qos,
    retain: (flags & 1) > 0,
  };
  const alias = topicAlias === undefined ? {} : { topicAlias };
  return { type: "publish", message, dup: (flags & 8) > 0, ...identifier, ...alias };
}

const ACKNOWLEDGED = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASED = [0x00, 0x92];

/** The Reason Codes that clients may send, by packet type: sections 3.4 to 3.7, 3.14 and 3.15. */
const REASON_CODES: Readonly<Record<number, readonly number[]>> = {
  4: ACKNOWLEDGED,
  5: ACKNOWLEDGED,
  6: RELEASED,
  7: RELEASED,
  14: [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
  15: [0x18, 0x19],
};

/** What packets that end with a Reason Code and properties have there, either of them left out at will. */
function reasonAndProperties(input: Input, version: ProtocolVersion, packetType: number): Fields {
  if (version < 5) return { reasonCode: 0 };
  const reasonCode = input.length > 0 ? input.integer(1) : 0;
  refuseIf(!REASON_CODES[packetType]?.includes(reasonCode), "a Reason Code that clients do not send");
  return { reasonCode, ...(input.length > 0 ? properties(input, packetType) : {}) };
}

/** Section 3.8. */
function subscribe(input: Input, version: ProtocolVersion): Fields {
  const packetIdentifier = notZero(uint16(input));
  const own = version < 5 ? {} : properties(input, 8);
  const requests: Fields[] = [];
  do {
    const filter = topicFilter(input.text());
    const options = input.integer(1);
    const [maximumQos, retainHandling, noLocal] = [options & 3, (options >> 4) & 3, (options & 4) > 0];
    refuseIf(maximumQos === 3 || retainHandling === 3, "QoS or Retain Handling 3");
    refuseIf((options & (version < 5 ? 0xfc : 0xc0)) > 0, "reserved options");
    refuseIf(noLocal && filter.startsWith("$share/"), "No Local on a Shared Subscription");
    requests.push({
      topicFilter: filter,
      maximumQos,
      noLocal,
      retainAsPublished: (options & 8) > 0,
      retainHandling,
    });
  } while (input.length > 0);
  return { type: "subscribe", packetIdentifier, ...own, requests };
}

/** Section 3.10. */
function unsubscribe(input: Input, version: ProtocolVersion): Fields {
  const packetIdentifier = notZero(uint16(input));
  const own = version < 5 ? {} : properties(input, 10);
  const topicFilters: string[] = [];
  do topicFilters.push(topicFilter(input.text()));
  while (input.length > 0);
  return { type: "unsubscribe", packetIdentifier, ...own, topicFilters };
}

const ACKNOWLEDGEMENTS: Readonly<Record<number, string>> = {
  4: "puback",
  5: "pubrec",
  6: "pubrel",
  7: "pubcomp",
};

function body(firstByte: number, input: Input, version: ProtocolVersion | undefined): Fields {
  const packetType = firstByte >> 4;
  if (version === undefined) return connect(input);
  const acknowledgement = ACKNOWLEDGEMENTS[packetType];
  if (acknowledgement !== undefined) {
    const packetIdentifier = notZero(uint16(input));
    return { type: acknowledgement, packetIdentifier, ...reasonAndProperties(input, version, packetType) };
  }
  switch (packetType) {
    case 3:
      return publish(input, version, firstByte & 15);
    case 8:
      return subscribe(input, version);
    case 10:
      return unsubscribe(input, version);
    case 12:
      return { type: "pingreq" };
    case 14:
      return { type: "disconnect", ...reasonAndProperties(input, version, 14) };
    default: {
      const auth: Fields = { type: "auth", ...reasonAndProperties(input, version, 15) };
      refuseIf(!("authenticationMethod" in auth), "AUTH without a method");
      return auth;
    }
  }
}

/** Section 2.1: what the first byte alone tells. */
function checkFirstByte(firstByte: number, version: ProtocolVersion | undefined): void {
  const [packetType, flags] = [firstByte >> 4, firstByte & 15];
  refuseIf(
    (version === undefined) !== (packetType === 1),
    "CONNECT that is not the first packet, or missing",
  );
  refuseIf([0, 2, 9, 11, 13].includes(packetType), "a packet type that clients do not send");
  refuseIf(packetType === 15 && version !== 5, "AUTH before version 5");
  if (packetType === 3) {
    refuseIf((flags & 6) === 6, "QoS 3");
    refuseIf((flags & 6) === 0 && (flags & 8) > 0, "DUP with QoS 0");
    return;
  }
  const expected = [6, 8, 10].includes(packetType) ? 2 : 0;
  // 3.1, sections 3.6, 3.8 and 3.10: these are sent again with DUP.
  const isSentAgain = version === 3 && expected === 2 && flags === 10;
  refuseIf(flags !== expected && !isSentAgain, "reserved flags");
}

/** What a stream of a client holds; without `version` its first packet is CONNECT. */
export function decodeIndependently(
  stream: Uint8Array,
  maximumPacketSizeBytes: number,
  version?: ProtocolVersion,
): IndependentVerdict {
  const packets: ClientPacket[] = [];
  const frames: Uint8Array[] = [];
  let at = 0;
  try {
    while (at < stream.length) {
      const current = version ?? (packets[0] as { protocolVersion?: ProtocolVersion })?.protocolVersion;
      const firstByte = stream[at] ?? 0;
      checkFirstByte(firstByte, current);
      const length = parseLength(stream.subarray(at + 1));
      if (length === undefined) break;
      const sizeBytes = 1 + length.byteCount + length.value;
      refuseIf(sizeBytes > maximumPacketSizeBytes, "a packet that is too large");
      if (at + sizeBytes > stream.length) break;
      const input = new Input(stream.slice(at + 1 + length.byteCount, at + sizeBytes));
      const packet = body(firstByte, input, current);
      refuseIf(input.length > 0, "bytes too many");
      packets.push(packet as unknown as ClientPacket);
      frames.push(stream.slice(at, at + sizeBytes));
      at += sizeBytes;
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { packets, frames, refusal: error.message, unfinishedBytes: 0 };
  }
  return { packets, frames, unfinishedBytes: stream.length - at };
}
