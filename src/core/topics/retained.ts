import type { Counters } from "../counters.ts";
import type { Limits } from "../limits.ts";
import type { ApplicationMessage } from "../packet.ts";
import type { Publication } from "../publication.ts";
import { isExpired } from "../publication.ts";
import type { ShardStorage } from "../storage-port.ts";
import type { RetainedTopic } from "./retained-block.ts";
import type { RetainedWrites } from "./retained-blocks.ts";
import { RetainedBlocks } from "./retained-blocks.ts";
import { TopicTree } from "./topic-tree.ts";

/** A full shard looks for expired messages this often. */
const sweepIntervalMs = 60_000;

/** The retained messages of the shard's topics (section 3.3.1.3). The index of names is built on first need. */
export class Retained {
  readonly #blocks: RetainedBlocks;
  readonly #limits: Limits;
  readonly #counters: Counters;
  #topics: TopicTree<RetainedTopic> | undefined;
  #sweptAtMs = -Infinity;
  /** Set or cleared (undefined) since the last flush: newest wins. */
  #unwritten = new Map<RetainedTopic, Publication | undefined>();

  constructor(storage: ShardStorage, limits: Limits, counters: Counters) {
    this.#blocks = new RetainedBlocks(storage);
    this.#limits = limits;
    this.#counters = counters;
  }

  get count(): number {
    return this.#index().size;
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.size > 0;
  }

  /** Whether the topic could take a retained message: it has one, or the shard has room ([MQTT-3.3.1-5]). */
  accepts({ topicName, payload }: ApplicationMessage, nowMs: number): boolean {
    const topics = this.#index();
    const { retainedMessagesMax } = this.#limits;
    if (payload.length === 0 || topics.size < retainedMessagesMax) return true;
    if (topics.get(topicName) !== undefined) return true;
    this.#sweep(nowMs);
    if (topics.size < retainedMessagesMax) return true;
    this.#counters.retainedRefused += 1;
    return false;
  }

  /** Sets or, with a zero-length payload, clears the topic's retained message ([MQTT-3.3.1-6]); if there is room. */
  store(publication: Publication, nowMs: number): void {
    const { topicName, payload } = publication.message;
    if (payload.length === 0) {
      this.clear(topicName);
      return;
    }
    if (!this.accepts(publication.message, nowMs)) return;
    const topics = this.#index();
    let topic = topics.get(topicName);
    if (topic === undefined) topics.set(topicName, (topic = this.#blocks.revive(topicName)));
    topic.expiresAtMs = publication.expiresAtMs;
    this.#unwritten.set(topic, publication);
  }

  /** All Topic Names that have a retained message. */
  names(): string[] {
    const topicNames: string[] = [];
    this.#index().forEach(({ topicName }) => topicNames.push(topicName));
    return topicNames;
  }

  /** The Topic Names that have a retained message and match the Topic Filter; those that lie together come together. */
  matchingNames(topicFilter: string): string[] {
    const topics: RetainedTopic[] = [];
    this.#index().matchNames(topicFilter, (topic) => topics.push(topic));
    topics.sort((left, right) => (left.block?.slot ?? 0) - (right.block?.slot ?? 0));
    return topics.map(({ topicName }) => topicName);
  }

  hasMatching(topicFilter: string): boolean {
    return this.#index().hasNames(topicFilter);
  }

  /** The topic's retained message; an expired one is removed instead ([MQTT-3.3.2-5]). */
  read(topicName: string, nowMs: number): Publication | undefined {
    const publication = this.#newest(topicName);
    if (publication === undefined || !isExpired(publication, nowMs)) return publication;
    this.clear(topicName);
    return undefined;
  }

  /** Removes the topic's retained message, if it has one. */
  clear(topicName: string): void {
    const topics = this.#index();
    const topic = topics.get(topicName);
    // A topic without a retained message costs no row.
    if (topic === undefined) return;
    topics.delete(topicName);
    this.#blocks.clear(topic);
    this.#unwritten.set(topic, undefined);
  }

  /** All that changed since the last flush, as rows. */
  flush(): RetainedWrites {
    const unwritten = this.#unwritten;
    this.#unwritten = new Map();
    return this.#blocks.flush(unwritten);
  }

  /** What was flushed is in storage now, where it is read from. */
  noteCommitted(): void {
    this.#blocks.noteCommitted();
  }

  #newest(topicName: string): Publication | undefined {
    const topic = this.#index().get(topicName);
    return topic && (this.#unwritten.get(topic) ?? this.#blocks.read(topic));
  }

  /** Removes what has expired, at most once a minute. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < sweepIntervalMs) return;
    this.#sweptAtMs = nowMs;
    const expired: string[] = [];
    this.#index().matchNames("#", ({ topicName, expiresAtMs }) => {
      if (expiresAtMs !== undefined && expiresAtMs <= nowMs) expired.push(topicName);
    });
    for (const topicName of expired) this.clear(topicName);
  }

  #index(): TopicTree<RetainedTopic> {
    if (this.#topics === undefined) {
      this.#topics = new TopicTree();
      for (const topic of this.#blocks.load()) this.#topics.set(topic.topicName, topic);
    }
    return this.#topics;
  }
}
