/** What the object counts of its own cost is what happened to it. */
import { describe, expect, test, vi } from "vitest";
import type { CostFigures } from "../../src/core/cost/cost-meter.ts";
import { persistent, publishPacket, responsePacket, subscribePacket, text } from "./packets.ts";
import { TestNamespace } from "./test-namespace.ts";
import { TestObject } from "./test-object.ts";

/** Reads the count; that is a call itself. */
async function costOf({ stub }: TestObject): Promise<CostFigures> {
  return await stub.cost();
}

describe("The count of an object", () => {
  test("is of what happened, over all sleeps, and costs no row", async () => {
    const object = new TestObject();
    await object.connect("first", persistent);
    const client = await object.connect("client", { keepAliveSec: 60 });
    client.send(subscribePacket("news", 1));
    await client.next("suback");
    const rows = await object.rowsDuring(async () => {
      for (let count = 0; count < 10; count += 1) {
        object.skip(10);
        await object.evict();
        await client.ping();
        client.send(publishPacket("news", "x"));
        await client.next("publish");
      }
    });
    expect(rows).toBe(0);
    expect(object.instruments.lives).toBeGreaterThan(10);
    expect(await costOf(object)).toMatchObject({
      requests: 2,
      framesReceived: 3 + 20,
      callsBilled: 1,
      callsMade: 0,
      rowsWritten: object.rows,
      sinceSec: Date.UTC(2100, 0, 1) / 1000,
    });
  });

  test("has every row that the runtime has counted, those of the schema and of alarms with them", async () => {
    const object = new TestObject();
    const client = await object.connect("client", { ...persistent, keepAliveSec: 60 });
    client.send(subscribePacket("news", 1));
    await client.next("suback");
    for (let packetIdentifier = 1; packetIdentifier <= 3; packetIdentifier += 1) {
      client.send(publishPacket("news", "x", { qos: 1, retain: true, packetIdentifier }));
      await client.next("puback");
      const publish = await client.next("publish");
      client.send(responsePacket("puback", publish.packetIdentifier ?? 0));
      await client.ping();
      await object.evict();
    }
    expect(object.rows).toBeGreaterThan(8);
    const { rowsRead, rowsWritten, storedBytes } = await costOf(object);
    expect(rowsWritten).toBe(object.rows);
    expect(rowsRead).toBe(object.instruments.rowsRead);
    expect(storedBytes).toBeGreaterThan(4096);
  });

  test("has the alarms that came, also those that woke it", async () => {
    const object = new TestObject();
    await object.connect("client", { keepAliveSec: 60 });
    let fired = 0;
    for (let minute = 0; minute < 2; minute += 1) {
      await object.evict();
      object.skip(60);
      fired += (await object.runAlarm()) ? 1 : 0;
    }
    expect(fired).toBeGreaterThan(0);
    expect(await costOf(object)).toMatchObject({ alarms: fired, rowsWritten: object.rows });
  });

  test("goes on after a reset from the newest row", async () => {
    const object = new TestObject();
    const client = await object.connect("client", persistent);
    for (let count = 0; count < 5; count += 1) await client.ping();
    const { rowsWritten } = await costOf(object);
    client.send({ type: "disconnect", reasonCode: 0 });
    await client.closed;
    await object.evict("lost");
    expect(await costOf(object)).toMatchObject({
      requests: 1,
      framesReceived: 7,
      callsBilled: 2,
      rowsWritten,
    });
  });

  test("is lost with the last socket when no row was written", async () => {
    const object = new TestObject();
    await object.connect("client");
    await object.evict("lost");
    expect(await costOf(object)).toMatchObject({ requests: 0, framesReceived: 0, callsBilled: 1 });
  });

  test("survives a defect", async () => {
    const object = new TestObject();
    const client = await object.connect("client");
    const other = await object.connect("other");
    object.instruments.failNext = "query";
    client.send(subscribePacket("news", 1));
    await other.ping();
    expect(await costOf(object)).toMatchObject({ requests: 2, framesReceived: 4 });
  });

  test("is told by $SYS/cost", async () => {
    const object = new TestObject();
    const client = await object.connect("client");
    const { rows } = object;
    client.send(subscribePacket("$SYS/cost/#", 0));
    const told = new Map<string, string>();
    while (told.size < 11) {
      const { topicName, payload } = await client.next("publish");
      told.set(topicName.replace("$SYS/cost/", ""), text(payload));
    }
    expect(Object.fromEntries(told)).toMatchObject({
      requests: "1",
      "frames/received": "2",
      "calls/billed": "0",
      alarms: "0",
      "rows/written": String(rows),
    });
  });
});

describe("The counts of shards", () => {
  test("have each call that is billed where it came, and all where they were made", async () => {
    const namespace = new TestNamespace(4);
    const topic = namespace.home(3).topic("news");
    // Sockets keep what a shard has counted.
    const [subscriber, publisher] = await Promise.all(
      [0, 1, 2, 3].map((index) => namespace.connectOn(index)),
    );
    if (publisher === undefined || subscriber === undefined) throw new Error("nobody came");
    subscriber.send(subscribePacket(topic, 1));
    await subscriber.next("suback");
    for (let packetIdentifier = 1; packetIdentifier <= 5; packetIdentifier += 1) {
      publisher.send(publishPacket(topic, "x", { qos: 1, packetIdentifier }));
      await publisher.next("puback");
    }
    await namespace.quiet();
    await namespace.evict();
    const { sent } = namespace.calls;
    const came = namespace.shards.map(({ instruments }) => instruments.calls);
    const costs = await Promise.all(namespace.shards.map(costOf));
    expect(sent).toBeGreaterThan(5);
    expect(costs.map(({ callsBilled }) => callsBilled - 1)).toEqual(came);
    expect(costs.reduce((sum, { callsMade }) => sum + callsMade, 0)).toBe(sent);
  });

  test("have one call for a session that another one holds, and the time for which it is held", async () => {
    const namespace = new TestNamespace(4);
    const shard = namespace.shard(2);
    const session = await shard.stub.openSession();
    for (let count = 0; count < 3; count += 1) await session.peer(Uint8Array.of(0));
    const before = await costOf(shard);
    expect(before.callsBilled).toBe(2);
    namespace.skip(100);
    session[Symbol.dispose]();
    // It is over when no turn is open any more.
    await vi.waitUntil(() => shard.instruments.sessionsEnded === 1 && shard.instruments.timers.size === 0);
    namespace.skip(100);
    expect((await costOf(shard)).awakeMs - before.awakeMs).toBe(100_000);
  });
});
