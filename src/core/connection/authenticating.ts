import type { Identity } from "../access/identity.ts";
import type { AuthenticationRequest, AuthenticationStep } from "../authentication.ts";
import { Times } from "../limits.ts";
import type { AuthPacket, ClientPacket, ConnectPacket } from "../packet.ts";
import type { Refusal } from "../refusal.ts";
import { ReasonCode } from "../reason-code.ts";
import type { ShardContext } from "../shard-context.ts";
import { identityRefusalOf, readmit } from "./admitting.ts";
import { clientIdOf, completeConnect, expiryOf, refuse } from "./connecting.ts";
import type { Connection } from "./connection.ts";
import { disconnect } from "./disconnecting.ts";
import { noRoom, ParkedInput } from "./parked-input.ts";

/** An attempt to authenticate. The host is asked at each step, and answers in its own time. */
export interface Authentication {
  /** The Authentication Method; absent for a user name and password. */
  readonly method?: string;
  readonly sinceMs: number;
  /** The CONNECT that waits for it; absent while an established connection authenticates anew. */
  readonly connect?: ConnectPacket;
  /** What the host wants to be given at the next step. */
  state: unknown;
  /** The host has been asked, and has not answered. */
  isAsked: boolean;
}

/** CONNECT with an Authentication Method (section 4.12). */
export function beginMethod(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket & { readonly authenticationMethod: string },
  nowMs: number,
): void {
  const { authenticationMethod: method, protocolVersion } = packet;
  if (!context.config.authenticationMethods.has(method)) {
    // [MQTT-4.12.0-1].
    refuse(context, connection, protocolVersion, unknownMethod);
    return;
  }
  const authentication = begin(context, connection, { method, connect: packet }, nowMs);
  if (authentication === undefined) return;
  const clientId = clientIdOf(connection, packet);
  const { authenticationData } = packet;
  askNext(context, connection, authentication, { method, clientId, data: authenticationData }, nowMs);
}

/** CONNECT with a user name or a password. */
export function beginPassword(
  context: ShardContext,
  connection: Connection,
  packet: ConnectPacket,
  nowMs: number,
): void {
  const authentication = begin(context, connection, { connect: packet }, nowMs);
  if (authentication === undefined) return;
  const { userName, password } = packet;
  const request: AuthenticationRequest = {
    type: "password",
    clientId: clientIdOf(connection, packet),
    ...(userName !== undefined && { username: userName }),
    ...(password !== undefined && { password }),
  };
  ask(context, connection, authentication, request, nowMs);
}

/** AUTH from the client: the next step of an exchange, or the first of a new one (section 4.12.1). */
export function handleAuth(
  context: ShardContext,
  connection: Connection,
  packet: AuthPacket,
  nowMs: number,
): void {
  const isAnew = packet.reasonCode === ReasonCode.ReAuthenticate;
  const authentication = isAnew ? beginAnew(context, connection, packet, nowMs) : connection.authentication;
  const method = authentication?.method;
  if (authentication === undefined || method === undefined || method !== packet.authenticationMethod) {
    // [MQTT-4.12.0-5]; and outside an exchange AUTH has no place.
    end(context, connection, unexpectedAuth, nowMs);
    return;
  }
  const { connect } = authentication;
  const clientId = connect === undefined ? connection.client?.clientId : clientIdOf(connection, connect);
  const { authenticationData } = packet;
  const step = { method, clientId: clientId ?? "", data: authenticationData };
  askNext(context, connection, authentication, step, nowMs);
}

/** What is said to a packet has to wait for what is said to the credentials. */
export function isParked({ authentication }: Connection, packet: { readonly type: string }): boolean {
  if (authentication?.isAsked !== true) return false;
  // An established connection goes on meanwhile; only its exchange waits.
  return authentication.connect !== undefined || packet.type === "auth";
}

/** CONNECT has not been answered, because the host has not. */
export function awaitsHost({ authentication }: Connection): boolean {
  return authentication?.isAsked === true && authentication.connect !== undefined;
}

/** Keeps a packet for later; too much of it ends the connection. */
export function park(
  context: ShardContext,
  connection: Connection,
  packet: ClientPacket,
  nowMs: number,
): void {
  const refusal = connection.parked?.park(packet);
  if (refusal !== undefined) end(context, connection, refusal, nowMs);
}

/** Charges a client that is not admitted for bytes of a packet that is not complete; without room the connection ends. */
export function holdUnfinished(
  context: ShardContext,
  connection: Connection,
  unfinishedBytes: number,
  nowMs: number,
): void {
  if (connection.client !== undefined) {
    // Who was admitted at once has nothing that waits.
    if (connection.authentication === undefined) connection.parked = undefined;
    return;
  }
  if (unfinishedBytes === 0) return;
  connection.parked ??= new ParkedInput(context.parking);
  if (!connection.parked.keepUnfinished(unfinishedBytes)) end(context, connection, noRoom, nowMs);
}

/** The host's answer; false for one that nobody waits for any more. */
export function handleStep(
  context: ShardContext,
  connection: Connection,
  attempt: number,
  step: AuthenticationStep,
  nowMs: number,
): boolean {
  const { authentication } = connection;
  if (authentication?.isAsked !== true || connection.attempt !== attempt) return false;
  authentication.isAsked = false;
  switch (step.type) {
    case "continue":
      handleContinue(context, connection, authentication, step, nowMs);
      break;
    case "success":
      if (step.isFailedLogin === true) context.abuse.noteFailedLogin(connection.address, nowMs);
      handleSuccess(context, connection, authentication, step, nowMs);
      break;
    case "failure":
      if (wrongCredentials.includes(step.reasonCode))
        context.abuse.noteFailedLogin(connection.address, nowMs);
      end(context, connection, step, nowMs);
  }
  return true;
}

/** The attempt has taken too long, and it was not for the client to go on. */
export function giveUp(context: ShardContext, connection: Connection, nowMs: number): boolean {
  const { authentication } = connection;
  if (authentication?.isAsked !== true) return false;
  if (authentication.sinceMs + Times.incompletePacketMs > nowMs) return false;
  end(context, connection, unanswered, nowMs);
  return true;
}

/** Only by the method of CONNECT, and one at a time. */
function beginAnew(
  context: ShardContext,
  connection: Connection,
  { authenticationMethod: method }: AuthPacket,
  nowMs: number,
): Authentication | undefined {
  const { client } = connection;
  if (connection.authentication !== undefined || client?.authenticationMethod === undefined) return undefined;
  if (client.authenticationMethod !== method) return undefined;
  return begin(context, connection, { method }, nowMs);
}

/** Undefined when there is no room for it, and the connection has been ended. */
function begin(
  context: ShardContext,
  connection: Connection,
  what: Pick<Authentication, "method" | "connect">,
  nowMs: number,
): Authentication | undefined {
  const authentication = { ...what, sinceMs: nowMs, state: undefined, isAsked: false };
  connection.authentication = authentication;
  context.clock.watchConnection(connection);
  connection.parked ??= new ParkedInput(context.parking);
  if (what.connect === undefined || connection.parked.keepConnect(what.connect)) return authentication;
  end(context, connection, noRoom, nowMs);
  return undefined;
}

function askNext(
  context: ShardContext,
  connection: Connection,
  authentication: Authentication,
  { method, clientId, data }: { method: string; clientId: string; data: Uint8Array | undefined },
  nowMs: number,
): void {
  const { state } = authentication;
  const request: AuthenticationRequest = {
    type: "method",
    method,
    clientId,
    ...(data !== undefined && { data }),
    ...(state !== undefined && { state }),
  };
  ask(context, connection, authentication, request, nowMs);
}

function ask(
  context: ShardContext,
  connection: Connection,
  authentication: Authentication,
  request: AuthenticationRequest,
  nowMs: number,
): void {
  if (!context.parking.ask(connection.connectionId, request)) {
    end(context, connection, noRoom, nowMs);
    return;
  }
  authentication.isAsked = true;
  connection.attempt += 1;
  const { attempt, connectionId } = connection;
  context.output.push({ type: "authenticate", connectionId, attempt, request });
}

function handleContinue(
  context: ShardContext,
  connection: Connection,
  authentication: Authentication,
  { data, state }: AuthenticationStep & { type: "continue" },
  nowMs: number,
): void {
  const { method } = authentication;
  if (method === undefined) {
    end(context, connection, unansweredQuestion, nowMs);
    return;
  }
  authentication.state = state;
  // [MQTT-4.12.0-2], [MQTT-4.12.0-3].
  context.output.send(connection, {
    type: "auth",
    reasonCode: ReasonCode.ContinueAuthentication,
    authenticationMethod: method,
    authenticationData: data,
  });
}

function handleSuccess(
  context: ShardContext,
  connection: Connection,
  { connect, method }: Authentication,
  { identity, data }: { readonly identity: Identity; readonly data?: Uint8Array },
  nowMs: number,
): void {
  const clientId = connect === undefined ? connection.client?.clientId : clientIdOf(connection, connect);
  const isSomebodyElse = connect === undefined && connection.identity?.username !== identity.username;
  const refusal = isSomebodyElse
    ? anotherUser
    : identityRefusalOf(context, connection, identity, clientId ?? "", connect?.will, nowMs);
  if (refusal !== undefined) {
    end(context, connection, refusal, nowMs);
    return;
  }
  connection.authentication = undefined;
  connection.parked?.release();
  connection.parked = undefined;
  const answer = {
    ...(method !== undefined && { authenticationMethod: method }),
    ...(data !== undefined && method !== undefined && { authenticationData: data }),
  };
  if (connect !== undefined) {
    // The time that it took is not the client's silence.
    connection.lastSeenAtMs = nowMs;
    completeConnect(context, connection, connect, identity, answer, nowMs);
  } else if (readmit(context, connection, identity, nowMs) && method !== undefined) {
    const { Success: reasonCode } = ReasonCode;
    const expiry = connection.client?.problemInformation === false ? {} : expiryOf(identity);
    context.output.send(connection, {
      type: "auth",
      reasonCode,
      ...answer,
      authenticationMethod: method,
      ...expiry,
    });
  }
}

/** Before CONNACK by CONNACK, after it by DISCONNECT ([MQTT-4.12.0-4], [MQTT-4.12.1-2]). */
function end(context: ShardContext, connection: Connection, refusal: Refusal, nowMs: number): void {
  const { connect } = connection.authentication ?? {};
  connection.authentication = undefined;
  if (connect !== undefined) {
    refuse(context, connection, connect.protocolVersion, refusal);
    return;
  }
  const reasonCode = disconnectCodes[refusal.reasonCode] ?? refusal.reasonCode;
  disconnect(context, connection, reasonCode, refusal.reasonString, nowMs);
}

/** Who guesses is told one of these; what fails without the client's doing has others. */
const wrongCredentials: readonly ReasonCode[] = [ReasonCode.BadUserNameOrPassword, ReasonCode.NotAuthorized];

/** What DISCONNECT has instead of codes that only CONNACK may have (section 2.4). */
const disconnectCodes: Partial<Record<ReasonCode, ReasonCode>> = {
  [ReasonCode.ClientIdentifierNotValid]: ReasonCode.NotAuthorized,
  [ReasonCode.BadUserNameOrPassword]: ReasonCode.NotAuthorized,
  [ReasonCode.Banned]: ReasonCode.NotAuthorized,
  [ReasonCode.ServerUnavailable]: ReasonCode.ServerBusy,
};

const unknownMethod: Refusal = {
  reasonCode: ReasonCode.BadAuthenticationMethod,
  reasonString: "No such Authentication Method",
};

const unexpectedAuth: Refusal = {
  reasonCode: ReasonCode.ProtocolError,
  reasonString: "AUTH is not expected",
};

const anotherUser: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "The credential is another user's",
};

const unanswered: Refusal = {
  reasonCode: ReasonCode.ServerUnavailable,
  reasonString: "The credentials could not be checked in time",
};

const unansweredQuestion: Refusal = {
  reasonCode: ReasonCode.ImplementationSpecificError,
  reasonString: "A password is checked in one step",
};
