/** How packets are put into WebSocket messages, each of which costs the CPU of a send. */
import { describe, expect, test } from "vitest";
import { persistent, publishPacket, subscribePacket } from "./packets.ts";
import { TestObject } from "./test-object.ts";

describe("The runtime", () => {
  test("does not say what a socket has not sent yet; once it does, the README has to be told", () => {
    expect("bufferedAmount" in WebSocket.prototype).toBe(false);
  });
});

describe("The output of one event", () => {
  test("goes out in one WebSocket message for each client, however many packets it is", async () => {
    const object = new TestObject();
    const publisher = await object.connect("publisher");
    const subscriber = await object.connect("subscriber");
    subscriber.send(subscribePacket("a", 0));
    await subscriber.next("suback");
    const payloads = Array.from({ length: 20 }, (_, index) => `${index}`);
    publisher.send(...payloads.map((payload) => publishPacket("a", payload)));
    for (const _ of payloads) await subscriber.next("publish");
    expect(subscriber.messages.at(-1)).toEqual(payloads.map(() => "publish"));
  });

  test("is sent before a write that it does not depend on", async () => {
    const object = new TestObject();
    const subscriber = await object.connect("subscriber", persistent);
    subscriber.send(subscribePacket("a", 1));
    await subscriber.next("suback");
    const publisher = await object.connect("publisher");
    publisher.send(publishPacket("a", "kept", { qos: 1, packetIdentifier: 1 }), { type: "pingreq" });
    await publisher.next("puback");
    expect(publisher.messages.slice(-2)).toEqual([["pingresp"], ["puback"]]);
  });
});
