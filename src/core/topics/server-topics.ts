import type { Publication } from "../publication.ts";
import { TopicTree } from "./topic-tree.ts";

/** What `$SYS` tells, by the part of the Topic Name after `$SYS/`. */
export type ServerFigures = Readonly<Record<string, string | number>>;

const prefix = "$SYS/";
const usdDecimals = 6;
/** Figures of other shards are good for so long: each subscription would ask all of them. */
const freshMs = 4_000;

/**
 * The topics of the server itself. Their messages are made when somebody wants them: at a subscription as if they
 * were retained, and then at intervals for as long as somebody is subscribed.
 */
export class ServerTopics {
  readonly #read: (nowMs: number) => ServerFigures;
  #names: TopicTree<string> | undefined;
  /** Of the other shards, as last heard. */
  #others: readonly ServerFigures[] = [];
  #othersAtMs = -Infinity;
  /** The figures of one moment, for all the topics that are read at it. */
  #latest: { readonly atMs: number; readonly figures: ServerFigures } | undefined;

  constructor(read: (nowMs: number) => ServerFigures) {
    this.#read = read;
  }

  matchingNames(topicFilter: string, nowMs: number): string[] {
    if (!isServerFilter(topicFilter)) return [];
    if (this.#names === undefined) {
      this.#names = new TopicTree();
      for (const name of Object.keys(this.#figures(nowMs))) this.#names.set(prefix + name, prefix + name);
    }
    const topicNames: string[] = [];
    this.#names.matchNames(topicFilter, (topicName) => topicNames.push(topicName));
    return topicNames;
  }

  /** The present figure as a message; undefined for any other topic. */
  read(topicName: string, nowMs: number): Publication | undefined {
    if (!topicName.startsWith(prefix)) return undefined;
    const figure = this.#figures(nowMs)[topicName.slice(prefix.length)];
    return figure === undefined ? undefined : toPublication(topicName, figure);
  }

  readAll(nowMs: number): Publication[] {
    return Object.entries(this.#figures(nowMs)).map(([name, figure]) => toPublication(prefix + name, figure));
  }

  /** What this shard adds to the figures. */
  ownFigures(nowMs: number): ServerFigures {
    return this.#read(nowMs);
  }

  /** The other shards have been asked a moment ago. */
  othersAreFresh(nowMs: number): boolean {
    return nowMs - this.#othersAtMs < freshMs;
  }

  noteOthers(figures: readonly ServerFigures[], nowMs: number): void {
    this.#others = figures;
    this.#othersAtMs = nowMs;
    this.#latest = undefined;
  }

  #figures(nowMs: number): ServerFigures {
    if (this.#latest?.atMs !== nowMs) {
      this.#latest = { atMs: nowMs, figures: this.#others.reduce(addUp, this.#read(nowMs)) };
    }
    return this.#latest.figures;
  }
}

/** Counts of all shards add up, but for these: the broker is as old as its oldest shard. */
const joins: Readonly<Record<string, (left: number, right: number) => number>> = {
  "broker/uptime": Math.max,
  "cost/since": Math.min,
};

function addUp(sum: ServerFigures, more: ServerFigures): ServerFigures {
  const figures: Record<string, string | number> = {};
  for (const [name, figure] of Object.entries(sum)) {
    const other = more[name];
    const isCount = typeof figure === "number" && typeof other === "number";
    if (!isCount) figures[name] = figure;
    else figures[name] = joins[name]?.(figure, other) ?? figure + other;
  }
  return figures;
}

/** The shard where this topic would be tells of Shared Subscriptions to topics of the server. */
export const serverTopicKey = "$SYS";

/** A filter for topics of the server, shared or not. */
export function isServerFilter(topicFilter: string): boolean {
  return /^(?:\$share\/[^/]+\/)?\$SYS(?:\/|$)/.test(topicFilter);
}

export function isServerTopic(topicName: string): boolean {
  return topicName === serverTopicKey || topicName.startsWith(prefix);
}

function toPublication(topicName: string, figure: string | number): Publication {
  const text =
    Number.isInteger(figure) || typeof figure === "string" ? `${figure}` : figure.toFixed(usdDecimals);
  return { message: { topicName, payload: toAscii(text), qos: 0, retain: true } };
}

/** Figures and version numbers are ASCII. */
function toAscii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
