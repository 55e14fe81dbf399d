/** Scenes that many tests play: who is on which shard, and what goes wrong at which step. */
import type { QoS } from "../../../src/core/packet.ts";
import type { HarnessOptions } from "../harness.ts";
import { Publisher, Returning } from "./actors.ts";
import type { Passage, Verdict } from "./network.ts";
import { isAtRest, Network, routesOf } from "./network.ts";

/** The shards of the publisher, of the topic's owner and of the subscriber. */
export interface Cast {
  readonly publisher: number;
  readonly owner: number;
  readonly subscriber: number;
}

export const casts: readonly (readonly [name: string, cast: Cast])[] = [
  ["all on one shard", { publisher: 1, owner: 1, subscriber: 1 }],
  ["publisher and owner on one shard", { publisher: 1, owner: 1, subscriber: 2 }],
  ["owner and subscriber on one shard", { publisher: 1, owner: 2, subscriber: 2 }],
  ["publisher and subscriber on one shard", { publisher: 1, owner: 2, subscriber: 1 }],
  ["all on different shards", { publisher: 1, owner: 2, subscriber: 3 }],
];

export interface Fault {
  readonly name: string;
  /** What becomes of the passage at which the fault strikes. */
  strike(network: Network, passage: Passage): Verdict;
}

const roles = ["publisher", "owner", "subscriber"] as const;

/** Everything that may go wrong once, for a cast. */
export function faultsOf(cast: Cast): Fault[] {
  const shards = new Set(roles.map((role) => cast[role]));
  const nameOf = (shard: number): string => roles.filter((role) => cast[role] === shard).join(" and ");
  const faults: Fault[] = [
    { name: "is lost", strike: () => "lose" },
    { name: "is lost unnoticed", strike: () => "vanish" },
    { name: "comes again late", strike: () => "twice" },
    { name: "is late", strike: () => "hold" },
    { name: "meets a reset of all shards", strike: (network) => resetAll(network) },
  ];
  for (const shard of shards) {
    const strike = (network: Network): Verdict => {
      network.resetShard(shard);
      return "pass";
    };
    faults.push({ name: `meets a reset of the shard of ${nameOf(shard)}`, strike });
    const strikeAndLose = (network: Network): Verdict => {
      network.resetShard(shard);
      return "lose";
    };
    faults.push({ name: `is lost with a reset of the shard of ${nameOf(shard)}`, strike: strikeAndLose });
  }
  return faults;
}

function resetAll(network: Network): Verdict {
  for (const { index } of network.shards) network.resetShard(index);
  return "lose";
}

export class Scene {
  readonly network: Network;
  readonly publisher: Publisher;
  readonly subscriber: Returning;
  readonly topicName: string;

  constructor({ publisher, owner, subscriber }: Cast, qos: QoS, options: HarnessOptions = {}) {
    this.network = new Network(options);
    this.topicName = this.network.topicOn(owner);
    this.publisher = new Publisher(this.network, this.network.clientOn(publisher, "publisher")).comeBack();
    const clientId = this.network.clientOn(subscriber, "subscriber");
    this.subscriber = new Returning(this.network, clientId).comeBack();
    this.subscriber.subscribe(this.topicName, qos);
    this.network.passages = 0;
  }

  /** Lets the fault strike at one of the passages from now on. */
  inject(fault: Fault, number: number): void {
    this.network.rule = (passage) =>
      passage.number === number ? fault.strike(this.network, passage) : "pass";
  }

  comeBack(): void {
    this.publisher.comeBack();
    this.subscriber.comeBack();
  }

  /** The fault is over: everybody comes back, and all that is under way arrives. */
  recover(): void {
    const { network } = this;
    for (const ms of [200, 10_000, 600_000, 60_000]) {
      this.comeBack();
      network.advance(ms);
      this.comeBack();
      network.release();
      network.repeat();
    }
    this.comeBack();
    network.advance(60_000);
  }

  /** What is wrong when everything should have come to rest. */
  complaints(): string[] {
    const { network, publisher } = this;
    const found: string[] = [];
    const { actual, expected } = routesOf(network);
    if (actual.join() !== expected.join()) found.push(`routes are ${actual.join()}, not ${expected.join()}`);
    if (!isAtRest(network)) found.push("not at rest");
    if (publisher.unacknowledgedCount > 0) found.push(`${publisher.unacknowledgedCount} unacknowledged`);
    return found;
  }
}
