import type { SubscribePacket, UnsubscribePacket } from "../packet.ts";
import { isFailure, ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import { levelCountOf, parseSharedFilter } from "../topic.ts";
import type { Connection } from "./connection.ts";

/** What was granted for one Topic Filter. */
interface Grant {
  readonly reasonCode: ReasonCode;
  /** Set when retained messages are to follow. */
  readonly replay?: SubscriptionRecord;
}

/** SUBSCRIBE: grant, write, acknowledge, then send retained messages ([MQTT-3.8.4-1]). */
export function handleSubscribe(
  context: ShardContext,
  connection: Connection,
  session: Session,
  packet: SubscribePacket,
  nowMs: number,
): void {
  const grants = packet.requests.map(({ topicFilter, ...options }) =>
    subscribe(context, session, {
      topicFilter,
      ...options,
      ...(packet.subscriptionIdentifier !== undefined && {
        subscriptionIdentifier: packet.subscriptionIdentifier,
      }),
    }),
  );
  answer(
    context,
    connection,
    "suback",
    packet.packetIdentifier,
    grants.map(({ reasonCode }) => reasonCode),
  );
  for (const { replay } of grants) {
    if (replay === undefined) continue;
    const topicNames = context.owners.retainedNames(replay.topicFilter);
    context.delivering.replay(session, replay, topicNames, context.owners, nowMs);
  }
}

/** UNSUBSCRIBE ([MQTT-3.10.4-4]). What is in flight or queued already is still delivered. */
export function handleUnsubscribe(
  context: ShardContext,
  connection: Connection,
  session: Session,
  packet: UnsubscribePacket,
): void {
  const reasonCodes = packet.topicFilters.map((topicFilter) =>
    context.sessions.unsubscribe(session, topicFilter)
      ? ReasonCode.Success
      : ReasonCode.NoSubscriptionExisted,
  );
  answer(context, connection, "unsuback", packet.packetIdentifier, reasonCodes);
}

function subscribe(context: ShardContext, session: Session, subscription: SubscriptionRecord): Grant {
  const reasonCode = refusalOf(context, session, subscription) ?? grantedQos[subscription.maximumQos];
  if (isFailure(reasonCode)) return { reasonCode };
  const isNew = context.sessions.subscribe(session, subscription);
  const { retainHandling } = subscription;
  // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11].
  const sendsRetained = retainHandling === 0 || (retainHandling === 1 && isNew);
  return sendsRetained ? { reasonCode, replay: subscription } : { reasonCode };
}

const grantedQos = [ReasonCode.GrantedQoS0, ReasonCode.GrantedQoS1, ReasonCode.GrantedQoS2] as const;

function refusalOf(
  { config }: ShardContext,
  session: Session,
  { topicFilter }: SubscriptionRecord,
): ReasonCode | undefined {
  const { subscriptionsPerSessionMax, topicLevelsMax } = config.limits;
  if (parseSharedFilter(topicFilter) !== undefined) return ReasonCode.SharedSubscriptionsNotSupported;
  if (levelCountOf(topicFilter) > topicLevelsMax) return ReasonCode.TopicFilterInvalid;
  const isNew = !session.subscriptions.has(topicFilter);
  if (isNew && session.subscriptions.size >= subscriptionsPerSessionMax) return ReasonCode.QuotaExceeded;
  return undefined;
}

function answer(
  { clock, output, sessions }: ShardContext,
  connection: Connection,
  type: "suback" | "unsuback",
  packetIdentifier: number,
  reasonCodes: ReasonCode[],
): void {
  output.changed.add(connection);
  if (sessions.hasChangedRows) {
    clock.watchConnection(connection);
    output.holdAfterCommit(connection, { type, packetIdentifier, reasonCodes });
  } else {
    output.send(connection, { type, packetIdentifier, reasonCodes });
  }
}
