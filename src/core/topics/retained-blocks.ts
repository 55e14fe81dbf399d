import { assert } from "../assert.ts";
import type { Publication } from "../publication.ts";
import { sizeOf } from "../publication.ts";
import type { RetainedBlockRecord, RetainedHead, ShardStorage, StoredPublication } from "../storage-port.ts";
import { clearedBytesOf, RetainedBlock, RetainedTopic } from "./retained-block.ts";
import { blockBytesMax, blocksToReplace } from "./retained-choice.ts";

/** The newest message of each topic that changed since the last flush; undefined when it has none any more. */
export type RetainedChanges = ReadonlyMap<RetainedTopic, Publication | undefined>;

/** By slot; `undefined` deletes the row. */
export type RetainedWrites = Map<number, RetainedBlockRecord | undefined>;

/** What goes into a block: a message or, without one, that the topic has none. */
interface Item {
  readonly topic: RetainedTopic;
  readonly publication: StoredPublication | undefined;
  readonly sizeBytes: number;
}

/** Blocks that were read lately are kept, up to this much: messages are often wanted in the order they lie in. */
const recentBytesMax = 1024 * 1024;

/**
 * Retained messages in storage: many to a row, so that a flush writes about one row for all that changed. What
 * changed is written together with what is still live in a row that it replaces. A topic's older messages stay where
 * they are until their row is replaced; the newest block counts. That a topic was cleared is written, too, for as long
 * as an older message would come back without it.
 */
export class RetainedBlocks {
  readonly #storage: ShardStorage;
  readonly #blocks = new Set<RetainedBlock>();
  /** By Topic Name: without a message; gone as soon as storage holds no older one. */
  readonly #cleared = new Map<string, RetainedTopic>();
  /** Blocks of a commit that is on its way. */
  readonly #flushed = new Map<RetainedBlock, readonly StoredPublication[]>();
  readonly #recent = new Map<RetainedBlock, readonly StoredPublication[]>();
  #recentBytes = 0;
  #lastSlot = 0;
  #lastSeq = 0;

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  /** Reads what is where; to be called once, first. Returns the topics that have a message. */
  load(): RetainedTopic[] {
    const topics = new Map<string, RetainedTopic>();
    for (const head of this.#storage.readRetainedHeads()) this.#loadBlock(head, topics);
    const found: RetainedTopic[] = [];
    for (const topic of topics.values()) {
      const { block, copyCount, isCleared } = topic;
      if (isCleared && copyCount === 0) topic.block = undefined;
      else if (block !== undefined) block.liveBytes += topic.sizeBytes;
      if (!isCleared) found.push(topic);
      else if (copyCount > 0) this.#cleared.set(topic.topicName, topic);
    }
    return found;
  }

  /** The topic, to be given a message. */
  revive(topicName: string): RetainedTopic {
    const topic = this.#cleared.get(topicName) ?? new RetainedTopic(topicName);
    this.#cleared.delete(topicName);
    return topic;
  }

  /** The topic has no message any more, which is yet to be written. */
  clear(topic: RetainedTopic): void {
    this.#cleared.set(topic.topicName, topic);
  }

  /** The topic's message as it was last written. */
  read(topic: RetainedTopic): Publication | undefined {
    const { block, isCleared } = topic;
    if (block === undefined || isCleared) return undefined;
    const stored = this.#publicationsOf(block)[block.topics.indexOf(topic)];
    assert(stored !== undefined, "a block holds a message for each of its topics");
    return stored.publication;
  }

  /** What was flushed is in storage now, where it is read from. */
  noteCommitted(): void {
    this.#flushed.clear();
  }

  /** Gives every changed topic its new place. */
  flush(changes: RetainedChanges): RetainedWrites {
    const cleared = new Set<RetainedTopic>();
    const items: Item[] = [];
    let sizeBytes = 0;
    let supersededBytes = 0;
    for (const [topic, publication] of changes) {
      supersededBytes += this.#supersede(topic);
      const item = itemOf(topic, publication);
      if (publication !== undefined) items.push(item);
      else if (topic.copyCount > 0) cleared.add(topic);
      else this.#cleared.delete(topic.topicName);
      if (publication !== undefined || topic.copyCount > 0) sizeBytes += item.sizeBytes;
    }
    if (sizeBytes === 0) return new Map();
    const replaced = blocksToReplace(this.#blocks, { sizeBytes, supersededBytes });
    for (const block of replaced) items.push(...this.#dissolve(block, cleared));
    for (const topic of cleared) {
      if (topic.copyCount > 0) items.push(itemOf(topic, undefined));
      else this.#cleared.delete(topic.topicName);
    }
    return this.#write(
      pack(items),
      replaced.map(({ slot }) => slot),
    );
  }

  #loadBlock({ slot, seq, names, cleared }: RetainedHead, topics: Map<string, RetainedTopic>): void {
    const block = new RetainedBlock(slot, seq);
    const load = (topicName: string): RetainedTopic => {
      const topic = topics.get(topicName) ?? new RetainedTopic(topicName);
      topics.set(topicName, topic);
      return topic;
    };
    for (const { topicName, sizeBytes, expiresAtMs } of names) {
      const topic = load(topicName);
      topic.copyCount += 1;
      block.topics.push(topic);
      block.totalBytes += sizeBytes;
      if (topic.block !== undefined && topic.block.seq > seq) continue;
      Object.assign(topic, { block, sizeBytes, expiresAtMs, isCleared: false });
    }
    for (const topicName of cleared) {
      const topic = load(topicName);
      const sizeBytes = clearedBytesOf(topicName);
      block.cleared.push(topic);
      block.totalBytes += sizeBytes;
      if (topic.block !== undefined && topic.block.seq > seq) continue;
      Object.assign(topic, { block, sizeBytes, expiresAtMs: undefined, isCleared: true });
    }
    this.#blocks.add(block);
    this.#lastSlot = Math.max(this.#lastSlot, slot);
    this.#lastSeq = Math.max(this.#lastSeq, seq);
  }

  /** What is written of the topic counts no more. Returns what it takes. */
  #supersede(topic: RetainedTopic): number {
    if (topic.block === undefined) return 0;
    topic.block.liveBytes -= topic.sizeBytes;
    topic.block = undefined;
    return topic.sizeBytes;
  }

  /** Takes the block away: returns the messages that are live in it, and adds to `cleared` what it says of others. */
  #dissolve(block: RetainedBlock, cleared: Set<RetainedTopic>): Item[] {
    const items: Item[] = [];
    const publications = block.liveBytes > 0 ? this.#publicationsOf(block) : [];
    for (const [index, topic] of block.topics.entries()) {
      topic.copyCount -= 1;
      if (topic.block === block) {
        items.push({ topic, publication: publications[index], sizeBytes: topic.sizeBytes });
      } else if (topic.isCleared && topic.copyCount === 0) {
        this.#supersede(topic);
        this.#cleared.delete(topic.topicName);
      }
    }
    for (const topic of block.cleared) if (topic.block === block) cleared.add(topic);
    this.#blocks.delete(block);
    this.#flushed.delete(block);
    this.#forgetRecent(block);
    return items;
  }

  /** Slots that are left over are deleted: a row, as to overwrite them. */
  #write(blocks: readonly Item[][], slots: readonly number[]): RetainedWrites {
    const writes: RetainedWrites = new Map(slots.map((slot) => [slot, undefined]));
    for (const [index, items] of blocks.entries()) {
      const slot = slots[index] ?? (this.#lastSlot += 1);
      writes.set(slot, this.#writeBlock(slot, items));
    }
    return writes;
  }

  #writeBlock(slot: number, items: readonly Item[]): RetainedBlockRecord {
    const block = new RetainedBlock(slot, (this.#lastSeq += 1));
    const publications: StoredPublication[] = [];
    for (const { publication, sizeBytes, topic } of items) {
      topic.block = block;
      topic.sizeBytes = sizeBytes;
      topic.isCleared = publication === undefined;
      block.totalBytes += sizeBytes;
      if (publication === undefined) {
        block.cleared.push(topic);
        continue;
      }
      topic.copyCount += 1;
      block.topics.push(topic);
      publications.push(publication);
    }
    block.liveBytes = block.totalBytes;
    this.#blocks.add(block);
    this.#flushed.set(block, publications);
    const names = block.topics.map(({ name }) => name);
    const cleared = block.cleared.map(({ topicName }) => topicName);
    return { slot, seq: block.seq, names, cleared, publications };
  }

  #publicationsOf(block: RetainedBlock): readonly StoredPublication[] {
    const known = this.#flushed.get(block) ?? this.#recent.get(block);
    if (known !== undefined) return known;
    const publications = this.#storage.readRetainedPublications(block.slot);
    assert(publications !== undefined, "a block has a row");
    this.#remember(block, publications);
    return publications;
  }

  #remember(block: RetainedBlock, publications: readonly StoredPublication[]): void {
    this.#recent.set(block, publications);
    this.#recentBytes += block.totalBytes;
    for (const oldest of this.#recent.keys()) {
      if (this.#recentBytes <= recentBytesMax) return;
      this.#forgetRecent(oldest);
    }
  }

  #forgetRecent(block: RetainedBlock): void {
    if (this.#recent.delete(block)) this.#recentBytes -= block.totalBytes;
  }
}

function itemOf(topic: RetainedTopic, publication: Publication | undefined): Item {
  if (publication === undefined) {
    return { topic, publication, sizeBytes: clearedBytesOf(topic.topicName) };
  }
  return { topic, publication: { publication }, sizeBytes: sizeOf(publication) };
}

/** Blocks of what fits into one; a message that is too large has one for itself. */
function pack(items: readonly Item[]): Item[][] {
  const blocks: Item[][] = [];
  let last: Item[] = [];
  let sizeBytes = 0;
  for (const item of items) {
    if (last.length === 0 || sizeBytes + item.sizeBytes > blockBytesMax) {
      blocks.push((last = []));
      sizeBytes = 0;
    }
    last.push(item);
    sizeBytes += item.sizeBytes;
  }
  return blocks;
}
