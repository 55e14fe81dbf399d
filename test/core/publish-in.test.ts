import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const { Success, NoMatchingSubscribers } = ReasonCode;

function setUp(options: object = {}): {
  shard: Harness;
  publisher: SimulatedClient;
  listener: SimulatedClient;
} {
  const shard = new Harness();
  const listener = SimulatedClient.connected(shard);
  listener.subscribe("a/#", 2);
  return { shard, listener, publisher: SimulatedClient.connected(shard, { acks: "manual", ...options }) };
}

describe("PUBLISH from a client", () => {
  test("with QoS 0 is passed on and not answered", () => {
    const { shard, publisher, listener } = setUp();
    publisher.take();
    const rows = shard.rowsWritten;
    publisher.publish("a", "1");
    expect(listener.payloads).toEqual(["1"]);
    expect(publisher.take()).toEqual([]);
    expect(shard.rowsWritten).toBe(rows);
  });

  test("[MQTT-4.3.2-4] with QoS 1 is answered with PUBACK", () => {
    const { publisher, listener } = setUp();
    publisher.publish("a", "1", { qos: 1, packetIdentifier: 77 });
    expect(publisher.last("puback")).toEqual({ type: "puback", packetIdentifier: 77, reasonCode: Success });
    expect(listener.payloads).toEqual(["1"]);
  });

  test("[MQTT-4.3.2-5] with QoS 1 and an identifier used before is a new message", () => {
    const { publisher, listener } = setUp();
    publisher.publish("a", "1", { qos: 1, packetIdentifier: 5 });
    publisher.publish("a", "1", { qos: 1, packetIdentifier: 5, dup: true });
    expect(listener.payloads).toEqual(["1", "1"]);
  });

  test("[MQTT-4.3.3-8] with QoS 2 goes through PUBREC, PUBREL and PUBCOMP", () => {
    const { publisher, listener } = setUp();
    publisher.publish("a", "1", { qos: 2, packetIdentifier: 5 });
    expect(publisher.last("pubrec")).toEqual({ type: "pubrec", packetIdentifier: 5, reasonCode: Success });
    publisher.respond("pubrel", 5);
    expect(publisher.last("pubcomp")).toEqual({ type: "pubcomp", packetIdentifier: 5, reasonCode: Success });
    expect(listener.payloads).toEqual(["1"]);
  });

  test("[MQTT-4.3.3-10] with QoS 2 is passed on once until PUBREL, and anew after it", () => {
    const { publisher, listener } = setUp();
    publisher.publish("a", "1", { qos: 2, packetIdentifier: 5 });
    publisher.publish("a", "1", { qos: 2, packetIdentifier: 5, dup: true });
    expect(publisher.all("pubrec").map(({ reasonCode }) => reasonCode)).toEqual([Success, Success]);
    expect(listener.payloads).toEqual(["1"]);
    publisher.respond("pubrel", 5);
    publisher.publish("a", "2", { qos: 2, packetIdentifier: 5 });
    expect(listener.payloads).toEqual(["1", "2"]);
  });

  test("[MQTT-4.3.3-11] PUBREL of an unknown identifier is answered with 0x92", () => {
    const { publisher } = setUp();
    publisher.respond("pubrel", 9);
    expect(publisher.last("pubcomp").reasonCode).toBe(ReasonCode.PacketIdentifierNotFound);
  });

  test("that nobody receives is answered with 0x10", () => {
    const { publisher } = setUp();
    publisher.publish("b", "1", { qos: 1 });
    publisher.publish("b", "1", { qos: 2 });
    expect(publisher.last("puback").reasonCode).toBe(NoMatchingSubscribers);
    expect(publisher.last("pubrec").reasonCode).toBe(NoMatchingSubscribers);
  });

  test("to a server topic is refused with 0x87, and a QoS 2 identifier is free again at once", () => {
    const { shard, publisher, listener } = setUp();
    listener.subscribe("$SYS/forged", 2);
    publisher.publish("$SYS/forged", "1", { qos: 1, retain: true });
    publisher.publish("$SYS/forged", "1", { qos: 2, packetIdentifier: 3, retain: true });
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.NotAuthorized);
    expect(publisher.last("pubrec").reasonCode).toBe(ReasonCode.NotAuthorized);
    publisher.publish("a", "2", { qos: 2, packetIdentifier: 3 });
    expect(listener.payloads).toEqual(["2"]);
    expect(shard.retainedNames).toEqual([]);
  });

  test("with more topic levels than the server takes is refused with 0x90", () => {
    const { publisher } = setUp();
    publisher.publish(Array.from({ length: 129 }, () => "a").join("/"), "1", { qos: 1 });
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.TopicNameInvalid);
    publisher.publish(Array.from({ length: 128 }, () => "a").join("/"), "1", { qos: 1 });
    expect(publisher.last("puback").reasonCode).toBe(Success);
  });
});

describe("acknowledgements", () => {
  test("[MQTT-4.6.0-2] [MQTT-4.6.0-3] leave in the order of the PUBLISHes, though some wait for a write", () => {
    const { shard, publisher } = setUp();
    SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week }).subscribe("durable", 1);
    const topics = ["a", "durable", "a", "durable", "nobody"];
    const packets = topics.map((topic, index) =>
      publisher.publishPacket(topic, "1", { qos: index % 2 === 0 ? 1 : 2, packetIdentifier: index + 1 }),
    );
    publisher.take();
    publisher.send(...packets);
    expect(publisher.take()).toMatchObject([
      { type: "puback", packetIdentifier: 1 },
      { type: "pubrec", packetIdentifier: 2 },
      { type: "puback", packetIdentifier: 3 },
      { type: "pubrec", packetIdentifier: 4 },
      { type: "puback", packetIdentifier: 5 },
    ]);
  });

  test("leave only after the message is written for a persistent session", () => {
    const { shard, publisher } = setUp();
    const durable = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    durable.subscribe("durable", 1);
    shard.trace.length = 0;
    publisher.publish("durable", "1", { qos: 1 });
    const puback = `puback to ${publisher.connectionId}`;
    const commit = `commit in ${shard.shardOfClient(durable.clientId).index}`;
    expect(shard.trace.filter((line) => line === commit || line === puback)).toEqual([commit, puback]);
  });

  test("do not hold back PINGRESP", () => {
    const { shard, publisher } = setUp();
    SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week }).subscribe("durable", 1);
    publisher.take();
    publisher.send(publisher.publishPacket("durable", "1", { qos: 1 }), { type: "pingreq" });
    expect(publisher.take().map(({ type }) => type)).toEqual(["pingresp", "puback"]);
  });
});

describe("Receive Maximum of the server", () => {
  const limits = { receiveMaximum: 3 };

  function publisherOn(shard: Harness, options: object = {}): SimulatedClient {
    return SimulatedClient.connected(shard, { acks: "manual", ...options });
  }

  test("[MQTT-3.3.4-7] one QoS 2 message too many ends the connection with 0x93", () => {
    const publisher = publisherOn(new Harness({ limits }));
    for (let index = 0; index < 3; index += 1) publisher.publish("a", "", { qos: 2 });
    expect(publisher.isConnected).toBe(true);
    publisher.publish("a", "", { qos: 2 });
    expect(publisher.last("disconnect").reasonCode).toBe(ReasonCode.ReceiveMaximumExceeded);
    expect(publisher.isConnected).toBe(false);
  });

  test("PUBREL makes room, and a message sent again takes none", () => {
    const publisher = publisherOn(new Harness({ limits }));
    for (let index = 1; index <= 3; index += 1)
      publisher.publish("a", "", { qos: 2, packetIdentifier: index });
    publisher.publish("a", "", { qos: 2, packetIdentifier: 2, dup: true });
    publisher.respond("pubrel", 1);
    publisher.publish("a", "", { qos: 2, packetIdentifier: 4 });
    expect(publisher.isConnected).toBe(true);
  });

  test("QoS 1 messages in one WebSocket message count as long as they wait for a write", () => {
    const shard = new Harness({ limits });
    SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week }).subscribe("durable", 1);
    const publisher = publisherOn(shard);
    const packets = Array.from({ length: 4 }, () => publisher.publishPacket("durable", "", { qos: 1 }));
    publisher.send(...packets.slice(0, 3));
    expect(publisher.all("puback")).toHaveLength(3);
    publisher.send(...packets);
    expect(publisher.last("disconnect").reasonCode).toBe(ReasonCode.ReceiveMaximumExceeded);
  });

  test("QoS 2 messages that wait for a write count once", () => {
    const publisher = publisherOn(new Harness({ limits }), { sessionExpiryIntervalSec: week });
    publisher.send(...[1, 2, 3].map(() => publisher.publishPacket("a", "", { qos: 2 })));
    expect(publisher.isConnected).toBe(true);
    expect(publisher.all("pubrec")).toHaveLength(3);
  });

  test("does not bind 3.1.1 clients, which know no such thing", () => {
    const publisher = publisherOn(new Harness({ limits }), { protocolVersion: 4 });
    for (let index = 0; index < 5; index += 1) publisher.publish("a", "", { qos: 2 });
    expect(publisher.isConnected).toBe(true);
  });
});

describe("Topic Aliases", () => {
  test("[MQTT-3.3.2-12] stand for their Topic Name, also set anew", () => {
    const { publisher, listener } = setUp();
    publisher.publish("a/1", "1", { topicAlias: 1 });
    publisher.publish("", "2", { topicAlias: 1 });
    publisher.publish("a/2", "3", { topicAlias: 1 });
    publisher.publish("", "4", { topicAlias: 1 });
    expect(listener.messages.map(({ message }) => message.topicName)).toEqual(["a/1", "a/1", "a/2", "a/2"]);
  });

  test("[MQTT-3.3.2-7] end with the connection", () => {
    const { publisher } = setUp({ sessionExpiryIntervalSec: week });
    publisher.publish("a/1", "1", { topicAlias: 1 });
    publisher.lose();
    publisher.connect({ cleanStart: false });
    publisher.publish("", "2", { topicAlias: 1 });
    expect(publisher.last("disconnect").reasonCode).toBe(ReasonCode.TopicAliasInvalid);
  });

  test("[MQTT-3.3.2-9] above the Topic Alias Maximum end the connection with 0x94", () => {
    const { publisher, listener } = setUp();
    publisher.publish("a", "1", { topicAlias: 10 });
    expect(publisher.isConnected).toBe(true);
    publisher.publish("a", "2", { topicAlias: 11 });
    expect(publisher.last("disconnect").reasonCode).toBe(ReasonCode.TopicAliasInvalid);
    expect(listener.payloads).toEqual(["1"]);
  });

  test("that do not fit the socket's attachment end the connection with 0x97", () => {
    const { publisher } = setUp();
    publisher.publish(`a/${"x".repeat(1360)}`, "1", { topicAlias: 1 });
    expect(publisher.isConnected).toBe(true);
    publisher.publish("a/b/c", "1", { topicAlias: 2 });
    expect(publisher.last("disconnect").reasonCode).toBe(ReasonCode.QuotaExceeded);
  });
});
