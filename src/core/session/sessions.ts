import { anonymousIdentity } from "../access/identity.ts";
import type { Connection } from "../connection/connection.ts";
import type { AttachedClient } from "../effect.ts";
import type { CostMeter } from "../cost/cost-meter.ts";
import type { Limits } from "../limits.ts";
import type { MessageLog } from "../queue/message-log.ts";
import type { QueuedMessage } from "../queue/segment.ts";
import { SegmentHeads } from "../queue/segment-heads.ts";
import type { SessionRecord, ShardStorage, SubscriptionRecord } from "../storage-port.ts";
import type { Outcome } from "../peers/message.ts";
import type { Peers } from "../peers/peers.ts";
import { isFailure } from "../reason-code.ts";
import { isServerFilter } from "../topics/server-topics.ts";
import { isSameSubscription, Session } from "./session.ts";
import type { SharedGroup } from "./shared-group.ts";
import type { Restorable } from "./log-survey.ts";
import { isSameState, LogSurvey } from "./log-survey.ts";
import type { SettleRoute, SubscriberRoutes } from "./subscriber-routes.ts";
import type { SubscriptionTree } from "./subscription-tree.ts";

export interface SessionsParts {
  readonly storage: ShardStorage;
  readonly log: MessageLog;
  readonly limits: Limits;
  readonly cost: CostMeter;
  readonly peers: Peers;
  readonly tree: SubscriptionTree;
  readonly routes: SubscriberRoutes;
  /** The number of the object's present life, for a row that is about to be written. */
  readonly claimBoot: () => number;
  /** Gives messages of Shared Subscriptions to other members. */
  readonly handOver: (messages: readonly QueuedMessage[], nowMs: number) => void;
}

/** What became of a subscription: made, or refused. */
export interface Subscribed {
  /** The session had none with that Topic Filter. */
  readonly isNew: boolean;
  readonly refusal?: Outcome;
  /** Other shards that have matching retained messages, if they have just told. */
  readonly retaining?: readonly number[] | undefined;
}

/** The sessions of the shard and the subscriptions they hold. */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #byClientId = new Map<string, Session>();
  readonly #byNumber = new Map<number, Session>();
  readonly #tree: SubscriptionTree;
  /** Rows to be written, or deleted (undefined), with the next commit. */
  readonly #changedRows = new Map<string, Session | undefined>();
  #lastNumber = 0;
  #connectedCount = 0;
  /** Connected and subscribed to topics of the server. */
  readonly #watchers = new Set<Session>();

  constructor(parts: SessionsParts) {
    this.#parts = parts;
    this.#tree = parts.tree;
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

  /** Somebody wants the topics of the server. */
  get isWatched(): boolean {
    return this.#watchers.size > 0;
  }

  create(clientId: string, logged: boolean): Session {
    const session = this.#add(clientId, this.#lastNumber + 1, logged);
    // The row of an ended session that is about to be deleted is replaced instead.
    session.hasRow = this.#changedRows.has(clientId);
    return session;
  }

  connect(session: Session, connection: Connection, nowMs: number): void {
    for (const { filter, members } of this.#link(session, connection)) {
      this.#parts.routes.updateMembers(filter, members, nowMs);
    }
  }

  disconnect(session: Session, nowMs: number): void {
    if (session.connection !== undefined) this.#connectedCount -= 1;
    session.connection = undefined;
    session.permissions = undefined;
    for (const topicFilter of session.pendingSubscriptions.keys())
      this.#dropPending(session, topicFilter, nowMs);
    for (const { filter, members } of this.#tree.updatePresence(session)) {
      this.#parts.routes.updateMembers(filter, members, nowMs);
    }
    this.#watchers.delete(session);
  }

  /** Ends the session: its subscriptions, queue and row go. */
  end(session: Session, nowMs: number): void {
    session.isOver = true;
    for (const topicFilter of session.subscriptions.keys()) {
      this.#removeFromTree(session, topicFilter, session.hasRow, nowMs);
    }
    const sharedMessages = session.outbound.forget();
    this.#byClientId.delete(session.clientId);
    if (this.#byNumber.get(session.sessionNumber) === session) this.#byNumber.delete(session.sessionNumber);
    this.#dropRow(session);
    this.handOver(sharedMessages, nowMs);
  }

  /** What a session had got by a Shared Subscription and will not take goes to another member (section 4.8.2). */
  handOver(messages: readonly QueuedMessage[], nowMs: number): void {
    this.#parts.handOver(messages, nowMs);
  }

  /**
   * Makes the subscription once every owner of its topics knows of it; until then it matches, but is not kept.
   * Repeating one writes nothing.
   */
  subscribe(
    session: Session,
    subscription: SubscriptionRecord,
    settle: (subscribed: Subscribed) => void,
    nowMs: number,
  ): void {
    const { topicFilter } = subscription;
    const existing = session.subscriptions.get(topicFilter);
    if (existing !== undefined) {
      if (!isSameSubscription(existing, subscription)) this.#keep(session, subscription);
      settle({ isNew: false });
      return;
    }
    const isFirst = !this.#tree.has(topicFilter);
    this.#tree.add(session, subscription);
    session.pendingSubscriptions.set(topicFilter, subscription);
    const members = this.#tree.members(topicFilter);
    const { routes } = this.#parts;
    if (!isFirst && members !== undefined) routes.updateMembers(topicFilter, members, nowMs);
    const note: SettleRoute = (outcome, retaining) => {
      const isWanted = session.pendingSubscriptions.get(topicFilter) === subscription;
      if (isFailure(outcome.reasonCode)) {
        if (isWanted) this.#dropPending(session, topicFilter, nowMs);
        settle({ isNew: true, refusal: outcome });
        return;
      }
      if (isWanted) {
        session.pendingSubscriptions.delete(topicFilter);
        this.#keep(session, subscription);
      }
      settle({ isNew: true, retaining });
    };
    routes.open(topicFilter, isFirst, members, note, nowMs);
  }

  unsubscribe(session: Session, topicFilter: string, nowMs: number): boolean {
    if (session.pendingSubscriptions.has(topicFilter)) {
      this.#dropPending(session, topicFilter, nowMs);
      return true;
    }
    const heldByRow = session.rowHoldsSubscriptions;
    if (!session.unsubscribe(topicFilter)) return false;
    this.#removeFromTree(session, topicFilter, heldByRow, nowMs);
    if (isServerFilter(topicFilter)) this.#updateWatcher(session);
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
      if (session?.connection !== undefined) session.attachedBoot = this.#parts.claimBoot();
      rows.set(clientId, session?.record(this.#parts.log.nextSeq));
      const owner = session ?? this.#byClientId.get(clientId);
      if (owner !== undefined) owner.hasRow = session !== undefined;
      if (session !== undefined) this.#parts.log.noteStoredInRow(session);
    }
    this.#changedRows.clear();
    return rows;
  }

  /** Reads all sessions and the log; `connections` are those whose sockets survived. */
  load(connections: Iterable<readonly [Connection, AttachedClient]>): void {
    const { cost, log, peers, storage } = this.#parts;
    const heads = new SegmentHeads(storage);
    const survey = new LogSurvey();
    for (const head of heads) {
      cost.noteRow(head.cost);
      survey.note(head);
    }
    const rowSeqs = new Map<number, number>();
    for (const record of storage.readSessions()) {
      this.#restore(record);
      cost.noteRow(record.cost);
      rowSeqs.set(record.sessionNumber, record.deliveryStateSeq);
    }
    const find = (number: number): Restorable | undefined =>
      this.#byNumber.get(number) ?? peers.participant(number);
    peers.beginRestoring();
    const stateSeqs = survey.restoreStates(rowSeqs, find);
    // Before numbers are given: one that the log still speaks of is not free.
    this.#lastNumber = Math.max(this.#lastNumber, survey.lastSessionNumber);
    for (const [connection, client] of connections) this.#reattach(connection, client);
    log.restore(heads, stateSeqs, find);
    peers.endRestoring();
  }

  /** The subscription is made: it is kept with the session. */
  #keep(session: Session, subscription: SubscriptionRecord): void {
    session.subscribe(subscription);
    this.#tree.add(session, subscription);
    if (isServerFilter(subscription.topicFilter)) this.#updateWatcher(session);
    if (session.rowHoldsSubscriptions) this.saveRow(session);
  }

  #dropPending(session: Session, topicFilter: string, nowMs: number): void {
    session.pendingSubscriptions.delete(topicFilter);
    this.#removeFromTree(session, topicFilter, false, nowMs);
  }

  /** `isDurable`: the subscription is gone from a row, too. */
  #removeFromTree(session: Session, topicFilter: string, isDurable: boolean, nowMs: number): void {
    this.#tree.remove(session, topicFilter);
    const { routes } = this.#parts;
    const members = this.#tree.members(topicFilter);
    if (!this.#tree.has(topicFilter)) routes.close(topicFilter, isDurable, nowMs);
    else if (members !== undefined) routes.updateMembers(topicFilter, members, nowMs);
  }

  #link(session: Session, connection: Connection): SharedGroup[] {
    if (session.connection === undefined) this.#connectedCount += 1;
    session.connection = connection;
    connection.session = session;
    session.giveTo(connection.identity ?? anonymousIdentity);
    this.#updateWatcher(session);
    return this.#tree.updatePresence(session);
  }

  #updateWatcher(session: Session): void {
    if (session.connection !== undefined && session.watchesServerTopics) this.#watchers.add(session);
    else this.#watchers.delete(session);
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

  /** Its own, unless a session that came while it was not known has that one. */
  #numberFor({ sessionNumber }: AttachedClient): number {
    return this.#byNumber.has(sessionNumber) ? this.#lastNumber + 1 : sessionNumber;
  }

  #add(clientId: string, sessionNumber: number, logged: boolean): Session {
    const session = new Session({
      clientId,
      sessionNumber,
      log: this.#parts.log,
      limits: this.#parts.limits,
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
    for (const subscription of session.subscriptions.values()) this.#tree.add(session, subscription);
  }

  /** The attachment of a socket that survived is newer than any row. */
  #reattach(connection: Connection, client: AttachedClient): void {
    const known = this.#byClientId.get(client.clientId);
    const session = known ?? this.#add(client.clientId, this.#numberFor(client), client.logged);
    session.incarnation = client.incarnation;
    this.#link(session, connection);
    const { log } = this.#parts;
    if (known === undefined) {
      session.restoreState(client.deliveryState);
    } else if (!isSameState(session.deliveryState(), client.deliveryState)) {
      log.reconcile(session, () => session.restoreState(client.deliveryState));
      if (session.isPersistent) log.noteRestored(session);
    }
    if (client.logged && !session.isPersistent) session.outbound.restoreSpilled();
    for (const subscription of client.subscriptions ?? []) {
      session.subscribe(subscription);
      this.#tree.add(session, subscription);
    }
    this.#updateWatcher(session);
  }
}
