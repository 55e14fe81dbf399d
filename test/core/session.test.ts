import { describe, expect, test } from "vitest";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, textOf } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

function setUp(options: ClientOptions = {}, limits: object = {}) {
  const shard = new Harness({ limits });
  const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week, ...options });
  client.subscribe("a/#", 2);
  // Version 4 knows no Receive Maximum, so it may send any number of messages in one turn.
  return { shard, client, publisher: SimulatedClient.connected(shard, { protocolVersion: 4 }) };
}

const goOn = { cleanStart: false } as const;

describe("Session Expiry Interval", () => {
  test("[MQTT-4.1.0-2] [MQTT-3.1.2-23] the session lasts that long after the connection, then it is gone", () => {
    const { shard, client } = setUp({ sessionExpiryIntervalSec: 100 });
    shard.advance(1_000_000);
    client.lose();
    shard.advance(99_999);
    expect(client.connect(goOn).connack.sessionPresent).toBe(true);
    client.lose();
    shard.advance(105_000);
    expect(shard.sessionRecords).toEqual([]);
    expect(client.connect(goOn).connack.sessionPresent).toBe(false);
  });

  test("is over to the second for a client that returns before the alarm came", () => {
    const { shard, client } = setUp({ sessionExpiryIntervalSec: 100 });
    client.lose();
    shard.oversleep(100_000);
    expect(client.connect(goOn).connack.sessionPresent).toBe(false);
  });

  test("takes the queue along", () => {
    const { shard, client, publisher } = setUp({ sessionExpiryIntervalSec: 100 });
    client.lose();
    publisher.publish("a", "1", { qos: 1 });
    expect(shard.segmentCount).toBe(1);
    shard.advance(105_000);
    expect(shard.segmentCount).toBe(0);
  });

  test("may be changed by DISCONNECT", () => {
    const { shard, client } = setUp({ sessionExpiryIntervalSec: 10 });
    client.disconnect(0, { sessionExpiryIntervalSec: 1000 });
    shard.advance(500_000);
    expect(client.connect(goOn).connack.sessionPresent).toBe(true);
    client.disconnect(0, { sessionExpiryIntervalSec: 0 });
    expect(shard.sessionRecords).toEqual([]);
    expect(client.connect(goOn).connack.sessionPresent).toBe(false);
  });

  test("of 0xFFFFFFFF never ends", () => {
    const { shard, client } = setUp({ sessionExpiryIntervalSec: 0xffff_ffff });
    client.lose();
    shard.advance(0xffff_ffff * 1000 + 10_000);
    expect(client.connect(goOn).connack.sessionPresent).toBe(true);
  });

  test("counts from the reset for a session whose connection the reset cut", () => {
    const { shard, client } = setUp({ sessionExpiryIntervalSec: 100 });
    shard.advance(1_000_000);
    shard.reset();
    shard.advance(99_000);
    expect(client.connect(goOn).connack.sessionPresent).toBe(true);
    shard.reset();
    shard.advance(106_000);
    expect(shard.sessionRecords).toEqual([]);
  });

  test("of 0 on return ends the session with that connection, after what waited was delivered", () => {
    const { shard, client, publisher } = setUp();
    client.lose();
    publisher.publish("a", "1", { qos: 1 });
    client.connect({ cleanStart: false, sessionExpiryIntervalSec: 0 });
    expect(client.connack.sessionPresent).toBe(true);
    publisher.publish("a", "2", { qos: 1 });
    expect(client.payloads).toEqual(["1", "2"]);
    expect(shard.segmentCount).toBe(0);
    client.lose();
    expect(client.connect(goOn).connack.sessionPresent).toBe(false);
  });
});

describe("a session that goes on", () => {
  test("[MQTT-4.4.0-1] sends again what was not acknowledged, first and in order, with DUP and the same identifiers", () => {
    const { client, publisher } = setUp({ acks: "manual", receiveMaximum: 3 });
    for (let index = 1; index <= 5; index += 1)
      publisher.publish("a", `${index}`, { qos: index === 2 ? 2 : 1 });
    const before = client.all("publish").map(({ packetIdentifier }) => packetIdentifier);
    client.lose().connect(goOn);
    expect(client.all("publish").map(({ packetIdentifier, dup }) => ({ packetIdentifier, dup }))).toEqual(
      before.map((packetIdentifier) => ({ packetIdentifier, dup: true })),
    );
    client.acks = "auto";
    for (const packet of client.all("publish")) client.acknowledge(packet);
    expect(client.all("publish").map(({ dup }) => dup)).toEqual([true, true, true, false, false]);
  });

  test("[MQTT-4.4.0-1] [MQTT-4.3.3-6] sends PUBREL again, not the message", () => {
    const { client, publisher } = setUp({ acks: "manual" });
    publisher.publish("a", "1", { qos: 2 });
    const { packetIdentifier = 0 } = client.last("publish");
    client.respond("pubrec", packetIdentifier);
    client.lose().connect(goOn);
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "pubrel"]);
    client.respond("pubcomp", packetIdentifier);
    client.lose().connect(goOn);
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack"]);
  });

  test.each(["evict", "reset", "drain"] as const)(
    "keeps subscriptions and every queued message through %s",
    (fault) => {
      const { shard, client, publisher } = setUp();
      client.subscribe("b", 1, { subscriptionIdentifier: 3 });
      client.lose();
      for (let index = 1; index <= 5; index += 1)
        publisher.publish("a", `${index}`, { qos: index % 2 === 0 ? 2 : 1 });
      shard[fault]();
      if (!publisher.isConnected || fault !== "evict") publisher.connect();
      publisher.publish("b", "6", { qos: 2 });
      client.connect(goOn);
      expect(client.payloads).toEqual(["1", "2", "3", "4", "5", "6"]);
      expect(client.messages.at(-1)).toMatchObject({ qos: 1, subscriptionIdentifiers: [3] });
      expect(shard.segmentCount - 1).toBeLessThanOrEqual(0);
    },
  );

  test("after a reset has what was sent and not acknowledged, with DUP", () => {
    const { shard, client, publisher } = setUp({ acks: "manual" });
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 2 });
    const identifiers = client.all("publish").map(({ packetIdentifier }) => packetIdentifier);
    shard.reset();
    client.connect(goOn);
    const again = client.all("publish");
    expect(again.map(({ packetIdentifier }) => packetIdentifier)).toEqual(identifiers);
    expect(again.map(({ dup }) => dup)).toEqual([true, true]);
  });

  test("after a reset does not send a QoS 2 message again whose PUBREC was answered", () => {
    const { shard, client, publisher } = setUp({ acks: "manual" });
    publisher.publish("a", "1", { qos: 2 });
    client.respond("pubrec", client.last("publish").packetIdentifier ?? 0);
    expect(client.all("pubrel")).toHaveLength(1);
    shard.reset();
    client.connect(goOn);
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "pubrel"]);
  });

  test("after a reset knows the QoS 2 identifiers that its client has not released", () => {
    const { shard, client, publisher } = setUp();
    const device = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week, acks: "manual" });
    device.publish("a", "1", { qos: 2, packetIdentifier: 9 });
    shard.reset();
    client.connect(goOn);
    publisher.connect();
    device.connect(goOn);
    device.publish("a", "1", { qos: 2, packetIdentifier: 9, dup: true });
    device.respond("pubrel", 9);
    expect(device.last("pubcomp").reasonCode).toBe(0);
    expect(client.payloads).toEqual(["1"]);
  });

  test("a message that was acknowledged before an eviction is not sent again after a reset that follows other messages", () => {
    const { shard, client, publisher } = setUp();
    publisher.publish("a", "1", { qos: 1 });
    shard.evict();
    // Overwrites the slot that the acknowledged message had.
    const clientId = shard.clientIdBeside(client.clientId);
    const other = SimulatedClient.connected(shard, { clientId, sessionExpiryIntervalSec: week });
    other.subscribe("b", 1);
    other.lose();
    publisher.publish("b", "other", { qos: 1 });
    shard.reset();
    client.connect(goOn);
    expect(client.payloads).toEqual(["1"]);
    client.lose();
    expect(shard.sessionRecord(client.clientId)?.deliveryState.inflight).toEqual([]);
  });

  test("an acknowledgement that only the attachment knew is not lost when its slot is used again", () => {
    const { shard, client, publisher } = setUp({ acks: "manual", receiveMaximum: 2 });
    for (const payload of ["1", "2"]) publisher.publish("a", payload, { qos: 1 });
    // A flush that has both in flight.
    client.lose().connect(goOn).answer(1);
    shard.evict();
    publisher.publish("a", "3", { qos: 1 });
    shard.reset();
    client.connect({ cleanStart: false, receiveMaximum: 3 });
    publisher.connect();
    for (const payload of ["4", "5"]) publisher.publish("a", payload, { qos: 1 });
    shard.evict();
    client.take();
    while (client.unanswered.length > 0) client.answer(1);
    expect(client.all("publish").map(({ message }) => textOf(message.payload))).toEqual(["5"]);
    client.lose();
    expect(shard.sessionRecord(client.clientId)?.deliveryState.inflight).toEqual([]);
    expect(shard.segmentCount).toBe(0);
  });

  test.each([1, 2] as const)("gets what is published in the turn in which it returns, with QoS %i", (qos) => {
    const { shard, client, publisher } = setUp();
    client.lose().open();
    shard.joined(() => {
      publisher.publish("a", "1", { qos });
      client.connect(goOn);
      publisher.publish("a", "2", { qos });
    });
    expect(client.payloads).toEqual(["1", "2"]);
  });
});

describe("a session that ends in the turn in which it began", () => {
  test("leaves no row", () => {
    const shard = new Harness();
    const client = new SimulatedClient(shard, { sessionExpiryIntervalSec: week }).open();
    shard.joined(() => {
      client.connect();
      client.disconnect(0, { sessionExpiryIntervalSec: 0 });
    });
    expect(shard.sessionRecords).toEqual([]);
  });

  test("leaves nothing to the next session of the client", () => {
    const shard = new Harness();
    const first = new SimulatedClient(shard, { clientId: "one", sessionExpiryIntervalSec: week }).open();
    const second = new SimulatedClient(shard, { clientId: "one" }).open();
    shard.joined(() => {
      first.connect();
      shard.receive(first.connectionId, [
        {
          type: "subscribe",
          packetIdentifier: 1,
          requests: [
            { topicFilter: "a", maximumQos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
          ],
        },
      ]);
      second.connect();
    });
    shard.advance(10_000);
    shard.evict();
    SimulatedClient.connected(shard).publish("a", "for the dead");
    expect(second.payloads).toEqual([]);
  });
});

describe("a session without an expiry whose subscriptions are in a row", () => {
  test("ends with a reset", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    for (let index = 0; index < 60; index += 1) client.subscribe(`${"x".repeat(50)}/${index}`);
    expect(shard.sessionRecords).toHaveLength(1);
    shard.reset();
    // Without a keep alive the shard looks within the hour.
    shard.advance(3_700_000);
    expect(shard.sessionRecords).toEqual([]);
  });
});

describe("the queue of a session", () => {
  test("holds so many messages and bytes, and drops and counts the newer ones", () => {
    const { shard, client, publisher } = setUp({}, { queue: { messagesMax: 3, bytesMax: 1_000_000 } });
    client.lose();
    for (let index = 1; index <= 5; index += 1) publisher.publish("a", `${index}`, { qos: 1 });
    expect(shard.counters.droppedQueueFull).toBe(2);
    client.connect(goOn);
    expect(client.payloads).toEqual(["1", "2", "3"]);
    publisher.publish("a", "6", { qos: 1 });
    expect(client.payloads).toEqual(["1", "2", "3", "6"]);
  });

  test("counts bytes, also after a reset", () => {
    const { shard, client, publisher } = setUp({}, { queue: { messagesMax: 100, bytesMax: 2500 } });
    client.lose();
    for (let index = 1; index <= 2; index += 1) publisher.publish("a", "x".repeat(1000), { qos: 1 });
    shard.reset();
    publisher.connect();
    publisher.publish("a", "x".repeat(1000), { qos: 1 });
    expect(shard.counters.droppedQueueFull).toBe(1);
    client.connect(goOn);
    expect(client.payloads).toHaveLength(2);
    publisher.publish("a", "x".repeat(1000), { qos: 1 });
    expect(client.payloads).toHaveLength(3);
  });

  test("in memory holds less", () => {
    const shard = new Harness({ limits: { memoryQueue: { messagesMax: 4, bytesMax: 1_000_000 } } });
    const client = SimulatedClient.connected(shard, { receiveMaximum: 1, acks: "manual" });
    client.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    for (let index = 1; index <= 9; index += 1) publisher.publish("a", `${index}`, { qos: 1 });
    expect(shard.counters.droppedQueueFull).toBe(4);
    client.acks = "auto";
    client.acknowledge(client.last("publish"));
    expect(client.payloads).toEqual(["1", "2", "3", "4", "5"]);
  });

  test.each([1, 7, 50])("of 1000 messages comes in order through a window of %i", (receiveMaximum) => {
    const { shard, client, publisher } = setUp({ receiveMaximum });
    client.lose();
    const payloads = Array.from({ length: 1000 }, (_, index) => `${index}`);
    for (const payload of payloads)
      publisher.publish("a", payload, { qos: Number(payload) % 3 === 0 ? 2 : 1 });
    shard.evict();
    client.connect(goOn);
    expect(client.payloads).toEqual(payloads);
    client.lose();
    expect(shard.segmentCount).toBe(0);
  });

  test("is read on while new messages come in the same turn as acknowledgements", () => {
    const { shard, client, publisher } = setUp({ acks: "manual" });
    const packets = Array.from({ length: 150 }, (_, index) =>
      publisher.publishPacket("a", `${index}`, { qos: 1 }),
    );
    publisher.send(...packets);
    expect(client.payloads).toHaveLength(100);
    shard.joined(() => {
      publisher.publish("a", "150", { qos: 1 });
      for (const packet of client.all("publish")) client.acknowledge(packet);
    });
    client.acks = "auto";
    for (const packet of client.all("publish").slice(100)) client.acknowledge(packet);
    publisher.publish("a", "151", { qos: 1 });
    expect(client.payloads).toEqual(Array.from({ length: 152 }, (_, index) => `${index}`));
  });

  test("is read on past messages that are dropped when they are sent", () => {
    const { client, publisher } = setUp({ maximumPacketSizeBytes: 60 });
    const packets = Array.from({ length: 130 }, (_, index) =>
      publisher.publishPacket("a", index < 20 ? "x".repeat(100) : `${index}`, { qos: 1 }),
    );
    publisher.send(...packets);
    expect(client.payloads).toEqual(Array.from({ length: 110 }, (_, index) => `${index + 20}`));
  });
});
