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
  for (const index of namespace.shards.keys()) {
    const first = await namespace.connectOn(index, persistent);
    await subscribe(first, `${topic}/first`, 2);
  }
  const publisher = await namespace.connectOn(publisherShard, publisherOptions);
  const subscribers = await Promise.all(subscriberShards.map((index) => namespace.connectOn(index, options)));
  for (const subscriber of subscribers) await subscribe(subscriber, topic, qos);
  publisher.send(publishPacket(`${topic}/first`, "x", { qos: 2 }));
  await publisher.next("pubrec");
  publisher.send(responsePacket("pubrel", 1));
  await publisher.next("pubcomp");
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

  test("measure", async () => {
    for (const [count, a, b] of [[1, {}, {}], [1, {}, persistent], [40, {}, persistent], [1, persistent, persistent], [40, persistent, persistent]] as const) {
      const { namespace, topic, publisher, subscribers } = await settle(2, a, b);
      const at = namespace.shards.map((s) => [s.instruments.rowsWritten, s.instruments.alarmWrites]);
      const rows = await namespace.rowsDuring(async () => {
        const ids = Array.from({ length: count }, (_, index) => index + 1);
        publisher.send(...ids.map((packetIdentifier) => publishPacket(topic, "x", { qos: 2, packetIdentifier })));
        for (const _ of ids) await publisher.next("pubrec");
        publisher.send(...ids.map((id) => responsePacket("pubrel", id)));
        for (const _ of ids) await publisher.next("pubcomp");
        for (const s of subscribers) await takeQos2(s, count);
      });
      console.log(count, JSON.stringify(rows), JSON.stringify(namespace.shards.map((s, i) => [s.instruments.rowsWritten - at[i][0], s.instruments.alarmWrites - at[i][1]])));
    }
    const { namespace } = await settle(2, persistent);
    const topic = namespace.home(owner).topic("news");
    const c = await namespace.connectOn(0);
    const d = await namespace.connectOn(0);
    console.log("sub", await namespace.rowsDuring(() => subscribe(c, topic + "/x", 0)));
    console.log("sub2", await namespace.rowsDuring(() => subscribe(d, topic + "/x", 0)));
    console.log("wild", await namespace.rowsDuring(() => subscribe(c, "+/x", 0)));
    console.log("leave", await namespace.rowsDuring(async () => { c.send({ type: "disconnect", reasonCode: 0 }); await c.closed; }));
    console.log("leave", await namespace.rowsDuring(async () => { d.send({ type: "disconnect", reasonCode: 0 }); await d.closed; }));
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
    await namespace.wake();
    const lives = namespace.shards.map(({ instruments }) => instruments.lives);
    expect(lives).toEqual(livesBefore.map((count) => count + 1));
  });

  test("hold sessions while calls are many, and end them when calls have become few", async () => {
    const { namespace, topic, publisher, subscribers } = await settle(0);
    const count = (key: "sessionsOpened" | "sessionsEnded" | "calls" | "callsInSessions"): number[] =>
      namespace.shards.map(({ instruments }) => instruments[key]);
    const callsBefore = count("calls");
    for (let message = 0; message < 100; message += 1) {
      publisher.send(publishPacket(topic, "x"));
      for (const subscriber of subscribers) await subscriber.next("publish");
    }
    expect(count("sessionsOpened")).toEqual([1, 0, 1, 1]);
    const calls = count("calls").map((calls, index) => calls - (callsBefore[index] ?? 0));
    expect(Math.max(...calls)).toBeLessThan(50);
    for (const index of [...subscriberShards, owner]) expect(count("callsInSessions")[index]).toBeGreaterThan(50);
    await vi.waitUntil(() => count("sessionsEnded").every((ended, index) => ended === count("sessionsOpened")[index]), 10_000);
    expect(namespace.isAwake).toBe(false);
    await namespace.evict();
    publisher.send(publishPacket(topic, "later"));
    for (const subscriber of subscribers) await subscriber.next("publish");
    expect(count("sessionsOpened")).toEqual([1, 0, 1, 1]);
  });
});
