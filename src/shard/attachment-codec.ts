/** What a socket carries through hibernation, as bytes: positions instead of names, for 16 KiB is the limit. */
import { decode, encode } from "@msgpack/msgpack";
import type { AttachedClient, ConnectionAttachment } from "../core/effect.ts";
import type { ProtocolVersion } from "../core/packet.ts";
import type { IdentityTuple } from "../storage/policy-codec.ts";
import { fromIdentityTuple, toIdentityTuple } from "../storage/policy-codec.ts";
import type { DeliveryStateTuple, SubscriptionTuple } from "../storage/record-codec.ts";
import {
  fromDeliveryStateTuple,
  fromSubscriptionTuple,
  toDeliveryStateTuple,
  toSubscriptionTuple,
} from "../storage/record-codec.ts";

/** Attachments of another format are of another release, whose sockets did not survive the deploy. */
const format = 1;

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
];

type AttachmentTuple = [
  format: number,
  connectionId: string,
  boot: number,
  openedAtMs: number,
  randomClientId: string,
  clientIdHint: Optional<string>,
  client: Optional<ClientTuple>,
  identity?: Optional<IdentityTuple>,
  address?: Optional<string>,
];

const problemInformationFlag = 1;
const loggedFlag = 2;

export function encodeAttachment(connectionId: string, attachment: ConnectionAttachment): Uint8Array {
  const { boot, openedAtMs, randomClientId, clientIdHint, client, identity, address } = attachment;
  const tuple: AttachmentTuple = [
    format,
    connectionId,
    boot,
    openedAtMs,
    randomClientId,
    clientIdHint,
    client === undefined ? undefined : toClientTuple(client),
  ];
  if (identity !== undefined || address !== undefined) {
    tuple.push(identity && toIdentityTuple(identity), address);
  }
  // A copy: what is attached is stored with its whole buffer, and the encoder's is larger.
  return encode(tuple).slice();
}

/** Undefined for what {@link encodeAttachment} did not make. */
export function decodeAttachment(
  bytes: unknown,
): { connectionId: string; attachment: ConnectionAttachment } | undefined {
  if (!(bytes instanceof Uint8Array)) return undefined;
  const tuple = decode(bytes) as AttachmentTuple;
  const [found, connectionId, boot, openedAtMs, randomClientId, clientIdHint, client] = tuple;
  const [, , , , , , , identity, address] = tuple;
  if (found !== format) return undefined;
  return {
    connectionId,
    attachment: {
      boot,
      openedAtMs,
      randomClientId,
      ...(isSet(clientIdHint) && { clientIdHint }),
      ...(isSet(address) && { address }),
      ...(isSet(identity) && { identity: fromIdentityTuple(identity) }),
      ...(isSet(client) && { client: fromClientTuple(client) }),
    },
  };
}

function toClientTuple(client: AttachedClient): ClientTuple {
  const flags = (client.problemInformation ? problemInformationFlag : 0) | (client.logged ? loggedFlag : 0);
  return [
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
}

function fromClientTuple(tuple: ClientTuple): AttachedClient {
  const [protocolVersion, clientId, incarnation, keepAliveSec, lastSeenAtMs, receiveMaximum] = tuple;
  const [, , , , , , maximumPacketSizeBytes, flags, topicAliases, sessionNumber, state] = tuple;
  const [subscriptions, topicAliasMaximum, authenticationMethod] = [tuple[11], tuple[12], tuple[13]];
  return {
    protocolVersion,
    clientId,
    incarnation,
    keepAliveSec,
    lastSeenAtMs,
    receiveMaximum,
    problemInformation: (flags & problemInformationFlag) !== 0,
    topicAliases,
    topicAliasMaximum,
    sessionNumber,
    deliveryState: fromDeliveryStateTuple(state),
    logged: (flags & loggedFlag) !== 0,
    ...(isSet(maximumPacketSizeBytes) && { maximumPacketSizeBytes }),
    ...(isSet(authenticationMethod) && { authenticationMethod }),
    ...(isSet(subscriptions) && { subscriptions: subscriptions.map(fromSubscriptionTuple) }),
  };
}

function isSet<Value>(value: Optional<Value>): value is Value {
  return value !== null && value !== undefined;
}
