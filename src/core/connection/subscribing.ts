import type { Limits } from "../limits.ts";
import type { QoS, SubscribePacket, UnsubscribePacket } from "../packet.ts";
import { utf8BytesMax } from "../publication.ts";
import type { Refusal } from "../refusal.ts";
import { storageFull } from "../refusal.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import { hasWildcard, levelCountOf, parseSharedFilter } from "../topic.ts";
import { isServerFilter } from "../topics/server-topics.ts";
import type { Subscribed } from "../session/sessions.ts";
import type { Placement } from "../placement.ts";
import type { Connection } from "./connection.ts";
import { disconnect } from "./disconnecting.ts";

/** The answer to one Topic Filter. */
interface Grant {
  readonly reasonCode: ReasonCode;
  readonly reasonString?: string;
  /** Set when retained messages are to follow. */
  readonly replay?: SubscriptionRecord;
  /** Other shards that have some, if they have just told. */
  readonly retaining?: readonly number[] | undefined;
}

const grantedQos = [ReasonCode.GrantedQoS0, ReasonCode.GrantedQoS1, ReasonCode.GrantedQoS2] as const;

const identifierInUse: Refusal = {
  reasonCode: ReasonCode.PacketIdentifierInUse,
  reasonString: "The Packet Identifier belongs to a QoS 2 message",
};

/** SUBSCRIBE: grant, write, acknowledge, then send retained messages ([MQTT-3.8.4-1]). */
export function handleSubscribe(
  context: ShardContext,
  connection: Connection,
  session: Session,
  packet: SubscribePacket,
  nowMs: number,
): void {
  const { subscriptionIdentifier } = packet;
  if (subscriptionIdentifier !== undefined && !context.config.limits.subscriptionIdentifiersAvailable) {
    const { SubscriptionIdentifiersNotSupported: reasonCode } = ReasonCode;
    disconnect(context, connection, reasonCode, "Subscription Identifiers are not available here", nowMs);
    return;
  }
  if (!isAnswerable(context, connection, "suback", packet, packet.requests.length, nowMs)) return;
  const isInUse = isIdentifierInUse(connection, session, packet);
  const place = connection.subscribeAcks.reserve(false);
  const grants: Grant[] = [];
  let left = packet.requests.length;
  const decide = (index: number, grant: Grant): void => {
    grants[index] = grant;
    left -= 1;
    if (left > 0) return;
    connection.subscribeAcks.settle(place, () => {
      answer(context, connection, "suback", packet.packetIdentifier, grants);
      replayAll(context, connection, session, grants);
    });
  };
  for (const [index, { topicFilter, ...options }] of packet.requests.entries()) {
    const identifier = subscriptionIdentifier !== undefined && { subscriptionIdentifier };
    const requested = { topicFilter, ...options, ...identifier };
    if (isInUse) decide(index, refused(context, identifierInUse));
    else subscribe(context, session, requested, (grant) => decide(index, grant), nowMs);
  }
}

/** The retained messages of the new subscriptions follow SUBACK. */
function replayAll(
  context: ShardContext,
  connection: Connection,
  session: Session,
  grants: readonly Grant[],
): void {
  for (const { replay, retaining } of grants) {
    if (replay === undefined || connection.isClosed) continue;
    const begin = (): void => {
      // The client may have gone, or unsubscribed.
      if (session.connection !== connection || !session.subscriptions.has(replay.topicFilter)) return;
      context.replaying.begin(session, replay, retaining, context.nowMs);
    };
    // The figures of all shards are asked for first.
    if (isServerFilter(replay.topicFilter)) context.owners.refreshServerTopics(begin, context.nowMs);
    else begin();
  }
}

/** UNSUBSCRIBE ([MQTT-3.10.4-4]). What is in flight or queued already is still delivered. */
export function handleUnsubscribe(
  context: ShardContext,
  connection: Connection,
  session: Session,
  packet: UnsubscribePacket,
  nowMs: number,
): void {
  if (!isAnswerable(context, connection, "unsuback", packet, packet.topicFilters.length, nowMs)) return;
  const isInUse = isIdentifierInUse(connection, session, packet);
  // In turn with subscriptions that are on their way.
  const place = connection.subscribeAcks.reserve(false);
  const grants = packet.topicFilters.map((topicFilter): Grant => {
    if (isInUse) return refused(context, identifierInUse);
    const existed = context.sessions.unsubscribe(session, topicFilter, nowMs);
    context.replaying.forget(session, topicFilter);
    return { reasonCode: existed ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted };
  });
  connection.subscribeAcks.settle(place, () =>
    answer(context, connection, "unsuback", packet.packetIdentifier, grants),
  );
}

/** Nothing is done whose acknowledgement would exceed the client's Maximum Packet Size ([MQTT-3.1.2-24]). */
function isAnswerable(
  context: ShardContext,
  connection: Connection,
  type: "suback" | "unsuback",
  { packetIdentifier }: { packetIdentifier: number },
  count: number,
  nowMs: number,
): boolean {
  const reasonCodes = Array.from({ length: count }, () => ReasonCode.Success);
  if (context.output.fits(connection, { type, packetIdentifier, reasonCodes })) return true;
  const reasonString = "The acknowledgement exceeds the client's Maximum Packet Size";
  disconnect(context, connection, ReasonCode.PacketTooLarge, reasonString, nowMs);
  return false;
}

/** [MQTT-2.2.1-3]; MQTT 3.x has no code for it. */
function isIdentifierInUse(
  { protocolVersion }: Connection,
  { receivedQos2 }: Session,
  { packetIdentifier }: { packetIdentifier: number },
): boolean {
  return protocolVersion === 5 && receivedQos2.has(packetIdentifier);
}

function subscribe(
  context: ShardContext,
  session: Session,
  requested: SubscriptionRecord,
  decide: (grant: Grant) => void,
  nowMs: number,
): void {
  const refusal = refusalOf(context, session, requested) ?? roomRefusalOf(context, session, requested);
  if (refusal !== undefined) {
    decide(refused(context, refusal));
    return;
  }
  const limitedQos = Math.min(requested.maximumQos, context.config.limits.maximumQos) as QoS;
  const maximumQos = context.access.subscribeDecisionOf(session, requested.topicFilter, limitedQos);
  if (typeof maximumQos !== "number") {
    decide(refused(context, maximumQos));
    return;
  }
  const subscription = { ...requested, maximumQos };
  const settle = (subscribed: Subscribed): void => {
    if (subscribed.refusal === undefined) decide(granted(subscription, subscribed));
    else decide(refused(context, subscribed.refusal));
  };
  context.sessions.subscribe(session, subscription, settle, nowMs);
}

function granted(subscription: SubscriptionRecord, { isNew, retaining }: Subscribed): Grant {
  const reasonCode = grantedQos[subscription.maximumQos];
  // Shared Subscriptions get no retained messages (section 4.8.2).
  if (parseSharedFilter(subscription.topicFilter) !== undefined) return { reasonCode };
  // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11].
  const { retainHandling } = subscription;
  const sendsRetained = retainHandling === 0 || (retainHandling === 1 && isNew);
  return sendsRetained ? { reasonCode, replay: subscription, retaining } : { reasonCode };
}

function refused({ counters }: ShardContext, { reasonCode, reasonString }: Grant): Grant {
  counters.countRefusal(reasonCode);
  return reasonString === undefined ? { reasonCode } : { reasonCode, reasonString };
}

/** What the session's row would grow by. */
function roomRefusalOf(
  { isStorageFull }: ShardContext,
  session: Session,
  { topicFilter }: SubscriptionRecord,
): Refusal | undefined {
  const isNew = !session.subscriptions.has(topicFilter);
  return isNew && session.rowHoldsSubscriptions && isStorageFull ? storageFull : undefined;
}

/** Why the session may not have the subscription; undefined when it may. */
export function refusalOf(
  { config: { limits, placement } }: Pick<ShardContext, "config">,
  session: Session,
  { topicFilter }: SubscriptionRecord,
): Refusal | undefined {
  if (!limits.sharedSubscriptionAvailable && parseSharedFilter(topicFilter) !== undefined) {
    return {
      reasonCode: ReasonCode.SharedSubscriptionsNotSupported,
      reasonString: "Shared Subscriptions are not available here",
    };
  }
  if (!limits.wildcardSubscriptionAvailable && hasWildcard(topicFilter)) {
    return {
      reasonCode: ReasonCode.WildcardSubscriptionsNotSupported,
      reasonString: "Wildcards are not available here",
    };
  }
  if (levelCountOf(topicFilter) > limits.topicLevelsMax) {
    return {
      reasonCode: ReasonCode.TopicFilterInvalid,
      reasonString: `The Topic Filter has more than ${limits.topicLevelsMax} levels`,
    };
  }
  const { subscriptions, pendingSubscriptions } = session;
  if (subscriptions.has(topicFilter) || pendingSubscriptions.has(topicFilter)) return undefined;
  return (
    crowdRefusalOf(limits, session, topicFilter) ?? spanRefusalOf(limits, placement, session, topicFilter)
  );
}

/** One subscription more that every shard has to know of. */
function spanRefusalOf(
  { subscriptionsOnAllShardsMax }: Limits,
  placement: Placement,
  { subscriptions, pendingSubscriptions }: Session,
  topicFilter: string,
): Refusal | undefined {
  if (placement.layout.shards === 1 || !placement.spansAllShards(topicFilter)) return undefined;
  if (isServerFilter(topicFilter)) return undefined;
  let count = 0;
  for (const filter of subscriptions.keys()) if (placement.spansAllShards(filter)) count += 1;
  for (const filter of pendingSubscriptions.keys()) if (placement.spansAllShards(filter)) count += 1;
  if (count < subscriptionsOnAllShardsMax) return undefined;
  const { topicKeyLevels } = placement.layout;
  const reasonString = `A session has at most ${subscriptionsOnAllShardsMax} subscriptions with a wildcard in the first ${topicKeyLevels} levels`;
  return { reasonCode: ReasonCode.QuotaExceeded, reasonString };
}

/** One subscription more than a session may have. */
function crowdRefusalOf(
  { subscriptionsPerSessionMax, subscriptionBytesPerSessionMax }: Limits,
  { subscriptions, pendingSubscriptions, subscriptionsBytes }: Session,
  topicFilter: string,
): Refusal | undefined {
  const reasonCode = ReasonCode.QuotaExceeded;
  if (subscriptions.size + pendingSubscriptions.size >= subscriptionsPerSessionMax) {
    return { reasonCode, reasonString: `A session has at most ${subscriptionsPerSessionMax} subscriptions` };
  }
  let pendingBytes = 0;
  for (const pending of pendingSubscriptions.keys()) pendingBytes += utf8BytesMax(pending);
  if (subscriptionsBytes + pendingBytes + utf8BytesMax(topicFilter) > subscriptionBytesPerSessionMax) {
    const reasonString = `The Topic Filters of a session have at most ${subscriptionBytesPerSessionMax} bytes`;
    return { reasonCode, reasonString };
  }
  return undefined;
}

function answer(
  { clock, output, sessions }: ShardContext,
  connection: Connection,
  type: "suback" | "unsuback",
  packetIdentifier: number,
  grants: readonly Grant[],
): void {
  if (connection.isClosed) return;
  const reasonString = grants.find((grant) => grant.reasonString !== undefined)?.reasonString;
  const isWanted = connection.client?.problemInformation === true && reasonString !== undefined;
  const packet = {
    type,
    packetIdentifier,
    reasonCodes: grants.map(({ reasonCode }) => reasonCode),
    ...(isWanted && { reasonString }),
  };
  output.outdatedAttachments.add(connection);
  if (sessions.hasChangedRows) {
    clock.watchConnection(connection);
    output.holdAfterCommit(connection, packet);
  } else {
    output.send(connection, packet);
  }
}
