/** SUBSCRIBE and UNSUBSCRIBE, sections 3.8 and 3.10. */
import type {
  ProtocolVersion,
  QoS,
  SubscribePacket,
  SubscriptionOptions,
  UnsubscribePacket,
} from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";
import type { ByteReader } from "./byte-reader.ts";
import { malformed, protocolError, refusal } from "./fault.ts";
import { readPacketIdentifier } from "./packet-identifier.ts";
import { readProperties } from "./property-reader.ts";
import { isSharedTopicFilter, isValidTopicFilter } from "./topic-syntax.ts";

type SubscribeRequest = SubscribePacket["requests"][number];

const NO_LOCAL_FLAG = 0x04;
const RETAIN_AS_PUBLISHED_FLAG = 0x08;
const RESERVED_BITS_V3 = 0xfc;
const RESERVED_BITS_V5 = 0xc0;

export function decodeSubscribe(reader: ByteReader, protocolVersion: ProtocolVersion): SubscribePacket {
  const packetIdentifier = readPacketIdentifier(reader);
  const properties = protocolVersion === 5 ? readProperties(reader, "subscribe") : {};
  const requests: SubscribeRequest[] = [];
  while (reader.remaining > 0) requests.push(readRequest(reader, protocolVersion));
  // [MQTT-3.8.3-2] at least one pair of Topic Filter and Subscription Options.
  if (requests.length === 0) throw protocolError("SUBSCRIBE has no Topic Filter");
  return { type: "subscribe", packetIdentifier, ...properties, requests };
}

export function decodeUnsubscribe(reader: ByteReader, protocolVersion: ProtocolVersion): UnsubscribePacket {
  const packetIdentifier = readPacketIdentifier(reader);
  const properties = protocolVersion === 5 ? readProperties(reader, "unsubscribe") : {};
  const topicFilters: string[] = [];
  while (reader.remaining > 0) topicFilters.push(readTopicFilter(reader));
  // [MQTT-3.10.3-2] at least one Topic Filter.
  if (topicFilters.length === 0) throw protocolError("UNSUBSCRIBE has no Topic Filter");
  return { type: "unsubscribe", packetIdentifier, ...properties, topicFilters };
}

function readTopicFilter(reader: ByteReader): string {
  // [MQTT-3.8.3-1], [MQTT-3.10.3-1]: a UTF-8 Encoded String.
  const topicFilter = reader.readUtf8();
  if (!isValidTopicFilter(topicFilter))
    throw refusal(ReasonCode.TopicFilterInvalid, "Topic Filter is not valid");
  return topicFilter;
}

function readRequest(reader: ByteReader, protocolVersion: ProtocolVersion): SubscribeRequest {
  const topicFilter = readTopicFilter(reader);
  const options = readOptions(reader.readByte(), protocolVersion);
  // [MQTT-3.8.3-4] No Local on a Shared Subscription is a Protocol Error.
  if (options.noLocal && isSharedTopicFilter(topicFilter)) {
    throw protocolError("No Local is set on a Shared Subscription");
  }
  return { topicFilter, ...options };
}

function readOptions(byte: number, protocolVersion: ProtocolVersion): SubscriptionOptions {
  // [MQTT-3.8.3-5] reserved bits are 0.
  const reservedBits = protocolVersion === 5 ? RESERVED_BITS_V5 : RESERVED_BITS_V3;
  if ((byte & reservedBits) !== 0) throw malformed("Reserved bits of the Subscription Options are set");
  const maximumQos = byte & 0x03;
  const retainHandling = (byte >> 4) & 0x03;
  // Section 3.8.3.1: the value 3 of either is a Protocol Error.
  if (maximumQos === 3) throw protocolError("Maximum QoS is 3");
  if (retainHandling === 3) throw protocolError("Retain Handling is 3");
  return {
    maximumQos: maximumQos as QoS,
    noLocal: (byte & NO_LOCAL_FLAG) !== 0,
    retainAsPublished: (byte & RETAIN_AS_PUBLISHED_FLAG) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  };
}
