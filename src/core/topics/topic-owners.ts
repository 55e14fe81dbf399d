import type { Settle } from "../peers/lane.ts";
import type { Peers } from "../peers/peers.ts";
import type { Placement } from "../placement.ts";
import type { Publication } from "../publication.ts";
import { sizeOf, utf8BytesMax } from "../publication.ts";
import type { ServerFigures, ServerTopics } from "./server-topics.ts";
import { isServerFilter } from "./server-topics.ts";
import type { TopicOwner } from "./topic-owner.ts";

/** Small requests take about this much in memory. */
const requestBytes = 64;

/**
 * The owners of all topics, as the sessions of a shard see them. This shard owns some itself; for the others there is
 * a lane.
 */
export class TopicOwners {
  readonly #self: number;
  readonly #placement: Placement;
  readonly #owner: TopicOwner;
  readonly #peers: Peers;
  readonly #serverTopics: ServerTopics;

  constructor(
    self: number,
    placement: Placement,
    owner: TopicOwner,
    peers: Peers,
    serverTopics: ServerTopics,
  ) {
    this.#self = self;
    this.#placement = placement;
    this.#owner = owner;
    this.#peers = peers;
    this.#serverTopics = serverTopics;
  }

  /**
   * Brings a message to all who are subscribed. `settle` is told when everybody has it, or somebody on the way will
   * remember it; for QoS 0 perhaps never. `isDurable`: it is written before it goes to another shard, for nobody would
   * send it again.
   */
  publish(
    publication: Publication,
    publisherClientId: string,
    isDurable: boolean,
    settle: Settle | undefined,
    nowMs: number,
  ): void {
    const { qos, retain, topicName } = publication.message;
    const shard = this.#placement.topicShard(topicName);
    if (shard === this.#self) {
      this.#owner.publish({ publication, publisherClientId, isDurable }, settle, nowMs);
      return;
    }
    const lane = this.#peers.lane("publish", shard);
    const origin = qos === 2 && !isDurable && { origin: this.#peers.newOrigin() };
    const item = { type: "publish", publication, publisherClientId, ...origin } as const;
    if (isDurable) lane.postDurable(item, settle, nowMs);
    // Nobody is told of QoS 0, but that it could not be retained.
    else if (qos === 0) lane.post(item, "dropped", retain ? settle : undefined, sizeOf(publication), nowMs);
    else lane.post(item, "kept", settle, sizeOf(publication), nowMs);
  }

  /** Gives a message of a Shared Subscription to another member, wherever there is one. */
  handOver(publication: Publication, sharedFilter: string, nowMs: number): void {
    const shard = this.#placement.topicShard(publication.message.topicName);
    if (shard === this.#self) {
      this.#owner.handOver(publication, sharedFilter, shard, undefined, nowMs);
      return;
    }
    const item = { type: "handOver", publication, sharedFilter } as const;
    this.#peers.lane("publish", shard).postDurable(item, undefined, nowMs);
  }

  /** Topic Names of this shard with a retained message that match. */
  retainedNames(topicFilter: string, nowMs: number): string[] {
    return this.#owner.retainedNames(topicFilter, nowMs);
  }

  retained(topicName: string, nowMs: number): Publication | undefined {
    return this.#owner.retained(topicName, nowMs);
  }

  /** Other shards that may have retained messages which match. */
  othersOf(topicFilter: string): readonly number[] {
    if (this.#placement.layout.shards === 1 || isServerFilter(topicFilter)) return [];
    return this.#placement.filterShards(topicFilter).filter((shard) => shard !== this.#self);
  }

  /** Asks an owner for a page of retained messages; it comes in the owner's `deliver` lane, unless there is none. */
  requestPage(
    shard: number,
    replayId: number,
    topicFilter: string,
    after: string | undefined,
    onNothing: () => void,
    nowMs: number,
  ): void {
    const item = {
      type: "replay",
      replayId,
      filter: topicFilter,
      ...(after !== undefined && { after }),
    } as const;
    const settle: Settle = ({ retainsNothing }) => {
      if (retainsNothing) onNothing();
    };
    const sizeBytes = requestBytes + utf8BytesMax(topicFilter);
    this.#peers.lane("publish", shard).post(item, "failed", settle, sizeBytes, nowMs);
  }

  /** Tells those who are subscribed of a topic of the server. */
  publishServerTopic(publication: Publication, nowMs: number): void {
    this.#owner.publishServerTopic(publication, nowMs);
  }

  /** Somebody on another shard waits for topics of the server to be told by this one. */
  get isWatched(): boolean {
    return this.#placement.layout.shards > 1 && this.#owner.isWatched;
  }

  /** Asks the other shards for their figures; `done` comes when they have answered, or will not. */
  refreshServerTopics(done: () => void, nowMs: number): void {
    const { shards } = this.#placement.layout;
    const figures: ServerFigures[] = [];
    let left = shards - 1;
    if (left === 0 || this.#serverTopics.othersAreFresh(nowMs)) {
      done();
      return;
    }
    for (let shard = 0; shard < shards; shard += 1) {
      if (shard === this.#self) continue;
      const settle: Settle = (outcome) => {
        if (outcome.figures !== undefined) figures.push(outcome.figures);
        left -= 1;
        if (left > 0) return;
        this.#serverTopics.noteOthers(figures, nowMs);
        done();
      };
      this.#peers.lane("publish", shard).post({ type: "figures" }, "failed", settle, requestBytes, nowMs);
    }
  }
}
