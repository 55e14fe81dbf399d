/** Limits against abuse, through sleeps of the object. */
import { beforeEach, describe, expect, test } from "vitest";
import { unadmittedSocketsMax } from "../../src/core/limits.ts";
import type { Client } from "./client.ts";
import { connectPacket, publishPacket } from "./packets.ts";
import { TestNamespace } from "./test-namespace.ts";
import type { TestObject } from "./test-object.ts";

const quotaExceeded = 0x97;

let object: TestObject;

beforeEach(() => {
  const settings = {
    MESSAGES_PER_DAY_MAX: "2",
    NAMESPACE_MESSAGES_PER_DAY_MAX: "3",
    MESSAGES_PER_SEC_MAX: "1",
    MESSAGES_BURST_MAX: "4",
  };
  object = new TestNamespace(1, settings).shard(0);
});

describe("Sockets whose client is not admitted", () => {
  const headers = { upgrade: "websocket", "sec-websocket-protocol": "mqtt" };
  const upgrade = () => object.stub.fetch("http://shard/mqtt", { headers });

  test("are so many at most; one more gets 503, until another one is admitted or leaves", async () => {
    const admitted = await object.connect("admitted");
    const waiting: Client[] = [];
    for (let count = 0; count < unadmittedSocketsMax; count += 1) waiting.push(await object.open());
    const refused = await upgrade();
    expect([refused.status, refused.webSocket, refused.headers.get("retry-after")]).toEqual([
      503,
      null,
      "10",
    ]);
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(await refused.json()).toMatchObject({ status: 503, title: "Unavailable" });
    await admitted.ping();
    const [first, second] = waiting as [Client, Client];
    first.send(connectPacket("first"));
    await first.next("connack");
    expect((await upgrade()).status).toBe(101);
    expect((await upgrade()).status).toBe(503);
    await second.vanish();
    expect((await upgrade()).status).toBe(101);
    expect((await upgrade()).status).toBe(503);
  }, 60_000);
});

describe("An object that has slept", () => {
  test("knows what a client has published today", async () => {
    const client = await object.connect("client");
    client.send(publishPacket("a", "1"), publishPacket("a", "2"));
    await client.ping();
    await object.evict();
    client.send(publishPacket("a", "3", { qos: 1 }));
    expect(await client.next("puback")).toMatchObject({ reasonCode: quotaExceeded });
  });

  test("knows what the namespace has published today, by clients that have left, too", async () => {
    const staying = await object.connect("staying");
    const leaving = await object.connect("leaving");
    staying.send(publishPacket("a", "1"));
    await staying.ping();
    leaving.send(publishPacket("a", "2"), publishPacket("a", "3"));
    await leaving.ping();
    await leaving.vanish();
    await object.evict();
    staying.send(publishPacket("a", "4", { qos: 1 }));
    expect(await staying.next("puback")).toMatchObject({ reasonCode: quotaExceeded });
  });

  test("lets a client talk that had been quiet meanwhile, at its rate again", async () => {
    const client = await object.connect("client");
    for (let count = 0; count < 4; count += 1) await client.ping();
    object.skip(10);
    await object.evict();
    for (let count = 0; count < 4; count += 1) await client.ping();
    expect(client.isClosed).toBe(false);
    await client.ping();
    expect(client.isClosed).toBe(true);
  });
});
