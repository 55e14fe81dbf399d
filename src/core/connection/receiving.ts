import type { Identity } from "../access/identity.ts";
import { anonymousIdentity } from "../access/identity.ts";
import type { AuthenticationStep } from "../authentication.ts";
import type { Fault } from "../input.ts";
import type { AuthPacket, ClientPacket, ConnectPacket, PingreqPacket } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import { handlePuback, handlePubcomp, handlePubrec } from "./acknowledging.ts";
import { identityRefusalOf } from "./admitting.ts";
import {
  awaitsHost,
  beginMethod,
  beginPassword,
  handleAuth,
  handleStep,
  holdUnfinished,
  isParked,
  park,
} from "./authenticating.ts";
import { clientIdOf, completeConnect, connectRefusalOf, refuse } from "./connecting.ts";
import type { Connection } from "./connection.ts";
import { detach, disconnect, handleDisconnect, hangUp } from "./disconnecting.ts";
import { handlePublish, handlePubrel } from "./publishing.ts";
import { handleSubscribe, handleUnsubscribe } from "./subscribing.ts";

type SessionPacket = Exclude<ClientPacket, ConnectPacket | PingreqPacket | AuthPacket>;

/** What one WebSocket message brought. */
export interface Received {
  readonly packets: readonly ClientPacket[];
  /** What follows the packets and is none. */
  readonly fault?: Fault;
  readonly sizeBytes: number;
  /** What is kept of a packet that the message ended inside of; 0: it did not. */
  readonly unfinishedBytes: number;
}

/** A message from a client. What follows credentials waits until they are verified. */
export function receive(
  context: ShardContext,
  connection: Connection,
  { packets, fault, sizeBytes, unfinishedBytes }: Received,
  nowMs: number,
): void {
  // It is part of a packet now, or is counted again.
  connection.parked?.keepUnfinished(0);
  connection.lastSeenAtMs = packets.length > 0 ? nowMs : connection.lastSeenAtMs;
  const excess = context.abuse.bytesRefusalOf(connection, sizeBytes, nowMs);
  if (excess === undefined) handlePackets(context, connection, packets, nowMs);
  else slowDown(context, connection, excess, nowMs);
  if (fault !== undefined && !connection.isClosed) handleFault(context, connection, fault, nowMs);
  if (connection.isClosed) return;
  noteUnfinished(context, connection, unfinishedBytes, packets.length > 0, nowMs);
  if (connection.isClosed) return;
  if (connection.isLastSeenStale) context.output.outdatedAttachments.add(connection);
}

/** The host has answered about credentials: what waited for it goes on, and the close of the socket comes last. */
export function receiveStep(
  context: ShardContext,
  connection: Connection,
  attempt: number,
  step: AuthenticationStep,
  nowMs: number,
): void {
  const { parked } = connection;
  if (!handleStep(context, connection, attempt, step, nowMs) || parked === undefined) return;
  const packets = parked.take();
  if (!connection.isClosed) handlePackets(context, connection, packets, nowMs);
  if (connection.isClosed || awaitsHost(connection)) return;
  const { fault } = parked;
  parked.fault = undefined;
  if (fault !== undefined) handleFault(context, connection, fault, nowMs);
  if (parked.isHungUp) detach(context, connection, nowMs);
}

/** The socket is gone; true when that has to wait for what was sent before. */
export function hangsUpLater(connection: Connection): boolean {
  const { parked } = connection;
  // Nobody is owed anything by a client that sent no more than its credentials, and left.
  if (parked === undefined || parked.isEmpty || !awaitsHost(connection)) return false;
  parked.isHungUp = true;
  return true;
}

function handlePackets(
  context: ShardContext,
  connection: Connection,
  packets: readonly ClientPacket[],
  nowMs: number,
): void {
  for (const packet of packets) {
    if (isParked(connection, packet)) park(context, connection, packet, nowMs);
    else handlePacket(context, connection, packet, nowMs);
    if (connection.isClosed) return;
  }
}

function handleFault(context: ShardContext, connection: Connection, fault: Fault, nowMs: number): void {
  if (connection.parked !== undefined && awaitsHost(connection)) {
    connection.parked.fault = fault;
  } else {
    refuseBytes(context, connection, fault, nowMs);
  }
}

function noteUnfinished(
  context: ShardContext,
  connection: Connection,
  unfinishedBytes: number,
  progressed: boolean,
  nowMs: number,
): void {
  if (unfinishedBytes === 0) {
    connection.unfinishedSinceMs = undefined;
  } else if (progressed || connection.unfinishedSinceMs === undefined) {
    connection.unfinishedSinceMs = nowMs;
    context.clock.watchConnection(connection);
  }
  holdUnfinished(context, connection, unfinishedBytes, nowMs);
}

/** One packet from a client. All but PINGREQ need what a sleeping shard has forgotten. */
function handlePacket(
  context: ShardContext,
  connection: Connection,
  packet: ClientPacket,
  nowMs: number,
): void {
  if (connection.authentication?.connect !== undefined && packet.type !== "auth") {
    // [MQTT-3.1.2-30] Until CONNACK nothing but AUTH and DISCONNECT may come.
    const isExpected = packet.type === "disconnect";
    if (!isExpected) context.counters.countRefusal(ReasonCode.ProtocolError);
    context.output.close(connection, isExpected ? 1000 : 1002, "Not authenticated");
    return;
  }
  const excess = context.abuse.packetRefusalOf(connection, packet, nowMs);
  if (excess !== undefined) {
    slowDown(context, connection, excess, nowMs);
    return;
  }
  if (packet.type === "pingreq") {
    // [MQTT-3.12.4-1].
    context.output.send(connection, { type: "pingresp" });
    return;
  }
  context.load(nowMs);
  if (packet.type === "connect" && connection.client !== undefined) {
    // [MQTT-3.1.0-2].
    disconnect(context, connection, ReasonCode.ProtocolError, "A second CONNECT", nowMs);
  } else if (packet.type === "connect") {
    handleConnect(context, connection, packet, nowMs);
  } else if (packet.type === "auth") {
    handleAuth(context, connection, packet, nowMs);
  } else if (connection.session !== undefined) {
    handleSessionPacket(context, connection, connection.session, packet, nowMs);
  } else {
    disconnect(context, connection, ReasonCode.ProtocolError, "The first packet is not CONNECT", nowMs);
  }
}

/** The client has to come again, with less. */
function slowDown(
  context: ShardContext,
  connection: Connection,
  { reasonCode, reasonString }: Refusal,
  nowMs: number,
): void {
  context.load(nowMs);
  disconnect(context, connection, reasonCode, reasonString, nowMs);
}

/** CONNECT: refused, or authenticated first, or completed at once. */
function handleConnect(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  nowMs: number,
): void {
  connection.protocolVersion = packet.protocolVersion;
  connection.maximumPacketSizeBytes = packet.maximumPacketSizeBytes;
  const { allowsAnonymous, authenticates } = context.config;
  const refusal = connectRefusalOf(context, connection, packet, nowMs);
  const { authenticationMethod, password, protocolVersion, userName } = packet;
  const hasCredentials = userName !== undefined || password !== undefined;
  if (refusal !== undefined) {
    refuse(context, connection, protocolVersion, refusal);
  } else if (authenticationMethod !== undefined) {
    beginMethod(context, connection, { ...packet, authenticationMethod }, nowMs);
  } else if (connection.identity !== undefined) {
    admit(context, connection, packet, connection.identity, nowMs);
  } else if (authenticates && hasCredentials) {
    beginPassword(context, connection, packet, nowMs);
  } else if (allowsAnonymous) {
    admit(context, connection, packet, anonymousIdentity, nowMs);
  } else {
    refuse(context, connection, protocolVersion, authenticates ? noCredentials : nobodyKnown);
  }
}

/** A client whose identity is known without asking. */
function admit(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  identity: Identity,
  nowMs: number,
): void {
  const clientId = clientIdOf(connection, packet);
  const refusal = identityRefusalOf(context, connection, identity, clientId, packet.will, nowMs);
  if (refusal === undefined) completeConnect(context, connection, packet, identity, {}, nowMs);
  else refuse(context, connection, packet.protocolVersion, refusal);
}

const noCredentials: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "Anonymous access is off, and there are no credentials",
};

const nobodyKnown: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "Anonymous access is off, and no credentials are configured",
};

function handleSessionPacket(
  context: ShardContext,
  connection: Connection,
  session: Session,
  packet: SessionPacket,
  nowMs: number,
): void {
  switch (packet.type) {
    case "publish":
      return handlePublish(context, connection, session, packet, nowMs);
    case "puback":
      return handlePuback(context, session, packet.packetIdentifier, nowMs);
    case "pubrec":
      return handlePubrec(context, connection, session, packet, nowMs);
    case "pubrel":
      return handlePubrel(context, connection, session, packet.packetIdentifier);
    case "pubcomp":
      return handlePubcomp(context, session, packet.packetIdentifier, nowMs);
    case "subscribe":
      return handleSubscribe(context, connection, session, packet, nowMs);
    case "unsubscribe":
      return handleUnsubscribe(context, connection, session, packet, nowMs);
    case "disconnect":
      return handleDisconnect(context, connection, session, packet, nowMs);
  }
}

/** Bytes that are no packet: the client is told as far as it can be, and its connection ends ([MQTT-4.13.1-1]). */
function refuseBytes(
  context: ShardContext,
  connection: Connection,
  { reasonCode, reasonString, protocolVersion, closeCode }: Fault,
  nowMs: number,
): void {
  if (connection.client !== undefined) {
    context.load(nowMs);
    hangUp(context, connection, reasonCode, reasonString, closeCode);
    detach(context, connection, nowMs);
  } else if (protocolVersion === 5 || (protocolVersion !== undefined && hasReturnCode(reasonCode))) {
    refuse(context, connection, protocolVersion, { reasonCode, reasonString });
  } else {
    context.counters.countRefusal(reasonCode);
    context.output.close(connection, closeCode ?? 1002, reasonString);
  }
}

/** Reasons that MQTT 3.1.1 has a CONNACK return code for, among those of unreadable CONNECTs. */
function hasReturnCode(reasonCode: ReasonCode): boolean {
  return (
    reasonCode === ReasonCode.UnsupportedProtocolVersion || reasonCode === ReasonCode.ClientIdentifierNotValid
  );
}
