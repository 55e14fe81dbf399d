import type { Fault } from "../input.ts";
import type { AuthPacket, ClientPacket, ConnectPacket, PingreqPacket } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import { handlePuback, handlePubcomp, handlePubrec } from "./acknowledging.ts";
import { beginAuthentication, handleAuth } from "./authenticating.ts";
import { completeConnect, connectRefusalOf, refuse } from "./connecting.ts";
import type { Connection } from "./connection.ts";
import { detach, disconnect, handleDisconnect, hangUp } from "./disconnecting.ts";
import { handlePublish, handlePubrel } from "./publishing.ts";
import { handleSubscribe, handleUnsubscribe } from "./subscribing.ts";

type SessionPacket = Exclude<ClientPacket, ConnectPacket | PingreqPacket | AuthPacket>;

/** One packet from a client. All but PINGREQ need what a sleeping shard has forgotten. */
export function handlePacket(
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

/** CONNECT: refused, or authenticated first, or completed at once. */
function handleConnect(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  nowMs: number,
): void {
  connection.protocolVersion = packet.protocolVersion;
  connection.maximumPacketSizeBytes = packet.maximumPacketSizeBytes;
  const refusal = connectRefusalOf(context, connection, packet);
  const { authenticationMethod } = packet;
  if (refusal !== undefined) {
    refuse(context, connection, packet.protocolVersion, refusal);
  } else if (authenticationMethod !== undefined) {
    beginAuthentication(context, connection, { ...packet, authenticationMethod }, nowMs);
  } else {
    completeConnect(context, connection, packet, {}, nowMs);
  }
}

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
export function refuseBytes(
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
