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
  /** When the page is asked for again that is awaited. */
  askAgainAtMs: number | undefined;
  /** How often it has been asked for. */
  askCount: number;
}

type RetainedPage = DeliverItem & { readonly type: "retained" };

/** Retained messages sent before other events get their turn. */
const stepCount = 500;
/** How soon a full socket is looked at again. */
const retryMs = 10;
/** A page is asked for so often, with longer and longer pauses. */
const asksMax = 5;
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
      const [replay] = session.replays;
      if (replay === undefined || !isWanted(session)) this.#drop(session);
      else if (this.#isFull(session)) wait(retryMs);
      else if (this.#awaitsAcks(session)) continue;
      else if (replay.type === "own") wait(0);
      else wait(Math.max(0, (replay.askAgainAtMs ?? nowMs) - nowMs));
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
    this.forget(session, topicFilter);
    const owners = retaining ?? this.#owners.othersOf(topicFilter);
    const replays = owners.map((owner): Replay => this.#newPeerReplay(subscription, owner, nowMs));
    const isLogged = session.isPersistent && subscription.maximumQos > 0;
    const topicNames = isLogged ? this.#logRetained(session, subscription, nowMs) : undefined;
    if (topicNames?.length !== 0) replays.push({ type: "own", subscription, topicNames, position: 0 });
    session.replays.push(...replays);
    if (session.replays.length === 0) return;
    this.#sessions.add(session);
    this.#step(session, nowMs);
  }

  /** Nothing more is to come for that Topic Filter ([MQTT-3.10.4-2]). */
  forget(session: Session, topicFilter: string): void {
    const replays = session.replays.splice(0);
    const isSame = (replay: Replay): boolean => replay.subscription.topicFilter === topicFilter;
    this.#forgetPages(replays.filter(isSame));
    session.replays.push(...replays.filter((replay) => !isSame(replay)));
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
    this.#forgetPages(session.replays.filter((replay) => !lasting.includes(replay)));
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
    replay.askAgainAtMs = undefined;
    replay.askCount = 0;
    if (after === undefined) this.#endPages(session, replayId);
    this.#step(session, nowMs);
  }

  #step(session: Session, nowMs: number): void {
    const { replays } = session;
    if (!isWanted(session)) this.#drop(session);
    for (let count = 0; count < stepCount; count += 1) {
      const replay = replays[0];
      if (replay === undefined) {
        this.#sessions.delete(session);
        return;
      }
      if (this.#isFull(session) || this.#awaitsAcks(session)) return;
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
    return {
      type: "peer",
      subscription,
      replayId,
      owner,
      after: undefined,
      askAgainAtMs: undefined,
      askCount: 0,
    };
  }

  #askForPage(session: Session, replay: PeerReplay, nowMs: number): void {
    const { askAgainAtMs, askCount, owner, replayId, subscription, after } = replay;
    if (askAgainAtMs !== undefined && nowMs < askAgainAtMs) return;
    if (askCount >= asksMax) {
      // Nobody is kept awake for an owner that does not answer.
      this.#endPages(session, replayId);
      return;
    }
    replay.askAgainAtMs = nowMs + Times.replayPatienceMs * 2 ** askCount;
    replay.askCount += 1;
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

  #forgetPages(replays: readonly Replay[]): void {
    for (const replay of replays) if (replay.type === "peer") this.#awaitsPage.delete(replay.replayId);
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

  #drop(session: Session): void {
    this.#forgetPages(session.replays);
    session.replays.length = 0;
    this.#sessions.delete(session);
  }

  #isFull({ connection }: Session): boolean {
    return connection !== undefined && this.#delivering.isFull(connection);
  }

  #awaitsAcks({ outbound }: Session): boolean {
    return outbound.isVolatile && outbound.waitingCount >= waitingMax;
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
