import type { Identity } from "../access/identity.ts";
import type { Limits } from "../limits.ts";
import type { ConnackPacket, ConnectPacket } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Refusal } from "../refusal.ts";
import { capabilityRefusalOf, messageRefusalOf, storageFull } from "../refusal.ts";
import { banRefusalOf, restrictSubscriptions } from "./admitting.ts";
import type { Connection } from "./connection.ts";
import { OutboundTopicAliases } from "./outbound-topic-aliases.ts";
import { detach, endSession, hangUp } from "./disconnecting.ts";

/** Receive Maximum of a client that names none ([section 3.1.2.11.3]). */
const receiveMaximumDefault = 0xffff;

const tooSmall: Refusal = {
  reasonCode: ReasonCode.PacketTooLarge,
  reasonString: "No CONNACK fits into the client's Maximum Packet Size",
};

const crowdedNamespace: Refusal = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "The namespace has as many connections as it may",
};

/** What an authentication adds to CONNACK. */
type AuthenticationAnswer = Pick<ConnackPacket, "authenticationMethod" | "authenticationData">;

/** The client's session is found or made, an older connection gives way, and CONNACK says what holds. */
export function completeConnect(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  identity: Identity,
  authentication: AuthenticationAnswer,
  nowMs: number,
): void {
  const { abuse, config, output, sessions } = context;
  const clientId = clientIdOf(connection, packet);
  const refusal =
    abuse.flapRefusalOf({ clientId, username: identity.username, address: connection.address }, nowMs) ??
    crowdRefusalOf(context, clientId) ??
    roomRefusalOf(context, packet, clientId);
  if (refusal !== undefined) {
    refuse(context, connection, packet.protocolVersion, refusal);
    return;
  }
  const answer = { ...connackOf(config.limits, packet, clientId), ...authentication };
  if (!output.fits(connection, answer)) {
    refuse(context, connection, packet.protocolVersion, tooSmall);
    return;
  }
  negotiate(context, connection, packet, clientId);
  connection.identify(identity);
  const { session, sessionPresent } = attach(context, connection, packet, clientId, nowMs);
  restrictSubscriptions(context, session, nowMs);
  const connack = { ...answer, sessionPresent, ...expiryOf(identity) };
  output.outdatedAttachments.add(connection);
  if (sessions.hasChangedRows) output.holdAfterCommit(connection, connack);
  else output.send(connection, connack);
  resume(context, connection, session, nowMs);
}

/** The client is told when to show another credential by AUTH, or to come again. */
export function expiryOf({ expiresAtMs }: Identity): Pick<ConnackPacket, "userProperties"> {
  if (expiresAtMs === undefined) return {};
  return { userProperties: [["credential-expires-at", String(Math.floor(expiresAtMs / 1000))]] };
}

/** Answers with a CONNACK that says why, and closes ([MQTT-3.2.2-7]). */
export function refuse(
  { config, counters, output }: ShardContext,
  connection: Connection,
  protocolVersion: ConnectPacket["protocolVersion"],
  { reasonCode, reasonString }: Refusal,
): void {
  counters.countRefusal(reasonCode);
  connection.protocolVersion = protocolVersion;
  const { serverReference } = config.limits;
  const isMoved = reasonCode === ReasonCode.UseAnotherServer && serverReference !== undefined;
  const connack: ConnackPacket = {
    type: "connack",
    sessionPresent: false,
    reasonCode,
    ...(isMoved && { serverReference }),
  };
  if (output.fits(connection, connack)) output.send(connection, { ...connack, reasonString });
  output.close(connection, 1008, reasonString);
}

/** The client's own identifier, or the one it gets. */
export function clientIdOf(connection: Connection, packet: ConnectPacket): string {
  return packet.clientId || (connection.clientIdHint ?? connection.randomClientId);
}

/** Why a CONNECT is refused before anything else is looked at; undefined when it is not. */
export function connectRefusalOf(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  nowMs: number,
): Refusal | undefined {
  const { limits, isUtf8 } = context.config;
  if (context.unavailability !== undefined) return context.unavailability;
  const { abuse } = context;
  const { address } = connection;
  const clientId = clientIdOf(connection, packet);
  return (
    abuse.arrivalRefusalOf(address, nowMs) ??
    clientIdRefusalOf(connection, clientId, limits) ??
    placeRefusalOf(context, clientId) ??
    banRefusalOf(context, connection, clientId, nowMs) ??
    (packet.will && capabilityRefusalOf(packet.will, limits)) ??
    (packet.will && messageRefusalOf(packet.will, limits, isUtf8))
  );
}

function clientIdRefusalOf(
  { clientIdHint }: Connection,
  clientId: string,
  { clientIdentifierLengthMax }: Limits,
): Refusal | undefined {
  const reasonCode = ReasonCode.ClientIdentifierNotValid;
  if (clientIdHint !== undefined && clientIdHint !== clientId) {
    return {
      reasonCode,
      reasonString: "The Client Identifier is not the one that the upgrade request named",
    };
  }
  if (clientId.length > clientIdentifierLengthMax) {
    return {
      reasonCode,
      reasonString: `The Client Identifier is longer than ${clientIdentifierLengthMax} characters`,
    };
  }
  return undefined;
}

/** The Worker brings every client to its shard; one that knew another place came by a way of its own. */
function placeRefusalOf({ config, shardIndex }: ShardContext, clientId: string): Refusal | undefined {
  if (config.placement.sessionShard(clientId) === shardIndex) return undefined;
  return {
    reasonCode: ReasonCode.ClientIdentifierNotValid,
    reasonString: "The Client Identifier belongs to another shard",
  };
}

function crowdRefusalOf({ config, sessions }: ShardContext, clientId: string): Refusal | undefined {
  const { abuse, connectionsMax, serverReference } = config.limits;
  const takesOver = sessions.find(clientId)?.connection !== undefined;
  const { connectedCount } = sessions;
  const isShareTaken = abuse.shardConnectionsMax > 0 && connectedCount >= abuse.shardConnectionsMax;
  if (!takesOver && isShareTaken) return crowdedNamespace;
  if (takesOver || connectedCount < connectionsMax) return undefined;
  const reasonCode = serverReference === undefined ? ReasonCode.ServerBusy : ReasonCode.UseAnotherServer;
  return { reasonCode, reasonString: `More than ${connectionsMax} connections` };
}

/** A session that is stored already may go on. */
function roomRefusalOf(
  { isStorageFull, sessions }: ShardContext,
  { sessionExpiryIntervalSec, will }: ConnectPacket,
  clientId: string,
): Refusal | undefined {
  const needsRow = sessionExpiryIntervalSec > 0 || will !== undefined;
  return needsRow && isStorageFull && sessions.find(clientId) === undefined ? storageFull : undefined;
}

/** What CONNECT asks and the limits allow holds for the connection. */
function negotiate(
  { config }: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  clientId: string,
): void {
  const { limits } = config;
  const topicAliasMaximum = Math.min(packet.topicAliasMaximum ?? 0, limits.outboundTopicAliasMaximum);
  connection.protocolVersion = packet.protocolVersion;
  connection.outboundTopicAliases = new OutboundTopicAliases(topicAliasMaximum);
  connection.client = {
    clientId,
    keepAliveSec: limitedKeepAliveSec(limits, packet),
    receiveMaximum: packet.receiveMaximum ?? receiveMaximumDefault,
    problemInformation: packet.requestProblemInformation ?? true,
    topicAliasMaximum,
    ...(packet.authenticationMethod !== undefined && { authenticationMethod: packet.authenticationMethod }),
  };
}

/** Only version 5 clients can be told of a shorter one ([MQTT-3.2.2-21]). */
function limitedKeepAliveSec(limits: Limits, { protocolVersion, keepAliveSec }: ConnectPacket): number {
  return protocolVersion === 5 ? Math.min(keepAliveSec, limits.keepAliveSecMax) : keepAliveSec;
}

function limitedSessionExpirySec(limits: Limits, { sessionExpiryIntervalSec }: ConnectPacket): number {
  return Math.min(sessionExpiryIntervalSec, limits.sessionExpiryIntervalSecMax);
}

function attach(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  clientId: string,
  nowMs: number,
): { session: Session; sessionPresent: boolean } {
  const found = takeOver(context, packet, clientId, nowMs);
  context.abuse.dailyMessages.join(connection, clientId);
  const sessionExpiryIntervalSec = limitedSessionExpirySec(context.config.limits, packet);
  const session = found ?? context.sessions.create(clientId, sessionExpiryIntervalSec > 0);
  context.sessions.connect(session, connection, nowMs);
  session.incarnation += 1;
  session.sessionExpiryIntervalSec = sessionExpiryIntervalSec;
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
  const wasCut = session.attachedBoot !== 0;
  // Once the alarm has come by, what is queued has not been sent on the connection that was cut.
  if (wasCut && session.detachedAtMs === undefined) session.outbound.assumeAllSent();
  const isOver = packet.cleanStart || !session.isPersistent || (session.expiresAtMs ?? Infinity) <= nowMs;
  if (!isOver) return session;
  // A reset cut the connection and the client is back: the Will of that connection is not called for.
  if (!session.isPersistent || wasCut) session.will = undefined;
  endSession(context, session, nowMs);
  return undefined;
}

function connackOf(limits: Limits, packet: ConnectPacket, clientId: string): ConnackPacket {
  const sessionExpiryIntervalSec = limitedSessionExpirySec(limits, packet);
  const keepAliveSec = limitedKeepAliveSec(limits, packet);
  return {
    type: "connack",
    sessionPresent: false,
    reasonCode: ReasonCode.Success,
    receiveMaximum: limits.receiveMaximum,
    maximumPacketSizeBytes: limits.maximumPacketSizeBytes,
    topicAliasMaximum: limits.topicAliasMaximum,
    ...(packet.clientId === "" && { assignedClientIdentifier: clientId }),
    ...(keepAliveSec !== packet.keepAliveSec && { serverKeepAliveSec: keepAliveSec }),
    ...(sessionExpiryIntervalSec !== packet.sessionExpiryIntervalSec && { sessionExpiryIntervalSec }),
    ...(packet.requestResponseInformation && { responseInformation: `response/${clientId}` }),
    ...capabilities(limits),
  };
}

/** What is missing, if anything: absent properties say that everything is there. */
function capabilities(limits: Limits): Partial<ConnackPacket> {
  return {
    ...(limits.maximumQos < 2 && { maximumQos: limits.maximumQos as 0 | 1 }),
    ...(!limits.retainAvailable && { retainAvailable: false }),
    ...(!limits.wildcardSubscriptionAvailable && { wildcardSubscriptionAvailable: false }),
    ...(!limits.sharedSubscriptionAvailable && { sharedSubscriptionAvailable: false }),
    ...(!limits.subscriptionIdentifiersAvailable && { subscriptionIdentifiersAvailable: false }),
  };
}

/** Sends again what an earlier connection left unacknowledged, then what waited ([MQTT-4.4.0-1]). */
function resume(context: ShardContext, connection: Connection, session: Session, nowMs: number): void {
  for (const packetIdentifier of session.outbound.resume()) {
    context.output.send(connection, { type: "pubrel", packetIdentifier, reasonCode: ReasonCode.Success });
  }
  context.delivering.pump(session, nowMs);
}
