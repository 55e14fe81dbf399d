/** A namespace in simulated time: answers of clients and calls between shards take as long as over a network. */
import type { ClientPacket } from "../../src/core/packet.ts";
import type { Call, ReceiveOptions } from "../../test/core/harness.ts";
import { Namespace } from "../scaling/namespace.ts";
import { AwakeMeter } from "./awake-meter.ts";
import { EventQueue } from "./event-queue.ts";
import { HeldSessions } from "./held-sessions.ts";

/** How long things take that the simulation cannot know. */
export interface Durations {
  /** A client answers so much after it was sent something. */
  readonly answerMs: number;
  /** Between two shards, there and back. */
  readonly callMs: number;
  /** Until a write is confirmed. */
  readonly commitMs: number;
  /** After each event a zero timer waits for more of them. */
  readonly turnMs: number;
  /** Processor time of an object. */
  readonly workMsPerPing: number;
  readonly workMsPerFrame: number;
  readonly workMsPerCall: number;
}

export interface Usage {
  readonly frames: number;
  readonly pings: number;
  /** Calls between shards, and those of them that are billed. */
  readonly calls: number;
  readonly callsBilled: number;
  /** Without alarms. */
  readonly rows: number;
  readonly alarms: number;
  readonly commits: number;
  /** Of all shards together. */
  readonly awakeMs: number;
}

interface Counts {
  frames: number;
  pings: number;
  callsBilled: number;
  commits: number;
}

/** One shard as it is billed. */
class BilledObject {
  readonly meter = new AwakeMeter();
  readonly sessions = new HeldSessions();
  callsUnderWay = 0;
}

export class Simulation extends Namespace {
  readonly #queue = new EventQueue();
  readonly #objects: readonly BilledObject[];
  readonly #durations: Durations;
  readonly #shardOf = new Map<string, number>();
  readonly #counts: Counts = { frames: 0, pings: 0, callsBilled: 0, commits: 0 };

  constructor(shards: number, durations: Durations, flushesPerSecMax?: number) {
    super(shards, (call) => this.#transport(call), flushesPerSecMax);
    this.#durations = durations;
    this.#objects = Array.from({ length: shards }, () => new BilledObject());
  }

  at(atMs: number, work: () => void): void {
    this.#queue.add(atMs, work);
  }

  override receive(
    connectionId: string,
    packets: readonly ClientPacket[],
    options: ReceiveOptions = {},
  ): void {
    const [packet] = packets;
    if (packet?.type === "connect")
      this.#shardOf.set(connectionId, this.placement.sessionShard(packet.clientId));
    const isPing = packet?.type === "pingreq";
    this.#counts.frames += 1;
    if (isPing) this.#counts.pings += 1;
    const { workMsPerFrame, workMsPerPing } = this.#durations;
    this.#work(this.#shardOf.get(connectionId) ?? 0, isPing ? workMsPerPing : workMsPerFrame);
    super.receive(connectionId, packets, options);
  }

  override receiveNext(connectionId: string, packet: ClientPacket): void {
    this.at(this.nowMs + this.#durations.answerMs, () => this.receive(connectionId, [packet]));
  }

  /** Lets everything happen that is due in the meantime. */
  run(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const dueAtMs = this.#dueAtMs;
      const nextMs = Math.min(this.#queue.nextAtMs, dueAtMs);
      this.#moveTo(Math.min(nextMs, untilMs));
      if (nextMs > untilMs) return;
      if (dueAtMs <= nextMs) this.#fireDue();
      else this.#queue.take()();
      this.#noteCommits();
    }
  }

  usage(): Usage {
    const { alarms, calls, rows } = this.totals();
    const awakeMs = this.#objects.reduce((sum, { meter }) => sum + meter.awakeMs, 0);
    return { ...this.#counts, alarms, calls, rows, awakeMs };
  }

  usageSince(before: Usage): Usage {
    const after = this.usage();
    const names = Object.keys(after) as (keyof Usage)[];
    return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as unknown as Usage;
  }

  get #dueAtMs(): number {
    const dues = this.shards.map(({ alarmAtMs = Infinity, timerDueAtMs = Infinity }) =>
      Math.min(alarmAtMs, timerDueAtMs),
    );
    return Math.min(...dues);
  }

  #fireDue(): void {
    for (const { alarmAtMs = Infinity, index, timerDueAtMs = Infinity } of this.shards)
      if (Math.min(alarmAtMs, timerDueAtMs) <= this.nowMs) this.#work(index, this.#durations.workMsPerFrame);
    super.advance(0);
  }

  #moveTo(toMs: number): void {
    const fromMs = this.nowMs;
    if (toMs <= fromMs) return;
    const held = new Set(this.#objects.flatMap(({ sessions }) => [...sessions.peers]));
    for (const [index, { callsUnderWay, meter, sessions }] of this.#objects.entries()) {
      const hasSessions = held.has(index) || sessions.peers.size > 0;
      const hasTimer = this.shards[index]?.timerDueAtMs !== undefined;
      meter.pass(fromMs, toMs, hasSessions || hasTimer || callsUnderWay > 0);
      sessions.look(toMs);
    }
    this.oversleep(toMs - fromMs);
  }

  /** A commit's own effects stay within its turn. */
  #noteCommits(): void {
    for (const { commits, index } of this.shards) {
      if (commits.length === 0) continue;
      this.#counts.commits += commits.length;
      commits.length = 0;
      this.#objects[index]?.meter.hold(this.nowMs + this.#durations.commitMs);
    }
    this.trace.length = 0;
  }

  #work(shard: number, ms: number): void {
    this.#objects[shard]?.meter.work(this.nowMs, ms, this.#durations.turnMs);
  }

  #transport(call: Call): void {
    const { from, to } = call.batch;
    const caller = this.#objects[from] as BilledObject;
    const { callMs, workMsPerCall } = this.#durations;
    this.#counts.callsBilled += caller.sessions.call(to, this.nowMs);
    caller.callsUnderWay += 1;
    this.at(this.nowMs + callMs, () => {
      caller.callsUnderWay -= 1;
      this.#work(from, workMsPerCall);
      this.#work(to, workMsPerCall);
      this.joined(() => call.arrive());
    });
  }
}
