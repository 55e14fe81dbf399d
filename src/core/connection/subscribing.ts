import type { Limits } from "../limits.ts";
import type { SubscribePacket, UnsubscribePacket } from "../packet.ts";
import { utf8BytesMax } from "../publication.ts";
import type { Refusal } from "../refusal.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import { hasWildcard, levelCountOf, parseSharedFilter } from "../topic.ts";
import type { Connection } from "./connection.ts";
import { disconnect } from "./disconnecting.ts";

/** The answer to one Topic Filter. */
interface Grant {
  readonly reasonCode: ReasonCode;
  readonly reasonString?: string;
  /** Set when retained messages are to follow. */
  readonly replay?: SubscriptionRecord;
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
  const grants = packet.requests.map(({ topicFilter, ...options }): Grant => {
    if (isInUse) return refused(context, identifierInUse);
    const identifier = subscriptionIdentifier !== undefined && { subscriptionIdentifier };
    return subscribe(context, session, { topicFilter, ...options, ...identifier });
  });
  answer(context, connection, "suback", packet.packetIdentifier, grants);
  for (const { replay } of grants) {
    if (replay !== undefined) context.delivering.replay(session, replay, context.owners, nowMs);
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
  const grants = packet.topicFilters.map((topicFilter): Grant => {
    if (isInUse) return refused(context, identifierInUse);
    const existed = context.sessions.unsubscribe(session, topicFilter);
    return { reasonCode: existed ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted };
  });
  answer(context, connection, "unsuback", packet.packetIdentifier, grants);
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

function subscribe(context: ShardContext, session: Session, requested: SubscriptionRecord): Grant {
  const refusal = refusalOf(context, session, requested);
  if (refusal !== undefined) return refused(context, refusal);
  const maximumQos = Math.min(requested.maximumQos, context.config.limits.maximumQos) as 0 | 1 | 2;
  const subscription = { ...requested, maximumQos };
  const isNew = context.sessions.subscribe(session, subscription);
  const reasonCode = grantedQos[maximumQos];
  // Shared Subscriptions get no retained messages (section 4.8.2).
  if (parseSharedFilter(subscription.topicFilter) !== undefined) return { reasonCode };
  // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11].
  const { retainHandling } = subscription;
  const sendsRetained = retainHandling === 0 || (retainHandling === 1 && isNew);
  return sendsRetained ? { reasonCode, replay: subscription } : { reasonCode };
}

function refused({ counters }: ShardContext, { reasonCode, reasonString }: Refusal): Grant {
  counters.countRefusal(reasonCode);
  return { reasonCode, reasonString };
}

function refusalOf(
  { config: { limits } }: ShardContext,
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
  return session.subscriptions.has(topicFilter) ? undefined : crowdRefusalOf(limits, session, topicFilter);
}

/** One subscription more than a session may have. */
function crowdRefusalOf(
  { subscriptionsPerSessionMax, subscriptionBytesPerSessionMax }: Limits,
  { subscriptions, subscriptionsBytes }: Session,
  topicFilter: string,
): Refusal | undefined {
  const reasonCode = ReasonCode.QuotaExceeded;
  if (subscriptions.size >= subscriptionsPerSessionMax) {
    return { reasonCode, reasonString: `A session has at most ${subscriptionsPerSessionMax} subscriptions` };
  }
  if (subscriptionsBytes + utf8BytesMax(topicFilter) > subscriptionBytesPerSessionMax) {
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
