/** What several shards cost: rows, and objects that are kept awake. */
import { describe, expect, test, vi } from "vitest";
import type { Client } from "./client.ts";
import { persistent, publishPacket, responsePacket, subscribePacket } from "./packets.ts";
import { TestNamespace } from "./test-namespace.ts";

const owner = 3;
const publisherShard = 1;
const subscriberShards = [0, 2];

interface Setting {
  readonly namespace: TestNamespace;
  readonly topic: string;
  readonly publisher: Client;
  /** One on each of the {@link subscriberShards}. */
  readonly subscribers: readonly Client[];
}

async function subscribe(client: Client, topicFilter: string, qos: 0 | 1 | 2): Promise<void> {
  client.send(subscribePacket(topicFilter, qos));
  await client.next("suback");
}

/**
 * A publisher, the owner of its topic and two subscribers on a shard each. All shards have written what they write
 * once: the schema, their own row, and that of the first flush.
 */
async function settle(qos: 0 | 1 | 2, options = {}, publisherOptions = {}): Promise<Setting> {
  const namespace = new TestNamespace(4);
  const topic = namespace.home(owner).topic("news");
  const firsts: Client[] = [];
  for (const index of namespace.shards.keys()) {
    const first = await namespace.connectOn(index, persistent);
    await subscribe(first, `${topic}/first`, 2);
    firsts.push(first);
  }
  const publisher = await namespace.connectOn(publisherShard, publisherOptions);
  const subscribers = await Promise.all(subscriberShards.map((index) => namespace.connectOn(index, options)));
  for (const subscriber of subscribers) await subscribe(subscriber, topic, qos);
  publisher.send(publishPacket(`${topic}/first`, "x", { qos: 2 }));
  await publisher.next("pubrec");
  publisher.send(responsePacket("pubrel", 1));
  await publisher.next("pubcomp");
  for (const first of firsts) await takeQos2(first, 1);
  await namespace.quiet();
  return { namespace, topic, publisher, subscribers };
}

/** Takes so many QoS 2 messages, each step of all of them in one go. */
async function takeQos2(client: Client, count: number): Promise<void> {
  const take = async (type: "publish" | "pubrel"): Promise<number[]> => {
    const identifiers: number[] = [];
    while (identifiers.length < count) identifiers.push((await client.next(type)).packetIdentifier ?? 0);
    return identifiers;
  };
  client.send(...(await take("publish")).map((identifier) => responsePacket("pubrec", identifier)));
  client.send(...(await take("pubrel")).map((identifier) => responsePacket("pubcomp", identifier)));
  await client.ping();
}

/** Publishes so many QoS 2 messages in one go, and goes through with all of them, as do the subscribers. */
async function exchangeQos2({ publisher, subscribers, topic }: Setting, count: number): Promise<void> {
  const identifiers = Array.from({ length: count }, (_, index) => index + 1);
  publisher.send(
    ...identifiers.map((packetIdentifier) => publishPacket(topic, "x", { qos: 2, packetIdentifier })),
  );
  for (const _ of identifiers) await publisher.next("pubrec");
  publisher.send(...identifiers.map((identifier) => responsePacket("pubrel", identifier)));
  for (const _ of identifiers) await publisher.next("pubcomp");
  for (const subscriber of subscribers) await takeQos2(subscriber, count);
}

async function disconnect(client: Client): Promise<void> {
  client.send({ type: "disconnect", reasonCode: 0 });
  await client.closed;
}

describe("Rows that a message to sessions on other shards costs on each shard", () => {
  test("are none with QoS 0", async () => {
    const { namespace, topic, publisher, subscribers } = await settle(0);
    const rows = await namespace.rowsDuring(async () => {
      for (let count = 0; count < 10; count += 1) {
        publisher.send(publishPacket(topic, "x"));
        for (const subscriber of subscribers) await subscriber.next("publish");
      }
    });
    expect(rows).toEqual([0, 0, 0, 0]);
  });

  test("are none with QoS 1, when the sessions end with their connections", async () => {
    const { namespace, topic, publisher, subscribers } = await settle(1);
    const rows = await namespace.rowsDuring(async () => {
      for (let packetIdentifier = 1; packetIdentifier <= 5; packetIdentifier += 1) {
        publisher.send(publishPacket(topic, "x", { qos: 1, packetIdentifier }));
        await publisher.next("puback");
        for (const subscriber of subscribers) {
          const received = await subscriber.next("publish");
          subscriber.send(responsePacket("puback", received.packetIdentifier ?? 0));
          await subscriber.ping();
        }
      }
    });
    expect(rows).toEqual([0, 0, 0, 0]);
  });

  test.each([1, 40])(
    "are one at each target with QoS 2 and none elsewhere, for %i in one go between sessions that end",
    async (count) => {
      const setting = await settle(2);
      const rows = await setting.namespace.rowsDuring(() => exchangeQos2(setting, count));
      expect(rows).toEqual([1, 0, 1, 0]);
    },
  );

  test.each([1, 40])(
    "are one a flush with QoS 2 and none at the owner, for %i in one go between sessions that last",
    async (count) => {
      const setting = await settle(2, persistent, persistent);
      const rows = await setting.namespace.rowsDuring(() => exchangeQos2(setting, count));
      // At the targets before PUBREC and before PUBREL; at the publisher's shard before the first call, before PUBREC
      // and before PUBCOMP.
      const [first = 0, publisher = 0, second = 0, atOwner] = rows;
      expect(Math.max(first, second)).toBeLessThanOrEqual(2);
      expect(publisher).toBeLessThanOrEqual(3);
      expect(atOwner).toBe(0);
    },
  );

  test("are none with QoS 0 after a sleep, also where a session owes an answer", async () => {
    const { namespace, topic, publisher, subscribers } = await settle(2, persistent);
    publisher.send(publishPacket(topic, "x", { qos: 2 }));
    for (const subscriber of subscribers) await subscriber.next("publish");
    const rows = [];
    for (let count = 0; count < 3; count += 1) {
      await namespace.quiet();
      await namespace.evict();
      rows.push(
        await namespace.rowsDuring(async () => {
          publisher.send(publishPacket(topic, "x"));
          for (const subscriber of subscribers) await subscriber.next("publish");
        }),
      );
    }
    expect(rows[2]).toEqual([0, 0, 0, 0]);
  });
});

describe("Rows that a subscription without a session that lasts costs on each shard", () => {
  /** Shards that have written what they write once. */
  async function usedNamespace(): Promise<TestNamespace> {
    const namespace = new TestNamespace(4);
    for (const index of namespace.shards.keys()) await namespace.connectOn(index, persistent);
    return namespace;
  }

  test("are one where the topic is at home, for the first and the last subscriber of a shard", async () => {
    const namespace = await usedNamespace();
    const topic = namespace.home(owner).topic("other/news");
    const clients = await Promise.all([namespace.connectOn(0), namespace.connectOn(0)]);
    const rows = [];
    for (const client of clients) rows.push(await namespace.rowsDuring(() => subscribe(client, topic, 0)));
    for (const client of clients) rows.push(await namespace.rowsDuring(() => disconnect(client)));
    const atHome = [0, 0, 0, 1];
    const none = [0, 0, 0, 0];
    expect(rows).toEqual([atHome, none, none, atHome]);
  });

  test("are one on every other shard, when a wildcard is among the first levels", async () => {
    const namespace = await usedNamespace();
    const client = await namespace.connectOn(0);
    const rows = [];
    rows.push(await namespace.rowsDuring(() => subscribe(client, "+/news", 0)));
    rows.push(await namespace.rowsDuring(() => disconnect(client)));
    const elsewhere = [0, 1, 1, 1];
    expect(rows).toEqual([elsewhere, elsewhere]);
  });
});

describe("Shards that have nothing to do any more", () => {
  test("sleep at once, each, after a few calls", async () => {
    const { namespace, topic, publisher, subscribers } = await settle(1);
    publisher.send(publishPacket(topic, "x"));
    for (const subscriber of subscribers) await subscriber.next("publish");
    await namespace.quiet();
    expect(namespace.isAwake).toBe(false);
    expect(namespace.shards.map(({ instruments }) => instruments.sessionsOpened)).toEqual([0, 0, 0, 0]);
    const livesBefore = namespace.shards.map(({ instruments }) => instruments.lives);
    await namespace.evict();
    await namespace.touch();
    const lives = namespace.shards.map(({ instruments }) => instruments.lives);
    expect(lives).toEqual(livesBefore.map((count) => count + 1));
  });

  test("hold sessions while calls are many, and end them when calls have become few", async () => {
    const { namespace, topic, publisher, subscribers } = await settle(0);
    const count = (key: "sessionsOpened" | "sessionsEnded" | "calls" | "callsInSessions"): number[] =>
      namespace.shards.map(({ instruments }) => instruments[key]);
    const sendOne = async (): Promise<void> => {
      publisher.send(publishPacket(topic, "x"));
      for (const subscriber of subscribers) await subscriber.next("publish");
    };
    const callers = [...subscriberShards, owner];
    const isHeld = (): boolean => callers.every((index) => (count("callsInSessions")[index] ?? 0) > 0);
    // A burst is not enough: it has to go on for a second.
    for (let message = 0; message < 20_000 && !isHeld(); message += 1) await sendOne();
    const opened = count("sessionsOpened");
    const callsBefore = count("calls");
    for (let message = 0; message < 100; message += 1) await sendOne();
    expect(count("calls")).toEqual(callsBefore);
    for (const index of callers) expect(count("callsInSessions")[index]).toBeGreaterThan(50);
    await vi.waitUntil(
      () => count("sessionsEnded").every((ended, index) => ended === count("sessionsOpened")[index]),
      10_000,
    );
    expect(namespace.isAwake).toBe(false);
    await namespace.evict();
    publisher.send(publishPacket(topic, "later"));
    for (const subscriber of subscribers) await subscriber.next("publish");
    expect(count("sessionsOpened")).toEqual(opened);
  });
});
