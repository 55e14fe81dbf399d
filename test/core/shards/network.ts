/** A namespace of several shards whose calls to each other pass, get lost, wait or come twice, as the test decides. */
import type { Batch, BatchAnswer } from "../../../src/core/peers/message.ts";
import type { Call, HarnessOptions } from "../harness.ts";
import { Harness } from "../harness.ts";
import type { SimulatedShard } from "../simulated-shard.ts";

/** A call on its way to a shard, or the answer on its way back. */
export interface Passage {
  readonly kind: "call" | "answer";
  readonly batch: Batch;
  /** Counts the passages from 1. */
  readonly number: number;
}

/**
 * What becomes of a passage. "lose": the caller is told that the call failed. "vanish": it is not told. "hold": it waits
 * for {@link Network.release}. "twice": it passes, and comes again later. "foreign": a shard of another release answers
 * that it cannot read it.
 */
export type Verdict = "pass" | "lose" | "vanish" | "hold" | "twice" | "foreign";
export type Rule = (passage: Passage) => Verdict;

interface Held {
  readonly batch: Batch;
  readonly kind: Passage["kind"];
  readonly go: () => void;
}

/** Receives calls before there is anybody to pass them on. */
class Wire {
  send: (call: Call) => void = () => {};
}

export const shardCount = 4;

export class Network extends Harness {
  rule: Rule = () => "pass";
  passages = 0;
  /** All calls so far. */
  readonly sent: Batch[] = [];
  readonly held: Held[] = [];
  /** Calls that came twice come again with {@link repeat}. */
  readonly copies: Call[] = [];
  readonly #arrived = new Map<number, Call>();
  readonly #open = new Set<Call>();
  #arrivals = 0;

  constructor(options: HarnessOptions = {}, wire = new Wire()) {
    super({ shards: shardCount, ...options, transport: (call) => wire.send(call) });
    wire.send = (call) => this.#onSent(call);
  }

  /** The owner of a topic of that name, number by number, until it is the wanted shard. */
  topicOn(shard: number, prefix = "topic"): string {
    return this.#search((name) => this.placement.topicShard(name), shard, prefix);
  }

  clientOn(shard: number, prefix = "client"): string {
    return this.#search((name) => this.placement.sessionShard(name), shard, prefix);
  }

  at(index: number): SimulatedShard {
    return this.shards[index] as SimulatedShard;
  }

  /** Lets what was held go on, in the order in which it came unless `order` says otherwise. */
  release(
    which: (held: Held) => boolean = () => true,
    order: (held: Held[]) => Held[] = (held) => held,
  ): number {
    const released = order(this.held.filter(which));
    for (const one of released) {
      this.held.splice(this.held.indexOf(one), 1);
      one.go();
    }
    this.settle();
    return released.length;
  }

  /** What came twice comes again now. */
  repeat(): void {
    for (const call of this.copies.splice(0)) this.#arrive(call);
    this.settle();
  }

  /**
   * The object is gone with its sockets; who waits for its answers is told, as the runtime does, and what was still to
   * come to it does not come to its next life.
   */
  override resetShard(index: number): void {
    // The next life begins later.
    this.oversleep(1);
    super.resetShard(index);
    const isGone = ({ batch }: { readonly batch: Batch }): boolean => batch.to === index;
    this.held.splice(0, this.held.length, ...this.held.filter((held) => !isGone(held)));
    this.copies.splice(0, this.copies.length, ...this.copies.filter((copy) => !isGone(copy)));
    for (const call of this.#open) {
      if (call.batch.from === index) this.#open.delete(call);
      else if (call.batch.to === index) this.#fail(call);
    }
  }

  override reset(): void {
    this.oversleep(1);
    super.reset();
    this.#open.clear();
    this.held.length = 0;
    this.copies.length = 0;
  }

  override onAnswer(callId: number, answer: BatchAnswer): void {
    const call = this.#arrived.get(callId);
    if (call === undefined) return;
    this.#arrived.delete(callId);
    const pass = (): void => {
      if (this.#open.delete(call)) super.onAnswer(callId, answer);
    };
    this.#judge("answer", call, pass);
  }

  #onSent(call: Call): void {
    this.sent.push(call.batch);
    this.#open.add(call);
    this.soon(() => this.#judge("call", call, () => this.#arrive(call)));
  }

  #judge(kind: Passage["kind"], call: Call, pass: () => void): void {
    this.passages += 1;
    const verdict = this.rule({ kind, batch: call.batch, number: this.passages });
    if (verdict === "lose") return this.#fail(call);
    if (verdict === "foreign" && kind === "call") return this.#refuse(call);
    if (verdict === "hold") this.held.push({ kind, batch: call.batch, go: pass });
    if (verdict === "twice" && kind === "call") this.copies.push(call);
    if (verdict === "pass" || verdict === "twice") pass();
  }

  #arrive(call: Call): void {
    this.#arrivals += 1;
    this.#arrived.set(this.#arrivals, call);
    call.arrive();
  }

  #refuse(call: Call): void {
    if (!this.#open.delete(call)) return;
    const { from, to, lane, stream, sequence } = call.batch;
    const answer: BatchAnswer = { type: "refused", refusal: "format", format: 1 };
    const head = { lane, stream, sequence };
    this.soon(() => this.at(from).handle({ type: "answered", to, head, answer }));
  }

  #fail(call: Call): void {
    if (this.#open.delete(call)) call.fail();
  }

  #search(shardOf: (name: string) => number, shard: number, prefix: string): string {
    for (let number = 0; ; number += 1) {
      const name = `${prefix}-${number}`;
      if (shardOf(name) === shard) return name;
    }
  }
}

/** Every route that owners have, and every one that they should have: "owner filter shard". */
export function routesOf(network: Network): { actual: string[]; expected: string[] } {
  const actual: string[] = [];
  const expected = new Set<string>();
  for (const { core, index } of network.shards) {
    core.load(network.nowMs);
    for (const { filter, shard } of core.routes()) actual.push(`${index} ${filter} ${shard}`);
    for (const session of core.sessions) {
      for (const filter of session.subscriptions.keys()) {
        for (const owner of network.placement.filterShards(filter)) {
          if (owner !== index) expected.add(`${owner} ${filter} ${index}`);
        }
      }
    }
  }
  return { actual: actual.toSorted(), expected: [...expected].toSorted() };
}

/** Whether anything still waits to be sent to another shard. */
export function isAtRest(network: Network): boolean {
  const hasOutbox = network.shards.some(({ core }) => core.clock.outboxDueAtMs !== undefined);
  return !network.isAwake && !hasOutbox && network.held.length === 0;
}
