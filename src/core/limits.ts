import type { AbuseLimits } from "./abuse/abuse-limits.ts";
import { defaultAbuseLimits } from "./abuse/abuse-limits.ts";
import type { QoS } from "./packet.ts";

/** Every bound of a shard, with its unit in the name. Past one: the specification's Reason Code and a counter. */
export interface Limits {
  /** Largest MQTT packet accepted; announced as Maximum Packet Size. */
  readonly maximumPacketSizeBytes: number;
  /** QoS 1 and 2 PUBLISHes a client may have unacknowledged; announced as Receive Maximum. */
  readonly receiveMaximum: number;
  /** The same for QoS 2 messages of 3.x clients, whom nobody can tell; one more closes the connection. */
  readonly receivedQos2Max: number;
  /** Topic Aliases a client may set; announced as Topic Alias Maximum. */
  readonly topicAliasMaximum: number;
  /** Topic Aliases the server sets for a client that takes so many. */
  readonly outboundTopicAliasMaximum: number;
  /** Announced as Maximum QoS when below 2. */
  readonly maximumQos: QoS;
  /** Announced, each, when false; what uses it is then refused. */
  readonly retainAvailable: boolean;
  readonly wildcardSubscriptionAvailable: boolean;
  readonly sharedSubscriptionAvailable: boolean;
  readonly subscriptionIdentifiersAvailable: boolean;
  /** Payloads that claim to be UTF-8 are checked (0x99). */
  readonly validatesPayloadFormat: boolean;
  /** Longest Session Expiry Interval; a longer one is answered with this one. */
  readonly sessionExpiryIntervalSecMax: number;
  /** How often `$SYS` is published to those who are subscribed to it. */
  readonly serverTopicsIntervalSec: number;
  /** Where clients are sent when there is no room for them (Server Reference); absent: nowhere. */
  readonly serverReference?: string;
  /** All Topic Names behind the aliases of one connection (they must fit a socket's attachment). */
  readonly topicAliasBytesMax: number;
  /** QoS 1 and 2 messages in flight to one client, whatever larger Receive Maximum it announced. */
  readonly inflightMessagesMax: number;
  /** Longest Keep Alive; a longer one is answered with Server Keep Alive. 0 (off) stays as the client asked. */
  readonly keepAliveSecMax: number;
  readonly clientIdentifierLengthMax: number;
  readonly subscriptionsPerSessionMax: number;
  /** All Topic Filters of a session, which share a row. */
  readonly subscriptionBytesPerSessionMax: number;
  /** Of these, Topic Filters with a wildcard in their first levels: with several shards, each has to know them. */
  readonly subscriptionsOnAllShardsMax: number;
  readonly topicLevelsMax: number;
  /** Messages waiting for one session in the log; what becomes of a further one says the policy. */
  readonly queue: QueueLimits;
  readonly queuePolicy: QueuePolicy;
  /** The whole message log of a shard; beyond it publishers are told (0x97), whatever the policy. */
  readonly log: QueueLimits;
  /** What rows of the log that are more dead than alive may take before they are packed. */
  readonly logSparseBytesMax: number;
  /** The same for a session whose messages wait in memory (until {@link Times.memoryQueueMs} sends them to the log). */
  readonly memoryQueue: QueueLimits;
  /** Messages in memory on their way to one other shard; further ones of QoS 1 and 2 go through storage. */
  readonly lane: QueueLimits;
  readonly retainedMessagesMax: number;
  /** The whole database of a shard; beyond it, what would need more room is refused. */
  readonly storedBytesMax: number;
  readonly connectionsMax: number;
  /** Subscriptions of a session without a row, and its identity, that are kept in the socket's attachment. */
  readonly attachedSubscriptionsBytesMax: number;
  readonly abuse: AbuseLimits;
}

export interface QueueLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

export const queuePolicies = ["drop-newest", "drop-oldest", "refuse"] as const;

/**
 * What happens to a QoS 1 or 2 message for a session whose queue is full: it is dropped, or older ones are until there
 * is room, or its publisher is told 0x97 (Quota exceeded).
 */
export type QueuePolicy = (typeof queuePolicies)[number];

export const defaultLimits: Limits = {
  maximumPacketSizeBytes: 256 * 1024,
  receiveMaximum: 100,
  receivedQos2Max: 500,
  topicAliasMaximum: 10,
  outboundTopicAliasMaximum: 32,
  maximumQos: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  sharedSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  validatesPayloadFormat: true,
  sessionExpiryIntervalSecMax: 0xffffffff,
  serverTopicsIntervalSec: 60,
  topicAliasBytesMax: 4096,
  inflightMessagesMax: 100,
  keepAliveSecMax: 3600,
  clientIdentifierLengthMax: 256,
  subscriptionsPerSessionMax: 1000,
  subscriptionBytesPerSessionMax: 512 * 1024,
  subscriptionsOnAllShardsMax: 10,
  topicLevelsMax: 128,
  queue: { messagesMax: 100_000, bytesMax: 64 * 1024 * 1024 },
  queuePolicy: "drop-newest",
  log: { messagesMax: 300_000, bytesMax: 4 * 1024 * 1024 * 1024 },
  logSparseBytesMax: 256 * 1024,
  memoryQueue: { messagesMax: 1000, bytesMax: 1024 * 1024 },
  lane: { messagesMax: 10_000, bytesMax: 8 * 1024 * 1024 },
  retainedMessagesMax: 100_000,
  storedBytesMax: 9_500_000_000,
  connectionsMax: 32_000,
  attachedSubscriptionsBytesMax: 6 * 1024,
  abuse: defaultAbuseLimits,
};

/** Times of the broker's own, apart from what clients ask for. */
export const Times = {
  /** A socket without a CONNECT, with an unfinished packet or with an authentication under way is closed after this. */
  incompletePacketMs: 10_000,
  /** Keep alive and other due times may be served this much late, so that alarms are few. */
  alarmSlipMs: 4_500,
  alarmSpacingMs: 5_000,
  /** While a connected session has a row, some alarm is due within this. */
  alarmHorizonMs: 3_600_000,
  /** An alarm that comes this late, beyond the slip, means that the shard was away: clients get as much again before they are closed. */
  alarmLateMs: 5_000,
  /** Wills of sessions that a reset disconnected wait this long for their client to return. */
  resetWillGraceMs: 30_000,
  /** Acknowledgements that need no write of their own are written with the first flush after this. */
  lazyStateMs: 30_000,
  /** Waiting messages of a session without a row are held in memory, and the shard awake, this long. */
  memoryQueueMs: 30_000,
  /** An owner of topics waits this long for shards with subscribers; then its outbox takes over. */
  deliverPatienceMs: 1_000,
  /** A session shard waits this long for an owner of topics, which may itself wait. */
  publishPatienceMs: 3_000,
  /** A Topic Filter whose owners do not answer is refused after this. */
  routePatienceMs: 5_000,
  /** A page of retained messages that has not come by then is asked for again. */
  replayPatienceMs: 5_000,
  /** Precision of the last-seen time in a socket's attachment. */
  lastSeenStepMs: 250,
} as const;

/** Acknowledgements after which the states of their sessions are written, though nothing waits for it. */
export const lazyAcksMax = 256;

/**
 * Sockets of a shard whose client is not admitted yet. Each takes some KiB of an object's 128 MB, its connection and the
 * runtime's part of it, before it has said a word; and for 10 s nobody knows who it is. So that they leave room for the
 * 32,000 who are known. A crowd that comes back after a deployment takes turns: to admit one takes far less than 10 s.
 */
export const unadmittedSocketsMax = 4096;

/**
 * What a WebSocket message may have besides one packet of the largest size. All packets of a message are decoded before
 * the first is handled, and those of two bytes take many times as much in memory.
 */
export const joinedBytesMax = 1024 * 1024;
