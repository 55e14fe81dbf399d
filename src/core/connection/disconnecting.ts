import type { CloseCode } from "../effect.ts";
import type { DisconnectPacket, WillMessage } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import { toPublication } from "../publication.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Connection } from "./connection.ts";

/** Ends the connection from this side: version 5 clients are told why ([MQTT-4.13.1-1]). */
export function disconnect(
  context: ShardContext,
  connection: Connection,
  reasonCode: ReasonCode,
  reasonString: string,
  nowMs: number,
): void {
  hangUp(context, connection, reasonCode, reasonString);
  detach(context, connection, nowMs);
}

/** DISCONNECT from the client: a normal one discards the Will ([MQTT-3.14.4-3]). */
export function handleDisconnect(
  context: ShardContext,
  connection: Connection,
  session: Session,
  { reasonCode, sessionExpiryIntervalSec }: DisconnectPacket,
  nowMs: number,
): void {
  // The expiry may change, but not from 0 (section 3.14.2.2.2).
  if (sessionExpiryIntervalSec !== undefined) {
    if (!session.isPersistent && sessionExpiryIntervalSec > 0) {
      const reasonString = "Session Expiry Interval was 0 and cannot be raised";
      disconnect(context, connection, ReasonCode.ProtocolError, reasonString, nowMs);
      return;
    }
    const { sessionExpiryIntervalSecMax } = context.config.limits;
    session.sessionExpiryIntervalSec = Math.min(sessionExpiryIntervalSec, sessionExpiryIntervalSecMax);
  }
  if (reasonCode === ReasonCode.NormalDisconnection) session.will = undefined;
  context.output.close(connection, 1000, "");
  detach(context, connection, nowMs);
}

/** Says why and closes the socket; the session is the caller's to look after. */
export function hangUp(
  { counters, output }: ShardContext,
  connection: Connection,
  reasonCode: ReasonCode,
  reasonString: string,
  closeCode: CloseCode = closeCodeOf(reasonCode),
): void {
  counters.countRefusal(reasonCode);
  if (connection.client !== undefined && connection.protocolVersion === 5 && !connection.awaitsConnack) {
    output.sendLast(connection, { type: "disconnect", reasonCode, reasonString });
  }
  output.close(connection, closeCode, reasonString);
}

/** The Network Connection is gone: what becomes of its session and Will. */
export function detach(context: ShardContext, connection: Connection, nowMs: number): void {
  const { session } = connection;
  connection.end();
  connection.session = undefined;
  if (session === undefined || session.connection !== connection) return;
  context.abuse.dailyMessages.leave(connection, session.clientId);
  context.sessions.disconnect(session, nowMs);
  session.volatileSinceMs = undefined;
  session.outbound.rest();
  context.delivering.stop(session);
  context.replaying.stop(session);
  leave(context, session, nowMs);
}

/** A session without a connection: its Will falls due, and its expiry begins to run. */
function leave(context: ShardContext, session: Session, nowMs: number): void {
  session.detachedAtMs = nowMs;
  session.attachedBoot = 0;
  const willDelaySec = Math.min(session.will?.willDelayIntervalSec ?? 0, session.sessionExpiryIntervalSec);
  if (session.will !== undefined && willDelaySec > 0) {
    session.willDueAtMs = nowMs + willDelaySec * 1000;
  } else {
    publishWill(context, session, nowMs);
  }
  if (session.isPersistent) {
    context.sessions.saveRow(session);
    context.clock.watchSession(session);
  } else {
    context.sessions.end(session, nowMs);
  }
}

/** Publishes the Will, if there is one, and removes it with the same commit ([MQTT-3.1.2-10]). */
export function publishWill(context: ShardContext, session: Session, nowMs: number): void {
  const { will } = session;
  session.will = undefined;
  session.willDueAtMs = undefined;
  if (will === undefined) return;
  if (!isWillAllowed(context, session, will)) {
    context.counters.countRefusal(ReasonCode.NotAuthorized);
    return;
  }
  const { willDelayIntervalSec: _, ...message } = will;
  context.owners.publish(toPublication(message, nowMs), session.clientId, true, undefined, nowMs);
}

/** By what its owner may do now: what CONNECT was judged by may be long ago. */
function isWillAllowed(
  { access }: ShardContext,
  { clientId, owner }: Session,
  { topicName, qos, retain }: WillMessage,
): boolean {
  return owner === undefined || access.permissionsFor(owner, clientId).mayPublish(topicName, qos, retain);
}

/** The session ends before its time: with it ends the delay of its Will (section 3.1.3.2.2). */
export function endSession(context: ShardContext, session: Session, nowMs: number): void {
  publishWill(context, session, nowMs);
  context.sessions.end(session, nowMs);
}

const closeCodes: Partial<Record<ReasonCode, CloseCode>> = {
  [ReasonCode.NormalDisconnection]: 1000,
  [ReasonCode.MalformedPacket]: 1002,
  [ReasonCode.ProtocolError]: 1002,
  [ReasonCode.ReceiveMaximumExceeded]: 1002,
  [ReasonCode.TopicAliasInvalid]: 1002,
  [ReasonCode.ImplementationSpecificError]: 1011,
  [ReasonCode.ServerShuttingDown]: 1001,
  [ReasonCode.PacketTooLarge]: 1009,
};

function closeCodeOf(reasonCode: ReasonCode): CloseCode {
  return closeCodes[reasonCode] ?? 1008;
}
