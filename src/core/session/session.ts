import type { Judged } from "../access/access.ts";
import type { Identity, Owner } from "../access/identity.ts";
import { ownerOf } from "../access/identity.ts";
import type { AttachedClient } from "../effect.ts";
import type { Connection } from "../connection/connection.ts";
import type { Limits } from "../limits.ts";
import type { MessageLog } from "../queue/message-log.ts";
import type { LogSession, Segment } from "../queue/segment.ts";
import type { DeliveryState, LogTarget, SessionRecord, SubscriptionRecord } from "../storage-port.ts";
import type { WillMessage } from "../packet.ts";
import { SmallMap } from "../small-map.ts";
import { isServerFilter } from "../topics/server-topics.ts";
import type { Replay } from "./replaying.ts";
import { Outbound } from "./outbound.ts";

/** 0xFFFFFFFF: the session does not expire (section 3.1.2.11.2). */
export const neverExpires = 0xffffffff;

/** Overhead of a subscription in an attachment, about. */
const subscriptionBytes = 16;

export interface SessionParts {
  readonly clientId: string;
  readonly sessionNumber: number;
  readonly log: MessageLog;
  readonly limits: Limits;
  /** QoS 1 and 2 messages for the session go through the log. */
  readonly logged: boolean;
}

/** The Session State of one Client Identifier (section 4.1). */
export class Session implements LogSession, Judged {
  readonly clientId: string;
  readonly sessionNumber: number;
  readonly outbound: Outbound;
  readonly #limits: Limits;
  connection: Connection | undefined;
  /** Forgotten while there is no connection. */
  permissions: Judged["permissions"];
  incarnation = 0;
  sessionExpiryIntervalSec = 0;
  /** Ended, and only remembered by those that have not noticed. */
  isOver = false;
  /** It is being imported: no client can go on with it, and nothing of it is kept yet. */
  isUnfinished = false;
  /** The backup that it came from, so that it does not come from there again. */
  importedFrom: string | undefined;
  /** Storage has a row for the session. */
  hasRow = false;
  /** The boot under which a connection was attached; 0 when it was detached by more than a reset. */
  attachedBoot = 0;
  detachedAtMs: number | undefined;
  will: WillMessage | undefined;
  willDueAtMs: number | undefined;
  readonly subscriptions = new SmallMap<string, SubscriptionRecord>();
  /** Those that owners of topics have not heard of: they match already, and are not kept. */
  readonly pendingSubscriptions = new SmallMap<string, SubscriptionRecord>();
  deliveryStateSegment: Segment | undefined;
  /** Since when {@link outbound} holds messages that only memory has. */
  volatileSinceMs: number | undefined;
  /** Retained messages that new subscriptions still wait for. */
  readonly replays: Replay[] = [];
  #subscriptionsBytes = 0;
  #serverFilterCount = 0;
  #receivedQos2: Set<number> | undefined;
  #owner: Owner | undefined;

  constructor(parts: SessionParts) {
    this.clientId = parts.clientId;
    this.sessionNumber = parts.sessionNumber;
    this.#limits = parts.limits;
    this.outbound = new Outbound(this, parts.log, parts.limits, parts.logged);
  }

  /** Who connected last; undefined for a session from before that was kept. */
  get owner(): Owner | undefined {
    return this.#owner;
  }

  giveTo(identity: Identity): void {
    this.#owner = ownerOf(identity);
    this.permissions = undefined;
  }

  /** Packet Identifiers of QoS 2 messages from the client that it has not released. */
  get receivedQos2(): Set<number> {
    return (this.#receivedQos2 ??= new Set());
  }

  /** Outlives its connection. */
  get isPersistent(): boolean {
    return this.sessionExpiryIntervalSec > 0;
  }

  /** Has state that must survive the loss of all sockets, or more than a socket's attachment takes. */
  get needsRow(): boolean {
    return !this.isUnfinished && (this.rowHoldsSubscriptions || this.will !== undefined);
  }

  get rowHoldsSubscriptions(): boolean {
    return this.isPersistent || this.#overflowsAttachment;
  }

  get watchesServerTopics(): boolean {
    return this.#serverFilterCount > 0;
  }

  /** When nobody can go on with it any more, and its Will waits for nobody; undefined while that is not known. */
  get endsAtMs(): number | undefined {
    return this.isPersistent ? this.expiresAtMs : (this.willDueAtMs ?? this.expiresAtMs);
  }

  get expiresAtMs(): number | undefined {
    if (this.detachedAtMs === undefined || this.sessionExpiryIntervalSec === neverExpires) return undefined;
    return this.detachedAtMs + this.sessionExpiryIntervalSec * 1000;
  }

  /** When something is to be done about a session without a connection. */
  get dueAtMs(): number | undefined {
    if (this.connection !== undefined || this.isOver) return undefined;
    if (this.willDueAtMs === undefined) return this.expiresAtMs;
    // The session ended with a connection that a reset cut; only the Will waits, for the client to return.
    if (!this.isPersistent) return this.willDueAtMs;
    return Math.min(this.willDueAtMs, this.expiresAtMs ?? Infinity);
  }

  get #overflowsAttachment(): boolean {
    const identityBytes = this.connection?.identityBytes ?? 0;
    return this.#subscriptionsBytes + identityBytes > this.#limits.attachedSubscriptionsBytesMax;
  }

  get subscriptionsBytes(): number {
    return this.#subscriptionsBytes;
  }

  /** True when the session had no subscription with that Topic Filter. */
  subscribe(subscription: SubscriptionRecord): boolean {
    const isNew = !this.subscriptions.has(subscription.topicFilter);
    if (isNew) this.#count(subscription.topicFilter, 1);
    this.subscriptions.set(subscription.topicFilter, subscription);
    return isNew;
  }

  unsubscribe(topicFilter: string): boolean {
    const existed = this.subscriptions.delete(topicFilter);
    if (existed) this.#count(topicFilter, -1);
    return existed;
  }

  #count(topicFilter: string, change: 1 | -1): void {
    this.#subscriptionsBytes += change * (topicFilter.length * 3 + subscriptionBytes);
    if (isServerFilter(topicFilter)) this.#serverFilterCount += change;
  }

  deliveryState(): DeliveryState {
    return { ...this.outbound.state(), receivedQos2: [...(this.#receivedQos2 ?? [])] };
  }

  isPending(ordinal: number): boolean {
    return this.outbound.isPending(ordinal);
  }

  onLogged(ordinal: number, segment: Segment, sizeBytes: number): void {
    this.outbound.onLogged(ordinal, segment, sizeBytes);
  }

  onFound(target: LogTarget, segment: Segment, sizeBytes: number): void {
    this.outbound.onFound(target, segment, sizeBytes);
  }

  restoreState(state: DeliveryState): void {
    this.outbound.restore(state);
    this.#receivedQos2 = state.receivedQos2.length > 0 ? new Set(state.receivedQos2) : undefined;
  }

  /** The session's part of its socket's attachment. */
  attached(): Pick<
    AttachedClient,
    "incarnation" | "sessionNumber" | "deliveryState" | "logged" | "subscriptions"
  > {
    return {
      incarnation: this.incarnation,
      sessionNumber: this.sessionNumber,
      deliveryState: this.deliveryState(),
      logged: this.outbound.logged,
      ...(!this.rowHoldsSubscriptions && { subscriptions: [...this.subscriptions.values()] }),
    };
  }

  /** The session's row. */
  record(deliveryStateSeq: number): SessionRecord {
    return {
      clientId: this.clientId,
      sessionNumber: this.sessionNumber,
      incarnation: this.incarnation,
      attachedBoot: this.attachedBoot,
      sessionExpiryIntervalSec: this.sessionExpiryIntervalSec,
      ...(this.detachedAtMs !== undefined && { detachedAtMs: this.detachedAtMs }),
      ...(this.willDueAtMs !== undefined && { willDueAtMs: this.willDueAtMs }),
      ...(this.will !== undefined && { will: this.will }),
      subscriptions: [...this.subscriptions.values()],
      deliveryState: this.deliveryState(),
      deliveryStateSeq,
      ...(this.importedFrom !== undefined && { importedFrom: this.importedFrom }),
      ...(this.#owner !== undefined && { owner: this.#owner }),
    };
  }

  restoreRecord(record: SessionRecord): void {
    this.hasRow = true;
    this.incarnation = record.incarnation;
    this.attachedBoot = record.attachedBoot;
    this.sessionExpiryIntervalSec = record.sessionExpiryIntervalSec;
    this.detachedAtMs = record.detachedAtMs;
    this.willDueAtMs = record.willDueAtMs;
    this.will = record.will;
    this.importedFrom = record.importedFrom;
    this.#owner = record.owner;
    for (const subscription of record.subscriptions) this.subscribe(subscription);
    this.restoreState(record.deliveryState);
  }
}

export function isSameSubscription(left: SubscriptionRecord, right: SubscriptionRecord): boolean {
  return (
    left.maximumQos === right.maximumQos &&
    left.noLocal === right.noLocal &&
    left.retainAsPublished === right.retainAsPublished &&
    left.retainHandling === right.retainHandling &&
    left.subscriptionIdentifier === right.subscriptionIdentifier
  );
}
