import type { ApplicationMessage, PublishPacket, PublishResponsePacket } from "../packet.ts";
import type { Outcome } from "../peers/message.ts";
import type { Settle } from "../peers/lane.ts";
import { isFailure, ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";
import { capabilityRefusalOf, messageRefusalOf } from "../refusal.ts";
import { toPublication } from "../publication.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Connection } from "./connection.ts";
import { disconnect } from "./disconnecting.ts";

const taken: Outcome = { reasonCode: ReasonCode.Success };
const identifierInUse: Outcome = {
  reasonCode: ReasonCode.PacketIdentifierInUse,
  reasonString: "The Packet Identifier belongs to a QoS 2 message",
};

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
  const fault =
    capabilityRefusalOf(message, context.config.limits) ??
    receiveMaximumRefusalOf(context, connection, session, packet);
  if (fault !== undefined) {
    disconnect(context, connection, fault.reasonCode, fault.reasonString, nowMs);
    return;
  }
  const place = message.qos > 0 ? connection.publishAcks.reserve(message.qos === 1) : undefined;
  const settle = (outcome: Outcome): void => {
    if (place === undefined) conclude(context, connection, packet, outcome);
    else connection.publishAcks.settle(place, () => conclude(context, connection, packet, outcome));
  };
  receive(context, connection, session, message, packet.packetIdentifier, settle, nowMs);
}

/** It is known what became of a message, perhaps some time after it came. */
function conclude(
  context: ShardContext,
  connection: Connection,
  packet: PublishPacket,
  outcome: Outcome,
): void {
  const { reasonCode, reasonString } = outcome;
  if (isFailure(reasonCode) && connection.protocolVersion < 5) {
    // MQTT 3.x has no way to say no but to close ([MQTT-3.3.5-2 (3.1.1)]).
    if (!connection.isClosed) disconnect(context, connection, reasonCode, reasonString ?? "", context.nowMs);
    return;
  }
  if (isFailure(reasonCode)) context.counters.countRefusal(reasonCode);
  acknowledge(context, connection, packet, outcome);
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
  context.output.outdatedAttachments.add(connection);
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
  // [MQTT-3.3.2-9].
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
  context.output.outdatedAttachments.add(connection);
  let aliasBytes = 0;
  for (const topicName of connection.topicAliases.values()) aliasBytes += topicName.length * 3;
  if (aliasBytes > topicAliasBytesMax) {
    return fail(ReasonCode.QuotaExceeded, `Topic Names behind aliases exceed ${topicAliasBytesMax} bytes`);
  }
  return message;
}

/** [MQTT-3.3.4-7]. A QoS 2 message sent again is not one more. */
function receiveMaximumRefusalOf(
  { config }: ShardContext,
  connection: Connection,
  session: Session,
  { message, packetIdentifier }: PublishPacket,
): Refusal | undefined {
  const { receiveMaximum, receivedQos2Max } = config.limits;
  if (message.qos === 0 || packetIdentifier === undefined) return undefined;
  if (session.receivedQos2.has(packetIdentifier)) return undefined;
  const isVersion5 = connection.protocolVersion === 5;
  // A 3.x client knows of no Receive Maximum, but its QoS 2 identifiers have to fit the attachment.
  if (!isVersion5 && message.qos === 1) return undefined;
  const countMax = isVersion5 ? receiveMaximum : receivedQos2Max;
  const { parkedPubackCount, publishAcks } = connection;
  const count = session.receivedQos2.size + (isVersion5 ? parkedPubackCount + publishAcks.pubackCount : 0);
  if (count < countMax) return undefined;
  return {
    reasonCode: ReasonCode.ReceiveMaximumExceeded,
    reasonString: `More than ${countMax} messages are unacknowledged`,
  };
}

function receive(
  context: ShardContext,
  connection: Connection,
  session: Session,
  message: ApplicationMessage,
  packetIdentifier: number | undefined,
  settle: Settle,
  nowMs: number,
): void {
  if (message.qos === 0 || packetIdentifier === undefined) {
    publish(context, connection, session, message, settle, nowMs);
    return;
  }
  const isReceived = session.receivedQos2.has(packetIdentifier);
  // [MQTT-4.3.3-10] Received before, with or without DUP: acknowledged again, not routed again.
  if (message.qos === 2 && isReceived) settle(taken);
  else if (message.qos === 2)
    receiveQos2(context, connection, session, message, packetIdentifier, settle, nowMs);
  else if (isReceived) settle(identifierInUse);
  else publish(context, connection, session, message, settle, nowMs);
}

/** Method A of section 4.3.3: routed once, when the identifier is new; PUBREL frees the identifier. */
function receiveQos2(
  context: ShardContext,
  connection: Connection,
  session: Session,
  message: ApplicationMessage,
  packetIdentifier: number,
  settle: Settle,
  nowMs: number,
): void {
  const noteChanged = (): void => {
    if (session.isPersistent && !session.isOver) context.log.noteChanged(session);
  };
  const { incarnation } = session;
  let isPending = false;
  const settleQos2: Settle = (outcome) => {
    // Another connection may have released the identifier, and used it again.
    const isSame = session.incarnation === incarnation;
    if (isFailure(outcome.reasonCode) && isSame) session.receivedQos2.delete(packetIdentifier);
    // What is pending is written already, as it stays unless the message is refused.
    if (isPending === isFailure(outcome.reasonCode)) noteChanged();
    settle(outcome);
  };
  // At once, for the message may come again before it is known what became of it.
  session.receivedQos2.add(packetIdentifier);
  publish(context, connection, session, message, settleQos2, nowMs);
  isPending = session.receivedQos2.has(packetIdentifier);
  if (!isPending) return;
  noteChanged();
  if (session.connection !== undefined) context.output.outdatedAttachments.add(session.connection);
}

function publish(
  { abuse, access, config, output, owners }: ShardContext,
  connection: Connection,
  session: Session,
  message: ApplicationMessage,
  settle: Settle,
  nowMs: number,
): void {
  const { topicName, qos, retain } = message;
  const refusal =
    messageRefusalOf(message, config.limits, config.isUtf8) ??
    access.publishRefusalOf(session, topicName, qos, retain) ??
    abuse.dailyMessages.refusalOf(connection, nowMs);
  if (connection.messagesToday !== undefined) output.outdatedAttachments.add(connection);
  if (refusal === undefined) {
    // A persistent session remembers the identifier, so the message is remembered with it.
    const isDurable = message.qos === 2 && session.isPersistent;
    owners.publish(toPublication(message, nowMs), session.clientId, isDurable, settle, nowMs);
  } else {
    settle(refusal);
  }
}

function acknowledge(
  { mustCommit, output }: ShardContext,
  connection: Connection,
  { message: { qos }, packetIdentifier }: PublishPacket,
  { reasonCode, reasonString }: Outcome,
): void {
  if (packetIdentifier === undefined || connection.isClosed) return;
  output.outdatedAttachments.add(connection);
  const type = qos === 1 ? "puback" : "pubrec";
  const reason = connection.client?.problemInformation && reasonString !== undefined && { reasonString };
  output.acknowledge(connection, { type, packetIdentifier, reasonCode, ...reason }, mustCommit);
}
