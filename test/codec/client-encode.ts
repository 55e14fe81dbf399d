/** Encodes what clients send, for tests: plain and slow, and independent of src/codec. */
import type { ClientPacket, ProtocolVersion, UserProperty } from "../../src/core/packet.ts";

type Fields = Readonly<Record<string, unknown>>;

const utf8 = (text: string): number[] => binary(new TextEncoder().encode(text));
const uint16 = (value: number): number[] => [value >> 8, value & 0xff];
const uint32 = (value: number): number[] => [...uint16(value >>> 16), ...uint16(value & 0xffff)];
const binary = (data: Uint8Array): number[] => [...uint16(data.length), ...data];

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** Encoders of the properties that clients send, by field name. */
const PROPERTIES: Readonly<Record<string, (value: never) => number[]>> = {
  payloadFormatIndicator: (value: number) => [0x01, value],
  messageExpiryIntervalSec: (value: number) => [0x02, ...uint32(value)],
  contentType: (value: string) => [0x03, ...utf8(value)],
  responseTopic: (value: string) => [0x08, ...utf8(value)],
  correlationData: (value: Uint8Array) => [0x09, ...binary(value)],
  subscriptionIdentifier: (value: number) => [0x0b, ...varint(value)],
  sessionExpiryIntervalSec: (value: number) => [0x11, ...uint32(value)],
  authenticationMethod: (value: string) => [0x15, ...utf8(value)],
  authenticationData: (value: Uint8Array) => [0x16, ...binary(value)],
  requestProblemInformation: (value: boolean) => [0x17, Number(value)],
  willDelayIntervalSec: (value: number) => [0x18, ...uint32(value)],
  requestResponseInformation: (value: boolean) => [0x19, Number(value)],
  serverReference: (value: string) => [0x1c, ...utf8(value)],
  reasonString: (value: string) => [0x1f, ...utf8(value)],
  receiveMaximum: (value: number) => [0x21, ...uint16(value)],
  topicAliasMaximum: (value: number) => [0x22, ...uint16(value)],
  topicAlias: (value: number) => [0x23, ...uint16(value)],
  userProperties: (value: readonly UserProperty[]) =>
    value.flatMap(([name, text]) => [0x26, ...utf8(name), ...utf8(text)]),
  maximumPacketSizeBytes: (value: number) => [0x27, ...uint32(value)],
};

function properties(fields: Fields, version: ProtocolVersion): number[] {
  if (version < 5) return [];
  const list = Object.entries(fields).flatMap(([name, value]) => PROPERTIES[name]?.(value as never) ?? []);
  return [...varint(list.length), ...list];
}

function packet(firstByte: number, body: readonly number[]): Uint8Array {
  return Uint8Array.from([firstByte, ...varint(body.length), ...body]);
}

function connect(connecting: Extract<ClientPacket, { type: "connect" }>): Uint8Array {
  const { protocolVersion, cleanStart, keepAliveSec, clientId, will, userName, password } = connecting;
  const flags =
    (userName === undefined ? 0 : 0x80) |
    (password === undefined ? 0 : 0x40) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (cleanStart ? 0x02 : 0);
  return packet(0x10, [
    ...utf8(protocolVersion === 3 ? "MQIsdp" : "MQTT"),
    protocolVersion,
    flags,
    ...uint16(keepAliveSec),
    ...properties({ ...connecting }, protocolVersion),
    ...utf8(clientId),
    ...(will === undefined
      ? []
      : [...properties({ ...will }, protocolVersion), ...utf8(will.topicName), ...binary(will.payload)]),
    ...(userName === undefined ? [] : utf8(userName)),
    ...(password === undefined ? [] : binary(password)),
  ]);
}

function publish(
  publishing: Extract<ClientPacket, { type: "publish" }>,
  version: ProtocolVersion,
): Uint8Array {
  const { message, dup, packetIdentifier, topicAlias } = publishing;
  return packet(0x30 | (dup ? 8 : 0) | (message.qos << 1) | (message.retain ? 1 : 0), [
    ...utf8(message.topicName),
    ...(packetIdentifier === undefined ? [] : uint16(packetIdentifier)),
    ...properties({ ...message, ...(topicAlias !== undefined && { topicAlias }) }, version),
    ...message.payload,
  ]);
}

const RESPONSE_FIRST_BYTES = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const;

/** The bytes of a packet as a client of `version` sends it; nothing is checked, nothing is shortened. */
export function encodeClientPacket(sent: ClientPacket, version: ProtocolVersion): Uint8Array {
  switch (sent.type) {
    case "connect":
      return connect(sent);
    case "publish":
      return publish(sent, version);
    case "puback":
    case "pubrec":
    case "pubrel":
    case "pubcomp": {
      const reason = version === 5 ? [sent.reasonCode, ...properties({ ...sent }, version)] : [];
      return packet(RESPONSE_FIRST_BYTES[sent.type], [...uint16(sent.packetIdentifier), ...reason]);
    }
    case "subscribe": {
      const requests = sent.requests.flatMap((request) => [
        ...utf8(request.topicFilter),
        request.maximumQos |
          (request.noLocal ? 4 : 0) |
          (request.retainAsPublished ? 8 : 0) |
          (request.retainHandling << 4),
      ]);
      return packet(0x82, [
        ...uint16(sent.packetIdentifier),
        ...properties({ ...sent }, version),
        ...requests,
      ]);
    }
    case "unsubscribe": {
      const filters = sent.topicFilters.flatMap(utf8);
      return packet(0xa2, [
        ...uint16(sent.packetIdentifier),
        ...properties({ ...sent }, version),
        ...filters,
      ]);
    }
    case "pingreq":
      return packet(0xc0, []);
    case "disconnect":
      return packet(0xe0, version === 5 ? [sent.reasonCode, ...properties({ ...sent }, version)] : []);
    case "auth":
      return packet(0xf0, [sent.reasonCode, ...properties({ ...sent }, version)]);
  }
}
