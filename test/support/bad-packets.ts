import { bytes, field, NO_PROPERTIES, packet, properties, uint16, type Part } from "./bytes.ts";

export interface BadPacket {
  readonly title: string;
  readonly bytes: Buffer;
}
export interface RefusedPacket extends BadPacket {
  /** The Reason Codes that the specification allows for it; the first is the most exact. */
  readonly reasonCodes: readonly number[];
}

const MALFORMED_PACKET = 0x81;
const PROTOCOL_ERROR = 0x82;
const TOPIC_FILTER_INVALID = 0x8f;
const TOPIC_NAME_INVALID = 0x90;
const TOPIC_ALIAS_INVALID = 0x94;

const CLEAN = 0x02;
const KEEP_ALIVE = uint16(60);
const id = field("client");

function connect(level: number, flags: number, ...rest: readonly Part[]): Buffer {
  return packet(0x10, field("MQTT"), level, flags, KEEP_ALIVE, ...rest);
}

/** First packets that no broker may accept, whichever version they claim. */
export const BAD_FIRST_PACKETS: readonly BadPacket[] = [
  ["a Remaining Length of five bytes", bytes(0x10, 0xff, 0xff, 0xff, 0xff, 0x01)],
  [
    "[MQTT-2.1.3-1] CONNECT with reserved bits in its fixed header",
    bytes(0x11, connect(4, CLEAN, id).subarray(1)),
  ],
  ["an empty CONNECT", packet(0x10)],
  ["[MQTT-3.1.2-1] a Protocol Name that is not MQTT", packet(0x10, field("HTTP"), 4, CLEAN, KEEP_ALIVE, id)],
  ["[MQTT-3.1.2-1] a Protocol Name in the wrong case", packet(0x10, field("mqtt"), 4, CLEAN, KEEP_ALIVE, id)],
  ["[MQTT-3.1.2-2] Protocol Level 6", connect(6, CLEAN, NO_PROPERTIES, id)],
  ["[MQTT-3.1.2-2] Protocol Level 0", connect(0, CLEAN, id)],
  ["[MQTT-3.1.2-3 (3.1.1)] the reserved connect flag", connect(4, CLEAN | 1, id)],
  ["[MQTT-3.1.2-3] the reserved connect flag, version 5", connect(5, CLEAN | 1, NO_PROPERTIES, id)],
  ["[MQTT-3.1.2-14 (3.1.1)] Will QoS 3", connect(4, CLEAN | 0x04 | 0x18, id, field("will"), field("x"))],
  [
    "[MQTT-3.1.2-12] Will QoS 3, version 5",
    connect(5, CLEAN | 0x04 | 0x18, NO_PROPERTIES, id, NO_PROPERTIES, field("will"), field("x")),
  ],
  ["[MQTT-3.1.2-11 (3.1.1)] [MQTT-3.1.2-13 (3.1.1)] Will QoS without a will", connect(4, CLEAN | 0x08, id)],
  ["[MQTT-3.1.2-11] Will QoS without a will, version 5", connect(5, CLEAN | 0x08, NO_PROPERTIES, id)],
  ["[MQTT-3.1.2-15 (3.1.1)] Will Retain without a will", connect(4, CLEAN | 0x20, id)],
  ["[MQTT-3.1.2-22 (3.1.1)] a password without a user name", connect(4, CLEAN | 0x40, id, field("secret"))],
  ["a body that ends within the Client Identifier", connect(4, CLEAN, uint16(10), "short")],
  ["bytes after the last field, version 4", connect(4, CLEAN, id, field("left over"))],
  ["bytes after the last field, version 5", connect(5, CLEAN, NO_PROPERTIES, id, "left over")],
  [
    "[MQTT-1.5.3-1 (3.1.1)] [MQTT-3.1.3-4 (3.1.1)] a Client Identifier that is not UTF-8",
    connect(4, CLEAN, field(0xff, 0xfe)),
  ],
  ["[MQTT-1.5.3-1 (3.1.1)] a Client Identifier with a surrogate", connect(4, CLEAN, field(0xed, 0xa0, 0x80))],
  ["[MQTT-1.5.3-2 (3.1.1)] a Client Identifier with U+0000", connect(4, CLEAN, field("a", 0, "b"))],
  [
    "[MQTT-1.5.4-1] an overlong encoding in the Client Identifier",
    connect(5, CLEAN, NO_PROPERTIES, field(0xc0, 0xaf)),
  ],
  ["a wildcard in the Will Topic", connect(4, CLEAN | 0x04, id, field("will/#"), field("x"))],
  [
    "a wildcard in the Will Topic, version 5",
    connect(5, CLEAN | 0x04, NO_PROPERTIES, id, NO_PROPERTIES, field("+"), field("x")),
  ],
  ["[MQTT-3.1.3-8 (3.1.1)] no Client Identifier without a clean session", connect(4, 0, field())],
  ["Receive Maximum 0", connect(5, CLEAN, properties(0x21, uint16(0)), id)],
  ["Maximum Packet Size 0", connect(5, CLEAN, properties(0x27, 0, 0, 0, 0), id)],
  ["a property twice", connect(5, CLEAN, properties(0x21, uint16(5), 0x21, uint16(5)), id)],
  ["a property that CONNECT may not have", connect(5, CLEAN, properties(0x23, uint16(5)), id)],
  ["a property identifier that does not exist", connect(5, CLEAN, properties(0x7f, 0), id)],
  ["Request Problem Information 2", connect(5, CLEAN, properties(0x17, 2), id)],
  ["properties longer than the packet", packet(0x10, field("MQTT"), 5, CLEAN, KEEP_ALIVE, 0x70, id)],
  ["Authentication Data without a method", connect(5, CLEAN, properties(0x16, field("x")), id)],
  ["an HTTP request", bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
  ["a TLS ClientHello", bytes(0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03)],
].map(([title, content]) => ({ title: title as string, bytes: content as Buffer }));

/** Well-formed packets that may not come before CONNECT. */
export const NOT_A_CONNECT: readonly BadPacket[] = [
  ["CONNACK", packet(0x20, 0, 0)],
  ["PUBLISH", packet(0x30, field("topic"), "x")],
  ["PUBACK", packet(0x40, uint16(1))],
  ["PUBREL", packet(0x62, uint16(1))],
  ["SUBSCRIBE", packet(0x82, uint16(1), field("topic"), 0)],
  ["UNSUBSCRIBE", packet(0xa2, uint16(1), field("topic"))],
  ["PINGREQ", packet(0xc0)],
  ["DISCONNECT", packet(0xe0)],
  ["AUTH", packet(0xf0)],
  ["the reserved type 0", packet(0x00)],
].map(([title, content]) => ({ title: title as string, bytes: content as Buffer }));

type Row = readonly [title: string, reasonCodes: readonly number[], bytes: Buffer];

function rows(list: readonly Row[]): readonly RefusedPacket[] {
  return list.map(([title, reasonCodes, content]) => ({ title, reasonCodes, bytes: content }));
}

const EITHER_ERROR = [PROTOCOL_ERROR, MALFORMED_PACKET];

/** Bad after CONNECT at every version; `optional` is the property field, empty before version 5. */
export function badPackets(optional: Buffer): readonly RefusedPacket[] {
  const publish = (firstByte: number, ...rest: readonly Part[]): Buffer =>
    packet(firstByte, field("bad"), ...rest);
  const subscribe = (...rest: readonly Part[]): Buffer => packet(0x82, uint16(7), optional, ...rest);
  return rows([
    ["the reserved type 0", [MALFORMED_PACKET, PROTOCOL_ERROR], packet(0x00)],
    [
      "[MQTT-3.3.1-4] [MQTT-3.3.1-4 (3.1.1)] [MQTT-4.8.0-1 (3.1.1)] PUBLISH with QoS 3",
      [MALFORMED_PACKET],
      publish(0x36, uint16(1), optional),
    ],
    [
      "[MQTT-2.2.1-3] [MQTT-2.3.1-1 (3.1.1)] PUBLISH with Packet Identifier 0",
      EITHER_ERROR,
      publish(0x32, uint16(0), optional),
    ],
    ["PUBLISH that ends within its Topic Name", [MALFORMED_PACKET], packet(0x30, uint16(50), "short")],
    ["PUBLISH without a Packet Identifier", [MALFORMED_PACKET], publish(0x32)],
    [
      "[MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-3.3.2-2 (3.1.1)] [MQTT-4.7.1-1 (3.1.1)] PUBLISH with # in its Topic Name",
      [TOPIC_NAME_INVALID],
      packet(0x30, field("a/#"), optional),
    ],
    [
      "[MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-3.3.2-2 (3.1.1)] [MQTT-4.7.1-1 (3.1.1)] PUBLISH with + in its Topic Name",
      [TOPIC_NAME_INVALID],
      packet(0x30, field("a+b"), optional),
    ],
    [
      "[MQTT-1.5.4-1] [MQTT-3.3.2-1] [MQTT-1.5.3-1 (3.1.1)] [MQTT-3.3.2-1 (3.1.1)] a Topic Name that is not UTF-8",
      [MALFORMED_PACKET],
      packet(0x30, field("a", 0xff), optional),
    ],
    [
      "[MQTT-1.5.4-1] [MQTT-1.5.3-1 (3.1.1)] a Topic Name with a surrogate",
      [MALFORMED_PACKET],
      packet(0x30, field(0xed, 0xbf, 0xbf), optional),
    ],
    [
      "[MQTT-1.5.4-2] [MQTT-4.7.3-2] [MQTT-1.5.3-2 (3.1.1)] [MQTT-4.7.3-2 (3.1.1)] a Topic Name with U+0000",
      [MALFORMED_PACKET],
      packet(0x30, field("a", 0), optional),
    ],
    [
      "[MQTT-4.7.3-1] [MQTT-4.7.3-1 (3.1.1)] a Topic Name of no characters",
      [PROTOCOL_ERROR, TOPIC_NAME_INVALID, MALFORMED_PACKET],
      packet(0x30, field(), optional),
    ],
    [
      "[MQTT-3.8.1-1] [MQTT-3.8.1-1 (3.1.1)] [MQTT-2.2.2-2 (3.1.1)] SUBSCRIBE with reserved bits",
      [MALFORMED_PACKET],
      packet(0x80, uint16(1), optional, field("a"), 0),
    ],
    [
      "[MQTT-2.2.1-3] [MQTT-2.3.1-1 (3.1.1)] SUBSCRIBE with Packet Identifier 0",
      EITHER_ERROR,
      packet(0x82, uint16(0), optional, field("a"), 0),
    ],
    ["[MQTT-3.8.3-2] [MQTT-3.8.3-3 (3.1.1)] SUBSCRIBE without a Topic Filter", [PROTOCOL_ERROR], subscribe()],
    [
      "[MQTT-3.8.3-5] [MQTT-3.8.3-4 (3.1.1)] SUBSCRIBE with reserved option bits",
      EITHER_ERROR,
      subscribe(field("a"), 0xc0),
    ],
    ["[MQTT-3.8.3-4 (3.1.1)] SUBSCRIBE with QoS 3", EITHER_ERROR, subscribe(field("a"), 3)],
    ["SUBSCRIBE without options", [MALFORMED_PACKET], subscribe(field("a"))],
    [
      "[MQTT-1.5.4-1] [MQTT-3.8.3-1] [MQTT-3.8.3-1 (3.1.1)] a Topic Filter that is not UTF-8",
      [MALFORMED_PACKET],
      subscribe(field(0xc3, 0x28), 0),
    ],
    [
      "[MQTT-3.10.1-1] [MQTT-3.10.1-1 (3.1.1)] UNSUBSCRIBE with reserved bits",
      [MALFORMED_PACKET],
      packet(0xa0, uint16(1), optional, field("a")),
    ],
    [
      "[MQTT-3.10.3-2] [MQTT-3.10.3-2 (3.1.1)] UNSUBSCRIBE without a Topic Filter",
      [PROTOCOL_ERROR],
      packet(0xa2, uint16(1), optional),
    ],
    [
      "[MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.6.1-1 (3.1.1)] PUBREL with reserved bits",
      [MALFORMED_PACKET],
      packet(0x60, uint16(1)),
    ],
    ["[MQTT-2.1.3-1] [MQTT-2.2.2-2 (3.1.1)] PINGREQ with reserved bits", [MALFORMED_PACKET], packet(0xc1)],
    [
      "[MQTT-3.14.1-1] [MQTT-3.14.1-1 (3.1.1)] DISCONNECT with reserved bits",
      [MALFORMED_PACKET],
      packet(0xe1),
    ],
    ["PUBACK of one byte", [MALFORMED_PACKET], packet(0x40, 1)],
    ["PUBACK with Packet Identifier 0", EITHER_ERROR, packet(0x40, uint16(0))],
    ["a Remaining Length of five bytes", [MALFORMED_PACKET], bytes(0x30, 0x80, 0x80, 0x80, 0x80, 0x01)],
    ["CONNACK from a client", EITHER_ERROR, packet(0x20, 0, 0, optional)],
    ["SUBACK from a client", EITHER_ERROR, packet(0x90, uint16(1), optional, 0)],
    ["PINGRESP from a client", EITHER_ERROR, packet(0xd0)],
  ]);
}

function publish5(content: Part, topic = "bad"): Buffer {
  return packet(0x30, field(topic), properties(content), "x");
}

/** Bad in version 5 only: what concerns properties and options. */
export const BAD_PACKETS_OF_VERSION_5: readonly RefusedPacket[] = rows([
  ["a property twice", [PROTOCOL_ERROR, MALFORMED_PACKET], publish5([0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 2])],
  ["[MQTT-3.3.2-8] Topic Alias 0", [TOPIC_ALIAS_INVALID, ...EITHER_ERROR], publish5([0x23, uint16(0)])],
  ["[MQTT-3.3.2-9] a Topic Alias over the maximum", [TOPIC_ALIAS_INVALID], publish5([0x23, uint16(65_535)])],
  [
    "a Topic Alias that stands for nothing",
    [PROTOCOL_ERROR, TOPIC_ALIAS_INVALID],
    publish5([0x23, uint16(1)], ""),
  ],
  ["Payload Format Indicator 2", EITHER_ERROR, publish5([0x01, 2])],
  ["a property that PUBLISH may not have", EITHER_ERROR, publish5([0x21, uint16(1)])],
  ["a property identifier that does not exist", EITHER_ERROR, publish5([0x7e, 0])],
  ["a property cut short", [MALFORMED_PACKET], publish5([0x02, 0, 0])],
  [
    "[MQTT-3.3.2-14] a wildcard in the Response Topic",
    [...EITHER_ERROR, TOPIC_NAME_INVALID],
    publish5([0x08, field("a/#")]),
  ],
  [
    "[MQTT-1.5.4-1] a User Property that is not UTF-8",
    [MALFORMED_PACKET],
    publish5([0x26, field(0xff), field("v")]),
  ],
  ["[MQTT-3.3.4-6] a Subscription Identifier from a client", EITHER_ERROR, publish5([0x0b, 1])],
  [
    "Subscription Identifier 0",
    [PROTOCOL_ERROR],
    packet(0x82, uint16(1), properties(0x0b, 0), field("a"), 0),
  ],
  ["Retain Handling 3", EITHER_ERROR, packet(0x82, uint16(1), NO_PROPERTIES, field("a"), 0x30)],
  [
    "[MQTT-3.8.3-4] No Local on a shared subscription",
    [PROTOCOL_ERROR],
    packet(0x82, uint16(1), NO_PROPERTIES, field("$share/g/a"), 0x04),
  ],
  ["AUTH without a method in CONNECT", [PROTOCOL_ERROR], packet(0xf0, 0x18, properties(0x15, field("x")))],
  [
    "DISCONNECT that adds a Session Expiry Interval",
    [PROTOCOL_ERROR],
    packet(0xe0, 0x00, properties(0x11, 0, 0, 0, 9)),
  ],
]);

/** Topic Filters that section 4.7.1 forbids: SUBACK with 0x8F or 0x80, or the end of the connection. */
export const BAD_TOPIC_FILTERS = ["", "a/#/b", "a#", "#a", "a+", "+a/b", "a/b+/c", "##", "++"] as const;
export const BAD_TOPIC_FILTER_CODES: readonly number[] = [TOPIC_FILTER_INVALID, ...EITHER_ERROR, 0x80];
