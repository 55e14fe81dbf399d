import type { ApplicationMessage, PublishPacket, PublishResponsePacket } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import { isFailure } from "../reason-code.ts";
import { toPublication } from "../publication.ts";
import { topicRefusalOf } from "../topic.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Connection } from "./connection.ts";
import { disconnect } from "./disconnecting.ts";

/** PUBLISH from a client: route it, then acknowledge it once it is safe. */
export function handlePublish(
  context: ShardContext,
  connection: Connection,
  session: Session,
  packet: PublishPacket,
  nowMs: number,
): void {
  context.counters.messagesReceived += 1;
  const message = resolveTopicAlias(context, connection, packet, nowMs);
  if (message === undefined) return;
  if (exceedsReceiveMaximum(context, connection, session, packet)) {
    const reasonString = `More than ${context.config.limits.receiveMaximum} messages are unacknowledged`;
    disconnect(context, connection, ReasonCode.ReceiveMaximumExceeded, reasonString, nowMs);
    return;
  }
  const { packetIdentifier } = packet;
  if (message.qos === 0 || packetIdentifier === undefined) {
    publish(context, session, message, nowMs);
  } else if (message.qos === 1) {
    const reasonCode = publish(context, session, message, nowMs);
    acknowledge(context, connection, { type: "puback", packetIdentifier, reasonCode });
  } else {
    const reasonCode = receiveQos2(context, session, packetIdentifier, message, nowMs);
    acknowledge(context, connection, { type: "pubrec", packetIdentifier, reasonCode });
  }
}

/** PUBREL: the identifier may be used anew ([MQTT-4.3.3-12]). */
export function handlePubrel(
  context: ShardContext,
  connection: Connection,
  session: Session,
  packetIdentifier: number,
): void {
  const known = session.receivedQos2.delete(packetIdentifier);
  const reasonCode = known ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound;
  const pubcomp: PublishResponsePacket = { type: "pubcomp", packetIdentifier, reasonCode };
  context.output.changed.add(connection);
  if (known && session.isPersistent) {
    context.log.noteChanged(session);
    context.output.sendAfterCommit(connection, pubcomp);
  } else {
    context.output.send(connection, pubcomp);
  }
}

/** The message under its Topic Name; undefined when the alias is not valid and the connection is closed. */
function resolveTopicAlias(
  context: ShardContext,
  connection: Connection,
  { message, topicAlias }: PublishPacket,
  nowMs: number,
): ApplicationMessage | undefined {
  if (topicAlias === undefined) return message;
  const { topicAliasMaximum, topicAliasBytesMax } = context.config.limits;
  const fail = (reasonCode: ReasonCode, reasonString: string): undefined => {
    disconnect(context, connection, reasonCode, reasonString, nowMs);
    return undefined;
  };
  // [MQTT-3.3.2-9] and [MQTT-3.3.2-7].
  if (topicAlias > topicAliasMaximum) {
    return fail(ReasonCode.TopicAliasInvalid, `Topic Alias is above ${topicAliasMaximum}`);
  }
  if (message.topicName === "") {
    const topicName = connection.topicAliases.get(topicAlias);
    if (topicName === undefined) return fail(ReasonCode.TopicAliasInvalid, "Topic Alias is not set");
    return { ...message, topicName };
  }
  if (connection.topicAliases.get(topicAlias) === message.topicName) return message;
  connection.topicAliases.set(topicAlias, message.topicName);
  context.output.changed.add(connection);
  let aliasBytes = 0;
  for (const topicName of connection.topicAliases.values()) aliasBytes += topicName.length * 3;
  if (aliasBytes > topicAliasBytesMax) {
    return fail(ReasonCode.QuotaExceeded, `Topic Names behind aliases exceed ${topicAliasBytesMax} bytes`);
  }
  return message;
}

/** [MQTT-3.3.4-7], [MQTT-3.3.4-9]. A QoS 2 message sent again is not one more. */
function exceedsReceiveMaximum(
  { config }: ShardContext,
  connection: Connection,
  session: Session,
  { message, packetIdentifier }: PublishPacket,
): boolean {
  if (connection.protocolVersion !== 5 || message.qos === 0 || packetIdentifier === undefined) return false;
  if (session.receivedQos2.has(packetIdentifier)) return false;
  return session.receivedQos2.size + connection.parkedPubackCount >= config.limits.receiveMaximum;
}

/** Method A of section 4.3.3: routed once, when the identifier is new; PUBREL frees the identifier. */
function receiveQos2(
  context: ShardContext,
  session: Session,
  packetIdentifier: number,
  message: ApplicationMessage,
  nowMs: number,
): ReasonCode {
  if (session.receivedQos2.has(packetIdentifier)) return ReasonCode.Success;
  const reasonCode = publish(context, session, message, nowMs);
  if (isFailure(reasonCode)) return reasonCode;
  session.receivedQos2.add(packetIdentifier);
  if (session.isPersistent) context.log.noteChanged(session);
  return reasonCode;
}

function publish(
  context: ShardContext,
  session: Session,
  message: ApplicationMessage,
  nowMs: number,
): ReasonCode {
  const refusal = topicRefusalOf(message.topicName, context.config.limits);
  if (refusal !== undefined) return refusal;
  const publication = toPublication(message, nowMs);
  if (message.retain && !context.owners.acceptsRetained(publication)) return ReasonCode.QuotaExceeded;
  const { matchedCount } = context.owners.publish(publication, session.clientId, nowMs);
  return matchedCount === 0 ? ReasonCode.NoMatchingSubscribers : ReasonCode.Success;
}

function acknowledge(context: ShardContext, connection: Connection, packet: PublishResponsePacket): void {
  if (connection.isClosed) return;
  context.output.changed.add(connection);
  context.output.acknowledge(connection, packet, context.mustCommit);
}
