import type { Counters } from "../counters.ts";
import { Gathering } from "../peers/gathering.ts";
import type { Settle } from "../peers/lane.ts";
import type { DeliverItem, Members, Origin, Outcome, PeerItem, PublishItem } from "../peers/message.ts";
import type { Peers } from "../peers/peers.ts";
import type { Placement } from "../placement.ts";
import type { Publication } from "../publication.ts";
import { sizeOf } from "../publication.ts";
import { ReasonCode } from "../reason-code.ts";
import { storageFull } from "../refusal.ts";
import type { Limits } from "../limits.ts";
import { parseSharedFilter } from "../topic.ts";
import type { Retained } from "./retained.ts";
import { RetainedPages } from "./retained-pages.ts";
import type { Routes } from "./routes.ts";
import type { ServerTopics } from "./server-topics.ts";
import { serverTopicKey } from "./server-topics.ts";
import { SharedChoice } from "./shared-choice.ts";

/** A message for one member of a Shared Subscription. */
export interface SharedMessage {
  readonly publication: Publication;
  readonly sharedFilter: string;
  /** It may wait for a member that is away. */
  readonly queues: boolean;
  /** It is remembered that it came, so that it does not go to another member when it comes again. */
  readonly isNumbered: boolean;
}

/** "nobody": there is no such member, or none that is online. "full": none of them has room. */
export type SharedDelivery = "taken" | "nobody" | "full";

/** What the owner of a topic asks of the sessions of its own shard. */
export interface Subscribers {
  /** Whether the publisher is to be told that the message cannot be queued for everybody who should get it. */
  refusesUnshared(publication: Publication, publisherClientId: string, nowMs: number): boolean;
  /** Shared Subscriptions of which no member here has room, if their publishers are to be told. */
  fullGroups(publication: Publication, nowMs: number): readonly string[];
  /**
   * To every session with a matching subscription, and to one member of each Shared Subscription. `isRemembered`: this
   * turn writes that the message came, so that it does not go to another member when it comes again.
   */
  deliver(publication: Publication, publisherClientId: string, isRemembered: boolean, nowMs: number): boolean;
  /** The same without Shared Subscriptions. */
  deliverUnshared(
    publication: Publication,
    publisherClientId: string,
    nowMs: number,
  ): { readonly isMatched: boolean; readonly isSubscribed: boolean };
  /** To one member that has room, preferably one that is online; if it may wait, and nobody refuses, to any. */
  deliverShared(message: SharedMessage, nowMs: number): SharedDelivery;
  sharedFiltersOf(topicName: string): readonly string[];
  membersOf(sharedFilter: string): Members | undefined;
}

/** A message on its way to everybody who is subscribed. */
export interface Sent {
  readonly publication: Publication;
  readonly publisherClientId: string;
  /** It is written before it goes to another shard: nobody would send it again. */
  readonly isDurable: boolean;
  readonly origin?: Origin;
}

export interface TopicOwnerParts {
  readonly self: number;
  readonly placement: Placement;
  readonly limits: Limits;
  readonly retained: Retained;
  readonly serverTopics: ServerTopics;
  readonly routes: Routes;
  readonly peers: Peers;
  readonly subscribers: Subscribers;
  readonly counters: Pick<Counters, "droppedQueueFull">;
  readonly isStorageFull: () => boolean;
}

const success: Outcome = { reasonCode: ReasonCode.Success };
const nobody: Outcome = { reasonCode: ReasonCode.NoMatchingSubscribers };

export const queueFull: Outcome = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "The queue of a subscriber is full",
  isForPublisher: true,
};

/** What a page takes in memory before it is read, about. */
const pageRequestBytes = 512;

type SharedItem = DeliverItem & { readonly type: "deliverShared" };

/** The topics that the shard owns: their retained messages, and the way to all who are subscribed. */
export class TopicOwner {
  readonly #parts: TopicOwnerParts;
  readonly #choice: SharedChoice;
  readonly #pages: RetainedPages;

  constructor(parts: TopicOwnerParts) {
    this.#parts = parts;
    this.#choice = new SharedChoice(parts.self, parts.routes, parts.subscribers);
    this.#pages = new RetainedPages(parts.retained);
  }

  publish(sent: Sent, settle: Settle | undefined, nowMs: number): void {
    const { placement, retained, subscribers } = this.#parts;
    const { publication, publisherClientId } = sent;
    const { message } = publication;
    const refusal = this.#isRepeated(sent) ? undefined : this.#refusalOf(sent, nowMs);
    if (refusal !== undefined) {
      this.#tell(settle, refusal);
      return;
    }
    if (placement.layout.shards > 1) {
      this.#publishAcross(sent, settle, nowMs);
      return;
    }
    if (message.retain) retained.store(publication, nowMs);
    const isMatched = subscribers.deliver(publication, publisherClientId, sent.isDurable, nowMs);
    settle?.(isMatched ? success : nobody);
  }

  /** What has been done already is not refused when it comes again. */
  #isRepeated({ origin }: Sent): boolean {
    if (origin === undefined) return false;
    const { peers, self } = this.#parts;
    return peers.watermark(origin, self).outcomeOf(origin.sequence) !== undefined;
  }

  /** Why the message is taken neither here nor by the sessions of this shard. */
  #refusalOf({ publication, publisherClientId }: Sent, nowMs: number): Outcome | undefined {
    const { limits, retained, routes, subscribers } = this.#parts;
    const { message } = publication;
    if (message.retain && message.payload.length > 0 && this.#parts.isStorageFull()) {
      return storageFull;
    }
    if (message.retain && !retained.accepts(message, nowMs)) {
      const reasonString = `${limits.retainedMessagesMax} messages are retained already`;
      return { reasonCode: ReasonCode.QuotaExceeded, reasonString };
    }
    // A full group may have members with room on other shards: those are asked one after the other.
    const refuses =
      subscribers.refusesUnshared(publication, publisherClientId, nowMs) ||
      subscribers.fullGroups(publication, nowMs).some((filter) => routes.groupOf(filter).size === 0);
    return refuses ? queueFull : undefined;
  }

  /** A topic of the server: to the sessions of this shard, and from the one shard that knows them to those who share. */
  publishServerTopic(publication: Publication, nowMs: number): void {
    const { placement, routes, self, subscribers } = this.#parts;
    if (placement.layout.shards === 1) {
      subscribers.deliver(publication, "", false, nowMs);
      return;
    }
    subscribers.deliverUnshared(publication, "", nowMs);
    if (placement.topicShard(serverTopicKey) !== self) return;
    const { topicName } = publication.message;
    const { sharedFilters } = routes.match(topicName);
    for (const sharedFilter of new Set([...sharedFilters, ...subscribers.sharedFiltersOf(topicName)])) {
      this.#deliverShared(sharedItem(publication, sharedFilter), false, undefined, nowMs);
    }
  }

  /** Somebody on another shard shares a subscription to topics of the server that this one tells of. */
  get isWatched(): boolean {
    return this.#parts.routes.hasServerFilters;
  }

  /** A message whose member of a Shared Subscription is gone `from` there goes to another one (section 4.8.2). */
  handOver(
    publication: Publication,
    sharedFilter: string,
    from: number,
    settle: Settle | undefined,
    nowMs: number,
  ): void {
    const item = { ...sharedItem(publication, sharedFilter), tried: [from] };
    this.#deliverShared(item, true, settle, nowMs);
  }

  /** What a session shard asks. */
  handleItem(item: PublishItem, from: number, settle: Settle, nowMs: number): void {
    const { routes, serverTopics } = this.#parts;
    switch (item.type) {
      case "publish":
        return this.publish({ ...item, isDurable: false }, settle, nowMs);
      case "handOver":
        return this.#handOverOnce(item, from, settle, nowMs);
      case "addRoute":
        routes.add(item.filter, from, item.version, item.members, nowMs);
        return settle(this.#retains(item.filter) ? success : { ...success, retainsNothing: true });
      case "removeRoute":
        routes.remove(item.filter, from, item.version);
        return settle(success);
      case "updateMembers":
        routes.noteMembers(item.filter, from, item.members, nowMs);
        return settle(success);
      case "replay":
        return settle(this.#sendPage(item, from, nowMs) ? success : { ...success, retainsNothing: true });
      case "figures":
        return settle({ ...success, figures: serverTopics.ownFigures(nowMs) });
    }
  }

  /** What a shard with subscribers made of a message; passes it on to `settle`. `isKept`: the message is promised. */
  handleOutcome(
    item: PeerItem,
    outcome: Outcome,
    to: number,
    settle: Settle | undefined,
    isKept: boolean,
    nowMs: number,
  ): void {
    const { routes } = this.#parts;
    if (item.type === "deliver" && outcome.staleThrough !== undefined) {
      routes.removeStale(item.publication.message.topicName, to, outcome.staleThrough);
    }
    if (item.type !== "deliverShared") {
      this.#tell(settle, outcome);
      return;
    }
    if (outcome.members !== undefined) routes.noteMembers(item.sharedFilter, to, outcome.members, nowMs);
    if (outcome.staleThrough !== undefined) routes.remove(item.sharedFilter, to, outcome.staleThrough);
    if (outcome.reasonCode !== ReasonCode.NoMatchingSubscribers) {
      this.#tell(settle, outcome);
      return;
    }
    const { origin: _, ...again } = { ...item, tried: [...item.tried, to] };
    this.#deliverShared(again, isKept, settle, nowMs);
  }

  /** Topic Names of this shard with a retained message that match. */
  retainedNames(topicFilter: string, nowMs: number): string[] {
    const { retained, serverTopics } = this.#parts;
    return retained.matchingNames(topicFilter).concat(serverTopics.matchingNames(topicFilter, nowMs));
  }

  retained(topicName: string, nowMs: number): Publication | undefined {
    const { retained, serverTopics } = this.#parts;
    return serverTopics.read(topicName, nowMs) ?? retained.read(topicName, nowMs);
  }

  #publishAcross(sent: Sent, settle: Settle | undefined, nowMs: number): void {
    const { peers, retained, routes, self, subscribers } = this.#parts;
    const { publication, publisherClientId, origin } = sent;
    const { message } = publication;
    // Nobody waits for what may be lost.
    const isAwaited = message.qos > 0 || origin !== undefined;
    const gathering = new Gathering(isAwaited ? settle : undefined);
    const watermark = origin && peers.watermark(origin, self);
    const earlier = origin && watermark?.outcomeOf(origin.sequence);
    const { shards, sharedFilters } = routes.match(message.topicName);
    if (earlier === undefined) {
      if (message.retain) retained.store(publication, nowMs);
      const { isMatched } = subscribers.deliverUnshared(publication, publisherClientId, nowMs);
      if (isMatched) gathering.noteMatched();
      const groups = new Set([...sharedFilters, ...subscribers.sharedFiltersOf(message.topicName)]);
      for (const sharedFilter of groups) {
        const item = sharedItem(publication, sharedFilter);
        // Where it goes is decided once, whatever is forgotten.
        this.#deliverShared(item, sent.isDurable || origin !== undefined, gathering.expect(), nowMs);
      }
      // Only what has been done here must not be done again; what goes on to others they know themselves.
      const isDone = isMatched || groups.size > 0 || message.retain;
      if (origin !== undefined && isDone) watermark?.note(origin.sequence, isMatched || groups.size > 0);
    } else if (earlier.reasonCode === ReasonCode.Success) {
      gathering.noteMatched();
    }
    for (const shard of shards) this.#deliverTo(shard, sent, gathering, nowMs);
    gathering.close();
    if (!isAwaited) settle?.(success);
  }

  #deliverTo(shard: number, sent: Sent, gathering: Gathering, nowMs: number): void {
    const { publication, publisherClientId, isDurable } = sent;
    const { qos } = publication.message;
    const { peers } = this.#parts;
    const lane = peers.lane("deliver", shard);
    const isOurs = sent.origin === undefined;
    const origin = isOurs && !isDurable && qos === 2 ? peers.newOrigin() : sent.origin;
    const item = {
      type: "deliver",
      publication,
      publisherClientId,
      ...(origin !== undefined && { origin }),
    } as const;
    if (isOurs && isDurable) {
      lane.postDurable(item, gathering.expect(), nowMs);
    } else if (qos === 0 && origin === undefined) {
      lane.post(item, "dropped", undefined, sizeOf(publication), nowMs);
      gathering.noteMatched();
    } else {
      lane.post(item, "kept", gathering.expect(), sizeOf(publication), nowMs);
    }
  }

  #handOverOnce(item: PublishItem & { type: "handOver" }, from: number, settle: Settle, nowMs: number): void {
    const { peers, self } = this.#parts;
    const { origin, publication, sharedFilter } = item;
    const watermark = origin && peers.watermark(origin, self);
    const earlier = origin && watermark?.outcomeOf(origin.sequence);
    if (earlier !== undefined) {
      settle(earlier);
      return;
    }
    if (origin !== undefined) watermark?.note(origin.sequence, true);
    this.handOver(publication, sharedFilter, from, settle, nowMs);
  }

  /** To one member in the whole namespace, on a shard that has not been tried: one that is online if any is. */
  #deliverShared(item: SharedItem, isDurable: boolean, settle: Settle | undefined, nowMs: number): void {
    const { peers, self, subscribers } = this.#parts;
    const { publication, sharedFilter, tried } = item;
    const chosen = this.#choice.choose(sharedFilter, tried, nowMs);
    if (chosen === undefined) {
      settle?.(nobody);
      return;
    }
    const { shard, queues } = chosen;
    if (shard === self) {
      const message = { publication, sharedFilter, queues, isNumbered: isDurable };
      const delivery = subscribers.deliverShared(message, nowMs);
      if (delivery === "full" && !queues) {
        this.#deliverShared({ ...item, tried: [...tried, self] }, isDurable, settle, nowMs);
        return;
      }
      this.#tell(settle, outcomeOf(delivery));
      return;
    }
    const { qos } = publication.message;
    const lane = peers.lane("deliver", shard);
    const addressed = { ...item, queues };
    const origin = qos === 2 && { origin: peers.newOrigin() };
    if (isDurable) lane.postDurable(addressed, settle, nowMs);
    else
      lane.post(
        { ...addressed, ...origin },
        qos === 0 ? "dropped" : "kept",
        settle,
        sizeOf(publication),
        nowMs,
      );
  }

  /** What is refused when nobody is there to be told, or when the publisher has been, is dropped. */
  #tell(settle: Settle | undefined, outcome: Outcome): void {
    if (settle === undefined && outcome.isForPublisher === true) this.#parts.counters.droppedQueueFull += 1;
    settle?.(outcome);
  }

  #retains(filter: string): boolean {
    return parseSharedFilter(filter) === undefined && this.#parts.retained.hasMatching(filter);
  }

  /** False when there is nothing to send. */
  #sendPage(item: PublishItem & { type: "replay" }, from: number, nowMs: number): boolean {
    const { filter, replayId, after } = item;
    if (after === undefined && !this.#retains(filter)) return false;
    // Read when it goes: messages that are newer than its own may go before it.
    const page = (): DeliverItem => ({
      type: "retained",
      replayId,
      ...this.#pages.read(`${from} ${replayId}`, filter, after, nowMs),
      ...(after !== undefined && { since: after }),
    });
    this.#parts.peers.lane("deliver", from).post(page, "failed", undefined, pageRequestBytes, nowMs);
    return true;
  }
}

function outcomeOf(delivery: SharedDelivery): Outcome {
  return { taken: success, nobody, full: queueFull }[delivery];
}

function sharedItem(publication: Publication, sharedFilter: string): SharedItem {
  return { type: "deliverShared", publication, sharedFilter, queues: false, tried: [] };
}
