import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

function setUp(limits: object = {}): { shard: Harness; publisher: SimulatedClient } {
  const shard = new Harness({ limits });
  return { shard, publisher: SimulatedClient.connected(shard) };
}

function subscribed(
  shard: Harness,
  filter: string,
  qos: 0 | 1 | 2 = 0,
  options: object = {},
): SimulatedClient {
  const client = SimulatedClient.connected(shard);
  client.subscribe(filter, qos, options);
  return client;
}

describe("a retained message", () => {
  test("[MQTT-3.3.1-5] [MQTT-3.3.1-9] is sent to a new subscription, with RETAIN set and its own QoS", () => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "1", { retain: true, qos: 1 });
    const client = subscribed(shard, "a", 2, { subscriptionIdentifier: 5 });
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "suback", "publish"]);
    expect(client.only("publish")).toMatchObject({
      retain: true,
      qos: 1,
      dup: false,
      subscriptionIdentifiers: [5],
    });
    expect(subscribed(shard, "a", 0).only("publish").qos).toBe(0);
  });

  test("is replaced by a newer one", () => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "1", { retain: true });
    publisher.publish("a", "2", { retain: true });
    expect(subscribed(shard, "a").payloads).toEqual(["2"]);
  });

  test("[MQTT-3.3.1-6] [MQTT-3.3.1-7] is cleared by an empty one, which is passed on and not kept", () => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "1", { retain: true });
    const before = subscribed(shard, "a");
    publisher.publish("a", "", { retain: true });
    expect(before.payloads).toEqual(["1", ""]);
    expect(subscribed(shard, "a").payloads).toEqual([]);
    expect(shard.retainedNames).toEqual([]);
  });

  test("[MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] comes as Retain Handling says", () => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "1", { retain: true });
    const counts = ([0, 1, 2] as const).map((retainHandling) => {
      const client = subscribed(shard, "a", 0, { retainHandling });
      const first = client.payloads.length;
      client.subscribe("a", 0, { retainHandling });
      client.subscribe("a", 1, { retainHandling });
      return [first, client.payloads.length];
    });
    expect(counts).toEqual([
      [1, 3],
      [1, 1],
      [0, 0],
    ]);
  });

  test("[MQTT-3.3.1-8] does not come into being with RETAIN 0, nor does it go", () => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "1", { retain: true });
    publisher.publish("a", "2");
    publisher.publish("b", "3");
    expect(subscribed(shard, "#").payloads).toEqual(["1"]);
  });

  test("[MQTT-4.7.2-1] of a server topic is out of reach for a leading wildcard", () => {
    const { shard, publisher } = setUp();
    publisher.publish("$app/a", "1", { retain: true });
    expect(subscribed(shard, "#").payloads).toEqual([]);
    expect(subscribed(shard, "+/a").payloads).toEqual([]);
    expect(subscribed(shard, "$app/#").payloads).toEqual(["1"]);
  });

  test("[MQTT-3.3.2-5] [MQTT-3.3.2-6] expires, and tells what is left of its time", () => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "1", { retain: true, messageExpiryIntervalSec: 60 });
    shard.advance(20_000);
    expect(subscribed(shard, "a").only("publish").messageExpiryIntervalSec).toBe(40);
    shard.advance(40_000);
    expect(subscribed(shard, "a").payloads).toEqual([]);
    expect(shard.retainedNames).toEqual([]);
  });

  test("survives a reset", () => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "1", { retain: true, qos: 1, contentType: "text" });
    shard.reset();
    expect(subscribed(shard, "a", 1).only("publish")).toMatchObject({
      qos: 1,
      message: { contentType: "text" },
    });
  });

  test("to a persistent session with QoS 1 lies in the log until it is acknowledged", () => {
    const { shard, publisher } = setUp();
    for (let index = 0; index < 20; index += 1)
      publisher.publish(`a/${index}`, `${index}`, { retain: true, qos: 1 });
    const options = { sessionExpiryIntervalSec: week, receiveMaximum: 5, acks: "manual" } as const;
    const client = SimulatedClient.connected(shard, options);
    client.subscribe("a/+", 1);
    expect(client.payloads).toHaveLength(5);
    shard.reset();
    client.acks = "auto";
    client.connect({ cleanStart: false });
    expect(new Set(client.payloads).size).toBe(20);
  });
});

describe("retained messages", () => {
  /** What the owner of `a/a/…` writes first brings a row about the shard itself along. */
  function rowsBefore(shard: Harness, publisher: SimulatedClient): number {
    publisher.publish("a/a/first", "1", { retain: true });
    return shard.rowsWritten;
  }

  test("cost one row each, and one row to clear; clearing none costs nothing", () => {
    const { shard, publisher } = setUp();
    const rows = rowsBefore(shard, publisher);
    publisher.publish("a/a/1", "1", { retain: true });
    expect(shard.rowsWritten).toBe(rows + 1);
    publisher.publish("a/a/1", "2", { retain: true });
    expect(shard.rowsWritten).toBe(rows + 2);
    publisher.publish("a/a/1", "", { retain: true });
    expect(shard.rowsWritten).toBe(rows + 3);
    publisher.publish("a/a/1", "", { retain: true });
    expect(shard.rowsWritten).toBe(rows + 3);
  });

  test("of one topic that come in one turn cost one row: the newest wins", () => {
    const { shard, publisher } = setUp();
    const rows = rowsBefore(shard, publisher);
    publisher.send(
      ...["1", "2", "3"].map((payload) => publisher.publishPacket("a/a/1", payload, { retain: true })),
    );
    expect(shard.rowsWritten).toBe(rows + 1);
    expect(subscribed(shard, "a/a/1").payloads).toEqual(["3"]);
  });

  test("beyond the limit are refused with 0x97, while those that are there may change", () => {
    const { shard, publisher } = setUp({ retainedMessagesMax: 2 });
    publisher.acks = "manual";
    // Each shard has its own limit, and these topics are on one.
    for (const topic of ["a/a/1", "a/a/2"]) publisher.publish(topic, "1", { retain: true, qos: 1 });
    publisher.publish("a/a/3", "1", { retain: true, qos: 1 });
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.QuotaExceeded);
    publisher.publish("a/a/3", "1", { retain: true, qos: 2 });
    expect(publisher.last("pubrec").reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(shard.counters.retainedRefused).toBe(2);
    publisher.publish("a/a/1", "2", { retain: true });
    publisher.publish("a/a/2", "", { retain: true });
    publisher.publish("a/a/3", "3", { retain: true });
    expect(subscribed(shard, "#").payloads.toSorted()).toEqual(["2", "3"]);
  });

  test("of a Will keep to the limit too", () => {
    const { shard, publisher } = setUp({ retainedMessagesMax: 1 });
    publisher.publish("a/a/1", "1", { retain: true });
    SimulatedClient.connected(shard, { will: willMessage("a/a/will", { retain: true }) }).lose();
    expect(shard.retainedNames).toEqual(["a/a/1"]);
  });

  test("in large numbers come in turns, all of them, while other clients are served", () => {
    const { shard, publisher } = setUp();
    const packets = Array.from({ length: 1234 }, (_, index) =>
      publisher.publishPacket(`a/a/${index}`, "1", { retain: true }),
    );
    publisher.send(...packets);
    // A shard that asks another one for them gets them in pages: here they are its own.
    const clientId = shard.clientIdOn(shard.shardOfTopic("a/a").index);
    const client = SimulatedClient.connected(shard, { clientId });
    client.subscribe("a/a/#");
    expect(client.payloads.length).toBeLessThan(1234);
    expect(shard.isAwake).toBe(true);
    shard.advance(0);
    expect(client.payloads).toHaveLength(1234);
    expect(shard.isAwake).toBe(false);
  });

  test("wait for a client that does not take them, and go on when it does", () => {
    const { shard, publisher } = setUp();
    for (let index = 0; index < 10; index += 1) publisher.publish(`a/${index}`, "1", { retain: true });
    const client = SimulatedClient.connected(shard);
    shard.fullSockets.add(client.connectionId);
    client.subscribe("a/#");
    expect(client.payloads).toEqual([]);
    shard.fullSockets.clear();
    shard.advance(50);
    expect(client.payloads).toHaveLength(10);
  });

  test("that a slow client has not taken after half a minute still come, also after an eviction", () => {
    const { shard, publisher } = setUp();
    for (let index = 0; index < 300; index += 1)
      publisher.publish(`a/${index}`, `${index}`, { retain: true, qos: 1 });
    const client = SimulatedClient.connected(shard, { acks: "manual", receiveMaximum: 10 });
    client.subscribe("a/#", 1);
    shard.advance(31_000);
    if (!shard.isAwake) shard.evict();
    client.acks = "auto";
    for (const packet of client.all("publish")) client.acknowledge(packet);
    shard.advance(31_000);
    expect(new Set(client.payloads).size).toBe(300);
  });
});
