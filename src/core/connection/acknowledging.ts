import type { PublishResponsePacket } from "../packet.ts";
import { isFailure, ReasonCode } from "../reason-code.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Connection } from "./connection.ts";

/** PUBACK from the client of a QoS 1 message. One that answers nothing is ignored. */
export function handlePuback(
  context: ShardContext,
  session: Session,
  packetIdentifier: number,
  nowMs: number,
): void {
  if (session.outbound.handlePuback(packetIdentifier)) goOn(context, session, nowMs);
}

/** PUBREC from the client of a QoS 2 message; PUBREL answers it once that is written ([MQTT-4.3.3-4]). */
export function handlePubrec(
  context: ShardContext,
  connection: Connection,
  session: Session,
  { packetIdentifier, reasonCode }: PublishResponsePacket,
  nowMs: number,
): void {
  const outcome = session.outbound.handlePubrec(packetIdentifier, isFailure(reasonCode));
  context.output.outdatedAttachments.add(connection);
  if (outcome === "finished") {
    goOn(context, session, nowMs);
    return;
  }
  const released = outcome === "release";
  const pubrel: PublishResponsePacket = {
    type: "pubrel",
    packetIdentifier,
    reasonCode: released ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound,
  };
  if (released && session.isPersistent) {
    context.log.noteChanged(session);
    context.output.sendAfterCommit(connection, pubrel);
  } else {
    context.output.send(connection, pubrel);
  }
}

/** PUBCOMP from the client ends a QoS 2 delivery. */
export function handlePubcomp(
  context: ShardContext,
  session: Session,
  packetIdentifier: number,
  nowMs: number,
): void {
  if (session.outbound.handlePubcomp(packetIdentifier)) goOn(context, session, nowMs);
}

/** A place in the window is free. */
function goOn(context: ShardContext, session: Session, nowMs: number): void {
  if (session.isPersistent) context.log.noteAcknowledged(session, nowMs);
  if (session.connection !== undefined) context.output.outdatedAttachments.add(session.connection);
  context.delivering.pump(session, nowMs);
  context.replaying.goOn(session, nowMs);
}
