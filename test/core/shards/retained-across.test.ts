import { describe, expect, test } from "vitest";
import { SimulatedClient, textOf } from "../simulated-client.ts";
import { Publisher, Returning } from "./actors.ts";
import type { Passage } from "./network.ts";
import { isAtRest, Network } from "./network.ts";

const subscriberShard = 1;
const owner = 2;

function publisherOn(network: Network, shard: number): Publisher {
  return new Publisher(network, network.clientOn(shard, "publisher")).comeBack();
}

function subscriberOn(network: Network): SimulatedClient {
  return SimulatedClient.connected(network, { clientId: network.clientOn(subscriberShard, "subscriber") });
}

/** What a client that subscribes now is sent, by topic. */
function retainedFor(network: Network, topicFilter: string, shard = 0): Record<string, string> {
  const clientId = network.clientOn(shard, `reader-${network.sent.length}`);
  const reader = SimulatedClient.connected(network, { clientId });
  reader.subscribe(topicFilter, 1);
  network.advance(60_000);
  reader.disconnect();
  return Object.fromEntries(
    reader.messages.map(({ message: { topicName, payload } }) => [topicName, textOf(payload)]),
  );
}

function carries({ kind, batch }: Passage, type: string): boolean {
  return kind === "call" && batch.items.some((item) => item.type === type);
}

describe("A retained message of another shard", () => {
  test.each([0, 1, 2] as const)("of QoS %i comes at SUBSCRIBE, after SUBACK and with RETAIN", (qos) => {
    const network = new Network();
    const topicName = network.topicOn(owner);
    publisherOn(network, 0).say(topicName, "kept", qos, { retain: true });
    const subscriber = subscriberOn(network);
    subscriber.subscribe(topicName, 2);
    expect(subscriber.inbox.map(({ type }) => type).slice(0, 3)).toEqual(["connack", "suback", "publish"]);
    expect(subscriber.messages).toMatchObject([{ qos, retain: true }]);
  });

  test("comes no more once it was removed, wherever the publishers are", () => {
    const network = new Network();
    const topicName = network.topicOn(owner);
    publisherOn(network, 0).say(topicName, "kept", 1, { retain: true });
    expect(retainedFor(network, topicName)).toEqual({ [topicName]: "kept" });
    publisherOn(network, 3).say(topicName, "", 1, { retain: true });
    expect(retainedFor(network, topicName)).toEqual({});
  });

  test.each(["#", "+/x"])("comes from every owner for %s", (topicFilter) => {
    const network = new Network();
    const publisher = publisherOn(network, 0);
    const topicNames = Array.from({ length: 40 }, (_, index) => `retained-${index}/x`);
    for (const topicName of topicNames) publisher.say(topicName, `of ${topicName}`, 1, { retain: true });
    const owners = new Set(topicNames.map((topicName) => network.placement.topicShard(topicName)));
    expect(owners.size).toBe(4);
    expect(retainedFor(network, topicFilter)).toEqual(
      Object.fromEntries(topicNames.map((topicName) => [topicName, `of ${topicName}`])),
    );
  });
});

describe("Many retained messages", () => {
  function kept(count: number): { network: Network; topicNames: string[] } {
    const network = new Network();
    const publisher = publisherOn(network, 0);
    const key = network.topicOn(owner, "key");
    // All below the same two levels are of one owner.
    const prefix = `${network.topicOn(owner, "many/x")}/`;
    expect(network.placement.topicShard(`${prefix}0`)).toBe(owner);
    publisher.say(key, "", 0);
    const topicNames = Array.from({ length: count }, (_, index) => `${prefix}${index}`);
    for (const topicName of topicNames) publisher.say(topicName, topicName, 0, { retain: true });
    return { network, topicNames };
  }

  test("come in pages, each once", () => {
    const { network, topicNames } = kept(350);
    const subscriber = subscriberOn(network);
    subscriber.subscribe("#");
    network.advance(1_000);
    const pages = network.sent.flatMap(({ items }) => items).filter(({ type }) => type === "retained");
    expect(pages.length).toBeGreaterThanOrEqual(4);
    expect(subscriber.payloads.toSorted()).toEqual(topicNames.toSorted());
  });

  test.each([1, 2, 3, 4])("come each once though request or page %i is lost", (lost) => {
    const { network, topicNames } = kept(350);
    for (const type of ["replay", "retained"]) {
      let seen = 0;
      network.rule = (passage) => {
        if (!carries(passage, type)) return "pass";
        seen += 1;
        return seen === lost ? "vanish" : "pass";
      };
      const subscriber = SimulatedClient.connected(network, {
        clientId: network.clientOn(subscriberShard, type),
      });
      subscriber.subscribe("#");
      network.advance(60_000);
      expect(subscriber.payloads.toSorted()).toEqual(topicNames.toSorted());
      expect(isAtRest(network)).toBe(true);
    }
  });

  test("come though the owner is reset between two pages", () => {
    const { network, topicNames } = kept(350);
    let seen = 0;
    network.rule = (passage) => {
      if (carries(passage, "replay")) seen += 1;
      if (carries(passage, "replay") && seen === 3) network.resetShard(owner);
      return "pass";
    };
    const subscriber = subscriberOn(network);
    subscriber.subscribe("#");
    network.advance(60_000);
    expect(subscriber.payloads.toSorted()).toEqual(topicNames.toSorted());
  });
});

describe("A retained message and live messages of its topic", () => {
  /** What was the newest before comes last to no client. */
  test.each([0, 1, 2] as const)("of QoS %i come in order though the lane is busy", (qos) => {
    for (const publisherShard of [0, owner]) {
      const network = new Network();
      const topicName = network.topicOn(owner);
      const publisher = publisherOn(network, publisherShard);
      publisher.say(topicName, "old", 1, { retain: true });
      const other = SimulatedClient.connected(network, {
        clientId: network.clientOn(subscriberShard, "other"),
      });
      const busyTopic = network.topicOn(owner, "busy");
      other.subscribe(busyTopic);
      // One call of the owner's lane is under way; the page and the next message wait behind it.
      network.rule = ({ batch }) => (batch.lane === "deliver" && batch.from === owner ? "hold" : "pass");
      publisher.say(busyTopic, "busy", 0);
      const subscriber = subscriberOn(network);
      subscriber.subscribe(topicName, 2);
      publisher.say(topicName, "new", qos, { retain: true });
      expect(subscriber.payloads).toEqual([]);
      network.rule = () => "pass";
      network.release();
      network.advance(60_000);
      expect(subscriber.payloads.at(-1)).toBe("new");
    }
  });

  test.each([1, 2] as const)("of QoS %i come in order though the lane goes through its outbox", (qos) => {
    for (const publisherShard of [0, owner]) {
      const network = new Network();
      const topicName = network.topicOn(owner);
      const publisher = publisherOn(network, publisherShard);
      const others = new Returning(network, network.clientOn(subscriberShard, "other")).comeBack();
      const busyTopic = network.topicOn(owner, "busy");
      others.subscribe(busyTopic, 1);
      publisher.say(topicName, "old", 1, { retain: true });
      network.rule = ({ batch }) => (batch.lane === "deliver" && batch.from === owner ? "vanish" : "pass");
      publisher.say(busyTopic, "busy", 1);
      network.advance(1_500);
      const subscriber = subscriberOn(network);
      subscriber.subscribe(topicName, 2);
      publisher.say(topicName, "new", qos, { retain: true });
      network.rule = () => "pass";
      network.advance(60_000);
      expect(subscriber.payloads.at(-1)).toBe("new");
    }
  });

  test("come to a session that lasts though its connection was lost right after SUBACK", () => {
    const network = new Network();
    const topicName = network.topicOn(owner);
    publisherOn(network, 0).say(topicName, "kept", 1, { retain: true });
    const subscriber = new Returning(network, network.clientOn(subscriberShard, "subscriber")).comeBack();
    network.rule = (passage) => (carries(passage, "retained") ? "hold" : "pass");
    subscriber.subscribe(topicName, 1);
    subscriber.lose();
    network.rule = () => "pass";
    network.release();
    subscriber.comeBack();
    network.advance(60_000);
    expect(subscriber.payloads).toEqual(["kept"]);
  });
});
