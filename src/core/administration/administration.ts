/** What operators ask of a shard. Questions are answered at once; orders are an input, and have a turn of their own. */
import { disconnect, endSession } from "../connection/disconnecting.ts";
import type { Publication } from "../publication.ts";
import { ReasonCode } from "../reason-code.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Retained } from "../topics/retained.ts";
import type { Page, PageRequest } from "./page.ts";
import { pageOf } from "./page.ts";
import type { ClientInfo, ClientQuery, SessionInfo, SessionQuery } from "./session-queries.ts";
import { clientInfoOf, clientPage, sessionInfoOf, sessionPage } from "./session-queries.ts";
import type { SubscriptionInfo, SubscriptionQuery } from "./session-queries.ts";
import { subscriptionPage } from "./session-queries.ts";

export type Order =
  /** Ends the connection of the client, if it has one. */
  | { readonly type: "disconnect"; readonly clientId: string }
  /** Ends the session of the client, and its connection before. */
  | { readonly type: "endSession"; readonly clientId: string }
  /** Nobody who is subscribed is told. */
  | { readonly type: "deleteRetained"; readonly topicNames: readonly string[] };

export interface RetainedQuery extends PageRequest {
  readonly topicFilter: string;
}

const reasonString = "Ended by the administration";

/** To be asked when the shard has loaded what it forgot. */
export class Administration {
  readonly #context: ShardContext;
  readonly #retained: Retained;
  readonly #commit: () => void;

  constructor(context: ShardContext, retained: Retained, commit: () => void) {
    this.#context = context;
    this.#retained = retained;
    this.#commit = commit;
  }

  clients(query: ClientQuery): Page<ClientInfo> {
    return clientPage(this.#context.sessions, query);
  }

  client(clientId: string): ClientInfo | undefined {
    const connection = this.#context.sessions.find(clientId)?.connection;
    return connection && clientInfoOf(connection);
  }

  sessions(query: SessionQuery): Page<SessionInfo> {
    return sessionPage(this.#context.sessions, query);
  }

  session(clientId: string): SessionInfo | undefined {
    const session = this.#context.sessions.find(clientId);
    return session && sessionInfoOf(session);
  }

  subscriptions(query: SubscriptionQuery): Page<SubscriptionInfo> {
    return subscriptionPage(this.#context.sessions, query);
  }

  /** The Topic Names of this shard that have a retained message. Messages are not read, so it costs no row. */
  retainedNames(query: RetainedQuery): Page<string> {
    const name = (topicName: string): string => topicName;
    return pageOf(this.#retained.matchingNames(query.topicFilter), name, name, query);
  }

  retained(topicName: string, nowMs: number): Publication | undefined {
    return this.#retained.read(topicName, nowMs);
  }

  /** What has been ordered is written before it is answered for. */
  carryOut(order: Order, nowMs: number): void {
    this.#context.load(nowMs);
    this.#do(order, nowMs);
    if (this.#context.mustCommit) this.#commit();
  }

  #do(order: Order, nowMs: number): void {
    if (order.type === "deleteRetained") {
      for (const topicName of order.topicNames) this.#retained.clear(topicName);
      return;
    }
    const session = this.#context.sessions.find(order.clientId);
    if (session === undefined) return;
    if (session.connection !== undefined) {
      disconnect(this.#context, session.connection, ReasonCode.AdministrativeAction, reasonString, nowMs);
    }
    if (order.type === "endSession" && !session.isOver) endSession(this.#context, session, nowMs);
  }
}
