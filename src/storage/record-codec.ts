/**
 * Rows as MessagePack arrays: positions instead of names, for what is stored is paid by the byte and read on every
 * wake-up. Every record begins with its format number.
 */
import { Decoder, encode } from "@msgpack/msgpack";
import type { ApplicationMessage, QoS, UserProperty, WillMessage } from "../core/packet.ts";
import type { Letter } from "../core/peers/message.ts";
import type { Publication } from "../core/publication.ts";
import type {
  DeliveryState,
  InflightRecord,
  LoggedMessage,
  LogTarget,
  RetainedHead,
  SegmentHead,
  SessionRecord,
  StoredPublication,
  SubscriptionRecord,
} from "../core/storage-port.ts";
import { readable } from "./unreadable-error.ts";
import type { Owner } from "../core/access/identity.ts";
import { anonymousIdentity } from "../core/access/identity.ts";
import type { CostTuple } from "./cost-codec.ts";
import { fromCostTuple, toCostTail } from "./cost-codec.ts";
import type { IdentityTuple } from "./policy-codec.ts";
import { fromIdentityTuple, toIdentityTuple } from "./policy-codec.ts";

const format = 1;

/** One for all: each has tables of its own, which cost more than most records. */
const decoder = new Decoder();

type Optional<Value> = Value | null | undefined;

type MessageTuple = [
  topicName: string,
  payload: Uint8Array,
  flags: number,
  messageExpiryIntervalSec?: Optional<number>,
  payloadFormatIndicator?: Optional<0 | 1>,
  contentType?: Optional<string>,
  responseTopic?: Optional<string>,
  correlationData?: Optional<Uint8Array>,
  userProperties?: Optional<readonly UserProperty[]>,
];

export type DeliveryStateTuple = [
  nextOrdinal: number,
  sentThrough: number,
  inflight: (readonly [ordinal: number, phaseAndFlags: number])[],
  receivedQos2: readonly number[],
  dupThrough?: Optional<number>,
];

export type SubscriptionTuple = [
  topicFilter: string,
  options: number,
  subscriptionIdentifier?: Optional<number>,
];

type TargetTuple = [
  sessionNumber: number,
  ordinal: number,
  flags: number,
  subscriptionIdentifiers?: Optional<readonly number[]>,
  sharedFilter?: Optional<string>,
  letter?: Optional<Letter>,
];

type LoggedTuple = [sizeBytes: number, targets: TargetTuple[], expiresAtMs?: Optional<number>];

type SegmentHeadTuple = [
  messages: LoggedTuple[],
  deliveryStates: [sessionNumber: number, state: DeliveryStateTuple][],
  fromSeq?: Optional<number>,
  cost?: CostTuple,
];

export type PublicationTuple = [message: MessageTuple, expiresAtMs: Optional<number>];

const phases: readonly InflightRecord["phase"][] = ["awaitingPuback", "awaitingPubrec", "awaitingPubcomp"];

const resendFlag = 4;

export function encodePublication(publication: Publication): Uint8Array {
  return encode([format, ...toPublicationTuple(publication)]);
}

export function decodePublication(bytes: Uint8Array): Publication {
  return fromPublicationTuple(decodeRecord<PublicationTuple>(bytes));
}

export function encodePublications(publications: readonly Publication[]): Uint8Array {
  return encode([format, ...publications.map(toPublicationTuple)]);
}

export function decodePublications(bytes: Uint8Array): Publication[] {
  return decodeRecord<PublicationTuple[]>(bytes).map(fromPublicationTuple);
}

/** A message as the bytes that it is stored in: decoded when it is looked at, and written again without that. */
export class EncodedPublication implements StoredPublication {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get publication(): Publication {
    return readable("A retained message", () => decodePublication(this.bytes));
  }
}

export function encodeStoredPublications(publications: readonly StoredPublication[]): Uint8Array {
  return encode([
    format,
    ...publications.map((one) =>
      one instanceof EncodedPublication ? one.bytes : encodePublication(one.publication),
    ),
  ]);
}

export function decodeStoredPublications(bytes: Uint8Array): StoredPublication[] {
  return decodeRecord<Uint8Array[]>(bytes).map((one) => new EncodedPublication(one));
}

type RetainedNameTuple = [topicName: string, sizeBytes: number, expiresAtMs?: number];

export function encodeRetainedHead({ names, cleared }: Pick<RetainedHead, "names" | "cleared">): Uint8Array {
  const tuples = names.map(({ topicName, sizeBytes, expiresAtMs }): RetainedNameTuple =>
    expiresAtMs === undefined ? [topicName, sizeBytes] : [topicName, sizeBytes, expiresAtMs],
  );
  return encode([format, tuples, cleared]);
}

export function decodeRetainedHead(slot: number, seq: number, bytes: Uint8Array): RetainedHead {
  const [tuples, cleared] = decodeRecord<[RetainedNameTuple[], string[]]>(bytes);
  const names = tuples.map(([topicName, sizeBytes, expiresAtMs]) =>
    expiresAtMs === undefined ? { topicName, sizeBytes } : { topicName, sizeBytes, expiresAtMs },
  );
  return { slot, seq, names, cleared };
}

export function toPublicationTuple({ message, expiresAtMs }: Publication): PublicationTuple {
  return [toMessageTuple(message), expiresAtMs];
}

export function fromPublicationTuple([tuple, expiresAtMs]: PublicationTuple): Publication {
  const message = fromMessageTuple(tuple);
  return isSet(expiresAtMs) ? { message, expiresAtMs } : { message };
}

export function encodeSegmentHead({ messages, deliveryStates, fromSeq, cost }: SegmentHead): Uint8Array {
  const states = deliveryStates.map(([number, state]) => [number, toDeliveryStateTuple(state)]);
  return encode([format, messages.map(toLoggedTuple), states, fromSeq, ...toCostTail(cost)]);
}

export function decodeSegmentHead(slot: number, seq: number, bytes: Uint8Array): SegmentHead {
  const [messages, states, fromSeq, cost] = decodeRecord<SegmentHeadTuple>(bytes);
  return {
    slot,
    seq,
    ...(isSet(fromSeq) && { fromSeq }),
    messages: messages.map(fromLoggedTuple),
    deliveryStates: states.map(
      ([sessionNumber, state]) => [sessionNumber, fromDeliveryStateTuple(state)] as const,
    ),
    ...(isSet(cost) && { cost: fromCostTuple(cost) }),
  };
}

export function encodeSession(record: SessionRecord): Uint8Array {
  return encode([
    format,
    record.sessionNumber,
    record.incarnation,
    record.attachedBoot,
    record.sessionExpiryIntervalSec,
    record.detachedAtMs,
    record.willDueAtMs,
    record.will === undefined ? null : [toMessageTuple(record.will), record.will.willDelayIntervalSec],
    record.subscriptions.map(toSubscriptionTuple),
    toDeliveryStateTuple(record.deliveryState),
    record.deliveryStateSeq,
    ...toSessionTail(record),
  ]);
}

type SessionTuple = [
  sessionNumber: number,
  incarnation: number,
  attachedBoot: number,
  sessionExpiryIntervalSec: number,
  detachedAtMs: Optional<number>,
  willDueAtMs: Optional<number>,
  will: Optional<[MessageTuple, number]>,
  subscriptions: SubscriptionTuple[],
  deliveryState: DeliveryStateTuple,
  deliveryStateSeq: number,
  cost?: Optional<CostTuple>,
  importedFrom?: Optional<string>,
  owner?: Optional<OwnerTuple>,
];

/** Anonymous, or somebody. */
type OwnerTuple = typeof anonymousOwner | IdentityTuple;

const anonymousOwner = 0;

/** What rows of older releases do not have, up to the last that this one has. */
function toSessionTail({ cost, importedFrom, owner }: SessionRecord): unknown[] {
  const [costTuple] = toCostTail(cost);
  const tail = [costTuple, importedFrom, owner && toOwnerTuple(owner)];
  return tail.slice(0, tail.findLastIndex(isSet) + 1);
}

function toOwnerTuple(owner: Owner): OwnerTuple {
  return owner === anonymousIdentity ? anonymousOwner : toIdentityTuple(owner);
}

function fromOwnerTuple(tuple: OwnerTuple): Owner {
  return tuple === anonymousOwner ? anonymousIdentity : fromIdentityTuple(tuple);
}

/** By positions: an array pattern would make an iterator, and there may be thousands to read. */
export function decodeSession(clientId: string, bytes: Uint8Array): SessionRecord {
  const tuple = decodeRecord<SessionTuple>(bytes);
  const detachedAtMs = tuple[4];
  const willDueAtMs = tuple[5];
  const will = tuple[6];
  const cost = tuple[10];
  const importedFrom = tuple[11];
  const owner = tuple[12];
  return {
    clientId,
    sessionNumber: tuple[0],
    incarnation: tuple[1],
    attachedBoot: tuple[2],
    sessionExpiryIntervalSec: tuple[3],
    ...(isSet(detachedAtMs) && { detachedAtMs }),
    ...(isSet(willDueAtMs) && { willDueAtMs }),
    ...(isSet(will) && { will: fromWillTuple(will) }),
    subscriptions: tuple[7].map(fromSubscriptionTuple),
    deliveryState: fromDeliveryStateTuple(tuple[8]),
    deliveryStateSeq: tuple[9],
    ...(isSet(cost) && { cost: fromCostTuple(cost) }),
    ...(isSet(importedFrom) && { importedFrom }),
    ...(isSet(owner) && { owner: fromOwnerTuple(owner) }),
  };
}

function decodeRecord<Tuple extends unknown[]>(bytes: Uint8Array): Tuple {
  const record = decoder.decode(bytes) as [number, ...Tuple];
  const found = record.shift();
  if (found !== format) throw new Error(`Stored record has format ${found}; this version reads ${format}`);
  return record as unknown as Tuple;
}

function isSet<Value>(value: Optional<Value>): value is Value {
  return value !== null && value !== undefined;
}

function toMessageTuple(message: ApplicationMessage): MessageTuple {
  const flags = message.qos | (message.retain ? 4 : 0);
  const tuple: MessageTuple = [message.topicName, message.payload, flags];
  const properties = [
    message.messageExpiryIntervalSec,
    message.payloadFormatIndicator,
    message.contentType,
    message.responseTopic,
    message.correlationData,
    message.userProperties,
  ] as const;
  if (properties.some(isSet)) tuple.push(...properties);
  return tuple;
}

function fromMessageTuple(tuple: MessageTuple): ApplicationMessage {
  const [topicName, payload, flags, expirySec, payloadFormatIndicator, contentType, responseTopic] = tuple;
  const [, , , , , , , correlationData, userProperties] = tuple;
  return {
    topicName,
    payload,
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    ...(isSet(expirySec) && { messageExpiryIntervalSec: expirySec }),
    ...(isSet(payloadFormatIndicator) && { payloadFormatIndicator }),
    ...(isSet(contentType) && { contentType }),
    ...(isSet(responseTopic) && { responseTopic }),
    ...(isSet(correlationData) && { correlationData }),
    ...(isSet(userProperties) && { userProperties }),
  };
}

function fromWillTuple([tuple, willDelayIntervalSec]: [MessageTuple, number]): WillMessage {
  return { ...fromMessageTuple(tuple), willDelayIntervalSec };
}

export function toDeliveryStateTuple(state: DeliveryState): DeliveryStateTuple {
  const { nextOrdinal, sentThrough, inflight, receivedQos2, dupThrough } = state;
  const entries = inflight.map(
    ({ ordinal, phase, resend }) => [ordinal, phases.indexOf(phase) | (resend ? resendFlag : 0)] as const,
  );
  return dupThrough === undefined
    ? [nextOrdinal, sentThrough, entries, receivedQos2]
    : [nextOrdinal, sentThrough, entries, receivedQos2, dupThrough];
}

/** Of all sessions to which nothing was ever queued. */
const untouched: DeliveryState = { nextOrdinal: 1, sentThrough: 0, inflight: [], receivedQos2: [] };

export function fromDeliveryStateTuple(tuple: DeliveryStateTuple): DeliveryState {
  if (isUntouched(tuple)) return untouched;
  const [nextOrdinal, sentThrough, entries, receivedQos2, dupThrough] = tuple;
  const inflight = entries.map(([ordinal, flags]): InflightRecord => ({
    ordinal,
    phase: phases[flags & ~resendFlag] ?? "awaitingPuback",
    ...((flags & resendFlag) !== 0 && { resend: true }),
  }));
  return { nextOrdinal, sentThrough, inflight, receivedQos2, ...(isSet(dupThrough) && { dupThrough }) };
}

/** Looked at by positions: most of the thousands that a wake-up reads are. */
function isUntouched(tuple: DeliveryStateTuple): boolean {
  return (
    tuple[0] === 1 && tuple[1] === 0 && tuple[2].length === 0 && tuple[3].length === 0 && !isSet(tuple[4])
  );
}

export function toSubscriptionTuple(subscription: SubscriptionRecord): SubscriptionTuple {
  const { topicFilter, maximumQos, noLocal, retainAsPublished, retainHandling } = subscription;
  const options = maximumQos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4);
  const { subscriptionIdentifier } = subscription;
  return isSet(subscriptionIdentifier)
    ? [topicFilter, options, subscriptionIdentifier]
    : [topicFilter, options];
}

export function fromSubscriptionTuple([
  topicFilter,
  options,
  identifier,
]: SubscriptionTuple): SubscriptionRecord {
  return {
    topicFilter,
    maximumQos: (options & 3) as QoS,
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: (options >> 4) as 0 | 1 | 2,
    ...(isSet(identifier) && { subscriptionIdentifier: identifier }),
  };
}

function toLoggedTuple({ sizeBytes, targets, expiresAtMs }: LoggedMessage): LoggedTuple {
  const tuples = targets.map(toTargetTuple);
  return isSet(expiresAtMs) ? [sizeBytes, tuples, expiresAtMs] : [sizeBytes, tuples];
}

function fromLoggedTuple([sizeBytes, tuples, expiresAtMs]: LoggedTuple): LoggedMessage {
  const targets = tuples.map(fromTargetTuple);
  return isSet(expiresAtMs) ? { sizeBytes, targets, expiresAtMs } : { sizeBytes, targets };
}

function toTargetTuple(target: LogTarget): TargetTuple {
  const { sessionNumber, ordinal, qos, retain, subscriptionIdentifiers, sharedFilter, letter } = target;
  const flags = qos | (retain ? 4 : 0);
  if (isSet(letter)) return [sessionNumber, ordinal, flags, null, null, letter];
  if (isSet(sharedFilter)) return [sessionNumber, ordinal, flags, subscriptionIdentifiers, sharedFilter];
  if (isSet(subscriptionIdentifiers)) return [sessionNumber, ordinal, flags, subscriptionIdentifiers];
  return [sessionNumber, ordinal, flags];
}

function fromTargetTuple([
  sessionNumber,
  ordinal,
  flags,
  subscriptionIdentifiers,
  sharedFilter,
  letter,
]: TargetTuple): LogTarget {
  return {
    sessionNumber,
    ordinal,
    qos: (flags & 3) as QoS,
    retain: (flags & 4) !== 0,
    ...(isSet(subscriptionIdentifiers) && { subscriptionIdentifiers }),
    ...(isSet(sharedFilter) && { sharedFilter }),
    ...(isSet(letter) && { letter }),
  };
}
