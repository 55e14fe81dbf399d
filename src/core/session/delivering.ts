import type { CoreConfig } from "../config.ts";
import type { Connection } from "../connection/connection.ts";
import type { Counters } from "../counters.ts";
import type { Output } from "../output.ts";
import type { Delivery } from "../packet.ts";
import { Times } from "../limits.ts";
import type { Publication } from "../publication.ts";
import { isExpired, remainingExpirySec } from "../publication.ts";
import type { MessageLog } from "../queue/message-log.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import type { DeliverItem } from "../peers/message.ts";
import type { TopicOwners } from "../topics/topic-owners.ts";
import type { NextDelivery } from "./outbound.ts";
import type { Session } from "./session.ts";

export interface DeliverOptions {
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIdentifiers?: readonly number[];
  /** The Shared Subscription by which the session was chosen. */
  readonly sharedFilter?: string;
  /** It was asked for when there was room for it. */
  readonly isReplay?: true;
}

/** How much waits in a socket before QoS 0 messages are left out and retained messages wait. */
export interface SocketBuffers {
  isFull(connectionId: string): boolean;
}

/** Retained messages on their way to a new subscription. */
export type Replay = OwnReplay | PeerReplay;

/** Of topics that this shard owns. */
interface OwnReplay {
  readonly type: "own";
  readonly subscription: SubscriptionRecord;
  /** Found when its turn comes, so that a session holds no more than one such list. */
  topicNames: readonly string[] | undefined;
  position: number;
}

/** Of topics of another shard, page by page. */
interface PeerReplay {
  readonly type: "peer";
  readonly subscription: SubscriptionRecord;
  readonly replayId: number;
  readonly owner: number;
  /** The last Topic Name that has come. */
  after: string | undefined;
  /** When the page was asked for that is awaited. */
  askedAtMs: number | undefined;
}

type RetainedPage = DeliverItem & { readonly type: "retained" };

/** Retained messages sent before other events get their turn. */
const replayStepCount = 500;
/** Sent to one client in one turn before others get theirs. */
const turnBytesMax = 1024 * 1024;
/** How soon what a full socket has paused looks again. */
const replayRetryMs = 10;
/** Replays stop at this many messages that wait for the client's acknowledgements. */
const replayWaitingMax = 100;

/** Brings messages to the clients of sessions: at once, when the client's window opens, or after the commit. */
export class Delivering {
  readonly #config: CoreConfig;
  readonly #output: Output;
  readonly #log: MessageLog;
  readonly #counters: Counters;
  readonly #sockets: SocketBuffers;
  /** Connected sessions whose newest messages wait for the commit. */
  readonly #awaitCommit = new Set<Session>();
  /** Sessions with retained messages to come. */
  readonly #replaying = new Set<Session>();
  /** Sessions whose socket was full when more could have been sent. */
  readonly #paused = new Set<Session>();
  /** Sessions that wait for a page, by replay. */
  readonly #awaitsPage = new Map<number, Session>();
  #lastReplayId = 0;
  /** Told when a session begins to hold messages in memory only. */
  onVolatile: (session: Session) => void = () => {};

  constructor(
    config: CoreConfig,
    output: Output,
    log: MessageLog,
    counters: Counters,
    sockets: SocketBuffers,
  ) {
    this.#config = config;
    this.#output = output;
    this.#log = log;
    this.#counters = counters;
    this.#sockets = sockets;
  }

  /** How long until the next turn of the replays; undefined when there is none or acknowledgements bring it. */
  replayDelayMs(nowMs: number): number | undefined {
    let delayMs: number | undefined = this.#paused.size > 0 ? replayRetryMs : undefined;
    for (const { connection, outbound, replays } of this.#replaying) {
      if (connection === undefined || (outbound.isVolatile && outbound.waitingCount >= replayWaitingMax))
        continue;
      const [replay] = replays;
      if (replay?.type === "peer" && replay.askedAtMs !== undefined) {
        const leftMs = Math.max(0, replay.askedAtMs + Times.replayPatienceMs - nowMs);
        delayMs = Math.min(delayMs ?? Infinity, leftMs);
        continue;
      }
      if (!this.#isFull(connection)) return 0;
      delayMs = replayRetryMs;
    }
    return delayMs;
  }

  /** Gives the session a message: QoS 0 to its client if it has one now, QoS 1 and 2 to its queue. */
  deliver(session: Session, publication: Publication, options: DeliverOptions, nowMs: number): void {
    if (options.qos === 0) {
      this.#deliverQos0(session, publication, options, nowMs);
      return;
    }
    const { qos } = options;
    const isConnected = session.connection !== undefined;
    const queued = session.outbound.enqueue(publication, { ...options, qos }, isConnected);
    if (!queued || !isConnected) return;
    if (session.outbound.logged) {
      this.#awaitCommit.add(session);
    } else {
      this.pump(session, nowMs);
    }
  }

  /** Sends what the client's window has room for. */
  pump(session: Session, nowMs: number): void {
    const { connection, outbound } = session;
    if (connection?.client === undefined) return;
    const { inflightMessagesMax } = this.#config.limits;
    const sendQuota = Math.min(connection.client.receiveMaximum, inflightMessagesMax);
    while (outbound.inflightCount < sendQuota && !this.#isFull(connection)) {
      const next = outbound.next();
      if (next === undefined) break;
      this.#send(session, connection, next, nowMs);
      this.#output.outdatedAttachments.add(connection);
    }
    if (outbound.hasUnsent && outbound.inflightCount < sendQuota) {
      // With room in the window, what still waits is not written yet, or the socket is full.
      if (this.#isFull(connection)) this.#paused.add(session);
      else if (outbound.logged) this.#awaitCommit.add(session);
    }
    if (!outbound.isVolatile) {
      session.volatileSinceMs = undefined;
    } else if (session.volatileSinceMs === undefined) {
      session.volatileSinceMs = nowMs;
      this.onVolatile(session);
    }
  }

  /** The log has been written: the sessions that waited for it go on. */
  pumpCommitted(nowMs: number): void {
    const sessions = [...this.#awaitCommit];
    this.#awaitCommit.clear();
    for (const session of sessions) this.pump(session, nowMs);
  }

  /**
   * Sends the retained messages that match the subscription in turns, as the client takes them. What must outlive
   * the connection goes to the log at once.
   */
  replay(session: Session, subscription: SubscriptionRecord, owners: TopicOwners, nowMs: number): void {
    // A subscription made anew starts its replay anew.
    const { topicFilter } = subscription;
    const others = session.replays.filter((replay) => replay.subscription.topicFilter !== topicFilter);
    const replays = owners.othersOf(topicFilter).map((owner): Replay => this.#peerReplay(subscription, owner, nowMs));
    const topicNames =
      session.isPersistent && subscription.maximumQos > 0
        ? this.#logRetained(session, subscription, owners, nowMs)
        : undefined;
    if (topicNames?.length !== 0) replays.push({ type: "own", subscription, topicNames, position: 0 });
    session.replays.splice(0, session.replays.length, ...others, ...replays);
    if (session.replays.length === 0) return;
    this.#replaying.add(session);
    this.#stepReplays(session, owners, nowMs);
  }

  /** What waits in memory goes to the log, retained messages that are still to come included. */
  spill(session: Session, owners: TopicOwners, nowMs: number): void {
    session.outbound.moveToLog();
    if (session.connection !== undefined) this.#output.outdatedAttachments.add(session.connection);
    const replays = session.replays.splice(0);
    // What other shards have goes to the log as it comes.
    session.replays.push(...replays.filter(({ type }) => type === "peer"));
    for (const replay of replays) {
      if (replay.type === "peer") continue;
      const { subscription, topicNames, position } = replay;
      const names = topicNames ?? owners.retainedNames(subscription.topicFilter, nowMs);
      for (const topicName of names.slice(position)) {
        const publication = owners.retained(topicName, nowMs);
        if (publication !== undefined) this.#deliverRetained(session, subscription, publication, nowMs);
      }
    }
    if (session.replays.length === 0) this.#replaying.delete(session);
    this.#awaitCommit.add(session);
  }

  /** The next turn of one session. */
  continueReplay(session: Session, owners: TopicOwners, nowMs: number): void {
    this.#stepReplays(session, owners, nowMs);
  }

  /** The next turn of all replays, and of what full sockets have paused. */
  continueReplays(owners: TopicOwners, nowMs: number): void {
    const paused = [...this.#paused];
    this.#paused.clear();
    for (const session of paused) this.pump(session, nowMs);
    for (const session of this.#replaying) this.#stepReplays(session, owners, nowMs);
  }

  /** The connection ended: what was not replayed is lost with it. */
  stopReplays(session: Session): void {
    for (const replay of session.replays) if (replay.type === "peer") this.#awaitsPage.delete(replay.replayId);
    session.replays.length = 0;
    this.#replaying.delete(session);
    this.#paused.delete(session);
    this.#awaitCommit.delete(session);
  }

  #stepReplays(session: Session, owners: TopicOwners, nowMs: number): void {
    const { connection, replays } = session;
    if (connection === undefined) return;
    for (let count = 0; count < replayStepCount; count += 1) {
      const replay = replays[0];
      if (replay === undefined) {
        this.#replaying.delete(session);
        return;
      }
      if (this.#mustPause(session, connection)) return;
      if (replay.type === "peer") {
        this.#askForPage(session, replay, owners, nowMs);
        return;
      }
      replay.topicNames ??= owners.retainedNames(replay.subscription.topicFilter, nowMs);
      const topicName = replay.topicNames[replay.position];
      replay.position += 1;
      if (topicName === undefined) {
        replays.shift();
        continue;
      }
      const publication = owners.retained(topicName, nowMs);
      if (publication !== undefined) this.#deliverRetained(session, replay.subscription, publication, nowMs);
    }
  }

  /**
   * A page of retained messages from their owner. They go out as they come, for live messages of the same topics come
   * behind them; the next page waits until the client has taken this one.
   */
  receivePage(page: RetainedPage, owners: TopicOwners, nowMs: number): void {
    const { replayId, publications, since, after } = page;
    const session = this.#awaitsPage.get(replayId);
    const [replay] = session?.replays ?? [];
    if (session === undefined || replay?.type !== "peer") return;
    if (replay.replayId !== replayId || replay.after !== since) return;
    for (const publication of publications) {
      this.#deliverRetained(session, replay.subscription, publication, nowMs);
    }
    replay.after = after;
    replay.askedAtMs = undefined;
    if (after === undefined) {
      this.#awaitsPage.delete(replayId);
      session.replays.shift();
    }
    this.#stepReplays(session, owners, nowMs);
  }

  #peerReplay(subscription: SubscriptionRecord, owner: number, nowMs: number): PeerReplay {
    // By the clock: a page that was asked for before a reset is not taken for one of these.
    const replayId = Math.max(this.#lastReplayId + 1, nowMs);
    this.#lastReplayId = replayId;
    return { type: "peer", subscription, replayId, owner, after: undefined, askedAtMs: undefined };
  }

  #askForPage(session: Session, replay: PeerReplay, owners: TopicOwners, nowMs: number): void {
    const { askedAtMs, owner, replayId, subscription, after } = replay;
    if (askedAtMs !== undefined && nowMs - askedAtMs < Times.replayPatienceMs) return;
    replay.askedAtMs = nowMs;
    this.#awaitsPage.set(replayId, session);
    owners.requestPage(owner, replayId, subscription.topicFilter, after, nowMs);
  }

  /** Queues the QoS 1 and 2 ones; returns the topics of the others. */
  #logRetained(
    session: Session,
    subscription: SubscriptionRecord,
    owners: TopicOwners,
    nowMs: number,
  ): string[] {
    return owners.retainedNames(subscription.topicFilter, nowMs).filter((topicName) => {
      const publication = owners.retained(topicName, nowMs);
      if (publication === undefined) return false;
      if (publication.message.qos === 0) return true;
      this.#deliverRetained(session, subscription, publication, nowMs);
      return false;
    });
  }

  #mustPause(session: Session, connection: Connection): boolean {
    const { isVolatile, waitingCount } = session.outbound;
    return (isVolatile && waitingCount >= replayWaitingMax) || this.#isFull(connection);
  }

  #deliverRetained(
    session: Session,
    { maximumQos, subscriptionIdentifier }: SubscriptionRecord,
    publication: Publication,
    nowMs: number,
  ): void {
    const options: DeliverOptions = {
      qos: Math.min(publication.message.qos, maximumQos) as 0 | 1 | 2,
      // RETAIN is 1 for a message sent because of a new subscription (section 3.3.1.3).
      retain: true,
      isReplay: true,
      ...(subscriptionIdentifier !== undefined && { subscriptionIdentifiers: [subscriptionIdentifier] }),
    };
    this.deliver(session, publication, options, nowMs);
  }

  #deliverQos0(session: Session, publication: Publication, options: DeliverOptions, nowMs: number): void {
    const { connection } = session;
    if (connection === undefined || isExpired(publication, nowMs)) return;
    if (this.#isFull(connection) && options.isReplay !== true) {
      this.#counters.droppedSlowConsumer += 1;
      return;
    }
    this.#transmit(connection, { ...toDelivery(publication, options, nowMs), qos: 0, dup: false });
  }

  #send(session: Session, connection: Connection, next: NextDelivery, nowMs: number): void {
    const { publication, target } = next.message;
    const delivery: Delivery = {
      ...toDelivery(publication, target, nowMs),
      qos: target.qos,
      dup: next.dup,
      packetIdentifier: next.packetIdentifier,
    };
    // [MQTT-4.3.3-7] A delivery that has begun does not expire.
    if (!next.dup && isExpired(publication, nowMs)) {
      this.#counters.droppedExpired += 1;
    } else if (this.#transmit(connection, delivery)) {
      session.outbound.markSent(next);
      return;
    }
    session.outbound.markDropped(next);
    if (session.isPersistent) this.#log.noteAcknowledged(session, nowMs);
  }

  /** False when the packet is larger than the client accepts ([MQTT-3.1.2-24]). */
  #transmit(connection: Connection, plain: Delivery): boolean {
    const { outboundTopicAliases } = connection;
    const { topicName } = plain.message;
    const alias = outboundTopicAliases.choose(topicName);
    const aliased = alias && { ...plain, ...alias };
    if (alias !== undefined && aliased !== undefined && this.#fits(connection, aliased)) {
      outboundTopicAliases.note(topicName, alias);
      this.#output.deliver(connection, aliased);
    } else if (this.#fits(connection, plain)) {
      this.#output.deliver(connection, plain);
    } else {
      this.#counters.droppedTooLarge += 1;
      return false;
    }
    this.#counters.messagesSent += 1;
    return true;
  }

  /** The socket has enough to do, with what this turn adds to it. */
  #isFull({ connectionId, turnBytes }: Connection): boolean {
    return turnBytes > turnBytesMax || this.#sockets.isFull(connectionId);
  }

  #fits({ maximumPacketSizeBytes, protocolVersion }: Connection, delivery: Delivery): boolean {
    if (maximumPacketSizeBytes === undefined) return true;
    return this.#config.publishSizeBytes(delivery, protocolVersion) <= maximumPacketSizeBytes;
  }
}

function toDelivery(
  publication: Publication,
  { retain, subscriptionIdentifiers }: Pick<DeliverOptions, "retain" | "subscriptionIdentifiers">,
  nowMs: number,
): Pick<Delivery, "message" | "retain" | "subscriptionIdentifiers" | "messageExpiryIntervalSec"> {
  const messageExpiryIntervalSec = remainingExpirySec(publication, nowMs);
  return {
    message: publication.message,
    retain,
    ...(subscriptionIdentifiers !== undefined && { subscriptionIdentifiers }),
    ...(messageExpiryIntervalSec !== undefined && { messageExpiryIntervalSec }),
  };
}
