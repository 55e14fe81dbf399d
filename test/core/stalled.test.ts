import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/core/limits.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

describe("a client that does not take what it is sent", () => {
  test("is disconnected with 0x97, and its Will is published", () => {
    const shard = new Harness();
    const witness = SimulatedClient.connected(shard);
    witness.subscribe("will");
    const client = SimulatedClient.connected(shard, { will: willMessage("will") });
    shard.tell({ type: "stalled", connectionId: client.connectionId });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(client.isConnected).toBe(false);
    expect(witness.all("publish")).toHaveLength(1);
  });

  test("that is gone already changes nothing", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    const { connectionId } = client;
    client.disconnect();
    shard.tell({ type: "stalled", connectionId });
    expect(shard.sessionCount).toBe(0);
  });
});

describe("a client whose socket is full", () => {
  function setUp(options: ClientOptions = {}): {
    shard: Harness;
    publisher: SimulatedClient;
    slow: SimulatedClient;
  } {
    const shard = new Harness();
    const slow = SimulatedClient.connected(shard, options);
    slow.subscribe("a", 2);
    return { shard, slow, publisher: SimulatedClient.connected(shard) };
  }

  test("loses QoS 0 first, each message counted, whereas others lose nothing", () => {
    const { shard, publisher, slow } = setUp();
    const quick = SimulatedClient.connected(shard);
    quick.subscribe("a", 2);
    shard.fullSockets.add(slow.connectionId);
    for (let index = 0; index < 1000; index += 1)
      publisher.publish("a", `${index}`, { qos: index % 2 === 0 ? 0 : 1 });
    expect(slow.payloads).toEqual([]);
    expect(quick.payloads).toHaveLength(1000);
    expect(shard.counters.droppedSlowConsumer).toBe(500);
  });

  test.each([0, week])(
    "and whose session has expiry %i gets QoS 1 and 2 in order when it takes again",
    (expiry) => {
      const { shard, publisher, slow } = setUp({ sessionExpiryIntervalSec: expiry });
      shard.fullSockets.add(slow.connectionId);
      const payloads = Array.from({ length: 300 }, (_, index) => `${index}`);
      for (const payload of payloads)
        publisher.publish("a", payload, { qos: Number(payload) % 2 === 0 ? 1 : 2 });
      shard.advance(29_000);
      expect(slow.payloads).toEqual([]);
      shard.fullSockets.clear();
      shard.advance(1000);
      expect(slow.payloads).toEqual(payloads);
      expect(shard.counters.droppedSlowConsumer).toBe(0);
    },
  );

  test("and that is closed for it has its messages when it comes back to its session", () => {
    const { shard, publisher, slow } = setUp({ sessionExpiryIntervalSec: week });
    shard.fullSockets.add(slow.connectionId);
    const payloads = ["1", "2", "3"];
    for (const payload of payloads) publisher.publish("a", payload, { qos: 2 });
    shard.tell({ type: "stalled", connectionId: slow.connectionId });
    expect(slow.last("disconnect").reasonCode).toBe(ReasonCode.QuotaExceeded);
    slow.connect({ cleanStart: false });
    expect(slow.connack.sessionPresent).toBe(true);
    expect(slow.payloads).toEqual(payloads);
  });
});

describe("a client that acknowledges nothing", () => {
  test.each([1, 2] as const)("has at most 100 messages of QoS %i in flight, and the others wait", (qos) => {
    const shard = new Harness();
    const slow = SimulatedClient.connected(shard, { acks: "manual" });
    slow.subscribe("a", qos);
    const publisher = SimulatedClient.connected(shard);
    for (let index = 0; index < 500; index += 1) publisher.publish("a", `${index}`, { qos });
    expect(slow.all("publish")).toHaveLength(shard.limits.inflightMessagesMax);
    slow.acks = "auto";
    slow.answer(slow.unanswered.length);
    expect(slow.payloads).toHaveLength(500);
  });

  test("costs no more memory than its queue may have, and what comes beyond is counted", () => {
    const { inflightMessagesMax, memoryQueue } = defaultLimits;
    const heldMax = inflightMessagesMax + memoryQueue.messagesMax;
    const shard = new Harness();
    const slow = SimulatedClient.connected(shard, { acks: "manual" });
    slow.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    for (let index = 0; index < 2 * heldMax; index += 1) publisher.publish("a", `${index}`, { qos: 1 });
    expect(shard.counters.droppedQueueFull).toBe(heldMax);
  });
});
