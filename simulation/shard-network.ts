/** Calls between shards: they take their time, get lost before or after they had an effect, come twice, or not at all. */
import type { Batch, BatchAnswer } from "../src/core/peers/message.ts";
import {
  decodeAnswer,
  decodeBatch,
  encodeAnswer,
  encodeBatch,
  newestFormat,
} from "../src/shard/peer-codec.ts";
import type { Random, Span } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import type { ShardProcess } from "./shard-process.ts";

/** How likely each fault strikes a call. */
export interface Weather {
  readonly lost: number;
  readonly lostAnswer: number;
  readonly twice: number;
  readonly slow: number;
  readonly slowAnswer: number;
  /** A shard of another release does not understand it. */
  readonly foreign: number;
}

export const fairWeather: Weather = { lost: 0, lostAnswer: 0, twice: 0, slow: 0, slowAnswer: 0, foreign: 0 };

interface Call {
  readonly batch: Batch;
  readonly bytes: Uint8Array;
  /** Of the object that calls. */
  readonly life: number;
  /** The caller waits for an answer. */
  isOpen: boolean;
}

interface Partition {
  readonly side: ReadonlySet<number>;
  readonly isOneWay: boolean;
}

interface Arrival {
  readonly call: Call;
  readonly losesAnswer: boolean;
}

const slowMs: Span = [500, 15_000];
const slowAnswerMs: Span = [50, 4_000];
const repeatMs: Span = [1, 20_000];
/** Callers have given up by then. */
const lateMs = 5_000;

export class ShardNetwork {
  weather: Weather = fairWeather;
  callCount = 0;
  readonly #shards: readonly ShardProcess[];
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #latencyMs: Span;
  readonly #log: (line: string) => void;
  readonly #arrivals = new Map<number, Arrival>();
  readonly #partitions = new Set<Partition>();
  #lastCallId = 0;

  constructor(
    shards: readonly ShardProcess[],
    parts: { scheduler: Scheduler; random: Random; latencyMs: Span; log: (line: string) => void },
  ) {
    this.#shards = shards;
    this.#scheduler = parts.scheduler;
    this.#random = parts.random;
    this.#latencyMs = parts.latencyMs;
    this.#log = parts.log;
  }

  /** The others do not hear those shards and, unless `isOneWay`, are not heard by them. */
  divide(side: ReadonlySet<number>, isOneWay: boolean, forMs: number): void {
    const partition: Partition = { side, isOneWay };
    this.#partitions.add(partition);
    this.#scheduler.after(forMs, () => this.#partitions.delete(partition));
  }

  heal(): void {
    this.#partitions.clear();
    this.weather = fairWeather;
  }

  send(batch: Batch, life: number): void {
    this.callCount += 1;
    const call: Call = { batch, bytes: encodeBatch(batch), life, isOpen: true };
    const { lost, lostAnswer, twice, slow, foreign } = this.weather;
    const fate = this.#random.next();
    const delayMs = this.#random.in(this.#random.chance(slow) ? slowMs : this.#latencyMs);
    this.#log(`${nameOf(batch)} ${batch.items.map(({ type }) => type).join()}`);
    if (this.#isDivided(batch) || fate < lost) return this.#lose(call);
    if (fate < lost + foreign) return this.#refuse(call);
    const losesAnswer = fate < lost + foreign + lostAnswer;
    const target = this.#shardOf(batch.to);
    const isSame = sameness(target, batch);
    this.#scheduler.after(delayMs, () => {
      const isAwaited = call.isOpen && delayMs < lateMs && this.#shardOf(batch.from).life === life;
      if (!isAwaited && !isSame()) return;
      this.#arrive(call, losesAnswer);
      if (!this.#random.chance(twice)) return;
      const isSameThen = sameness(target, batch);
      this.#scheduler.after(this.#random.in(repeatMs), () => isSameThen() && this.#arrive(call, losesAnswer));
    });
  }

  answer(callId: number, answer: BatchAnswer): void {
    const arrival = this.#arrivals.get(callId);
    if (arrival === undefined) return;
    this.#arrivals.delete(callId);
    const { call, losesAnswer } = arrival;
    if (losesAnswer || this.#isDivided(call.batch)) return this.#lose(call);
    const bytes = encodeAnswer(answer);
    const delayMs = this.#random.in(
      this.#random.chance(this.weather.slowAnswer) ? slowAnswerMs : this.#latencyMs,
    );
    this.#scheduler.after(delayMs, () => this.#tell(call, decodeAnswer(bytes)));
  }

  /** An object is gone that had not answered them. */
  forget(callIds: readonly number[]): void {
    for (const callId of callIds) {
      const arrival = this.#arrivals.get(callId);
      this.#arrivals.delete(callId);
      if (arrival !== undefined) this.#fail(arrival.call);
    }
  }

  #arrive(call: Call, losesAnswer: boolean): void {
    this.#lastCallId += 1;
    const callId = this.#lastCallId;
    const decoded = decodeBatch(call.bytes);
    if ("refusal" in decoded) throw new Error(`${nameOf(call.batch)} cannot be read`);
    this.#arrivals.set(callId, { call, losesAnswer });
    this.#shardOf(call.batch.to).post({ type: "called", callId, batch: decoded.batch });
  }

  /** The caller is told, or finds out by itself. */
  #lose(call: Call): void {
    this.#log(`${nameOf(call.batch)} is lost`);
    if (this.#random.chance(0.7)) this.#fail(call);
  }

  #fail(call: Call): void {
    this.#scheduler.after(this.#random.in(this.#latencyMs), () => this.#tell(call, undefined));
  }

  #refuse(call: Call): void {
    const answer: BatchAnswer = { type: "refused", refusal: "format", format: newestFormat };
    this.#scheduler.after(this.#random.in(this.#latencyMs), () => this.#tell(call, answer));
  }

  #tell(call: Call, answer: BatchAnswer | undefined): void {
    const { from, to, lane, stream, sequence } = call.batch;
    const caller = this.#shardOf(from);
    if (!call.isOpen || caller.life !== call.life) return;
    call.isOpen = false;
    const input = { type: "answered", to, head: { lane, stream, sequence } } as const;
    caller.post(answer === undefined ? input : { ...input, answer });
  }

  #isDivided({ from, to }: Batch): boolean {
    for (const { side, isOneWay } of this.#partitions) {
      if (side.has(from) !== side.has(to) && (!isOneWay || side.has(from))) return true;
    }
    return false;
  }

  #shardOf(index: number): ShardProcess {
    return this.#shards[index] as ShardProcess;
  }
}

/**
 * Whether what nobody waits for may still come: an object does not sleep while calls to it are that late. Changes of
 * routes may, for they say how old they are.
 */
function sameness(target: ShardProcess, { items }: Batch): () => boolean {
  const { life, lossCount, memory } = target;
  const isFenced = items.every(({ type }) => type === "addRoute" || type === "removeRoute");
  const isAwake = (): boolean => target.life === life && target.memory === memory;
  return () => target.lossCount === lossCount && (isFenced || isAwake());
}

function nameOf({ from, to, lane, sequence }: Batch): string {
  return `call ${from} > ${to} ${lane} ${sequence}`;
}
