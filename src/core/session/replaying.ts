import type { Connection } from "../connection/connection.ts";
import { Times } from "../limits.ts";
import type { DeliverItem } from "../peers/message.ts";
import type { Publication } from "../publication.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import type { TopicOwners } from "../topics/topic-owners.ts";
import type { DeliverOptions, Delivering } from "./delivering.ts";
import type { Session } from "./session.ts";

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
const stepCount = 500;
/** How soon a full socket is looked at again. */
const retryMs = 10;
/** Replays stop at this many messages that wait for the client's acknowledgements. */
const waitingMax = 100;

/** Brings retained messages to new subscriptions, in turns, as their clients take them. */
export class Replaying {
  readonly #delivering: Delivering;
  readonly #owners: TopicOwners;
  /** Sessions with retained messages to come. */
  readonly #sessions = new Set<Session>();
  /** Sessions that wait for a page, by replay. */
  readonly #awaitsPage = new Map<number, Session>();
  #lastReplayId = 0;

  constructor(delivering: Delivering, owners: TopicOwners) {
    this.#delivering = delivering;
    this.#owners = owners;
  }

  /** How long until the next turn; undefined when there is none, or acknowledgements or a page bring it. */
  delayMs(nowMs: number): number | undefined {
    let delayMs: number | undefined;
    const wait = (ms: number): void => {
      delayMs = Math.min(delayMs ?? Infinity, ms);
    };
    for (const session of this.#sessions) {
      const { connection, outbound, replays } = session;
      const [replay] = replays;
      if (replay === undefined || !isWanted(session)) continue;
      if (replay.type === "peer" && replay.askedAtMs !== undefined) {
        wait(Math.max(0, replay.askedAtMs + Times.replayPatienceMs - nowMs));
      } else if (!outbound.isVolatile || outbound.waitingCount < waitingMax) {
        wait(connection !== undefined && this.#delivering.isFull(connection) ? retryMs : 0);
      }
    }
    return delayMs;
  }

  /**
   * Begins to send the retained messages that match the subscription. What must outlive the connection goes to the log
   * at once. `retaining`: the other shards that have some, if they have told.
   */
  begin(
    session: Session,
    subscription: SubscriptionRecord,
    retaining: readonly number[] | undefined,
    nowMs: number,
  ): void {
    // A subscription made anew starts its replay anew.
    const { topicFilter } = subscription;
    const others = session.replays.filter((replay) => replay.subscription.topicFilter !== topicFilter);
    const owners = retaining ?? this.#owners.othersOf(topicFilter);
    const replays = owners.map((owner): Replay => this.#newPeerReplay(subscription, owner, nowMs));
    const isLogged = session.isPersistent && subscription.maximumQos > 0;
    const topicNames = isLogged ? this.#logRetained(session, subscription, nowMs) : undefined;
    if (topicNames?.length !== 0) replays.push({ type: "own", subscription, topicNames, position: 0 });
    this.#forgetPages(session);
    session.replays.splice(0, session.replays.length, ...others, ...replays);
    if (session.replays.length === 0) return;
    this.#sessions.add(session);
    this.#step(session, nowMs);
  }

  /** The session's messages go to the log from now on, retained ones of this shard that are still to come included. */
  spill(session: Session, nowMs: number): void {
    const replays = session.replays.splice(0);
    // What other shards have goes to the log as it comes.
    session.replays.push(...replays.filter(({ type }) => type === "peer"));
    for (const replay of replays) if (replay.type === "own") this.#sendAll(session, replay, nowMs);
    if (session.replays.length === 0) this.#sessions.delete(session);
  }

  /** The next turn of one session. */
  goOn(session: Session, nowMs: number): void {
    if (session.replays.length > 0) this.#step(session, nowMs);
  }

  /** The next turn of all sessions. */
  goOnWithAll(nowMs: number): void {
    for (const session of this.#sessions) this.#step(session, nowMs);
  }

  /** The connection ended: what was not replayed is lost with it, but for what a session that lasts queues. */
  stop(session: Session): void {
    const lasting = session.replays.filter(
      ({ type, subscription }) => type === "peer" && session.isPersistent && subscription.maximumQos > 0,
    );
    if (lasting.length === 0) this.#forgetPages(session);
    session.replays.splice(0, session.replays.length, ...lasting);
    if (lasting.length === 0) this.#sessions.delete(session);
  }

  /**
   * A page of retained messages from their owner. They go out as they come, for live messages of the same topics come
   * behind them; the next page waits until the client has taken this one.
   */
  receivePage({ replayId, publications, since, after }: RetainedPage, nowMs: number): void {
    const session = this.#awaitsPage.get(replayId);
    const [replay] = session?.replays ?? [];
    if (session === undefined || replay?.type !== "peer") return;
    if (replay.replayId !== replayId || replay.after !== since) return;
    for (const publication of publications) this.#deliver(session, replay.subscription, publication, nowMs);
    replay.after = after;
    replay.askedAtMs = undefined;
    if (after === undefined) this.#endPages(session, replayId);
    this.#step(session, nowMs);
  }

  #step(session: Session, nowMs: number): void {
    const { connection, replays } = session;
    if (!isWanted(session)) {
      this.#forgetPages(session);
      replays.length = 0;
    }
    for (let count = 0; count < stepCount; count += 1) {
      const replay = replays[0];
      if (replay === undefined) {
        this.#sessions.delete(session);
        return;
      }
      if (this.#mustPause(session, connection)) return;
      if (replay.type === "peer") {
        this.#askForPage(session, replay, nowMs);
        return;
      }
      if (!this.#sendNext(session, replay, nowMs)) replays.shift();
    }
  }

  /** False when there is none left. */
  #sendNext(session: Session, replay: OwnReplay, nowMs: number): boolean {
    replay.topicNames ??= this.#owners.retainedNames(replay.subscription.topicFilter, nowMs);
    const topicName = replay.topicNames[replay.position];
    replay.position += 1;
    if (topicName === undefined) return false;
    const publication = this.#owners.retained(topicName, nowMs);
    if (publication !== undefined) this.#deliver(session, replay.subscription, publication, nowMs);
    return true;
  }

  #sendAll(session: Session, replay: OwnReplay, nowMs: number): void {
    while (this.#sendNext(session, replay, nowMs));
  }

  #newPeerReplay(subscription: SubscriptionRecord, owner: number, nowMs: number): PeerReplay {
    // By the clock: a page that was asked for before a reset is not taken for one of these.
    const replayId = Math.max(this.#lastReplayId + 1, nowMs);
    this.#lastReplayId = replayId;
    return { type: "peer", subscription, replayId, owner, after: undefined, askedAtMs: undefined };
  }

  #askForPage(session: Session, replay: PeerReplay, nowMs: number): void {
    const { askedAtMs, owner, replayId, subscription, after } = replay;
    if (askedAtMs !== undefined && nowMs - askedAtMs < Times.replayPatienceMs) return;
    replay.askedAtMs = nowMs;
    this.#awaitsPage.set(replayId, session);
    const onNothing = (): void => {
      if (this.#awaitsPage.get(replayId) !== session) return;
      this.#endPages(session, replayId);
      this.#step(session, nowMs);
    };
    this.#owners.requestPage(owner, replayId, subscription.topicFilter, after, onNothing, nowMs);
  }

  #endPages(session: Session, replayId: number): void {
    this.#awaitsPage.delete(replayId);
    const [replay] = session.replays;
    if (replay?.type === "peer" && replay.replayId === replayId) session.replays.shift();
  }

  #forgetPages(session: Session): void {
    for (const replay of session.replays)
      if (replay.type === "peer") this.#awaitsPage.delete(replay.replayId);
  }

  /** Queues the QoS 1 and 2 ones of this shard; returns the topics of the others. */
  #logRetained(session: Session, subscription: SubscriptionRecord, nowMs: number): string[] {
    return this.#owners.retainedNames(subscription.topicFilter, nowMs).filter((topicName) => {
      const publication = this.#owners.retained(topicName, nowMs);
      if (publication === undefined) return false;
      if (publication.message.qos === 0) return true;
      this.#deliver(session, subscription, publication, nowMs);
      return false;
    });
  }

  #mustPause(session: Session, connection: Connection | undefined): boolean {
    const { isVolatile, waitingCount } = session.outbound;
    if (isVolatile && waitingCount >= waitingMax) return true;
    return connection !== undefined && this.#delivering.isFull(connection);
  }

  #deliver(
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
    this.#delivering.deliver(session, publication, options, nowMs);
  }
}

/** A session that lasts gets what it has subscribed to without its client, too. */
function isWanted(session: Session): boolean {
  return session.connection !== undefined || (session.isPersistent && !session.isOver);
}
