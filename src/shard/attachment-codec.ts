/**
 * What a socket carries through hibernation: positions instead of names, for 16 KiB is the limit. The runtime turns it
 * into bytes and back, many times faster than JavaScript could: a wake-up may read thousands.
 */
import type { CostShare } from "../core/cost/cost-meter.ts";
import type { AttachedClient, ConnectionAttachment } from "../core/effect.ts";
import type { ProtocolVersion } from "../core/packet.ts";
import type { IdentityTuple } from "../storage/policy-codec.ts";
import { fromIdentityTuple, toIdentityTuple } from "../storage/policy-codec.ts";
import type { CostCountsTuple, DailyCountTuple } from "../storage/cost-codec.ts";
import {
  fromCostCountsTuple,
  fromDailyCountTuple,
  toCostCountsTuple,
  toDailyCountTuple,
} from "../storage/cost-codec.ts";
import type { DeliveryStateTuple, SubscriptionTuple } from "../storage/record-codec.ts";
import {
  fromDeliveryStateTuple,
  fromSubscriptionTuple,
  toDeliveryStateTuple,
  toSubscriptionTuple,
} from "../storage/record-codec.ts";

/** Attachments of another format are of another release, whose sockets did not survive the deploy. */
const format = 2;

type Optional<Value> = Value | null | undefined;

type ClientTuple = [
  protocolVersion: ProtocolVersion,
  clientId: string,
  incarnation: number,
  keepAliveSec: number,
  lastSeenAtMs: number,
  receiveMaximum: number,
  maximumPacketSizeBytes: Optional<number>,
  flags: number,
  topicAliases: (readonly [topicAlias: number, topicName: string])[],
  sessionNumber: number,
  deliveryState: DeliveryStateTuple,
  subscriptions: Optional<SubscriptionTuple[]>,
  topicAliasMaximum: number,
  authenticationMethod: Optional<string>,
  messagesToday?: Optional<DailyCountTuple>,
];

type CostShareTuple = [run: number, sinceSec: number, ...counts: CostCountsTuple];

/** A value that structured clone takes. */
export type AttachmentTuple = [
  format: number,
  connectionId: string,
  boot: number,
  openedAtMs: number,
  randomClientId: string,
  clientIdHint: Optional<string>,
  client: Optional<ClientTuple>,
  cost?: CostShareTuple | undefined,
  identity?: Optional<IdentityTuple>,
  address?: Optional<string>,
  messagesToday?: DailyCountTuple,
];

const problemInformationFlag = 1;
const loggedFlag = 2;

/** `cost`: the socket's share of what the shard has counted. */
export function encodeAttachment(
  connectionId: string,
  attachment: ConnectionAttachment,
  cost?: CostShare,
): AttachmentTuple {
  const { boot, openedAtMs, randomClientId, clientIdHint, client, identity, address } = attachment;
  const tuple: AttachmentTuple = [
    format,
    connectionId,
    boot,
    openedAtMs,
    randomClientId,
    clientIdHint,
    client === undefined ? undefined : toClientTuple(client),
    cost === undefined ? undefined : [cost.run, cost.sinceSec, ...toCostCountsTuple(cost.counts)],
  ];
  const messagesToday = cost?.messagesToday;
  if (identity !== undefined || address !== undefined || messagesToday !== undefined) {
    tuple.push(identity && toIdentityTuple(identity), address);
  }
  if (messagesToday !== undefined) tuple.push(toDailyCountTuple(messagesToday));
  return tuple;
}

export interface DecodedAttachment {
  readonly connectionId: string;
  readonly attachment: ConnectionAttachment;
  readonly cost?: CostShare;
}

/** Undefined for what {@link encodeAttachment} did not make. */
export function decodeAttachment(value: unknown): DecodedAttachment | undefined {
  if (!Array.isArray(value) || value[0] !== format) return undefined;
  const tuple = value as AttachmentTuple;
  const cost = tuple[7];
  return {
    connectionId: tuple[1],
    attachment: fromAttachmentTuple(tuple),
    ...(isSet(cost) && { cost: fromCostShareTuple(cost, tuple[10]) }),
  };
}

/** By positions: an array pattern would make an iterator, and there may be thousands to read. */
function fromAttachmentTuple(tuple: AttachmentTuple): ConnectionAttachment {
  const clientIdHint = tuple[5];
  const client = tuple[6];
  const identity = tuple[8];
  const address = tuple[9];
  return {
    boot: tuple[2],
    openedAtMs: tuple[3],
    randomClientId: tuple[4],
    ...(isSet(clientIdHint) && { clientIdHint }),
    ...(isSet(address) && { address }),
    ...(isSet(identity) && { identity: fromIdentityTuple(identity) }),
    ...(isSet(client) && { client: fromClientTuple(client) }),
  };
}

function fromCostShareTuple(tuple: CostShareTuple, messagesToday: Optional<DailyCountTuple>): CostShare {
  const share = { run: tuple[0], sinceSec: tuple[1], counts: fromCostCountsTuple(tuple.slice(2)) };
  return isSet(messagesToday) ? { ...share, messagesToday: fromDailyCountTuple(messagesToday) } : share;
}

function toClientTuple(client: AttachedClient): ClientTuple {
  const flags = (client.problemInformation ? problemInformationFlag : 0) | (client.logged ? loggedFlag : 0);
  const tuple: ClientTuple = [
    client.protocolVersion,
    client.clientId,
    client.incarnation,
    client.keepAliveSec,
    client.lastSeenAtMs,
    client.receiveMaximum,
    client.maximumPacketSizeBytes,
    flags,
    [...client.topicAliases],
    client.sessionNumber,
    toDeliveryStateTuple(client.deliveryState),
    client.subscriptions?.map(toSubscriptionTuple),
    client.topicAliasMaximum,
    client.authenticationMethod,
  ];
  if (client.messagesToday !== undefined) tuple.push(toDailyCountTuple(client.messagesToday));
  return tuple;
}

function fromClientTuple(tuple: ClientTuple): AttachedClient {
  const maximumPacketSizeBytes = tuple[6];
  const subscriptions = tuple[11];
  const authenticationMethod = tuple[13];
  const messagesToday = tuple[14];
  return {
    protocolVersion: tuple[0],
    clientId: tuple[1],
    incarnation: tuple[2],
    keepAliveSec: tuple[3],
    lastSeenAtMs: tuple[4],
    receiveMaximum: tuple[5],
    problemInformation: (tuple[7] & problemInformationFlag) !== 0,
    topicAliases: tuple[8],
    topicAliasMaximum: tuple[12],
    sessionNumber: tuple[9],
    deliveryState: fromDeliveryStateTuple(tuple[10]),
    logged: (tuple[7] & loggedFlag) !== 0,
    ...(isSet(maximumPacketSizeBytes) && { maximumPacketSizeBytes }),
    ...(isSet(authenticationMethod) && { authenticationMethod }),
    ...(isSet(messagesToday) && { messagesToday: fromDailyCountTuple(messagesToday) }),
    ...(isSet(subscriptions) && { subscriptions: subscriptions.map(fromSubscriptionTuple) }),
  };
}

function isSet<Value>(value: Optional<Value>): value is Value {
  return value !== null && value !== undefined;
}
