/** MQTT Control Packets in the specification's terms. Absent optional fields are absent, never `undefined`. */
import type { ReasonCode } from "./reason-code.ts";

/** Protocol Version byte of CONNECT: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. */
export type ProtocolVersion = 3 | 4 | 5;

export type QoS = 0 | 1 | 2;

/** A User Property: a name and a value. Order and duplicates are kept ([MQTT-3.3.2-18]). */
export type UserProperty = readonly [name: string, value: string];

/** What a publisher says and every receiver gets unaltered. */
export interface ApplicationMessage {
  readonly topicName: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly payloadFormatIndicator?: 0 | 1;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  readonly userProperties?: readonly UserProperty[];
  /** Message Expiry Interval as the publisher gave it, in seconds. */
  readonly messageExpiryIntervalSec?: number;
}

export interface WillMessage extends ApplicationMessage {
  /** Will Delay Interval in seconds; 0 when absent. */
  readonly willDelayIntervalSec: number;
}

export interface ConnectPacket {
  readonly type: "connect";
  readonly protocolVersion: ProtocolVersion;
  /** Clean Start (5.0) or Clean Session (3.x). */
  readonly cleanStart: boolean;
  readonly keepAliveSec: number;
  /** Empty when the client left the choice to the server. */
  readonly clientId: string;
  readonly will?: WillMessage;
  readonly userName?: string;
  readonly password?: Uint8Array;
  /** In seconds; 0xFFFFFFFF never expires. For 3.x: 0 with Clean Session, else 0xFFFFFFFF. */
  readonly sessionExpiryIntervalSec: number;
  readonly receiveMaximum?: number;
  readonly maximumPacketSizeBytes?: number;
  readonly topicAliasMaximum?: number;
  readonly requestResponseInformation?: boolean;
  /** Absent means true: the server may send Reason Strings and User Properties. */
  readonly requestProblemInformation?: boolean;
  readonly userProperties?: readonly UserProperty[];
  readonly authenticationMethod?: string;
  readonly authenticationData?: Uint8Array;
}

export interface PublishPacket {
  readonly type: "publish";
  readonly message: ApplicationMessage;
  readonly dup: boolean;
  /** Present exactly when `message.qos` is above 0. */
  readonly packetIdentifier?: number;
  /** With a Topic Alias `message.topicName` may be empty: the alias then names the topic. */
  readonly topicAlias?: number;
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP. */
export interface PublishResponsePacket {
  readonly type: "puback" | "pubrec" | "pubrel" | "pubcomp";
  readonly packetIdentifier: number;
  readonly reasonCode: ReasonCode;
  readonly reasonString?: string;
  readonly userProperties?: readonly UserProperty[];
}

export interface SubscriptionOptions {
  readonly maximumQos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** 0: send retained at subscribe; 1: only for a new subscription; 2: never. */
  readonly retainHandling: 0 | 1 | 2;
}

export interface SubscribePacket {
  readonly type: "subscribe";
  readonly packetIdentifier: number;
  readonly subscriptionIdentifier?: number;
  readonly userProperties?: readonly UserProperty[];
  readonly requests: readonly ({ readonly topicFilter: string } & SubscriptionOptions)[];
}

export interface UnsubscribePacket {
  readonly type: "unsubscribe";
  readonly packetIdentifier: number;
  readonly userProperties?: readonly UserProperty[];
  readonly topicFilters: readonly string[];
}

/** SUBACK or UNSUBACK. For 3.x the encoder reduces the Reason Codes (0x80) or leaves them out. */
export interface SubscribeResponsePacket {
  readonly type: "suback" | "unsuback";
  readonly packetIdentifier: number;
  readonly reasonCodes: readonly ReasonCode[];
  readonly reasonString?: string;
  readonly userProperties?: readonly UserProperty[];
}

export interface PingreqPacket {
  readonly type: "pingreq";
}

export interface PingrespPacket {
  readonly type: "pingresp";
}

/** From either side; the server sends it to version 5 clients only. */
export interface DisconnectPacket {
  readonly type: "disconnect";
  readonly reasonCode: ReasonCode;
  readonly sessionExpiryIntervalSec?: number;
  readonly reasonString?: string;
  readonly serverReference?: string;
  readonly userProperties?: readonly UserProperty[];
}

export interface AuthPacket {
  readonly type: "auth";
  readonly reasonCode: ReasonCode;
  readonly authenticationMethod?: string;
  readonly authenticationData?: Uint8Array;
  readonly reasonString?: string;
  readonly userProperties?: readonly UserProperty[];
}

export interface ConnackPacket {
  readonly type: "connack";
  readonly sessionPresent: boolean;
  /** For 3.x the encoder maps it to a return code 0–5. */
  readonly reasonCode: ReasonCode;
  readonly sessionExpiryIntervalSec?: number;
  readonly receiveMaximum?: number;
  readonly maximumQos?: 0 | 1;
  readonly retainAvailable?: boolean;
  readonly maximumPacketSizeBytes?: number;
  readonly assignedClientIdentifier?: string;
  readonly topicAliasMaximum?: number;
  readonly reasonString?: string;
  readonly userProperties?: readonly UserProperty[];
  readonly wildcardSubscriptionAvailable?: boolean;
  readonly subscriptionIdentifiersAvailable?: boolean;
  readonly sharedSubscriptionAvailable?: boolean;
  readonly serverKeepAliveSec?: number;
  readonly responseInformation?: string;
  readonly serverReference?: string;
  readonly authenticationMethod?: string;
  readonly authenticationData?: Uint8Array;
}

/** One PUBLISH to one client: a message shared by the whole fan-out plus what differs for this receiver. */
export interface Delivery {
  readonly message: ApplicationMessage;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Present exactly when `qos` is above 0. */
  readonly packetIdentifier?: number;
  /** Identifiers of all the matching subscriptions that have one. */
  readonly subscriptionIdentifiers?: readonly number[];
  /** What is left of the Message Expiry Interval at the time of sending, in seconds ([MQTT-3.3.2-6]). */
  readonly messageExpiryIntervalSec?: number;
  readonly topicAlias?: number;
  /** With `topicAlias`: the client knows the alias already, so the Topic Name stays empty. */
  readonly omitTopicName?: boolean;
}

/** Packets that a client sends. */
export type ClientPacket =
  | ConnectPacket
  | PublishPacket
  | PublishResponsePacket
  | SubscribePacket
  | UnsubscribePacket
  | PingreqPacket
  | DisconnectPacket
  | AuthPacket;

/** Packets that the server sends, PUBLISH apart (that is a {@link Delivery}). */
export type ServerPacket =
  | ConnackPacket
  | PublishResponsePacket
  | SubscribeResponsePacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;
