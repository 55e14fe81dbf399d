/** Agreement with the npm package mqtt-packet on valid packets. */
import fc from "fast-check";
import mqttPacket from "mqtt-packet";
import { expect, test } from "vitest";
import { encodePacket, PacketDecoder, PublishEncoder } from "../../src/codec/index.ts";
import type {
  ClientPacket,
  Delivery,
  ProtocolVersion,
  ServerPacket,
  UserProperty,
} from "../../src/core/packet.ts";
import { clientPacket, connectPacket, delivery, serverPacket } from "./arbitraries.ts";
import { encodeClientPacket } from "./client-encode.ts";

type Fields = Record<string, unknown>;

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];
const RUNS = { numRuns: 300 };

/** Our field names to those of mqtt-packet, where they differ. */
const THEIR_NAMES: Readonly<Record<string, string>> = {
  messageExpiryIntervalSec: "messageExpiryInterval",
  sessionExpiryIntervalSec: "sessionExpiryInterval",
  willDelayIntervalSec: "willDelayInterval",
  maximumPacketSizeBytes: "maximumPacketSize",
  serverKeepAliveSec: "serverKeepAlive",
  maximumQos: "maximumQoS",
  subscriptionIdentifiers: "subscriptionIdentifier",
};

const NOT_PROPERTIES = new Set(
  (
    "type packetIdentifier reasonCode reasonCodes sessionPresent message dup qos retain topicName payload " +
    "protocolVersion cleanStart keepAliveSec clientId will userName password requests topicFilters"
  ).split(" "),
);

/** Pairs in their form: a name that comes again has a list, unless what came before is an empty value. */
function theirUserProperties(pairs: readonly UserProperty[]): Fields {
  const values: Fields = Object.create(null) as Fields;
  for (const [name, value] of pairs) {
    const earlier = values[name];
    values[name] = earlier ? [earlier, value].flat() : value;
  }
  return values;
}

function theirValue(name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (name === "userProperties") return theirUserProperties(value as readonly UserProperty[]);
  if (name === "payloadFormatIndicator") return value === 1;
  if (name === "subscriptionIdentifiers" && (value as unknown[]).length === 1) return (value as unknown[])[0];
  return value;
}

function theirProperties(fields: object): Fields | undefined {
  const entries = Object.entries(fields).filter(
    ([name, value]) => !NOT_PROPERTIES.has(name) && value !== undefined,
  );
  if (entries.length === 0) return undefined;
  return Object.fromEntries(
    entries.map(([name, value]) => [THEIR_NAMES[name] ?? name, theirValue(name, value)]),
  );
}

/** Parses with mqtt-packet and drops the fields that are undefined. */
function parse(bytes: Uint8Array, protocolVersion: ProtocolVersion): Fields {
  const parser = mqttPacket.parser({ protocolVersion });
  let parsed: Fields | undefined;
  parser.on("packet", (packet) => (parsed = packet as unknown as Fields));
  parser.on("error", (error: Error) => {
    throw error;
  });
  parser.parse(Buffer.from(bytes));
  return structuredCloneOfDefined(parsed ?? {});
}

function structuredCloneOfDefined(value: Fields): Fields {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));
}

/** Their parser refuses names of Object.prototype; ours must not mind, so such packets are left out here. */
const isPlain = (packet: unknown): boolean => !JSON.stringify(packet).includes("__proto__");

function expectedServerPacket(packet: ServerPacket): Fields {
  const properties = theirProperties(packet);
  const expected: Fields = { cmd: packet.type, ...(properties && { properties }) };
  if ("packetIdentifier" in packet) expected["messageId"] = packet.packetIdentifier;
  if ("reasonCode" in packet) expected["reasonCode"] = packet.reasonCode;
  if ("reasonCodes" in packet) expected["granted"] = packet.reasonCodes;
  if ("sessionPresent" in packet) expected["sessionPresent"] = packet.sessionPresent;
  return expected;
}

test("mqtt-packet parses every server packet of version 5 to the same fields", () => {
  fc.assert(
    fc.property(serverPacket().filter(isPlain), (packet) => {
      expect(parse(encodePacket(packet, 5), 5)).toMatchObject(expectedServerPacket(packet));
    }),
    RUNS,
  );
});

function expectedPublish({ message, packetIdentifier, ...own }: Delivery, version: ProtocolVersion): Fields {
  const { messageExpiryIntervalSec: _given, ...shared } = message;
  const properties = version === 5 ? theirProperties({ ...shared, ...own }) : undefined;
  return {
    cmd: "publish",
    topic: message.topicName,
    payload: Buffer.from(message.payload),
    qos: own.qos,
    dup: own.dup,
    retain: own.retain,
    ...(packetIdentifier !== undefined && { messageId: packetIdentifier }),
    ...(properties && { properties }),
  };
}

test("mqtt-packet parses every delivery to the same fields", () => {
  const encoder = new PublishEncoder();
  fc.assert(
    fc.property(delivery().filter(isPlain), fc.constantFrom(...VERSIONS), (given, version) => {
      expect(parse(encoder.encode(given, version), version)).toMatchObject(expectedPublish(given, version));
    }),
    RUNS,
  );
});

function theirConnect(packet: Extract<ClientPacket, { type: "connect" }>): Fields {
  const { will, userName, password, protocolVersion } = packet;
  const properties = protocolVersion === 5 ? theirProperties(packet) : undefined;
  const willProperties = protocolVersion === 5 && will ? theirProperties(will) : undefined;
  return {
    cmd: "connect",
    protocolId: protocolVersion === 3 ? "MQIsdp" : "MQTT",
    protocolVersion,
    clean: packet.cleanStart,
    clientId: packet.clientId,
    keepalive: packet.keepAliveSec,
    ...(userName !== undefined && { username: userName }),
    ...(password !== undefined && { password: Buffer.from(password) }),
    ...(will && {
      will: {
        topic: will.topicName,
        payload: Buffer.from(will.payload),
        qos: will.qos,
        retain: will.retain,
        ...(willProperties && { properties: willProperties }),
      },
    }),
    ...(properties && { properties }),
  };
}

function theirPacket(packet: ClientPacket, version: ProtocolVersion): Fields {
  if (packet.type === "connect") return theirConnect(packet);
  const source = packet.type === "publish" ? { ...packet.message, topicAlias: packet.topicAlias } : packet;
  const properties = version === 5 ? theirProperties(source) : undefined;
  const common = { cmd: packet.type, ...(properties && { properties }) };
  switch (packet.type) {
    case "publish": {
      const { topicName: topic, payload, qos, retain } = packet.message;
      const header = { topic, payload: Buffer.from(payload), qos, retain, dup: packet.dup };
      return { ...common, ...header, messageId: packet.packetIdentifier };
    }
    case "subscribe": {
      const subscriptions = packet.requests.map((request) => ({
        topic: request.topicFilter,
        qos: request.maximumQos,
        nl: request.noLocal,
        rap: request.retainAsPublished,
        rh: request.retainHandling,
      }));
      return { ...common, messageId: packet.packetIdentifier, subscriptions };
    }
    case "unsubscribe":
      return { ...common, messageId: packet.packetIdentifier, unsubscriptions: packet.topicFilters };
    case "pingreq":
      return common;
    default: {
      const messageId = "packetIdentifier" in packet ? { messageId: packet.packetIdentifier } : {};
      return { ...common, ...messageId, reasonCode: packet.reasonCode };
    }
  }
}

/** Their generator refuses an empty client identifier without Clean Start, which 5.0 allows. */
const isGenerated = (packet: ClientPacket): boolean =>
  packet.type !== "connect" || packet.cleanStart || packet.clientId !== "";

/** Their object form loses the order of User Properties, so here every packet has at most one name. */
function hasDistinctOrder(packet: unknown): boolean {
  return !JSON.stringify(packet).includes('"userProperties":[[') || !/\],\[/.test(JSON.stringify(packet));
}

test("whatever mqtt-packet generates for a client decodes to the fields it was given", () => {
  const packets = fc
    .constantFrom(...VERSIONS)
    .chain((version) =>
      fc.tuple(fc.oneof(connectPacket(version), clientPacket(version)), fc.constant(version)),
    )
    .filter(([packet]) => isPlain(packet) && isGenerated(packet) && hasDistinctOrder(packet));
  fc.assert(
    fc.property(packets, ([packet, version]) => {
      const bytes = mqttPacket.generate(theirPacket(packet, version) as never, { protocolVersion: version });
      const state = packet.type === "connect" ? {} : { protocolVersion: version };
      const decoder = new PacketDecoder({ maximumPacketSizeBytes: 100_000, ...state });
      expect(decoder.push(Uint8Array.from(bytes))).toEqual({ packets: [packet] });
    }),
    RUNS,
  );
});

test("mqtt-packet accepts what the test encoder makes of client packets", () => {
  fc.assert(
    fc.property(clientPacket(5).filter(isPlain), (packet) => {
      expect(parse(encodeClientPacket(packet, 5), 5)).toMatchObject({ cmd: packet.type });
    }),
    RUNS,
  );
});
