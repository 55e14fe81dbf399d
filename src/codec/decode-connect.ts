/** CONNECT, section 3.1. Statement ids are those of 5.0 unless marked otherwise. */
import type { ConnectPacket, ProtocolVersion, QoS, WillMessage } from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";
import type { ByteReader } from "./byte-reader.ts";
import { checkResponseTopic } from "./decode-publish.ts";
import { FaultError, malformed, protocolError, refusal } from "./fault.ts";
import { readProperties } from "./property-reader.ts";
import type { PropertyValues } from "./property.ts";
import { isValidTopicName } from "./topic-syntax.ts";

const RESERVED_FLAG = 0x01;
const CLEAN_START_FLAG = 0x02;
const WILL_FLAG = 0x04;
const WILL_QOS_BITS = 0x18;
const WILL_RETAIN_FLAG = 0x20;
const PASSWORD_FLAG = 0x40;
const USER_NAME_FLAG = 0x80;

const NEVER_EXPIRES = 0xffff_ffff;

/** Protocol Name to the versions that go with it. */
const VERSIONS: ReadonlyMap<string, readonly ProtocolVersion[]> = new Map([
  ["MQTT", [4, 5]],
  ["MQIsdp", [3]],
]);

export function decodeConnect(reader: ByteReader): ConnectPacket {
  const protocolVersion = readProtocolVersion(reader);
  try {
    return readConnect(reader, protocolVersion);
  } catch (error) {
    throw error instanceof FaultError ? new FaultError({ ...error.fault, protocolVersion }) : error;
  }
}

function readProtocolVersion(reader: ByteReader): ProtocolVersion {
  const versions = VERSIONS.get(reader.readUtf8());
  // [MQTT-3.1.2-1] any other Protocol Name: nobody knows how to answer.
  if (versions === undefined)
    throw refusal(ReasonCode.UnsupportedProtocolVersion, "Protocol Name is unknown");
  const byte = reader.readByte();
  const protocolVersion = versions.find((version) => version === byte);
  if (protocolVersion !== undefined) return protocolVersion;
  // [MQTT-3.1.2-2] told to old clients in the form of 3.1.1, to newer ones in that of 5.0.
  throw new FaultError({
    reasonCode: ReasonCode.UnsupportedProtocolVersion,
    reasonString: "Protocol Version is not supported",
    protocolVersion: byte < 5 ? 4 : 5,
  });
}

function readConnect(reader: ByteReader, protocolVersion: ProtocolVersion): ConnectPacket {
  const flags = reader.readByte();
  checkFlags(flags, protocolVersion);
  const cleanStart = (flags & CLEAN_START_FLAG) !== 0;
  const keepAliveSec = reader.readUint16();
  const properties = readConnectProperties(reader, protocolVersion, cleanStart);
  // [MQTT-3.1.3-1] the payload has its fields in this order.
  const clientId = readClientId(reader, protocolVersion, cleanStart);
  const will = (flags & WILL_FLAG) === 0 ? undefined : readWill(reader, protocolVersion, flags);
  const userName = isNext(USER_NAME_FLAG) ? reader.readUtf8() : undefined;
  const password = isNext(PASSWORD_FLAG) ? reader.readBinary() : undefined;
  if (reader.remaining > 0) throw malformed("Packet has bytes after its last field");
  return {
    type: "connect",
    protocolVersion,
    cleanStart,
    keepAliveSec,
    clientId,
    ...properties,
    ...(will !== undefined && { will }),
    ...(userName !== undefined && { userName }),
    ...(password !== undefined && { password }),
  };

  /** MQTT 3.1, section 3.1: a field may be missing in spite of its flag, at the end of the packet. */
  function isNext(flag: number): boolean {
    return (flags & flag) !== 0 && !(protocolVersion === 3 && reader.remaining === 0);
  }
}

function checkFlags(flags: number, protocolVersion: ProtocolVersion): void {
  // [MQTT-3.1.2-3] the reserved flag is 0.
  if ((flags & RESERVED_FLAG) !== 0) throw malformed("Reserved Connect Flag is set");
  // [MQTT-3.1.2-11], [MQTT-3.1.2-13] without a Will there is no Will QoS and no Will Retain.
  if ((flags & WILL_FLAG) === 0 && (flags & (WILL_QOS_BITS | WILL_RETAIN_FLAG)) !== 0) {
    throw malformed("Will QoS or Will Retain is set without Will Flag");
  }
  // [MQTT-3.1.2-12] Will QoS is not 3.
  if ((flags & WILL_QOS_BITS) === WILL_QOS_BITS) throw malformed("Will QoS is 3");
  // 3.1.1: [MQTT-3.1.2-22] no password without a user name.
  if (protocolVersion < 5 && (flags & (USER_NAME_FLAG | PASSWORD_FLAG)) === PASSWORD_FLAG) {
    throw malformed("Password Flag is set without User Name Flag");
  }
}

function readConnectProperties(
  reader: ByteReader,
  protocolVersion: ProtocolVersion,
  cleanStart: boolean,
): PropertyValues & { sessionExpiryIntervalSec: number } {
  if (protocolVersion < 5) return { sessionExpiryIntervalSec: cleanStart ? 0 : NEVER_EXPIRES };
  const properties = readProperties(reader, "connect");
  // Section 3.1.2.11.10: data without a method is a Protocol Error.
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError("Authentication Data is given without Authentication Method");
  }
  return { sessionExpiryIntervalSec: 0, ...properties };
}

function readClientId(reader: ByteReader, protocolVersion: ProtocolVersion, cleanStart: boolean): string {
  // [MQTT-3.1.3-4] a UTF-8 Encoded String.
  const clientId = reader.readUtf8();
  // 3.1.1: [MQTT-3.1.3-8] empty needs Clean Session. MQTT 3.1 wants at least one character.
  const mustHaveOne = protocolVersion === 3 || (protocolVersion === 4 && !cleanStart);
  if (clientId === "" && mustHaveOne) {
    throw refusal(ReasonCode.ClientIdentifierNotValid, "Client Identifier is empty");
  }
  return clientId;
}

/** [MQTT-3.1.2-9] with the Will Flag the fields of the Will are there. */
function readWill(reader: ByteReader, protocolVersion: ProtocolVersion, flags: number): WillMessage {
  const properties = protocolVersion === 5 ? readProperties(reader, "will") : {};
  checkResponseTopic(properties.responseTopic);
  // [MQTT-3.1.3-11] a UTF-8 Encoded String; section 4.7 for the rest.
  const topicName = reader.readUtf8();
  if (!isValidTopicName(topicName)) throw refusal(ReasonCode.TopicNameInvalid, "Will Topic is not valid");
  return {
    topicName,
    payload: reader.readBinary(),
    qos: ((flags & WILL_QOS_BITS) >> 3) as QoS,
    retain: (flags & WILL_RETAIN_FLAG) !== 0,
    willDelayIntervalSec: 0,
    ...properties,
  };
}
