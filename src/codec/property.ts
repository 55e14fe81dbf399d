/** The properties of MQTT 5.0, section 2.2.2: which there are, how they look and where they may stand. */
import type { UserProperty } from "../core/packet.ts";
import { ReasonCode } from "../core/reason-code.ts";

/** Where a list of properties stands: in a packet or in the Will Message of CONNECT. */
export type PropertyOwner =
  | "connect"
  | "will"
  | "connack"
  | "publish"
  | "puback"
  | "pubrec"
  | "pubrel"
  | "pubcomp"
  | "subscribe"
  | "suback"
  | "unsubscribe"
  | "unsuback"
  | "disconnect"
  | "auth";

/** All properties under the names that the packet types use; a list holds some of them. */
export interface PropertyValues {
  payloadFormatIndicator?: 0 | 1;
  messageExpiryIntervalSec?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  subscriptionIdentifier?: number;
  subscriptionIdentifiers?: readonly number[];
  sessionExpiryIntervalSec?: number;
  assignedClientIdentifier?: string;
  serverKeepAliveSec?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: boolean;
  willDelayIntervalSec?: number;
  requestResponseInformation?: boolean;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQos?: 0 | 1;
  retainAvailable?: boolean;
  userProperties?: readonly UserProperty[];
  maximumPacketSizeBytes?: number;
  wildcardSubscriptionAvailable?: boolean;
  subscriptionIdentifiersAvailable?: boolean;
  sharedSubscriptionAvailable?: boolean;
}

/** How a value is encoded. A `bit` is a byte that holds 0 or 1; a `flag` is one that means false or true. */
export type WireType =
  | "bit"
  | "flag"
  | "uint16"
  | "uint32"
  | "variableByteInteger"
  | "utf8"
  | "binary"
  | "utf8Pair";

/** One row of the table. */
export interface PropertyDefinition {
  readonly identifier: number;
  readonly name: keyof PropertyValues;
  readonly wireType: WireType;
  readonly owners: readonly PropertyOwner[];
  /** May stand in a list more than once; its value is then an array. */
  readonly repeatable?: true;
  /** Set where the value 0 is not allowed: the Reason Code that refuses it. */
  readonly zeroReasonCode?: ReasonCode;
}

const RESPONSES = ["puback", "pubrec", "pubrel", "pubcomp", "suback", "unsuback"] as const;
const EVERYWHERE = [
  "connect",
  "will",
  "connack",
  "publish",
  "subscribe",
  "unsubscribe",
  "disconnect",
  "auth",
  ...RESPONSES,
] as const;
const { ProtocolError, TopicAliasInvalid } = ReasonCode;

/** Table 2-4. Subscription Identifier has two rows: SUBSCRIBE holds one, PUBLISH any number. */
export const PROPERTIES: readonly PropertyDefinition[] = [
  { identifier: 0x01, name: "payloadFormatIndicator", wireType: "bit", owners: ["publish", "will"] },
  { identifier: 0x02, name: "messageExpiryIntervalSec", wireType: "uint32", owners: ["publish", "will"] },
  { identifier: 0x03, name: "contentType", wireType: "utf8", owners: ["publish", "will"] },
  { identifier: 0x08, name: "responseTopic", wireType: "utf8", owners: ["publish", "will"] },
  { identifier: 0x09, name: "correlationData", wireType: "binary", owners: ["publish", "will"] },
  {
    identifier: 0x0b,
    name: "subscriptionIdentifier",
    wireType: "variableByteInteger",
    owners: ["subscribe"],
    zeroReasonCode: ProtocolError,
  },
  {
    identifier: 0x0b,
    name: "subscriptionIdentifiers",
    wireType: "variableByteInteger",
    owners: ["publish"],
    zeroReasonCode: ProtocolError,
    repeatable: true,
  },
  {
    identifier: 0x11,
    name: "sessionExpiryIntervalSec",
    wireType: "uint32",
    owners: ["connect", "connack", "disconnect"],
  },
  { identifier: 0x12, name: "assignedClientIdentifier", wireType: "utf8", owners: ["connack"] },
  { identifier: 0x13, name: "serverKeepAliveSec", wireType: "uint16", owners: ["connack"] },
  {
    identifier: 0x15,
    name: "authenticationMethod",
    wireType: "utf8",
    owners: ["connect", "connack", "auth"],
  },
  {
    identifier: 0x16,
    name: "authenticationData",
    wireType: "binary",
    owners: ["connect", "connack", "auth"],
  },
  { identifier: 0x17, name: "requestProblemInformation", wireType: "flag", owners: ["connect"] },
  { identifier: 0x18, name: "willDelayIntervalSec", wireType: "uint32", owners: ["will"] },
  { identifier: 0x19, name: "requestResponseInformation", wireType: "flag", owners: ["connect"] },
  { identifier: 0x1a, name: "responseInformation", wireType: "utf8", owners: ["connack"] },
  { identifier: 0x1c, name: "serverReference", wireType: "utf8", owners: ["connack", "disconnect"] },
  {
    identifier: 0x1f,
    name: "reasonString",
    wireType: "utf8",
    owners: ["connack", "disconnect", "auth", ...RESPONSES],
  },
  {
    identifier: 0x21,
    name: "receiveMaximum",
    wireType: "uint16",
    owners: ["connect", "connack"],
    zeroReasonCode: ProtocolError,
  },
  { identifier: 0x22, name: "topicAliasMaximum", wireType: "uint16", owners: ["connect", "connack"] },
  {
    identifier: 0x23,
    name: "topicAlias",
    wireType: "uint16",
    owners: ["publish"],
    zeroReasonCode: TopicAliasInvalid,
  },
  { identifier: 0x24, name: "maximumQos", wireType: "bit", owners: ["connack"] },
  { identifier: 0x25, name: "retainAvailable", wireType: "flag", owners: ["connack"] },
  { identifier: 0x26, name: "userProperties", wireType: "utf8Pair", owners: EVERYWHERE, repeatable: true },
  {
    identifier: 0x27,
    name: "maximumPacketSizeBytes",
    wireType: "uint32",
    owners: ["connect", "connack"],
    zeroReasonCode: ProtocolError,
  },
  { identifier: 0x28, name: "wildcardSubscriptionAvailable", wireType: "flag", owners: ["connack"] },
  { identifier: 0x29, name: "subscriptionIdentifiersAvailable", wireType: "flag", owners: ["connack"] },
  { identifier: 0x2a, name: "sharedSubscriptionAvailable", wireType: "flag", owners: ["connack"] },
];

/** The properties that may stand in `owner`, in the order of their identifiers. */
export function propertiesOf(owner: PropertyOwner): readonly PropertyDefinition[] {
  return PROPERTIES.filter((property) => property.owners.includes(owner));
}

/** Builds one value per place where properties stand. */
export function perOwner<Value>(build: (owner: PropertyOwner) => Value): Record<PropertyOwner, Value> {
  return Object.fromEntries(EVERYWHERE.map((owner) => [owner, build(owner)])) as Record<PropertyOwner, Value>;
}
