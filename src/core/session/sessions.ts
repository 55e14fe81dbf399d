import type { Connection } from "../connection/connection.ts";
import type { AttachedClient } from "../effect.ts";
import type { Counters } from "../counters.ts";
import type { Limits } from "../limits.ts";
import type { LogSession, MessageLog } from "../queue/message-log.ts";
import type { Publication } from "../publication.ts";
import type {
  DeliveryState,
  SegmentHead,
  SessionRecord,
  ShardStorage,
  SubscriptionRecord,
} from "../storage-port.ts";
import type { Subscribers } from "../topics/topic-owner.ts";
import { TopicTree } from "../topics/topic-tree.ts";
import type { Delivering } from "./delivering.ts";
import { Session } from "./session.ts";

/** How a message matched one session, over all its subscriptions ([MQTT-3.3.4-2], [MQTT-3.3.4-4]). */
interface Match {
  maximumQos: 0 | 1 | 2;
  retainAsPublished: boolean;
  subscriptionIdentifiers: number[] | undefined;
}

type Subscribed = Map<Session, SubscriptionRecord>;

/** The sessions of the shard and the subscriptions they hold. */
export class Sessions implements Subscribers {
  readonly #storage: ShardStorage;
  readonly #log: MessageLog;
  readonly #limits: Limits;
  readonly #counters: Counters;
  readonly #delivering: Delivering;
  /** The number of the object's present life, for a row that is about to be written. */
  readonly #claimBoot: () => number;
  readonly #byClientId = new Map<string, Session>();
  readonly #byNumber = new Map<number, Session>();
  readonly #tree = new TopicTree<Subscribed>();
  /** Rows to be written, or deleted (undefined), with the next commit. */
  readonly #changedRows = new Map<string, Session | undefined>();
  #lastNumber = 0;
  #connectedCount = 0;

  constructor(
    storage: ShardStorage,
    log: MessageLog,
    limits: Limits,
    counters: Counters,
    delivering: Delivering,
    claimBoot: () => number,
  ) {
    this.#storage = storage;
    this.#log = log;
    this.#limits = limits;
    this.#counters = counters;
    this.#delivering = delivering;
    this.#claimBoot = claimBoot;
  }

  get size(): number {
    return this.#byClientId.size;
  }

  get hasChangedRows(): boolean {
    return this.#changedRows.size > 0;
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#byClientId.values();
  }

  find(clientId: string): Session | undefined {
    return this.#byClientId.get(clientId);
  }

  /** Sessions with a connection. */
  get connectedCount(): number {
    return this.#connectedCount;
  }

  create(clientId: string, logged: boolean): Session {
    const session = this.#add(clientId, this.#lastNumber + 1, logged);
    // The row of an ended session that is about to be deleted is replaced instead.
    session.hasRow = this.#changedRows.has(clientId);
    return session;
  }

  connect(session: Session, connection: Connection): void {
    if (session.connection === undefined) this.#connectedCount += 1;
    session.connection = connection;
    connection.session = session;
  }

  disconnect(session: Session): void {
    if (session.connection !== undefined) this.#connectedCount -= 1;
    session.connection = undefined;
  }

  /** Ends the session: its subscriptions, queue and row go. */
  end(session: Session): void {
    session.isOver = true;
    for (const topicFilter of session.subscriptions.keys()) this.#leaveTree(session, topicFilter);
    session.outbound.forget();
    this.#byClientId.delete(session.clientId);
    this.#byNumber.delete(session.sessionNumber);
    this.#dropRow(session);
  }

  /** True when the session had no such subscription. Repeating one writes nothing. */
  subscribe(session: Session, subscription: SubscriptionRecord): boolean {
    const existing = session.subscriptions.get(subscription.topicFilter);
    if (existing !== undefined && isSame(existing, subscription)) return false;
    session.subscribe(subscription);
    this.#joinTree(session, subscription);
    if (session.rowHoldsSubscriptions) this.saveRow(session);
    return existing === undefined;
  }

  unsubscribe(session: Session, topicFilter: string): boolean {
    const heldByRow = session.rowHoldsSubscriptions;
    if (!session.unsubscribe(topicFilter)) return false;
    this.#leaveTree(session, topicFilter);
    if (heldByRow) this.saveRow(session);
    return true;
  }

  /** Brings the session's row in line with the session: written, or deleted when it needs none. */
  saveRow(session: Session): void {
    if (session.needsRow) {
      this.#changedRows.set(session.clientId, session);
    } else {
      this.#dropRow(session);
    }
  }

  /** The rows that changed, for a commit that happens now. */
  takeChangedRows(): Map<string, SessionRecord | undefined> {
    const rows = new Map<string, SessionRecord | undefined>();
    for (const [clientId, session] of this.#changedRows) {
      if (session?.connection !== undefined) session.attachedBoot = this.#claimBoot();
      rows.set(clientId, session?.record(this.#log.nextSeq));
      const owner = session ?? this.#byClientId.get(clientId);
      if (owner !== undefined) owner.hasRow = session !== undefined;
      if (session !== undefined) this.#log.noteStoredInRow(session);
    }
    this.#changedRows.clear();
    return rows;
  }

  deliver(publication: Publication, publisherClientId: string, nowMs: number): number {
    const { topicName, qos, retain } = publication.message;
    const matches = this.#match(topicName, publisherClientId);
    for (const [session, match] of matches) {
      this.#delivering.deliver(
        session,
        publication,
        {
          qos: Math.min(qos, match.maximumQos) as 0 | 1 | 2,
          retain: retain && match.retainAsPublished,
          ...(match.subscriptionIdentifiers !== undefined && {
            subscriptionIdentifiers: match.subscriptionIdentifiers,
          }),
        },
        nowMs,
      );
    }
    return matches.size;
  }

  /** Reads all sessions and the log; `connections` are those whose sockets survived. */
  load(connections: Iterable<readonly [Connection, AttachedClient]>): void {
    const heads = [...this.#storage.readSegmentHeads()];
    const rowSeqs = new Map<number, number>();
    for (const record of this.#storage.readSessions()) {
      this.#restore(record);
      rowSeqs.set(record.sessionNumber, record.deliveryStateSeq);
    }
    const stateSeqs = this.#restoreStates(heads, rowSeqs);
    for (const [connection, client] of connections) this.#reattach(connection, client);
    for (const head of heads) this.#noteNumbers(head);
    this.#log.restore(heads, stateSeqs, (sessionNumber) => this.#byNumber.get(sessionNumber));
  }

  #dropRow(session: Session): void {
    if (session.hasRow) this.#changedRows.set(session.clientId, undefined);
    else this.#changedRows.delete(session.clientId);
  }

  /** A socket that was closing when the others were loaded, and has an event after all. */
  reattachLate(connection: Connection, client: AttachedClient): void {
    const session = this.#byClientId.get(client.clientId);
    const isOvertaken = session !== undefined && session.incarnation > client.incarnation;
    if (!isOvertaken && session?.connection === undefined) this.#reattach(connection, client);
  }

  #add(clientId: string, sessionNumber: number, logged: boolean): Session {
    const session = new Session({
      clientId,
      sessionNumber,
      log: this.#log,
      limits: this.#limits,
      counters: this.#counters,
      logged,
    });
    this.#byClientId.set(clientId, session);
    this.#byNumber.set(sessionNumber, session);
    this.#lastNumber = Math.max(this.#lastNumber, sessionNumber);
    return session;
  }

  #restore(record: SessionRecord): void {
    const session = this.#add(record.clientId, record.sessionNumber, record.sessionExpiryIntervalSec > 0);
    session.restoreRecord(record);
    for (const subscription of session.subscriptions.values()) this.#joinTree(session, subscription);
  }

  /**
   * The newest delivery state of a session is in its row or in the last segment that has one. Returns in which
   * segment, by session.
   */
  #restoreStates(heads: readonly SegmentHead[], rowSeqs: Map<number, number>): Map<LogSession, number> {
    const newest = new Map<Session, { state: DeliveryState; seq: number }>();
    for (const { deliveryStates, seq } of heads) {
      for (const [sessionNumber, state] of deliveryStates) {
        const session = this.#byNumber.get(sessionNumber);
        if (session !== undefined && seq >= (rowSeqs.get(sessionNumber) ?? 0))
          newest.set(session, { state, seq });
      }
    }
    for (const [session, { state }] of newest) session.restoreState(state);
    return new Map([...newest].map(([session, { seq }]) => [session, seq]));
  }

  /** The attachment of a socket that survived is newer than any row. */
  #reattach(connection: Connection, client: AttachedClient): void {
    const session =
      this.#byClientId.get(client.clientId) ??
      this.#add(client.clientId, client.sessionNumber, client.logged);
    session.incarnation = client.incarnation;
    this.connect(session, connection);
    this.#log.reconcile(session, () => session.restoreState(client.deliveryState));
    if (client.logged && !session.isPersistent) session.outbound.restoreSpilled();
    for (const subscription of client.subscriptions ?? []) {
      session.subscribe(subscription);
      this.#joinTree(session, subscription);
    }
  }

  #noteNumbers(head: SegmentHead): void {
    for (const { targets } of head.messages) {
      for (const target of targets) this.#lastNumber = Math.max(this.#lastNumber, target.sessionNumber);
    }
    for (const [sessionNumber] of head.deliveryStates)
      this.#lastNumber = Math.max(this.#lastNumber, sessionNumber);
  }

  #match(topicName: string, publisherClientId: string): Map<Session, Match> {
    const matches = new Map<Session, Match>();
    this.#tree.matchFilters(topicName, (subscribed) => {
      for (const [session, subscription] of subscribed) {
        // [MQTT-3.8.3-3] No Local: not back to the client that published it.
        if (subscription.noLocal && session.clientId === publisherClientId) continue;
        merge(matches, session, subscription);
      }
    });
    return matches;
  }

  #joinTree(session: Session, subscription: SubscriptionRecord): void {
    const subscribed = this.#tree.get(subscription.topicFilter);
    if (subscribed === undefined) {
      this.#tree.set(subscription.topicFilter, new Map([[session, subscription]]));
    } else {
      subscribed.set(session, subscription);
    }
  }

  #leaveTree(session: Session, topicFilter: string): void {
    const subscribed = this.#tree.get(topicFilter);
    if (subscribed === undefined) return;
    subscribed.delete(session);
    if (subscribed.size === 0) this.#tree.delete(topicFilter);
  }
}

function merge(matches: Map<Session, Match>, session: Session, subscription: SubscriptionRecord): void {
  const { maximumQos, retainAsPublished, subscriptionIdentifier } = subscription;
  const match = matches.get(session);
  if (match === undefined) {
    const subscriptionIdentifiers =
      subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier];
    matches.set(session, { maximumQos, retainAsPublished, subscriptionIdentifiers });
    return;
  }
  match.maximumQos = Math.max(match.maximumQos, maximumQos) as 0 | 1 | 2;
  match.retainAsPublished ||= retainAsPublished;
  if (subscriptionIdentifier !== undefined) {
    (match.subscriptionIdentifiers ??= []).push(subscriptionIdentifier);
  }
}

function isSame(left: SubscriptionRecord, right: SubscriptionRecord): boolean {
  return (
    left.maximumQos === right.maximumQos &&
    left.noLocal === right.noLocal &&
    left.retainAsPublished === right.retainAsPublished &&
    left.retainHandling === right.retainHandling &&
    left.subscriptionIdentifier === right.subscriptionIdentifier
  );
}
