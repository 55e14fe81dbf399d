import { describe, expect, test } from "vitest";
import { Harness } from "./harness.ts";
import { SimulatedClient, textOf, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

describe("after an eviction with the sockets kept", () => {
  test("PINGREQ is answered, and the connection stays what it was", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { keepAliveSec: 60 });
    client.subscribe("a");
    for (let round = 0; round < 3; round += 1) {
      shard.advance(20_000);
      shard.evict();
      client.ping();
      expect(client.take().at(-1)).toEqual({ type: "pingresp" });
    }
    shard.evict();
    SimulatedClient.connected(shard).publish("a", "1");
    expect(client.payloads).toEqual(["1"]);
  });

  test("PINGREQ writes no row", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { keepAliveSec: 60, sessionExpiryIntervalSec: week });
    shard.advance(20_000);
    const rows = shard.rowsWritten;
    for (let round = 0; round < 2; round += 1) {
      shard.evict();
      client.ping();
      shard.advance(10_000);
    }
    expect(shard.rowsWritten).toBe(rows);
  });

  test("a subscription without a row still matches, with all its options", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    client.subscribe("a/+", 1, { retainAsPublished: true, noLocal: true, subscriptionIdentifier: 7 });
    shard.evict();
    client.publish("a/own", "not for me");
    SimulatedClient.connected(shard).publish("a/b", "1", { qos: 2, retain: true });
    expect(client.messages).toMatchObject([{ qos: 1, retain: true, subscriptionIdentifiers: [7] }]);
  });

  test("subscriptions that outgrow the attachment are in a row, and go with the connection", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    for (let index = 0; index < 60; index += 1) client.subscribe(`${"x".repeat(50)}/${index}`);
    expect(shard.sessionRecords).toHaveLength(1);
    shard.evict();
    SimulatedClient.connected(shard).publish(`${"x".repeat(50)}/59`, "1");
    expect(client.payloads).toEqual(["1"]);
    client.disconnect();
    expect(shard.sessionRecords).toEqual([]);
  });

  test("outgoing QoS 1 and 2 go on where they were", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { acks: "manual", receiveMaximum: 2 });
    client.subscribe("a", 2);
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 2 });
    const [first, second] = client.all("publish");
    shard.evict();
    client.respond("puback", first?.packetIdentifier ?? 0);
    client.respond("pubrec", second?.packetIdentifier ?? 0);
    expect(client.last("pubrel")).toMatchObject({
      packetIdentifier: second?.packetIdentifier,
      reasonCode: 0,
    });
    shard.evict();
    publisher.publish("a", "3", { qos: 1 });
    expect(client.payloads).toEqual(["1", "2", "3"]);
    publisher.publish("a", "4", { qos: 1 });
    expect(client.payloads).toHaveLength(3);
    client.respond("pubcomp", second?.packetIdentifier ?? 0);
    expect(client.payloads).toEqual(["1", "2", "3", "4"]);
  });

  test("[MQTT-4.3.3-10] an incoming QoS 2 message that is sent again is not passed on again", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("a");
    const publisher = SimulatedClient.connected(shard, { acks: "manual" });
    const packetIdentifier = publisher.publish("a", "1", { qos: 2 });
    shard.evict();
    publisher.publish("a", "1", { qos: 2, packetIdentifier, dup: true });
    publisher.respond("pubrel", packetIdentifier);
    expect(publisher.last("pubcomp")).toMatchObject({ packetIdentifier, reasonCode: 0 });
    expect(listener.payloads).toEqual(["1"]);
  });

  test("Topic Aliases of the client hold", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("a/#");
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a/1", "1", { topicAlias: 1 });
    publisher.publish("a/2", "2", { topicAlias: 2 });
    shard.evict();
    publisher.publish("", "3", { topicAlias: 1 });
    publisher.publish("a/3", "4", { topicAlias: 2 });
    shard.evict();
    publisher.publish("", "5", { topicAlias: 2 });
    const got = listener.messages.map(({ message }) => [message.topicName, textOf(message.payload)]);
    expect(got).toEqual([
      ["a/1", "1"],
      ["a/2", "2"],
      ["a/1", "3"],
      ["a/3", "4"],
      ["a/3", "5"],
    ]);
  });

  test("the Maximum Packet Size and the receive maximum of the client hold", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, {
      acks: "manual",
      receiveMaximum: 1,
      maximumPacketSizeBytes: 40,
    });
    client.subscribe("a", 1);
    shard.evict();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "x".repeat(100), { qos: 1 });
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 1 });
    expect(client.payloads).toEqual(["1"]);
  });

  test("retained messages are found", () => {
    const shard = new Harness();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a/1", "1", { retain: true });
    shard.evict();
    publisher.publish("a/2", "2", { retain: true });
    shard.evict();
    const client = SimulatedClient.connected(shard);
    client.subscribe("a/#");
    expect(client.payloads.toSorted()).toEqual(["1", "2"]);
  });

  test("an offline session has its queue", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    client.subscribe("a", 2);
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1 });
    shard.evict();
    publisher.publish("a", "2", { qos: 2 });
    shard.evict();
    client.connect({ cleanStart: false });
    expect(client.payloads).toEqual(["1", "2"]);
    expect(client.messages.map(({ dup }) => dup)).toEqual([false, false]);
  });

  test("a lost connection publishes its Will", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    const client = SimulatedClient.connected(shard, { will: willMessage("will") });
    shard.evict();
    client.lose();
    expect(listener.payloads).toEqual(["will"]);
  });

  test("DISCONNECT discards the Will", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    const client = SimulatedClient.connected(shard, { will: willMessage("will") });
    shard.evict();
    client.disconnect();
    expect(listener.payloads).toEqual([]);
    expect(shard.sessionRecords).toEqual([]);
  });

  test("a takeover finds the older connection", () => {
    const shard = new Harness();
    const older = SimulatedClient.connected(shard, { clientId: "one" });
    shard.evict();
    SimulatedClient.connected(shard, { clientId: "one" });
    expect(older.isConnected).toBe(false);
  });

  test("a packet that is never completed ends the connection, and its Will is published", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    const client = SimulatedClient.connected(shard, {
      will: willMessage("will"),
      sessionExpiryIntervalSec: week,
    });
    shard.evict();
    shard.receive(client.connectionId, [], { unfinishedBytes: 64 });
    shard.advance(10_000);
    expect(client.isConnected).toBe(false);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("a connection that followed a reset is known as lost when the next reset comes", () => {
    const shard = new Harness();
    SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    shard.reset();
    shard.advance(1000);
    const listener = SimulatedClient.connected(shard);
    shard.evict();
    SimulatedClient.connected(shard, { will: willMessage("will"), keepAliveSec: 60 });
    shard.reset();
    listener.connect().subscribe("will");
    shard.advance(120_000);
    expect(listener.payloads).toEqual(["will"]);
  });
});

describe("messages of a session without a row that have moved to the log", () => {
  function waiting(options: object = {}): {
    shard: Harness;
    client: SimulatedClient;
    publisher: SimulatedClient;
  } {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { acks: "manual", receiveMaximum: 1, ...options });
    client.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    for (const payload of ["1", "2", "3"]) publisher.publish("a", payload, { qos: 1 });
    expect(shard.isAwake).toBe(true);
    shard.advance(30_000);
    expect(shard.isAwake).toBe(false);
    return { shard, client, publisher };
  }

  function ackAll(client: SimulatedClient): void {
    client.acks = "auto";
    client.acknowledge(client.last("publish"));
  }

  test("survive an eviction", () => {
    const { shard, client, publisher } = waiting();
    shard.evict();
    publisher.publish("a", "4", { qos: 1 });
    ackAll(client);
    expect(client.payloads).toEqual(["1", "2", "3", "4"]);
    expect(shard.segmentCount).toBe(0);
  });

  test("survive an eviction when the session has a row for its Will", () => {
    const { shard, client, publisher } = waiting({ will: willMessage("will") });
    shard.evict();
    publisher.publish("a", "4", { qos: 1 });
    ackAll(client);
    expect(client.payloads).toEqual(["1", "2", "3", "4"]);
  });

  test("leave the log for good once they are delivered, also after an eviction", () => {
    const { shard, client, publisher } = waiting();
    shard.evict();
    ackAll(client);
    const rows = shard.rowsWritten;
    publisher.publish("a", "4", { qos: 1 });
    expect(client.payloads).toEqual(["1", "2", "3", "4"]);
    expect(shard.rowsWritten).toBe(rows);
  });

  test("are gone with the connection", () => {
    const { shard, client } = waiting();
    shard.evict();
    client.lose();
    expect(shard.segmentCount).toBe(0);
  });
});
