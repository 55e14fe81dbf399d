/**
 * Which shard has what. Every shard, and the Worker, finds the same answer by itself, so nothing here may change
 * for a namespace that has data: test vectors hold it in place.
 */
import { hasWildcard, parseSharedFilter } from "./topic.ts";
import { xxHash64 } from "./xx-hash.ts";

/** How a namespace is divided. Shards of another layout are not talked to. */
export interface Layout {
  /** Grows when a namespace is divided anew. */
  readonly epoch: number;
  /** Shards 0 … shards−1. */
  readonly shards: number;
  /** Leading levels of a Topic Name that decide about its shard. */
  readonly topicKeyLevels: number;
}

export const shardsMax = 1024;

/** Topics whose shard is remembered; hashing costs more than looking up. */
const rememberedTopicsMax = 10_000;

export class Placement {
  readonly layout: Layout;
  readonly #shards: readonly number[];
  readonly #byTopicKey = new Map<string, number>();

  constructor(layout: Layout) {
    this.layout = layout;
    this.#shards = Array.from({ length: layout.shards }, (_, index) => index);
  }

  /** The shard that has the client's session. */
  sessionShard(clientId: string): number {
    return shardOfKey(clientId, this.layout.shards);
  }

  /** The shard that owns the topic: its retained message, and its routes. */
  topicShard(topicName: string): number {
    if (this.layout.shards === 1) return 0;
    const key = topicKey(topicName, this.layout.topicKeyLevels);
    const known = this.#byTopicKey.get(key);
    if (known !== undefined) return known;
    const shard = shardOfKey(key, this.layout.shards);
    if (this.#byTopicKey.size >= rememberedTopicsMax) this.#byTopicKey.clear();
    this.#byTopicKey.set(key, shard);
    return shard;
  }

  /** Every shard that may own a topic which the Topic Filter matches, shared or not. */
  filterShards(filter: string): readonly number[] {
    return this.spansAllShards(filter) ? this.#shards : [this.topicShard(unsharedFilter(filter))];
  }

  /** The filter has a wildcard in its key. */
  spansAllShards(filter: string): boolean {
    return hasWildcard(topicKey(unsharedFilter(filter), this.layout.topicKeyLevels));
  }
}

function unsharedFilter(filter: string): string {
  return parseSharedFilter(filter)?.topicFilter ?? filter;
}

/** The first levels, with the separators between them. */
function topicKey(topic: string, levels: number): string {
  let end = -1;
  for (let level = 0; level < levels; level += 1) {
    end = topic.indexOf("/", end + 1);
    if (end < 0) return topic;
  }
  return topic.slice(0, end);
}

function shardOfKey(key: string, shards: number): number {
  return shards === 1 ? 0 : jumpHash(xxHash64(key), shards);
}

/**
 * Jump consistent hash (Lamping and Veach, 2014): even, and a further bucket takes its share from all others and
 * moves nothing else.
 */
export function jumpHash(hash: bigint, buckets: number): number {
  let key = hash;
  let bucket = -1;
  let next = 0;
  while (next < buckets) {
    bucket = next;
    key = BigInt.asUintN(64, key * 2862933555777941757n + 1n);
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(key >> 33n) + 1)));
  }
  return bucket;
}
