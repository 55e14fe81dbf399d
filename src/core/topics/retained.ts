import type { Counters } from "../counters.ts";
import type { Limits } from "../limits.ts";
import type { ApplicationMessage } from "../packet.ts";
import type { Publication } from "../publication.ts";
import { isExpired } from "../publication.ts";
import type { ShardStorage } from "../storage-port.ts";
import { TopicTree } from "./topic-tree.ts";

/** What memory knows of a retained message; the message itself is read when it is wanted. */
interface RetainedName {
  readonly topicName: string;
  readonly expiresAtMs?: number;
}

/** A full shard looks for expired messages this often. */
const sweepIntervalMs = 60_000;

/** The retained messages of the shard's topics (section 3.3.1.3). The index of names is built on first need. */
export class Retained {
  readonly #storage: ShardStorage;
  readonly #limits: Limits;
  readonly #counters: Counters;
  #names: TopicTree<RetainedName> | undefined;
  #sweptAtMs = -Infinity;
  /** Set or cleared (undefined) since the last commit: newest wins. */
  #unwritten = new Map<string, Publication | undefined>();
  /** What a commit that is on its way writes. */
  #flushed: ReadonlyMap<string, Publication | undefined> = new Map();

  constructor(storage: ShardStorage, limits: Limits, counters: Counters) {
    this.#storage = storage;
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
    const names = this.#index();
    const { retainedMessagesMax } = this.#limits;
    if (payload.length === 0 || names.size < retainedMessagesMax) return true;
    if (names.get(topicName) !== undefined) return true;
    this.#sweep(nowMs);
    if (names.size < retainedMessagesMax) return true;
    this.#counters.retainedRefused += 1;
    return false;
  }

  /** Sets or, with a zero-length payload, clears the topic's retained message ([MQTT-3.3.1-6]); if there is room. */
  store(publication: Publication, nowMs: number): void {
    const { topicName, payload } = publication.message;
    if (payload.length === 0) {
      this.#clear(topicName);
      return;
    }
    if (!this.accepts(publication.message, nowMs)) return;
    const { expiresAtMs } = publication;
    this.#index().set(topicName, { topicName, ...(expiresAtMs !== undefined && { expiresAtMs }) });
    this.#unwritten.set(topicName, publication);
  }

  /** The Topic Names that have a retained message and match the Topic Filter. */
  matchingNames(topicFilter: string): string[] {
    const topicNames: string[] = [];
    this.#index().matchNames(topicFilter, ({ topicName }) => topicNames.push(topicName));
    return topicNames;
  }

  hasMatching(topicFilter: string): boolean {
    return this.#index().hasNames(topicFilter);
  }

  /** The topic's retained message; an expired one is removed instead ([MQTT-3.3.2-5]). */
  read(topicName: string, nowMs: number): Publication | undefined {
    const publication = this.#newest(topicName);
    if (publication === undefined || !isExpired(publication, nowMs)) return publication;
    this.#clear(topicName);
    return undefined;
  }

  takeUnwritten(): Map<string, Publication | undefined> {
    const unwritten = this.#unwritten;
    this.#unwritten = new Map();
    this.#flushed = this.#flushed.size === 0 ? unwritten : new Map([...this.#flushed, ...unwritten]);
    return unwritten;
  }

  /** What was flushed is in storage now, where it is read from. */
  noteCommitted(): void {
    if (this.#flushed.size > 0) this.#flushed = new Map();
  }

  #newest(topicName: string): Publication | undefined {
    if (this.#unwritten.has(topicName)) return this.#unwritten.get(topicName);
    if (this.#flushed.has(topicName)) return this.#flushed.get(topicName);
    return this.#storage.readRetained(topicName);
  }

  /** Removes what has expired, at most once a minute. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < sweepIntervalMs) return;
    this.#sweptAtMs = nowMs;
    const expired: string[] = [];
    this.#index().matchNames("#", ({ topicName, expiresAtMs }) => {
      if (expiresAtMs !== undefined && expiresAtMs <= nowMs) expired.push(topicName);
    });
    for (const topicName of expired) this.#clear(topicName);
  }

  #clear(topicName: string): void {
    // A topic without a retained message costs no row.
    if (this.#index().delete(topicName)) this.#unwritten.set(topicName, undefined);
  }

  #index(): TopicTree<RetainedName> {
    if (this.#names === undefined) {
      this.#names = new TopicTree();
      for (const name of this.#storage.readRetainedNames()) this.#names.set(name.topicName, name);
    }
    return this.#names;
  }
}
