import { describe, expect, test } from "vitest";
import { Times } from "../../../src/core/limits.ts";
import { firstsOf, Publisher, Returning } from "./actors.ts";
import type { Passage, Verdict } from "./network.ts";
import { isAtRest, Network, routesOf } from "./network.ts";

const { deliverPatienceMs, publishPatienceMs } = Times;
const all = [0, 1, 2, 3];

interface Crowd {
  readonly network: Network;
  readonly publishers: Publisher[];
  readonly subscribers: Returning[];
  readonly topicNames: string[];
}

/** On every shard a publisher and somebody who wants everything. */
function crowdOf(): Crowd {
  const network = new Network();
  const publishers = all.map((shard) =>
    new Publisher(network, network.clientOn(shard, "publisher")).comeBack(),
  );
  const subscribers = all.map((shard) =>
    new Returning(network, network.clientOn(shard, "subscriber")).comeBack(),
  );
  for (const subscriber of subscribers) subscriber.subscribe("#", 2);
  return { network, publishers, subscribers, topicNames: all.map((shard) => network.topicOn(shard)) };
}

/** Everybody publishes to every topic. */
function talk({ publishers, topicNames }: Crowd, round: number, qos: 1 | 2): void {
  for (const publisher of publishers) {
    for (const topicName of topicNames)
      publisher.say(topicName, `${publisher.clientId} ${topicName} ${round}`, qos);
  }
}

/** A shard that nobody reaches, and that reaches nobody. */
function isDead(shard: number): (passage: Passage) => Verdict {
  return ({ batch }) => (batch.to === shard || batch.from === shard ? "vanish" : "pass");
}

/** A shard that others do not reach, though its own calls arrive. */
function isDeaf(shard: number): (passage: Passage) => Verdict {
  return ({ batch, kind }) =>
    batch.to === shard || (kind === "answer" && batch.from === shard) ? "vanish" : "pass";
}

function waitingOf({ publishers }: Crowd, except?: number): number {
  return publishers
    .filter((_, shard) => shard !== except)
    .reduce((sum, { unacknowledgedCount }) => sum + unacknowledgedCount, 0);
}

describe.each([1, 2] as const)("With QoS %i from every shard to every topic and subscriber", (qos) => {
  test("everything is acknowledged and comes once, at once", () => {
    const crowd = crowdOf();
    crowd.network.joined(() => talk(crowd, 0, qos));
    expect(waitingOf(crowd)).toBe(0);
    for (const { payloads } of crowd.subscribers) expect(firstsOf(payloads)).toHaveLength(16);
    expect(isAtRest(crowd.network)).toBe(true);
  });

  test("a shard that takes nothing of one lane delays others no longer than the patience of that lane", () => {
    const crowd = crowdOf();
    const { network } = crowd;
    network.rule = ({ batch }) => (batch.lane === "deliver" && batch.to === 3 ? "vanish" : "pass");
    network.joined(() => talk(crowd, 0, qos));
    network.advance(deliverPatienceMs);
    expect(waitingOf(crowd)).toBe(0);
  });

  test.each(all)("shard %i dead, the clients of others are acknowledged within the patience", (dead) => {
    for (const rule of [isDead(dead), isDeaf(dead)]) {
      const crowd = crowdOf();
      const { network } = crowd;
      network.rule = rule;
      for (let round = 0; round < 5; round += 1) {
        network.joined(() => talk(crowd, round, qos));
        network.advance(publishPatienceMs);
        expect(waitingOf(crowd, dead), `round ${round}`).toBe(0);
      }
    }
  });

  test.each(all)("shard %i dead for two minutes, nothing is lost and everything comes to rest", (dead) => {
    const crowd = crowdOf();
    const { network, subscribers, publishers } = crowd;
    network.rule = isDead(dead);
    for (let round = 0; round < 4; round += 1) {
      network.joined(() => talk(crowd, round, qos));
      network.advance(30_000);
    }
    network.rule = () => "pass";
    network.advance(600_000);
    expect(waitingOf(crowd)).toBe(0);
    for (const { payloads } of subscribers) {
      const wanted = qos === 2 ? payloads : firstsOf(payloads);
      expect(wanted).toHaveLength(64);
      for (const publisher of publishers) {
        for (const topicName of crowd.topicNames) {
          const line = `${publisher.clientId} ${topicName} `;
          const rounds = wanted.filter((payload) => payload.startsWith(line));
          expect(rounds).toEqual([0, 1, 2, 3].map((round) => line + round));
        }
      }
    }
    expect(isAtRest(network)).toBe(true);
    expect(routesOf(network).actual).toEqual(routesOf(network).expected);
  });
});

describe("While a shard stays dead", () => {
  test("the others sleep: alarms look after their outboxes, and ever more rarely", () => {
    const crowd = crowdOf();
    const { network } = crowd;
    network.rule = isDead(3);
    talk(crowd, 0, 1);
    network.advance(3_600_000);
    const before = network.callCount;
    let awakeCount = 0;
    for (let count = 0; count < 360; count += 1) {
      network.advance(10_000);
      if ([0, 1, 2].some((shard) => network.at(shard).timerDueAtMs !== undefined)) awakeCount += 1;
    }
    // Only while a call is under way, for 5 s.
    expect(awakeCount).toBeLessThan(120);
    // Three shards with two lanes each way, every five minutes.
    expect(network.callCount - before).toBeLessThanOrEqual(12 * 24);
    network.advance(30_000);
    for (const shard of [0, 1, 2])
      if (network.at(shard).timerDueAtMs === undefined) network.at(shard).evict();
    network.rule = () => "pass";
    network.advance(600_000);
    for (const { payloads } of crowd.subscribers) expect(firstsOf(payloads)).toHaveLength(16);
    expect(isAtRest(network)).toBe(true);
  });

  test("a QoS 0 message for it is dropped and counted, and others get it at once", () => {
    const crowd = crowdOf();
    const { network, publishers, subscribers } = crowd;
    network.rule = isDead(3);
    publishers[0]?.say(network.topicOn(1), "wakes", 1);
    network.advance(60_000);
    publishers[0]?.say(network.topicOn(1), "gone", 0);
    for (const shard of [0, 1, 2]) expect(subscribers[shard]?.payloads).toContain("gone");
    // It may have been the one that tries whether the shard is back.
    network.advance(30_000);
    expect(network.at(1).core.counters.droppedPeerBusy).toBe(1);
    network.rule = () => "pass";
    network.advance(600_000);
    expect(subscribers[3]?.payloads).toEqual(["wakes"]);
  });
});
