/** What an operator may see of the clients of a shard, and of their sessions. */
import type { Identity } from "../access/identity.ts";
import { anonymousIdentity } from "../access/identity.ts";
import type { Connection } from "../connection/connection.ts";
import type { ProtocolVersion } from "../packet.ts";
import type { Session } from "../session/session.ts";
import { neverExpires } from "../session/session.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import type { Page, PageRequest } from "./page.ts";
import { pageOf } from "./page.ts";

/** A client that is connected. Times are in ms since 1970. */
export interface ClientInfo {
  readonly clientId: string;
  readonly protocolVersion: ProtocolVersion;
  readonly connectedAtMs: number;
  readonly lastSeenAtMs: number;
  readonly keepAliveSec: number;
  /** The network address, as the platform tells it. */
  readonly address?: string;
  readonly method: Identity["method"];
  readonly username?: string;
  readonly roles: readonly string[];
}

/** A session, with or without a connection. Times are in ms since 1970. */
export interface SessionInfo {
  readonly clientId: string;
  readonly isConnected: boolean;
  readonly sessionExpiryIntervalSec: number;
  readonly detachedAtMs?: number;
  /** Absent while there is a connection, and when the session does not expire. */
  readonly expiresAtMs?: number;
  readonly subscriptionCount: number;
  /** Messages that have not been sent. */
  readonly waitingCount: number;
  readonly hasWill: boolean;
  /** Of the user to whom it belongs; absent when it is anybody's who may use its Client Identifier. */
  readonly username?: string;
}

export interface SubscriptionInfo extends SubscriptionRecord {
  readonly clientId: string;
}

export interface ClientQuery extends PageRequest {
  readonly clientIdPrefix?: string;
  readonly username?: string;
}

export interface SessionQuery extends PageRequest {
  readonly clientIdPrefix?: string;
}

export interface SubscriptionQuery extends PageRequest {
  readonly clientId?: string;
  /** Exactly this Topic Filter, as it was subscribed to. */
  readonly topicFilter?: string;
}

export function clientPage(sessions: Iterable<Session>, query: ClientQuery): Page<ClientInfo> {
  const { clientIdPrefix = "", username } = query;
  const isWanted = ({ clientId, connection }: Session): boolean =>
    connection !== undefined &&
    clientId.startsWith(clientIdPrefix) &&
    (username === undefined || connection.identity?.username === username);
  const toItem = ({ connection }: Session): ClientInfo =>
    clientInfoOf(connection as Connection) as ClientInfo;
  return pageOf(filtered(sessions, isWanted), clientIdOf, toItem, query);
}

/** Undefined before CONNECT. */
export function clientInfoOf(connection: Connection): ClientInfo | undefined {
  const {
    address,
    client,
    identity = anonymousIdentity,
    lastSeenAtMs,
    openedAtMs,
    protocolVersion,
  } = connection;
  if (client === undefined) return undefined;
  const { method, roles, username } = identity;
  return {
    clientId: client.clientId,
    protocolVersion,
    connectedAtMs: openedAtMs,
    lastSeenAtMs,
    keepAliveSec: client.keepAliveSec,
    ...(address !== undefined && { address }),
    method,
    ...(username !== undefined && { username }),
    roles: [...roles],
  };
}

export function sessionPage(sessions: Iterable<Session>, query: SessionQuery): Page<SessionInfo> {
  const { clientIdPrefix = "" } = query;
  const wanted = filtered(sessions, ({ clientId }) => clientId.startsWith(clientIdPrefix));
  return pageOf(wanted, clientIdOf, sessionInfoOf, query);
}

export function sessionInfoOf(session: Session): SessionInfo {
  const { clientId, connection, detachedAtMs, outbound, owner, sessionExpiryIntervalSec } = session;
  const isConnected = connection !== undefined;
  const isEnding = !isConnected && sessionExpiryIntervalSec !== neverExpires;
  return {
    clientId,
    isConnected,
    sessionExpiryIntervalSec,
    ...(!isConnected && detachedAtMs !== undefined && { detachedAtMs }),
    ...(isEnding && session.expiresAtMs !== undefined && { expiresAtMs: session.expiresAtMs }),
    subscriptionCount: session.subscriptions.size,
    waitingCount: outbound.waitingCount,
    hasWill: session.will !== undefined,
    ...(owner?.username !== undefined && { username: owner.username }),
  };
}

/** In the order of Client Identifiers, then of Topic Filters. */
export function subscriptionPage(
  sessions: Iterable<Session>,
  query: SubscriptionQuery,
): Page<SubscriptionInfo> {
  const keyOf = ({ clientId, topicFilter }: SubscriptionInfo): string => `${clientId}\0${topicFilter}`;
  return pageOf(subscriptionsIn(sessions, query), keyOf, (info) => info, query);
}

function* subscriptionsIn(
  sessions: Iterable<Session>,
  { clientId, topicFilter }: SubscriptionQuery,
): Generator<SubscriptionInfo> {
  for (const session of sessions) {
    if (clientId !== undefined && session.clientId !== clientId) continue;
    for (const subscription of session.subscriptions.values()) {
      if (topicFilter !== undefined && subscription.topicFilter !== topicFilter) continue;
      yield { ...subscription, clientId: session.clientId };
    }
  }
}

function* filtered(sessions: Iterable<Session>, isWanted: (session: Session) => boolean): Generator<Session> {
  for (const session of sessions) if (isWanted(session)) yield session;
}

function clientIdOf({ clientId }: Session): string {
  return clientId;
}
