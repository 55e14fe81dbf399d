/**
 * What the core asks of storage: synchronous reads, and one atomic write for all that an event changed.
 * The implementations are in `src/storage`, under one contract suite.
 */
import type { CostRecord } from "./cost/cost-meter.ts";
import type { Owner } from "./access/identity.ts";
import type { Policy } from "./access/policy.ts";
import type { QoS, SubscriptionOptions, WillMessage } from "./packet.ts";
import type { Letter, RouteVersion } from "./peers/message.ts";
import type { Layout } from "./placement.ts";
import type { Publication } from "./publication.ts";

/** The shard's own row. */
export interface ShardRecord {
  /** Number of the present life of the object; sessions attached under an older one lost their connection. */
  readonly boot: number;
  /** All sessions of boots up to this one are known to be detached. */
  readonly settledBoot: number;
  /** As it was when the shard first wrote anything; its data belong to no other. */
  readonly layout?: Layout;
  /** Blocks of numbers that have been taken, for messages to other shards that only memory holds. */
  readonly numberBlocks?: number;
}

/** Another shard has subscribers of this Topic Filter, or of the Shared Subscription of that name. */
export interface RouteRecord {
  readonly filter: string;
  readonly shard: number;
  readonly version: RouteVersion;
}

/** A route to write; without a version, to delete. */
export interface RouteWrite {
  readonly filter: string;
  readonly shard: number;
  readonly version: RouteVersion | undefined;
}

export interface SubscriptionRecord extends SubscriptionOptions {
  readonly topicFilter: string;
  readonly subscriptionIdentifier?: number;
}

/** Where a QoS 1 or 2 delivery stands; `ordinal` counts a session's deliveries from 1. */
export interface InflightRecord {
  readonly ordinal: number;
  readonly phase: "awaitingPuback" | "awaitingPubrec" | "awaitingPubcomp";
  /** Sent on an earlier connection only: the present one is still to have it. */
  readonly resend?: true;
}

/** The part of the Session State that changes with every message. Deliveries up to `sentThrough` that are not in flight are done. */
export interface DeliveryState {
  readonly nextOrdinal: number;
  readonly sentThrough: number;
  /** Set when deliveries above `sentThrough` may have reached the client before a reset. */
  readonly dupThrough?: number;
  readonly inflight: readonly InflightRecord[];
  /** Packet Identifiers of inbound QoS 2 messages between PUBREC and PUBREL. */
  readonly receivedQos2: readonly number[];
}

/** One packed row a session: one with an expiry above 0, or with a Will, or with more than its socket's attachment holds. */
export interface SessionRecord {
  readonly clientId: string;
  /** Stands for the session in the message log. */
  readonly sessionNumber: number;
  /** Grows with every attach; fences what belongs to an older connection. */
  readonly incarnation: number;
  /** The boot under which a connection was attached; 0 when it was detached by more than a reset. */
  readonly attachedBoot: number;
  readonly sessionExpiryIntervalSec: number;
  readonly detachedAtMs?: number;
  readonly willDueAtMs?: number;
  readonly will?: WillMessage;
  readonly subscriptions: readonly SubscriptionRecord[];
  /** As of log sequence `deliveryStateSeq`; a state in a segment of that sequence or a later one is newer. */
  readonly deliveryState: DeliveryState;
  readonly deliveryStateSeq: number;
  /** In some rows: what the shard has cost. */
  readonly cost?: CostRecord;
  /** The backup that the session came from. */
  readonly importedFrom?: string;
  /** Who connected last; absent in rows of an older release. */
  readonly owner?: Owner;
}

/** One session that a logged message is for; negative numbers stand for outboxes to other shards. */
export interface LogTarget {
  readonly sessionNumber: number;
  readonly ordinal: number;
  /** Never 0 for a session. */
  readonly qos: QoS;
  readonly retain: boolean;
  readonly subscriptionIdentifiers?: readonly number[];
  /** The Shared Subscription by which the session was chosen. */
  readonly sharedFilter?: string;
  /** In an outbox: what is to be done with the message. */
  readonly letter?: Letter;
}

/** A message as the head of its segment knows it. */
export interface LoggedMessage {
  /** About what it takes. */
  readonly sizeBytes: number;
  readonly targets: readonly LogTarget[];
  readonly expiresAtMs?: number;
}

/** The small part of a segment: for whom its messages are, without the messages. */
export interface SegmentHead {
  /** The row that it lies in; rows of dead segments are overwritten. */
  readonly slot: number;
  /** Place in the log; grows with every segment. */
  readonly seq: number;
  /** Rows with a sequence from this one up to `seq` are dead: what was alive in them is in this one. */
  readonly fromSeq?: number;
  readonly messages: readonly LoggedMessage[];
  readonly deliveryStates: readonly (readonly [sessionNumber: number, state: DeliveryState])[];
  /** What the shard has cost by then. */
  readonly cost?: CostRecord;
}

/** One flush of the message log: one row. */
export interface SegmentRecord extends SegmentHead {
  readonly publications: readonly Publication[];
}

/** A topic with a retained message. */
export interface RetainedName {
  readonly topicName: string;
  /** About what the message takes. */
  readonly sizeBytes: number;
  readonly expiresAtMs?: number;
}

/** The small part of a block of retained messages: of which topics it tells, without the messages. */
export interface RetainedHead {
  /** The row that it lies in. */
  readonly slot: number;
  /** Grows with every block; what the newest one says of a topic holds. */
  readonly seq: number;
  readonly names: readonly RetainedName[];
  /** Topics that have none any more. */
  readonly cleared: readonly string[];
}

/** A message that may be kept as the bytes it is stored in until it is looked at. */
export interface StoredPublication {
  readonly publication: Publication;
}

/** Retained messages that one flush put into one row, one for each of `names`. */
export interface RetainedBlockRecord extends RetainedHead {
  readonly publications: readonly StoredPublication[];
}

/** All that one commit writes. `undefined` as a value deletes the row. */
export interface WriteSet {
  shard?: ShardRecord;
  readonly sessions: Map<string, SessionRecord | undefined>;
  /** By slot. */
  readonly retainedBlocks: Map<number, RetainedBlockRecord | undefined>;
  readonly segments: SegmentRecord[];
  /** Dead rows of the message log that are not worth keeping for the next segment. */
  readonly deadSlots: readonly number[];
  readonly routes: readonly RouteWrite[];
  policy?: Policy;
}

export function emptyWriteSet(): WriteSet {
  return { sessions: new Map(), retainedBlocks: new Map(), segments: [], deadSlots: [], routes: [] };
}

export interface ShardStorage {
  readShard(): ShardRecord | undefined;
  readSessions(): Iterable<SessionRecord>;
  /** In any order; those of overwritten slots are gone. */
  readRetainedHeads(): Iterable<RetainedHead>;
  readRetainedPublications(slot: number): readonly StoredPublication[] | undefined;
  /** In the order of `seq`; those of overwritten slots are gone. */
  readSegmentHeads(): Iterable<SegmentHead>;
  readSegmentHead(slot: number): SegmentHead | undefined;
  readSegment(slot: number): SegmentRecord | undefined;
  readRoutes(): Iterable<RouteRecord>;
  readPolicy(): Policy | undefined;
  /** Applies all of it or, when it throws, nothing. */
  commit(writes: WriteSet): void;
  /** Rows read and written since the storage was opened, as Cloudflare bills them. */
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** Size of the database; 0 where nobody knows. */
  readonly storedBytes: number;
}
