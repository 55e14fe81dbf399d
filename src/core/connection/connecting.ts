import type { Limits } from "../limits.ts";
import type { ConnackPacket, ConnectPacket } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import { topicRefusalOf } from "../topic.ts";
import type { Connection } from "./connection.ts";
import { detach, endSession, hangUp } from "./disconnecting.ts";

/** Receive Maximum of a client that names none ([section 3.1.2.11.3]). */
const receiveMaximumDefault = 0xffff;

interface Refusal {
  readonly reasonCode: ReasonCode;
  readonly reasonString: string;
}

/** CONNECT: the client's session is found or made, an older connection gives way, and CONNACK says what holds. */
export function handleConnect(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  nowMs: number,
): void {
  const clientId = packet.clientId || (connection.clientIdHint ?? connection.randomClientId);
  const refusal = refusalOf(context, connection, packet, clientId);
  if (refusal !== undefined) {
    refuse(context, connection, packet.protocolVersion, refusal);
    return;
  }
  settle(context, connection, packet, clientId);
  const { session, sessionPresent } = attach(context, connection, packet, clientId, nowMs);
  answer(context, connection, packet, session, sessionPresent);
  resume(context, connection, session, nowMs);
}

/** Answers with a CONNACK that says why, and closes ([MQTT-3.2.2-7]). */
export function refuse(
  context: ShardContext,
  connection: Connection,
  protocolVersion: ConnectPacket["protocolVersion"],
  { reasonCode, reasonString }: Refusal,
): void {
  context.counters.connectionsRefused += 1;
  connection.protocolVersion = protocolVersion;
  context.output.send(connection, { type: "connack", sessionPresent: false, reasonCode, reasonString });
  context.output.close(connection, 1008, reasonString);
}

function refusalOf(
  { config, sessions }: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  clientId: string,
): Refusal | undefined {
  const { limits } = config;
  if (connection.clientIdHint !== undefined && connection.clientIdHint !== clientId) {
    return {
      reasonCode: ReasonCode.ClientIdentifierNotValid,
      reasonString: "The Client Identifier is not the one that the upgrade request named",
    };
  }
  if (clientId.length > limits.clientIdentifierLengthMax) {
    return {
      reasonCode: ReasonCode.ClientIdentifierNotValid,
      reasonString: `The Client Identifier is longer than ${limits.clientIdentifierLengthMax} characters`,
    };
  }
  if (packet.authenticationMethod !== undefined) {
    return {
      reasonCode: ReasonCode.BadAuthenticationMethod,
      reasonString: "No such Authentication Method",
    };
  }
  const willRefusal = packet.will && topicRefusalOf(packet.will.topicName, limits);
  if (willRefusal !== undefined) {
    return { reasonCode: willRefusal, reasonString: "The Will Topic is not open to clients" };
  }
  const takesOver = sessions.find(clientId)?.connection !== undefined;
  if (!takesOver && sessions.connectedCount >= limits.connectionsMax) {
    return { reasonCode: ReasonCode.ServerBusy, reasonString: "Too many connections" };
  }
  return undefined;
}

function settle(
  { config }: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  clientId: string,
): void {
  connection.protocolVersion = packet.protocolVersion;
  connection.client = {
    clientId,
    keepAliveSec: limitedKeepAliveSec(config.limits, packet),
    receiveMaximum: packet.receiveMaximum ?? receiveMaximumDefault,
    problemInformation: packet.requestProblemInformation ?? true,
    ...(packet.maximumPacketSizeBytes !== undefined && {
      maximumPacketSizeBytes: packet.maximumPacketSizeBytes,
    }),
  };
}

/** Only version 5 clients can be told of a shorter one ([MQTT-3.2.2-21]). */
function limitedKeepAliveSec(limits: Limits, { protocolVersion, keepAliveSec }: ConnectPacket): number {
  return protocolVersion === 5 ? Math.min(keepAliveSec, limits.keepAliveSecMax) : keepAliveSec;
}

function attach(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  clientId: string,
  nowMs: number,
): { session: Session; sessionPresent: boolean } {
  const found = takeOver(context, packet, clientId, nowMs);
  const session = found ?? context.sessions.create(clientId, packet.sessionExpiryIntervalSec > 0);
  if (found !== undefined && found.attachedBoot !== 0) found.outbound.assumeAllSent();
  context.sessions.connect(session, connection);
  session.incarnation += 1;
  session.sessionExpiryIntervalSec = packet.sessionExpiryIntervalSec;
  session.detachedAtMs = undefined;
  // A Will that was waiting for its delay is not published ([MQTT-3.1.3-9]); the new one takes its place.
  session.willDueAtMs = undefined;
  session.will = packet.will;
  if (!session.isPersistent) session.outbound.leaveLogWhenEmpty();
  session.attachedBoot = 0;
  context.sessions.saveRow(session);
  context.clock.watchConnection(connection);
  return { session, sessionPresent: found !== undefined };
}

/** The session to go on with, if any, free of its older connection ([MQTT-3.1.4-3], [MQTT-3.1.2-4]). */
function takeOver(
  context: ShardContext,
  packet: ConnectPacket,
  clientId: string,
  nowMs: number,
): Session | undefined {
  const older = context.sessions.find(clientId)?.connection;
  if (older !== undefined) {
    hangUp(context, older, ReasonCode.SessionTakenOver, "Another connection took the session over");
    detach(context, older, nowMs);
  }
  // The session may have ended with its connection.
  const session = context.sessions.find(clientId);
  if (session === undefined) return undefined;
  const isOver = packet.cleanStart || !session.isPersistent || (session.expiresAtMs ?? Infinity) <= nowMs;
  if (!isOver) return session;
  // A reset cut the connection and the client is back: the Will of that connection is not called for.
  if (!session.isPersistent || session.attachedBoot !== 0) session.will = undefined;
  endSession(context, session, nowMs);
  return undefined;
}

function answer(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  session: Session,
  sessionPresent: boolean,
): void {
  const { limits } = context.config;
  const keepAliveSec = limitedKeepAliveSec(limits, packet);
  const connack: ConnackPacket = {
    type: "connack",
    sessionPresent,
    reasonCode: ReasonCode.Success,
    receiveMaximum: limits.receiveMaximum,
    maximumPacketSizeBytes: limits.maximumPacketSizeBytes,
    topicAliasMaximum: limits.topicAliasMaximum,
    sharedSubscriptionAvailable: false,
    ...(packet.clientId === "" && { assignedClientIdentifier: session.clientId }),
    ...(keepAliveSec !== packet.keepAliveSec && { serverKeepAliveSec: keepAliveSec }),
  };
  context.output.changed.add(connection);
  if (context.sessions.hasChangedRows) {
    context.output.holdAfterCommit(connection, connack);
  } else {
    context.output.send(connection, connack);
  }
}

/** Sends again what an earlier connection left unacknowledged, then what waited ([MQTT-4.4.0-1]). */
function resume(context: ShardContext, connection: Connection, session: Session, nowMs: number): void {
  for (const packetIdentifier of session.outbound.resume()) {
    context.output.send(connection, { type: "pubrel", packetIdentifier, reasonCode: ReasonCode.Success });
  }
  context.delivering.pump(session, nowMs);
}
