import type { Identity, Usernames } from "../access/identity.ts";
import { identityBytesMax, identitySizeBytes, isSameOwner } from "../access/identity.ts";
import type { WillMessage } from "../packet.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Connection } from "./connection.ts";
import { disconnect } from "./disconnecting.ts";

/** Why somebody who is known does not get in, with the Will of its CONNECT; undefined when it does. */
export function identityRefusalOf(
  { access, sessions }: ShardContext,
  { address }: Connection,
  identity: Identity,
  clientId: string,
  will: WillMessage | undefined,
  nowMs: number,
): Refusal | undefined {
  const { username, clientId: onlyClientId, expiresAtMs = Infinity } = identity;
  if (onlyClientId !== undefined && onlyClientId !== clientId) return foreignClientId;
  if (identitySizeBytes(identity) > identityBytesMax) return largeIdentity;
  if (expiresAtMs <= nowMs) return expired;
  if (access.isBanned({ clientId, username, address }, nowMs)) return banned;
  const session = sessions.find(clientId);
  if (session !== undefined && !mayGoOnWith(session, username, nowMs)) return foreignSession;
  if (will === undefined) return undefined;
  const mayPublish = access
    .permissionsFor(identity, clientId)
    .mayPublish(will.topicName, will.qos, will.retain);
  return mayPublish ? undefined : forbiddenWill;
}

/**
 * A session of somebody with a user name is for that user alone, be it to go on with or to begin anew. One of nobody
 * with a name is for whoever may use its Client Identifier.
 */
function mayGoOnWith(
  { endsAtMs = Infinity, owner }: Session,
  username: string | undefined,
  nowMs: number,
): boolean {
  return endsAtMs <= nowMs || owner?.username === undefined || owner.username === username;
}

/** Why a CONNECT is refused whoever sent it; undefined when it is not. */
export function banRefusalOf(
  { access }: ShardContext,
  { address }: Connection,
  clientId: string,
  nowMs: number,
): Refusal | undefined {
  return access.isBanned({ clientId, address }, nowMs) ? banned : undefined;
}

/** An established connection has a new identity; false when it may not go on with it. */
export function readmit(
  context: ShardContext,
  connection: Connection,
  identity: Identity,
  nowMs: number,
): boolean {
  const { session } = connection;
  const heldSubscriptions = session?.rowHoldsSubscriptions;
  connection.identify(identity);
  context.output.outdatedAttachments.add(connection);
  context.clock.watchConnection(connection);
  if (session !== undefined) {
    const isStale = session.owner === undefined || !isSameOwner(session.owner, identity);
    session.giveTo(identity);
    // A larger identity leaves less room in the attachment.
    const isMoved = session.rowHoldsSubscriptions !== heldSubscriptions;
    if (isMoved || (isStale && session.needsRow)) context.sessions.saveRow(session);
  }
  return judge(context, connection, nowMs);
}

/** Ends a connection that is banned, or that has or has asked for what it may not have; false then. */
export function judge(context: ShardContext, connection: Connection, nowMs: number): boolean {
  const { session, client } = connection;
  if (session === undefined || client === undefined || connection.isClosed) return true;
  const username = connection.identity?.username;
  const isBanned = context.access.isBanned(
    { clientId: client.clientId, username, address: connection.address },
    nowMs,
  );
  const hasLostSubscriptions = restrictSubscriptions(context, session, nowMs);
  const hasLostWill = restrictWill(context, session);
  if (!isBanned && !hasLostSubscriptions && !hasLostWill) return true;
  const reasonString = isBanned ? banned.reasonString : "The permissions have changed";
  // DISCONNECT has no code for a ban.
  disconnect(context, connection, ReasonCode.NotAuthorized, reasonString, nowMs);
  return false;
}

/** Who is connected as one of these users has to show a credential again. */
export function endIdentities(
  context: ShardContext,
  connections: Iterable<Connection>,
  usernames: Usernames,
  nowMs: number,
): void {
  const ended = usernames === "all" ? undefined : new Set(usernames);
  for (const connection of connections) {
    const username = connection.identity?.username;
    if (username === undefined || connection.isClosed || ended?.has(username) === false) continue;
    disconnect(context, connection, ReasonCode.NotAuthorized, "The user has changed", nowMs);
  }
}

/**
 * Takes away what the session's owner may not be subscribed to, in whole or with that QoS; true when there was any.
 * What has come by the subscriptions so far is judged when its turn comes.
 */
export function restrictSubscriptions(context: ShardContext, session: Session, nowMs: number): boolean {
  const { access, replaying, sessions } = context;
  const { outbound, pendingSubscriptions, subscriptions } = session;
  let isRestricted = false;
  outbound.doubtWaiting();
  for (const subscription of [...subscriptions.values(), ...pendingSubscriptions.values()]) {
    const { topicFilter, maximumQos } = subscription;
    const decision = access.subscribeDecisionOf(session, topicFilter, maximumQos);
    if (decision === maximumQos) continue;
    isRestricted = true;
    if (typeof decision === "number" && !pendingSubscriptions.has(topicFilter)) {
      sessions.subscribe(session, { ...subscription, maximumQos: decision }, () => {}, nowMs);
    } else {
      sessions.unsubscribe(session, topicFilter, nowMs);
      replaying.forget(session, topicFilter);
    }
  }
  return isRestricted;
}

function restrictWill({ access, sessions }: ShardContext, session: Session): boolean {
  const { will } = session;
  if (will === undefined) return false;
  if (access.publishRefusalOf(session, will.topicName, will.qos, will.retain) === undefined) return false;
  session.will = undefined;
  sessions.saveRow(session);
  return true;
}

const foreignClientId: Refusal = {
  reasonCode: ReasonCode.ClientIdentifierNotValid,
  reasonString: "The credential is for another Client Identifier",
};

const foreignSession: Refusal = {
  reasonCode: ReasonCode.ClientIdentifierNotValid,
  reasonString: "The session with this Client Identifier belongs to another user",
};

const largeIdentity: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: `What the credential says takes more than ${identityBytesMax} bytes`,
};

const expired: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "The credential has expired",
};

const banned: Refusal = { reasonCode: ReasonCode.Banned, reasonString: "Banned" };

const forbiddenWill: Refusal = {
  reasonCode: ReasonCode.NotAuthorized,
  reasonString: "No permission to publish the Will",
};
