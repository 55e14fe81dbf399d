/** PUBLISH, section 3.3. */
import type { ProtocolVersion, PublishPacket, QoS } from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";
import type { ByteReader } from "./byte-reader.ts";
import { protocolError, refusal } from "./fault.ts";
import { DUP_FLAG, RETAIN_FLAG } from "./fixed-header.ts";
import { readPacketIdentifier } from "./packet-identifier.ts";
import { NO_PROPERTIES, readProperties } from "./property-reader.ts";
import type { PropertyValues } from "./property.ts";
import { isValidTopicName } from "./topic-syntax.ts";

type Writable<Packet> = { -readonly [Field in keyof Packet]: Packet[Field] };

export function decodePublish(
  reader: ByteReader,
  protocolVersion: ProtocolVersion,
  firstByte: number,
): PublishPacket {
  const qos = ((firstByte >> 1) & 0x03) as QoS;
  const topicName = reader.readUtf8();
  // [MQTT-2.2.1-2] no Packet Identifier with QoS 0.
  const packetIdentifier = qos === 0 ? undefined : readPacketIdentifier(reader);
  const properties = protocolVersion === 5 ? readProperties(reader, "publish") : NO_PROPERTIES;
  checkTopicName(topicName, protocolVersion, properties.topicAlias);
  const message = { topicName, payload: reader.readRest(), qos, retain: (firstByte & RETAIN_FLAG) !== 0 };
  const packet: Writable<PublishPacket> = { type: "publish", message, dup: (firstByte & DUP_FLAG) !== 0 };
  if (packetIdentifier !== undefined) packet.packetIdentifier = packetIdentifier;
  if (properties !== NO_PROPERTIES) addProperties(packet, properties);
  return packet;
}

function addProperties(packet: Writable<PublishPacket>, properties: PropertyValues): void {
  const { topicAlias, subscriptionIdentifiers, ...messageProperties } = properties;
  // [MQTT-3.3.4-6] clients send no Subscription Identifier in PUBLISH.
  if (subscriptionIdentifiers !== undefined) throw protocolError("Client sends a Subscription Identifier");
  checkResponseTopic(messageProperties.responseTopic);
  packet.message = { ...packet.message, ...messageProperties };
  if (topicAlias !== undefined) packet.topicAlias = topicAlias;
}

function checkTopicName(topicName: string, protocolVersion: ProtocolVersion, topicAlias?: number): void {
  if (topicName === "" && protocolVersion === 5) {
    // Section 3.3.2.1: only a Topic Alias makes up for an empty Topic Name.
    if (topicAlias === undefined) throw protocolError("Topic Name is empty and there is no Topic Alias");
    return;
  }
  // [MQTT-3.3.2-2] no wildcards in the Topic Name.
  if (!isValidTopicName(topicName)) throw refusal(ReasonCode.TopicNameInvalid, "Topic Name is not valid");
}

/** @throws FaultError Topic Name invalid for one with wildcards ([MQTT-3.3.2-14]) or an empty one. */
export function checkResponseTopic(responseTopic: string | undefined): void {
  if (responseTopic !== undefined && !isValidTopicName(responseTopic)) {
    throw refusal(ReasonCode.TopicNameInvalid, "Response Topic is not valid");
  }
}
