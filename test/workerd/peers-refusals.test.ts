/** What a shard does not take from another, and what it does with data of another layout: nothing. */
import { describe, expect, test } from "vitest";
import type { Batch, BatchAnswer } from "../../src/core/peers/message.ts";
import { decodeAnswer, encodeBatch, newestFormat } from "../../src/shard/peer-codec.ts";
import { connectPacket, persistent, publishPacket, subscribePacket, text, will } from "./packets.ts";
import { TestNamespace } from "./test-namespace.ts";

const shardCount = 4;
const self = 2;
const layout = { epoch: 1, shards: shardCount, topicKeyLevels: 2 } as const;
const serverUnavailable = 0x88;

interface Setting {
  readonly namespace: TestNamespace;
  readonly topic: string;
  /** Everything that a call leaves behind: what the subscriber gets, and rows. */
  traceOf(bytes: Uint8Array): Promise<{ answer: BatchAnswer; payloads: string[]; rows: number[] }>;
}

/** A subscriber on the shard that is called, with a topic of that shard. */
async function settle(): Promise<Setting> {
  const namespace = new TestNamespace(shardCount);
  const topic = namespace.home(self).topic("news");
  const subscriber = await namespace.connectOn(self, persistent);
  subscriber.send(subscribePacket("#", 2), subscribePacket(topic, 1));
  await subscriber.next("suback");
  await subscriber.next("suback");
  await namespace.quiet();
  await namespace.evict();
  const traceOf = async (bytes: Uint8Array) => {
    let answer: BatchAnswer | undefined;
    const rows = await namespace.rowsDuring(async () => {
      answer = decodeAnswer(await namespace.shard(self).stub.peer(bytes));
      await subscriber.ping();
    });
    const payloads = subscriber.untaken.flatMap((one) => (one.type === "publish" ? [text(one.payload)] : []));
    return { answer: answer as BatchAnswer, payloads, rows };
  };
  return { namespace, topic, traceOf };
}

function batchOf(topicName: string, changes: Partial<Batch> = {}): Batch {
  const publication = { message: { topicName, payload: Uint8Array.of(0x78), qos: 1, retain: true } } as const;
  return {
    lane: "publish",
    from: 0,
    to: self,
    layout,
    stream: 1,
    sequence: 1,
    items: [{ type: "publish", publication, publisherClientId: "somebody" }],
    ...changes,
  };
}

describe("A call", () => {
  test("of another shard of the namespace is applied", async () => {
    const { topic, traceOf } = await settle();
    const { answer, payloads } = await traceOf(encodeBatch(batchOf(topic)));
    expect(answer).toMatchObject({ type: "applied", outcomes: [{ reasonCode: 0 }] });
    expect(payloads).toEqual(["x"]);
  });

  const batches: [string, Partial<Batch>, string][] = [
    ["of another epoch", { layout: { ...layout, epoch: 2 } }, "layout"],
    ["of a namespace with more shards", { layout: { ...layout, shards: 5 } }, "layout"],
    ["of other topic keys", { layout: { ...layout, topicKeyLevels: 3 } }, "layout"],
    ["from a shard that there is not", { from: shardCount }, "address"],
    ["from a negative shard", { from: -1 }, "address"],
    ["from the shard itself", { from: self }, "address"],
    ["for another shard", { to: 1 }, "address"],
    ["with too many items", { items: Array(1001).fill(batchOf("news").items[0]) as Batch["items"] }, "size"],
    ["of the wrong lane", { lane: "deliver" }, "format"],
    ["of no lane", { lane: "other" as "deliver" }, "format"],
    ["without a sequence", { sequence: 0 }, "format"],
    ["of half a stream", { stream: 1.5 }, "format"],
    ["with an item of an unknown type", { items: [{ type: "other" } as never] }, "format"],
  ];
  test.each(batches)("%s is refused and changes nothing", async (_, changes, refusal) => {
    const { topic, traceOf } = await settle();
    const { answer, payloads, rows } = await traceOf(encodeBatch(batchOf(topic, changes)));
    expect(answer).toMatchObject({ type: "refused", refusal });
    expect(payloads).toEqual([]);
    expect(rows).toEqual([0, 0, 0, 0]);
  });

  test.each([
    ["no bytes", new Uint8Array(), "format"],
    ["noise", Uint8Array.from({ length: 1000 }, (_, index) => (index * 7919) % 256), "format"],
    ["a number", Uint8Array.of(1), "format"],
    ["more than any shard sends", new Uint8Array(16 * 1024 * 1024 + 1), "size"],
  ])("that is %s is refused and changes nothing", async (_, bytes, refusal) => {
    const { traceOf } = await settle();
    const { answer, payloads, rows } = await traceOf(bytes);
    expect(answer).toEqual({ type: "refused", refusal, format: newestFormat });
    expect(payloads).toEqual([]);
    expect(rows).toEqual([0, 0, 0, 0]);
  });

  test("that is cut anywhere is refused and changes nothing", async () => {
    const { topic, traceOf } = await settle();
    const bytes = encodeBatch(batchOf(topic));
    for (let length = 0; length < bytes.length; length += 5) {
      const { answer, payloads, rows } = await traceOf(bytes.subarray(0, length));
      expect(answer).toMatchObject({ type: "refused", refusal: "format" });
      expect(payloads).toEqual([]);
      expect(rows).toEqual([0, 0, 0, 0]);
    }
  });

  test("that comes twice is answered twice and applied once", async () => {
    const { namespace, topic, traceOf } = await settle();
    const bytes = encodeBatch(batchOf(topic));
    const earlier = namespace.shard(self).stub.peer(bytes);
    const { answer, payloads } = await traceOf(bytes);
    expect(decodeAnswer(await earlier)).toEqual(answer);
    expect(payloads).toEqual(["x"]);
  });
});

describe("An object with data of another layout", () => {
  async function relaid(): Promise<TestNamespace> {
    const namespace = new TestNamespace(shardCount);
    const client = await namespace.connectOn(self, { ...persistent, keepAliveSec: 60, will: will("news") });
    client.send(publishPacket(namespace.home(self).topic("news"), "kept", { qos: 1, retain: true }));
    await client.next("puback");
    await namespace.quiet();
    namespace.configure({ SHARDS: String(shardCount), LAYOUT_EPOCH: "2" });
    await namespace.evict("lost");
    return namespace;
  }

  test("refuses every CONNECT with 0x88", async () => {
    const namespace = await relaid();
    for (const options of [{}, persistent]) {
      const client = await namespace.shard(self).open();
      client.send(connectPacket(namespace.home(self).clientId("c"), options));
      expect((await client.next("connack")).reasonCode).toBe(serverUnavailable);
      await client.closed;
    }
  });

  test("refuses calls of either layout", async () => {
    const namespace = await relaid();
    for (const epoch of [1, 2]) {
      const bytes = encodeBatch(batchOf("news", { layout: { ...layout, epoch } }));
      const answer = decodeAnswer(await namespace.shard(self).stub.peer(bytes));
      expect(answer).toMatchObject({ type: "refused", refusal: "layout" });
    }
  });

  test("comes to rest: its alarm looks at the settings once an hour", async () => {
    const namespace = await relaid();
    const shard = namespace.shard(self);
    await shard.stub.touch();
    await namespace.advance(7200);
    for (let hour = 0; hour < 3; hour += 1) {
      const before = shard.instruments.alarmAtMs ?? 0;
      await namespace.advance(3600);
      expect((shard.instruments.alarmAtMs ?? 0) - before).toBeGreaterThanOrEqual(3_600_000);
    }
  });
});
