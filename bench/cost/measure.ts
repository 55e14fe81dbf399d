/** Runs a workload with all its clients through the real core, and counts. */
import { LoadClient } from "../scaling/load-client.ts";
import { Random } from "../scaling/random.ts";
import { assumptions } from "./assumptions.ts";
import type { WorkMs } from "./processor.ts";
import type { Usage } from "./simulation.ts";
import { Simulation } from "./simulation.ts";
import type { Workload } from "./workloads.ts";
import { keepAliveSec, messageIntervalSec, payloadBytes } from "./workloads.ts";

/** What came of it, by the second; of a visit what it adds. */
export interface Measurement {
  readonly shards: number;
  readonly seconds: number;
  readonly messages: number;
  readonly steady: Usage;
  readonly visits: number;
  readonly ofVisits: Usage;
}

const connectEveryMs = 5;
const warmUpMs = 120_000;
export const measuredMs = 300_000;
/** So few that the others need not ping meanwhile. */
const visitCount = 200;
const visitEveryMs = 100;

/** The clients of a workload, with what they do by themselves. */
class Fleet {
  published = 0;
  #isStopped = false;
  readonly #workload: Workload;
  readonly #simulation: Simulation;
  readonly #clients: LoadClient[] = [];
  readonly #random = new Random(1);
  readonly #payload = new Uint8Array(payloadBytes);

  constructor(workload: Workload, simulation: Simulation) {
    this.#workload = workload;
    this.#simulation = simulation;
  }

  /** All come, one after the other, and ping from then on, each at a time of its own. */
  gather(): void {
    const { clients } = this.#workload;
    for (let index = 0; index < clients; index += 1) {
      this.#come(index);
      this.#every(keepAliveSec * 1000, () => this.#clients[index]?.ping());
      this.#simulation.run(connectEveryMs);
    }
  }

  startPublishing(): void {
    const { clients, message } = this.#workload;
    if (message === undefined) return;
    for (let index = 0; index < clients; index += 1)
      this.#every(messageIntervalSec * 1000, () => this.#publish(index));
  }

  /** What is under way still arrives. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Some leave and come back. */
  visit(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#clients[index]?.disconnect();
      this.#simulation.run(visitEveryMs / 2);
      this.#come(index);
      this.#simulation.run(visitEveryMs / 2);
    }
  }

  checkDelivered(): void {
    const received = this.#clients.reduce((sum, { messagesReceived }) => sum + messagesReceived, 0);
    if (received !== this.published) throw new Error(`${received} messages came of ${this.published}`);
  }

  #come(index: number): void {
    const { clients, message } = this.#workload;
    const client = new LoadClient(this.#simulation, {
      clientId: `device-${index}`,
      isPersistent: message?.subscribersPersist ?? false,
      keepAliveSec,
    });
    client.subscribe(topicOf((index + 1) % clients), message?.qos ?? 0);
    this.#clients[index] = client;
  }

  #publish(index: number): void {
    const { message } = this.#workload;
    if (message === undefined) return;
    this.published += 1;
    this.#clients[index]?.publish(topicOf(index), this.#payload, message.qos, message.retain);
  }

  #every(intervalMs: number, work: () => void): void {
    const simulation = this.#simulation;
    const again = (): void => {
      if (this.#isStopped) return;
      work();
      simulation.at(simulation.nowMs + intervalMs, again);
    };
    simulation.at(simulation.nowMs + this.#random.below(intervalMs), again);
  }
}

export function measure(
  workload: Workload,
  shards: number,
  workMs: WorkMs,
  flushesPerSecMax?: number,
): Measurement {
  const { answerMs, callMs, commitMs, turnMs } = assumptions;
  const durations = { answerMs, callMs, commitMs, turnMs, ...workMs };
  const simulation = new Simulation(shards, durations, flushesPerSecMax);
  const fleet = new Fleet(workload, simulation);
  fleet.gather();
  fleet.startPublishing();
  simulation.run(warmUpMs);
  const [before, publishedBefore] = [simulation.usage(), fleet.published];
  simulation.run(measuredMs);
  const steady = simulation.usageSince(before);
  const messages = fleet.published - publishedBefore;
  fleet.stop();
  simulation.run(1000);
  fleet.checkDelivered();
  const beforeVisits = simulation.usage();
  fleet.visit(visitCount);
  const ofVisits = simulation.usageSince(beforeVisits);
  return { shards, seconds: measuredMs / 1000, messages, steady, visits: visitCount, ofVisits };
}

function topicOf(index: number): string {
  return `room/${index}/temperature`;
}
