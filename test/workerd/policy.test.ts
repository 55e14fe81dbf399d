import { describe, expect, test } from "vitest";
import type { Policy } from "../../src/core/access/policy.ts";
import { emptyPolicy } from "../../src/core/access/policy.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Home } from "../support/home.ts";
import { connectPacket, subscribePacket } from "./packets.ts";
import { TestNamespace } from "./test-namespace.ts";
import { TestObject } from "./test-object.ts";

const closing: Policy = {
  ...emptyPolicy,
  version: 1,
  roles: { anonymous: [{ effect: "allow", action: "all", topicFilter: "open/#" }] },
  users: { ["__proto__"]: [{ effect: "allow", action: "all", topicFilter: "#" }] },
};

describe("A policy that is set by a call", () => {
  test("is answered for when it is written, in one row, and holds through a sleep and a reset", async () => {
    const object = new TestObject();
    expect(await object.stub.setPolicy({ ...closing, version: 3 })).toBe(3);
    const rows = await object.rowsDuring(async () => {
      expect(await object.stub.setPolicy({ ...closing, version: 4 })).toBe(4);
    });
    expect(rows).toBe(1);
    for (const sockets of ["kept", "lost"] as const) {
      await object.evict(sockets);
      const client = await object.connect(`client-${sockets}`);
      client.send(subscribePacket("closed", 0));
      expect((await client.next("suback")).reasonCodes).toEqual([ReasonCode.NotAuthorized]);
      client.send(subscribePacket("open/a", 0));
      expect((await client.next("suback")).reasonCodes).toEqual([0]);
    }
  });

  test("is not taken when it is older: the answer names the one that holds", async () => {
    const object = new TestObject();
    expect(await object.stub.setPolicy({ ...closing, version: 2 })).toBe(2);
    expect(await object.rowsDuring(() => object.stub.setPolicy({ ...emptyPolicy, version: 1 }))).toBe(0);
    expect(await object.stub.setPolicy(emptyPolicy)).toBe(2);
  });

  test("ends connections of a sleeping object that have what they may not have any more", async () => {
    const object = new TestObject();
    const [subscriber, other] = [await object.connect("subscriber"), await object.connect("other")];
    subscriber.send(subscribePacket("closed", 0));
    await subscriber.next("suback");
    await object.evict();
    expect(await object.stub.setPolicy(closing)).toBe(1);
    expect((await subscriber.next("disconnect")).reasonCode).toBe(ReasonCode.NotAuthorized);
    other.send({ type: "pingreq" });
    await other.next("pingresp");
  });
});

test("That there is no policy, which is all that a shard keeps, does not bind the namespace to its number of shards", async () => {
  const namespace = new TestNamespace(1);
  const shard = namespace.shard(0);
  await shard.connect("client");
  await namespace.evict("lost");
  expect(shard.rows).toBeGreaterThan(0);
  namespace.configure({ SHARDS: "4" });
  const client = await shard.open();
  client.send(connectPacket(new Home(0, 4).clientId("client")));
  expect((await client.next("connack")).reasonCode).toBe(0);
});
