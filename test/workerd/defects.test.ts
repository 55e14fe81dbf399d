/** What a defect may cost: one connection. And a failed write: nothing that was acknowledged. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Client } from "./client.ts";
import {
  connectPacket,
  persistent,
  publishPacket,
  responsePacket,
  subscribePacket,
  text,
  will,
} from "./packets.ts";
import { TestObject } from "./test-object.ts";

const implementationSpecificError = 0x83;

let object: TestObject;
/** First words of what the object said in the log. */
let logged: unknown[];

beforeEach(() => {
  object = new TestObject();
  logged = [];
  const log = vi.spyOn(console, "error").mockImplementation((words) => void logged.push(words));
  return () => log.mockRestore();
});

async function connectSubscriber(clientId: string, options = {}): Promise<Client> {
  const client = await object.connect(clientId, options);
  client.send(subscribePacket("news", 1));
  await client.next("suback");
  return client;
}

async function publish(client: Client, payload: string): Promise<void> {
  client.send(publishPacket("news", payload, { qos: 1 }));
  await client.next("puback");
}

/** Takes the next message and acknowledges it. */
async function take(client: Client): Promise<string> {
  const { payload, packetIdentifier = 0 } = await client.next("publish");
  client.send(responsePacket("puback", packetIdentifier));
  await client.ping();
  return text(payload);
}

async function resume(clientId: string): Promise<Client> {
  const client = await object.open();
  client.send(connectPacket(clientId, persistent));
  expect((await client.next("connack")).sessionPresent).toBe(true);
  return client;
}

async function expectDismissed(client: Client): Promise<void> {
  expect((await client.next("disconnect")).reasonCode).toBe(implementationSpecificError);
  expect((await client.closed).code).toBe(1011);
}

/** A client whose next SUBSCRIBE reads from the database, where the defect is. */
async function meetDefect(): Promise<Client> {
  const client = await object.connect("unlucky");
  client.send(publishPacket("state", "kept", { retain: true }));
  await client.ping();
  await client.ping();
  object.instruments.failNext = "query";
  client.send(subscribePacket("state", 1));
  return client;
}

describe("an exception in a handler", () => {
  test("closes the connection that it was handled for with 0x83", async () => {
    await expectDismissed(await meetDefect());
    expect(object.instruments.lives).toBe(1);
  });

  test("leaves the other connections, their subscriptions and the messages to them alone", async () => {
    const clean = await connectSubscriber("clean");
    const lasting = await connectSubscriber("lasting", persistent);
    const publisher = await object.connect("publisher");
    await publish(publisher, "before");
    await expectDismissed(await meetDefect());
    await publish(publisher, "after");
    for (const client of [clean, lasting]) {
      expect([await take(client), await take(client)]).toEqual(["before", "after"]);
    }
  });

  test("is told once in the log", async () => {
    await expectDismissed(await meetDefect());
    expect(logged).toEqual([expect.stringContaining('"receive" failed')]);
  });

  test("lets the client come back at once", async () => {
    await expectDismissed(await meetDefect());
    const again = await object.connect("unlucky");
    again.send(subscribePacket("state", 1));
    expect(text((await again.next("publish")).payload)).toBe("kept");
  });

  test("while the object wakes costs no other connection either", async () => {
    const clean = await connectSubscriber("clean");
    const unlucky = await object.connect("unlucky", persistent);
    await object.evict();
    // PINGREQ needs nothing of what sleeping forgot.
    await clean.ping();
    object.instruments.failNext = "query";
    unlucky.send(publishPacket("news", "lost", { qos: 1 }));
    await expectDismissed(unlucky);
    await publish(await object.connect("publisher"), "after");
    expect(await take(clean)).toBe("after");
  });

  test("publishes the Will of the client that it cost the connection", async () => {
    const witness = await connectSubscriber("witness");
    const unlucky = await object.connect("unlucky", { will: will("news") });
    unlucky.send(publishPacket("state", "kept", { retain: true }));
    await unlucky.ping();
    await unlucky.ping();
    object.instruments.failNext = "query";
    unlucky.send(subscribePacket("state", 1));
    await expectDismissed(unlucky);
    expect(await take(witness)).toBe("will");
  });

  test("in the alarm is tried again", async () => {
    const witness = await connectSubscriber("witness");
    await object.connect("silent", { will: will("news"), keepAliveSec: 10 });
    await object.evict();
    await object.stub.touch();
    object.instruments.failNext = "query";
    await object.advance(30);
    expect(object.instruments.failNext).toBeUndefined();
    expect(await take(witness)).toBe("will");
  });
});

describe("a commit that fails", () => {
  test("resets the object: nothing it should have written is acknowledged, all that was acknowledged is there", async () => {
    const lasting = await connectSubscriber("lasting", persistent);
    const publisher = await object.connect("publisher", persistent);
    await publish(publisher, "before");
    object.instruments.failNext = "commit";
    publisher.send(publishPacket("news", "again", { qos: 1, packetIdentifier: 2 }));
    await Promise.all([publisher.closed, lasting.closed]);
    expect(publisher.untaken).toEqual([]);
    const [returned, sender] = [await resume("lasting"), await resume("publisher")];
    sender.send(publishPacket("news", "again", { qos: 1, packetIdentifier: 2, dup: true }));
    await sender.next("puback");
    expect([await take(returned), await take(returned)]).toEqual(["before", "again"]);
    expect(object.instruments.lives).toBe(2);
  });

  test("of a CONNECT refuses it, and the next one is served", async () => {
    await object.open();
    object.instruments.failNext = "commit";
    const client = await object.open();
    client.send(connectPacket("client", persistent));
    await client.closed;
    expect(client.untaken).toEqual([]);
    const again = await object.open();
    again.send(connectPacket("client", persistent));
    expect((await again.next("connack")).sessionPresent).toBe(false);
  });
});
