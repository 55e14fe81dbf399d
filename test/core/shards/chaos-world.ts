/** What the chaos test knows of its clients and messages, and what it checks when everything has come to rest. */
import type { QoS } from "../../../src/core/packet.ts";
import type { HarnessOptions } from "../harness.ts";
import { SimulatedClient, textOf } from "../simulated-client.ts";
import { firstsOf, Publisher, repeatedOf, Returning } from "./actors.ts";
import type { Verdict } from "./network.ts";
import { isAtRest, Network, routesOf } from "./network.ts";

const neverExpires = 0xffff_ffff;
const version311 = { protocolVersion: 4, sessionExpiryIntervalSec: neverExpires } as const;
const shards = [0, 1, 2, 3];
/** So many may be unacknowledged, of one publisher. */
const unacknowledgedMax = 60;

interface Message {
  readonly payload: string;
  readonly topicName: string;
  readonly qos: QoS;
  readonly publisher: Publisher;
}

/** Who was subscribed before the first message, and stays so. */
interface Listener {
  readonly name: string;
  readonly clients: readonly Returning[];
  readonly maximumQos: 1 | 2;
  readonly wants: (topicName: string) => boolean;
}

export class World {
  readonly network: Network;
  readonly publishers: Publisher[];
  readonly listeners: Listener[];
  /** Clients that come, subscribe, unsubscribe and go. */
  readonly guests: Returning[];
  readonly topicNames: string[];
  /** Of these, each has one publisher, which keeps to one QoS. */
  readonly retained = new Map<string, string>();
  readonly messages: Message[] = [];

  constructor(options: HarnessOptions = {}) {
    const network = new Network(options);
    this.network = network;
    this.topicNames = shards.flatMap((shard) =>
      ["a", "b"].map((prefix) => {
        for (let number = 0; ; number += 1) {
          const name = `${prefix}${number}/x`;
          if (network.placement.topicShard(name) === shard) return name;
        }
      }),
    );
    this.publishers = shards.map((shard) => {
      const options311 = shard % 2 === 0 ? {} : version311;
      return new Publisher(network, network.clientOn(shard, "publisher"), options311).comeBack();
    });
    const [first = ""] = this.topicNames;
    const on = (shard: number, prefix: string, settings: object = {}): Returning =>
      new Returning(network, network.clientOn(shard, prefix), settings).comeBack();
    const everything = (): boolean => true;
    this.listeners = [
      { name: "all", clients: [on(0, "all")], maximumQos: 2, wants: everything },
      { name: "wild", clients: [on(1, "wild", version311)], maximumQos: 1, wants: everything },
      { name: "one", clients: [on(3, "one")], maximumQos: 2, wants: (topicName) => topicName === first },
      {
        name: "group",
        clients: [1, 2, 3].map((shard) => on(shard, "member")),
        maximumQos: 2,
        wants: everything,
      },
    ];
    const filters = ["#", "+/x", first, "$share/group/#"];
    for (const [index, { clients, maximumQos }] of this.listeners.entries()) {
      for (const client of clients)
        client.subscribe(filters[index] as string, maximumQos, { retainHandling: 2 });
    }
    this.guests = shards.map((shard) => {
      const settings = shard < 2 ? {} : { sessionExpiryIntervalSec: 0 };
      return on(shard, "guest", settings);
    });
  }

  get clients(): Returning[] {
    return [...this.publishers, ...this.listeners.flatMap(({ clients }) => clients), ...this.guests];
  }

  publish(index: number, topic: number, qos: QoS): void {
    const publisher = this.publishers[index % 4] as Publisher;
    if (publisher.unacknowledgedCount >= unacknowledgedMax) return;
    const topicName = this.topicNames[topic % this.topicNames.length] as string;
    const payload = `${this.messages.length}`;
    this.messages.push({ payload, topicName, qos, publisher });
    publisher.say(topicName, payload, qos);
  }

  retain(index: number, topic: number, isCleared: boolean): void {
    const publisher = this.publishers[index % 4] as Publisher;
    if (publisher.unacknowledgedCount >= unacknowledgedMax) return;
    const name = `${this.topicNames[topic % this.topicNames.length]}/kept/${index % 4}`;
    const payload = isCleared ? "" : `kept ${this.messages.length}`;
    this.messages.push({ payload: `- ${this.messages.length}`, topicName: "", qos: 0, publisher });
    this.retained.set(name, payload);
    publisher.say(name, payload, topic % 2 === 0 ? 1 : 2, { retain: true });
  }

  comeBack(): void {
    for (const client of this.clients) client.comeBack();
  }

  /** From now on each passage has this many chances in a hundred to be struck. */
  worsen(chances: number, seed: number): void {
    let state = seed;
    const next = (): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const verdicts: readonly Verdict[] = ["lose", "lose", "vanish", "hold", "twice", "foreign"];
    this.network.rule = () =>
      next() * 100 < chances ? (verdicts[Math.floor(next() * verdicts.length)] as Verdict) : "pass";
  }

  evict(index: number): void {
    const shard = this.network.at(index % 4);
    this.network.repeat();
    if (shard.timerDueAtMs === undefined) shard.evict();
    // The next life begins later.
    this.network.oversleep(1);
  }

  /** The faults end, everybody comes back, and one message to every topic finds out the routes of the lost. */
  recover(): void {
    const { network } = this;
    network.settle();
    network.rule = () => "pass";
    for (let round = 0; round < 4; round += 1) {
      this.comeBack();
      network.release();
      network.repeat();
      network.advance(round < 2 ? 5_000 : 700_000);
    }
    for (const topicName of [...this.topicNames, ...this.retained.keys()]) {
      for (let count = 0; count < 8; count += 1) this.publishers[0]?.say(topicName, "sweep", 1);
    }
    network.advance(700_000);
  }

  check(): void {
    const complaints: string[] = [];
    for (const { clientId, unacknowledgedCount } of this.publishers) {
      if (unacknowledgedCount > 0)
        complaints.push(`${clientId} lacks ${unacknowledgedCount} acknowledgements`);
    }
    for (const listener of this.listeners) this.#checkListener(listener, complaints);
    // Each Shared Subscription brings a message of its own.
    for (const guest of this.guests.filter((_, index) => index % 2 === 0)) {
      const repeated = repeatedOf(this.#qos2Of(guest));
      if (repeated.length > 0) complaints.push(`${guest.clientId} got ${repeated.join()} again`);
    }
    this.#checkRetained(complaints);
    const { actual, expected } = routesOf(this.network);
    const missing = expected.filter((route) => !actual.includes(route));
    const stale = actual.filter((route) => !expected.includes(route) && !isHidden(route, expected));
    if (missing.length > 0) complaints.push(`routes are missing: ${missing.join()}`);
    if (stale.length > 0) complaints.push(`routes are left: ${stale.join()}`);
    if (!isAtRest(this.network)) complaints.push("not at rest");
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
  }

  /** Payloads that are owed exactly once. */
  #qos2Of({ messages }: SimulatedClient): string[] {
    const once = messages.filter(({ qos }) => qos === 2).map(({ message }) => textOf(message.payload));
    return once.filter((payload) => payload !== "");
  }

  #checkListener({ name, clients, maximumQos, wants }: Listener, complaints: string[]): void {
    const received = clients.flatMap(({ payloads }) => payloads);
    for (const { payload, topicName, qos } of this.messages) {
      if (qos === 0 || !wants(topicName)) continue;
      const count = received.filter((other) => other === payload).length;
      const isOnce = qos === 2 && maximumQos === 2;
      if (count === 0) complaints.push(`${name} never got ${payload} of QoS ${qos}`);
      if (isOnce && count > 1) complaints.push(`${name} got ${payload} ${count} times`);
    }
    if (clients.length > 1) return;
    const firsts = firstsOf(received);
    for (const publisher of this.publishers) {
      for (const topicName of this.topicNames) {
        for (const qos of [1, 2]) {
          const sent = this.messages
            .filter((one) => one.publisher === publisher && one.topicName === topicName && one.qos === qos)
            .map(({ payload }) => payload);
          const got = firsts.filter((payload) => sent.includes(payload));
          if (got.join() !== sent.filter((payload) => got.includes(payload)).join()) {
            complaints.push(`${name} got ${got.join()} of ${topicName} by ${publisher.clientId}, QoS ${qos}`);
          }
        }
      }
    }
  }

  #checkRetained(complaints: string[]): void {
    const { network } = this;
    const reader = SimulatedClient.connected(network, { clientId: network.clientOn(2, "reader") });
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const requests = [{ topicFilter: "#", maximumQos: 2, ...options } as const];
    reader.send({ type: "subscribe", packetIdentifier: 1, requests });
    network.advance(60_000);
    const found = new Map(
      reader.messages.map(({ message }) => [message.topicName, textOf(message.payload)] as const),
    );
    for (const [topicName, payload] of this.retained) {
      const kept = found.get(topicName) ?? "";
      if (kept !== payload) complaints.push(`${topicName} keeps "${kept}", not "${payload}"`);
    }
    reader.disconnect();
    network.advance(60_000);
  }
}

/** What a reset left is found out by a message for which the shard has nobody at all. */
function isHidden(route: string, expected: readonly string[]): boolean {
  const [owner, filter, shard] = route.split(" ");
  const wide = ["#", "+/x"].map((one) => `${owner} ${one} ${shard}`);
  return filter?.startsWith("$share/") === false && wide.some((one) => expected.includes(one));
}
