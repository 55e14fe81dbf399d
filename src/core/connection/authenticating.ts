import type { AuthenticationExchange, ExchangeStep } from "../authentication.ts";
import type { AuthPacket, ConnectPacket } from "../packet.ts";
import type { Refusal } from "../refusal.ts";
import { ReasonCode } from "../reason-code.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Connection } from "./connection.ts";
import { clientIdOf, completeConnect, refuse } from "./connecting.ts";
import { disconnect } from "./disconnecting.ts";

/** An exchange under way. */
export interface Authentication {
  readonly method: string;
  readonly exchange: AuthenticationExchange;
  readonly sinceMs: number;
  /** The CONNECT that waits for it; absent while an established connection authenticates anew. */
  readonly connect?: ConnectPacket;
}

/** CONNECT with an Authentication Method (section 4.12). */
export function beginAuthentication(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket & { readonly authenticationMethod: string },
  nowMs: number,
): void {
  const { authenticationMethod: name, protocolVersion } = packet;
  const method = context.config.authenticationMethods.get(name);
  if (method === undefined) {
    // [MQTT-4.12.0-1].
    refuse(context, connection, protocolVersion, unknownMethod);
    return;
  }
  const authentication = {
    method: name,
    exchange: method.begin(clientIdOf(connection, packet)),
    sinceMs: nowMs,
    connect: packet,
  };
  connection.protocolVersion = protocolVersion;
  connection.authentication = authentication;
  context.clock.watchConnection(connection);
  const step = authentication.exchange.next(packet.authenticationData);
  carryOut(context, connection, authentication, step, nowMs);
}

/** AUTH from the client: the next step of an exchange, or the first of a new one (section 4.12.1). */
export function handleAuth(
  context: ShardContext,
  connection: Connection,
  packet: AuthPacket,
  nowMs: number,
): void {
  const authentication =
    packet.reasonCode === ReasonCode.ReAuthenticate
      ? beginAnew(context, connection, packet, nowMs)
      : connection.authentication;
  if (authentication === undefined || authentication.method !== packet.authenticationMethod) {
    // [MQTT-4.12.0-5]; and outside an exchange AUTH has no place.
    end(
      context,
      connection,
      { reasonCode: ReasonCode.ProtocolError, reasonString: "AUTH is not expected" },
      nowMs,
    );
    return;
  }
  carryOut(
    context,
    connection,
    authentication,
    authentication.exchange.next(packet.authenticationData),
    nowMs,
  );
}

/** Only by the method of CONNECT, and one at a time. */
function beginAnew(
  { clock, config }: ShardContext,
  connection: Connection,
  { authenticationMethod }: AuthPacket,
  nowMs: number,
): Authentication | undefined {
  const { client } = connection;
  if (connection.authentication !== undefined || client?.authenticationMethod === undefined) return undefined;
  if (client.authenticationMethod !== authenticationMethod) return undefined;
  const method = config.authenticationMethods.get(authenticationMethod);
  if (method === undefined) return undefined;
  connection.authentication = {
    method: authenticationMethod,
    exchange: method.begin(client.clientId),
    sinceMs: nowMs,
  };
  clock.watchConnection(connection);
  return connection.authentication;
}

function carryOut(
  context: ShardContext,
  connection: Connection,
  { method, connect }: Authentication,
  step: ExchangeStep,
  nowMs: number,
): void {
  const answer = {
    authenticationMethod: method,
    ...(step.type !== "failure" && step.data !== undefined && { authenticationData: step.data }),
  };
  switch (step.type) {
    case "continue":
      // [MQTT-4.12.0-2], [MQTT-4.12.0-3].
      context.output.send(connection, {
        type: "auth",
        reasonCode: ReasonCode.ContinueAuthentication,
        ...answer,
      });
      return;
    case "success":
      connection.authentication = undefined;
      if (connect !== undefined) completeConnect(context, connection, connect, answer, nowMs);
      else context.output.send(connection, { type: "auth", reasonCode: ReasonCode.Success, ...answer });
      return;
    case "failure":
      end(context, connection, step, nowMs);
  }
}

/** Before CONNACK by CONNACK, after it by DISCONNECT ([MQTT-4.12.0-4], [MQTT-4.12.1-2]). */
function end(context: ShardContext, connection: Connection, refusal: Refusal, nowMs: number): void {
  const connect = connection.authentication?.connect;
  connection.authentication = undefined;
  if (connect !== undefined) refuse(context, connection, connect.protocolVersion, refusal);
  else disconnect(context, connection, refusal.reasonCode, refusal.reasonString, nowMs);
}

const unknownMethod: Refusal = {
  reasonCode: ReasonCode.BadAuthenticationMethod,
  reasonString: "No such Authentication Method",
};
