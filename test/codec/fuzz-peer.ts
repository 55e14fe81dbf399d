/**
 * The npm package mqtt-packet as an oracle: it takes what src/codec takes, and reads the same fields in it. It is more
 * lenient, so nothing follows from what it takes. Its known limits, which the comparison leaves out:
 *
 * - It refuses SUBSCRIBE, UNSUBSCRIBE and PUBREL with DUP, which MQTT 3.1 sends again so: the flag is cleared for it.
 * - It does not know that a CONNECT of MQTT 3.1 may end before its User Name or Password in spite of their flags.
 * - Its object of User Properties keeps neither the order of different names nor an empty value before another one
 *   of the same name: both sides are compared in that form.
 */
import { isDeepStrictEqual } from "node:util";
import mqttPacket from "mqtt-packet";
import type { ClientPacket, ProtocolVersion, UserProperty } from "../../src/core/packet.ts";

type Fields = Record<string, unknown>;

const DUP_FLAG = 0x08;
const SENT_AGAIN_WITH_DUP: readonly ClientPacket["type"][] = ["subscribe", "unsubscribe", "pubrel"];

/** Their names of our properties; what is not here is no property. */
const PROPERTY_NAMES: Readonly<Record<string, string>> = {
  payloadFormatIndicator: "payloadFormatIndicator",
  messageExpiryIntervalSec: "messageExpiryInterval",
  contentType: "contentType",
  responseTopic: "responseTopic",
  correlationData: "correlationData",
  subscriptionIdentifier: "subscriptionIdentifier",
  sessionExpiryIntervalSec: "sessionExpiryInterval",
  authenticationMethod: "authenticationMethod",
  authenticationData: "authenticationData",
  requestProblemInformation: "requestProblemInformation",
  willDelayIntervalSec: "willDelayInterval",
  requestResponseInformation: "requestResponseInformation",
  serverReference: "serverReference",
  reasonString: "reasonString",
  receiveMaximum: "receiveMaximum",
  topicAliasMaximum: "topicAliasMaximum",
  topicAlias: "topicAlias",
  userProperties: "userProperties",
  maximumPacketSizeBytes: "maximumPacketSize",
};

function userProperties(pairs: readonly UserProperty[]): Fields {
  const values: Fields = Object.create(null) as Fields;
  for (const [name, value] of pairs) values[name] = values[name] ? [values[name], value].flat() : value;
  return values;
}

function properties(fields: object): Fields {
  const entries = Object.entries(fields).filter(([name]) => name in PROPERTY_NAMES);
  return Object.fromEntries(
    entries.map(([name, value]: [string, unknown]) => {
      if (name === "userProperties") return [name, userProperties(value as readonly UserProperty[])];
      if (name === "payloadFormatIndicator") return [name, value === 1];
      return [PROPERTY_NAMES[name], value instanceof Uint8Array ? Buffer.from(value) : value];
    }),
  );
}

/** Our fields under their names. Defaults that a client may as well have left out are left out on both sides. */
function expected(packet: ClientPacket, version: ProtocolVersion): Fields {
  const common = { cmd: packet.type, properties: version === 5 ? properties(packet) : {} };
  switch (packet.type) {
    case "connect": {
      const { will } = packet;
      return {
        ...common,
        protocolVersion: packet.protocolVersion,
        clean: packet.cleanStart,
        keepalive: packet.keepAliveSec,
        clientId: packet.clientId,
        username: packet.userName,
        password: packet.password && Buffer.from(packet.password),
        will: will && {
          topic: will.topicName,
          payload: Buffer.from(will.payload),
          qos: will.qos,
          retain: will.retain,
          properties: version === 5 ? properties(will) : {},
        },
      };
    }
    case "publish": {
      const { message, topicAlias } = packet;
      return {
        ...common,
        properties: properties({ ...message, ...(topicAlias !== undefined && { topicAlias }) }),
        topic: message.topicName,
        payload: Buffer.from(message.payload),
        qos: message.qos,
        retain: message.retain,
        dup: packet.dup,
        messageId: packet.packetIdentifier,
      };
    }
    case "subscribe": {
      const subscriptions = packet.requests.map((request) => ({
        topic: request.topicFilter,
        qos: request.maximumQos,
        ...(version === 5 && {
          nl: request.noLocal,
          rap: request.retainAsPublished,
          rh: request.retainHandling,
        }),
      }));
      return { ...common, messageId: packet.packetIdentifier, subscriptions };
    }
    case "unsubscribe":
      return { ...common, messageId: packet.packetIdentifier, unsubscriptions: packet.topicFilters };
    case "pingreq":
      return common;
    default: {
      const identifier = "packetIdentifier" in packet ? { messageId: packet.packetIdentifier } : {};
      return { ...common, ...identifier, ...(version === 5 && { reasonCode: packet.reasonCode }) };
    }
  }
}

const NO_EXPIRY = { sessionExpiryInterval: 0, willDelayInterval: 0 };

/** Only the fields that are expected, and the properties with the defaults that our packets always have. */
function actual(parsed: Fields, wanted: Fields): Fields {
  const fields = Object.fromEntries(Object.keys(wanted).map((name) => [name, parsed[name]]));
  const given = (parsed["properties"] ?? {}) as Fields;
  const isConnect = parsed["cmd"] === "connect" && parsed["protocolVersion"] === 5;
  fields["properties"] = isConnect ? { sessionExpiryInterval: 0, ...given } : given;
  const will = parsed["will"] as Fields | undefined;
  if (will !== undefined) {
    const defaults = isConnect ? { willDelayInterval: NO_EXPIRY.willDelayInterval } : {};
    fields["will"] = { ...will, properties: { ...defaults, ...((will["properties"] ?? {}) as Fields) } };
  }
  return fields;
}

function isLeftOut(packet: ClientPacket, frame: Uint8Array): boolean {
  if (packet.type !== "connect" || packet.protocolVersion !== 3) return false;
  // Fixed header of two or more bytes, then 2 + 6 bytes of Protocol Name and 1 of version.
  const flags = frame[frame.findIndex((byte, at) => at > 0 && byte < 128) + 10] ?? 0;
  return (
    ((flags & 0x80) > 0 && packet.userName === undefined) ||
    ((flags & 0x40) > 0 && packet.password === undefined)
  );
}

/** How mqtt-packet reads `frame` otherwise than as `packet`; undefined if it does not. */
export function disagreement(
  packet: ClientPacket,
  frame: Uint8Array,
  version: ProtocolVersion,
): string | undefined {
  if (isLeftOut(packet, frame)) return undefined;
  const bytes = Buffer.from(frame);
  if (version === 3 && SENT_AGAIN_WITH_DUP.includes(packet.type)) bytes[0] = (bytes[0] ?? 0) & ~DUP_FLAG;
  let parsed: Fields | undefined;
  let error: Error | undefined;
  const parser = mqttPacket.parser({ protocolVersion: version });
  parser.on("packet", (found) => (parsed = found as unknown as Fields));
  parser.on("error", (found: Error) => (error = found));
  parser.parse(bytes);
  if (error !== undefined) return `mqtt-packet refuses it: ${error.message}`;
  if (parsed === undefined) return "mqtt-packet finds no packet in it";
  const wanted = expected(packet, version);
  const found = actual(parsed, wanted);
  if (isDeepStrictEqual(found, wanted)) return undefined;
  return `mqtt-packet reads ${JSON.stringify(found)} where ${JSON.stringify(wanted)} was expected`;
}
