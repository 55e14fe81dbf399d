/** All that there is in a run, and its course: what the plan says, then peace, then the checks. */
import { encodePacket, isUtf8, publishSizeBytes } from "../src/codec/index.ts";
import type { CoreConfig } from "../src/core/config.ts";
import { defaultLimits } from "../src/core/limits.ts";
import { Placement } from "../src/core/placement.ts";
import { Client } from "./client.ts";
import { History, Violation } from "./history.ts";
import { Link } from "./link.ts";
import type { Plan, Step } from "./plan.ts";
import { describeStep } from "./plan.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { ShardNetwork } from "./shard-network.ts";
import { ShardProcess } from "./shard-process.ts";

const beginsAtMs = 1_800_000_000_000;
/** An object that is awake at the moment is evicted as soon as it can be, within this. */
const evictWithinMs = 10_000;

export class World {
  readonly plan: Plan;
  readonly placement: Placement;
  readonly scheduler = new Scheduler(beginsAtMs);
  readonly history = new History(() => this.scheduler.nowMs);
  readonly shards: readonly ShardProcess[];
  readonly network: ShardNetwork;
  /** By index. */
  readonly #clients = new Map<number, Client>();
  readonly #random: Random;
  /** Connections that the broker serves, by Client Identifier. */
  readonly #served = new Map<string, Link>();
  #linkCount = 0;
  #isPeace = false;

  constructor(plan: Plan) {
    this.plan = plan;
    this.#random = new Random(plan.seed);
    this.placement = new Placement({ epoch: 1, shards: plan.shards, topicKeyLevels: 2 });
    const config = configOf(plan, this.placement);
    const { scheduler } = this;
    const log = (line: string): void => this.history.log(line);
    this.shards = Array.from(
      { length: plan.shards },
      (_, index) =>
        new ShardProcess({
          index,
          config,
          scheduler,
          random: this.#random.fork(`shard ${index}`),
          commitMs: plan.commitMs,
          log,
          onCall: (batch, life) => this.network.send(batch, life),
          onAnswer: (callId, answer) => this.network.answer(callId, answer),
          onForgotten: (callIds) => this.network.forget(callIds),
        }),
    );
    const random = this.#random.fork("network");
    this.network = new ShardNetwork(this.shards, { scheduler, random, latencyMs: plan.callMs, log });
    for (const client of plan.clients) {
      const added = this.#add(client);
      scheduler.after(client.startsAtMs, () => added.connect());
    }
    for (const step of plan.steps) scheduler.after(step.atMs, () => this.#isPeace || this.#take(step));
  }

  get clients(): Client[] {
    return [...this.#clients.values()];
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** What the plan says. */
  runPlan(): void {
    this.advance(this.plan.endsAtMs);
  }

  /** The faults end, and everybody comes back for good. */
  makePeace(): void {
    this.#isPeace = true;
    this.history.log("peace");
    this.network.heal();
    for (const shard of this.shards) shard.heal();
    for (const client of this.clients) client.rest();
  }

  advance(ms: number): void {
    this.scheduler.runUntil(this.scheduler.nowMs + ms);
  }

  /** Every object that can sleeps. */
  evictAll(): void {
    for (const shard of this.shards) shard.evict();
    this.advance(2);
  }

  /** One more client, connected. */
  join(client: Plan["clients"][number]): Client {
    const added = this.#add(client);
    added.rest();
    return added;
  }

  #add(plan: Plan["clients"][number]): Client {
    const client = new Client({
      plan,
      history: this.history,
      scheduler: this.scheduler,
      random: this.#random.fork(`client ${plan.index}`),
      open: (one) => this.#open(one),
    });
    this.#clients.set(plan.index, client);
    this.history.plans.set(plan.index, plan);
    return client;
  }

  #open(client: Client): Link {
    this.#linkCount += 1;
    const { clientId, index, protocolVersion } = client.plan;
    const shard = this.shards[this.placement.sessionShard(clientId)] as ShardProcess;
    const link = new Link(`s${this.#linkCount}`, index, shard, client, {
      scheduler: this.scheduler,
      random: this.#random.fork(`link ${this.#linkCount}`),
      latencyMs: this.plan.socketMs,
      protocolVersion,
      onConnack: (served) => this.#onConnack(clientId, served),
    });
    this.history.links.push(link.record);
    return link;
  }

  /** [MQTT-3.1.4-3] one connection a Client Identifier: the older one is closed before the newer one is served. */
  #onConnack(clientId: string, link: Link): void {
    link.record.connackAtMs = this.scheduler.nowMs;
    const older = this.#served.get(clientId);
    if (older !== undefined && older !== link && older.isServed) {
      throw new Violation("one connection", `${clientId} has ${older.linkId} and ${link.linkId}`);
    }
    this.#served.set(clientId, link);
  }

  #take(step: Step): void {
    if (!("client" in step)) this.history.log(`fault ${describeStep(step)}`);
    switch (step.type) {
      case "publish": {
        const { topicName, qos, retain, isClearing, expirySec } = step;
        const expiry = expirySec !== undefined && { expirySec };
        for (let left = step.count; left > 0; left -= 1) {
          this.#clients.get(step.client)?.publish({ topicName, qos, retain, isClearing, ...expiry });
        }
        return;
      }
      case "subscribe":
        return this.#clients.get(step.client)?.subscribe(step.wanted);
      case "unsubscribe":
        return this.#clients.get(step.client)?.unsubscribe(step.wanted);
      case "leave":
        return this.#clients.get(step.client)?.leave(step);
      case "stall":
        return this.#clients.get(step.client)?.stall(step.forMs);
      case "reset":
        if (step.whileWriting) return this.shards[step.shard]?.resetWhileWriting(step.restartMs);
        return this.shards[step.shard]?.reset(step.restartMs);
      case "deploy":
        return this.shards.forEach((shard) => shard.reset(step.restartMs));
      case "evict":
        return this.#evict(step.shard, this.scheduler.nowMs + evictWithinMs);
      case "fail":
        return this.shards[step.shard]?.fail(step.where);
      case "weather":
        this.network.weather = step.weather;
        return;
      case "partition":
        return this.network.divide(new Set(step.side), step.isOneWay, step.forMs);
    }
  }

  #evict(index: number, untilMs: number): void {
    if (this.shards[index]?.evict() || this.scheduler.nowMs > untilMs || this.#isPeace) return;
    this.scheduler.after(20, () => this.#evict(index, untilMs));
  }
}

function configOf({ flushesPerSecMax, logSparseBytesMax }: Plan, placement: Placement): CoreConfig {
  return {
    placement,
    limits: { ...defaultLimits, logSparseBytesMax },
    flushesPerSecMax,
    allowsAnonymous: true,
    publishSizeBytes,
    packetSizeBytes: (packet, protocolVersion) => encodePacket(packet, protocolVersion).length,
    isUtf8,
    authenticates: false,
    authenticationMethods: new Set(),
    permissions: [],
    serverTopicsFor: "everybody",
    version: "simulated",
  };
}
