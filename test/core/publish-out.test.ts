import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { bytesOf, SimulatedClient } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

function setUp(options: ClientOptions = {}): {
  shard: Harness;
  publisher: SimulatedClient;
  listener: SimulatedClient;
} {
  const shard = new Harness();
  const listener = SimulatedClient.connected(shard, { acks: "manual", ...options });
  return { shard, listener, publisher: SimulatedClient.connected(shard) };
}

describe("PUBLISH to a client", () => {
  test.each([
    [0, 0, 0],
    [1, 0, 0],
    [2, 0, 0],
    [0, 1, 0],
    [1, 1, 1],
    [2, 1, 1],
    [0, 2, 0],
    [1, 2, 1],
    [2, 2, 2],
  ] as const)(
    "[MQTT-3.8.4-8] published with QoS %i for a maximum of %i has QoS %i",
    (qos, maximum, expected) => {
      const { publisher, listener } = setUp();
      listener.subscribe("a", maximum);
      publisher.publish("a", "1", { qos });
      expect(listener.only("publish").qos).toBe(expected);
      expect("packetIdentifier" in listener.only("publish")).toBe(expected > 0);
    },
  );

  test("[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-18] [MQTT-3.3.2-20] hands all properties on unaltered", () => {
    const { publisher, listener } = setUp();
    listener.subscribe("a", 1);
    const properties = {
      payloadFormatIndicator: 1,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: bytesOf("42"),
      userProperties: [
        ["b", "1"],
        ["a", "2"],
        ["b", "1"],
      ],
    } as const;
    publisher.publish("a", "1", { qos: 1, ...properties });
    expect(listener.only("publish").message).toMatchObject(properties);
  });

  test("[MQTT-3.1.2-25] a message above the client's Maximum Packet Size is left out, the others come", () => {
    const { shard, publisher, listener } = setUp({ maximumPacketSizeBytes: 60, acks: "auto" });
    listener.subscribe("a", 2);
    for (const qos of [0, 1, 2] as const) {
      publisher.publish("a", "x".repeat(100), { qos });
      publisher.publish("a", `${qos}`, { qos });
    }
    expect(listener.payloads).toEqual(["0", "1", "2"]);
    expect(shard.counters.droppedTooLarge).toBe(3);
  });

  test("QoS 0 is left out, and counted, and QoS 1 waits, while the client does not take what was sent", () => {
    const { shard, publisher, listener } = setUp();
    listener.subscribe("a", 1);
    shard.fullSockets.add(listener.connectionId);
    publisher.publish("a", "lost");
    publisher.publish("a", "kept", { qos: 1 });
    expect(listener.payloads).toEqual([]);
    shard.fullSockets.clear();
    shard.advance(1000);
    expect(listener.payloads).toEqual(["kept"]);
    expect(shard.counters.droppedSlowConsumer).toBe(1);
  });
});

describe("subscriptions", () => {
  test("[MQTT-3.3.4-2] that overlap give one message with the highest QoS and all their identifiers", () => {
    const { publisher, listener } = setUp();
    listener.subscribe("a/#", 0, { subscriptionIdentifier: 1 });
    listener.subscribe("a/+", 2, { subscriptionIdentifier: 2 });
    listener.subscribe("a/b", 1);
    publisher.publish("a/b", "1", { qos: 2 });
    const got = listener.only("publish");
    expect(got.qos).toBe(2);
    expect(got.subscriptionIdentifiers?.toSorted()).toEqual([1, 2]);
  });

  test("[MQTT-3.3.4-3] without an identifier give none", () => {
    const { publisher, listener } = setUp();
    listener.subscribe("a");
    publisher.publish("a", "1");
    expect(listener.only("publish")).not.toHaveProperty("subscriptionIdentifiers");
  });

  test("[MQTT-3.8.4-3] that are repeated replace the earlier one", () => {
    const { publisher, listener } = setUp();
    listener.subscribe("a", 2, { subscriptionIdentifier: 1 });
    listener.subscribe("a", 0, { subscriptionIdentifier: 9 });
    publisher.publish("a", "1", { qos: 2 });
    expect(listener.only("publish")).toMatchObject({ qos: 0, subscriptionIdentifiers: [9] });
  });

  test("[MQTT-3.8.3-3] with No Local do not give a client its own messages", () => {
    const { publisher, listener } = setUp();
    listener.subscribe("a", 0, { noLocal: true });
    listener.publish("a", "own");
    publisher.publish("a", "other");
    expect(listener.payloads).toEqual(["other"]);
  });

  test("[MQTT-3.3.1-12] [MQTT-3.3.1-13] keep RETAIN only with Retain As Published", () => {
    const { shard, publisher, listener } = setUp();
    const other = SimulatedClient.connected(shard);
    listener.subscribe("a", 0, { retainAsPublished: true });
    other.subscribe("a");
    publisher.publish("a", "1", { retain: true });
    publisher.publish("a", "2");
    expect(listener.messages.map(({ retain }) => retain)).toEqual([true, false]);
    expect(other.messages.map(({ retain }) => retain)).toEqual([false, false]);
  });

  test("[MQTT-3.10.4-1] [MQTT-3.11.3-1] end with UNSUBSCRIBE, answered filter by filter", () => {
    const { publisher, listener } = setUp();
    listener.subscribe("a");
    listener.subscribe("b");
    const { reasonCodes } = listener.unsubscribe("a", "none");
    expect(reasonCodes).toEqual([ReasonCode.Success, ReasonCode.NoSubscriptionExisted]);
    publisher.publish("a", "1");
    publisher.publish("b", "2");
    expect(listener.payloads).toEqual(["2"]);
  });

  test("[MQTT-3.10.4-3] that end still complete the messages in flight", () => {
    const { publisher, listener } = setUp({ receiveMaximum: 1 });
    listener.subscribe("a", 1);
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 1 });
    listener.unsubscribe("a");
    listener.acknowledge(listener.last("publish"));
    expect(listener.payloads).toEqual(["1", "2"]);
  });

  test("[MQTT-3.8.4-6] [MQTT-3.9.3-1] are granted or refused filter by filter, in their order", () => {
    const shard = new Harness({
      limits: { subscriptionsPerSessionMax: 2, topicLevelsMax: 3, sharedSubscriptionAvailable: false },
    });
    const listener = SimulatedClient.connected(shard);
    const options = { maximumQos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const filters = ["a", "$share/group/a", "a/b/c/d", "b", "c", "a"];
    listener.send({
      type: "subscribe",
      packetIdentifier: 1,
      requests: filters.map((topicFilter) => ({ topicFilter, ...options })),
    });
    expect(listener.only("suback").reasonCodes).toEqual([
      ReasonCode.GrantedQoS1,
      ReasonCode.SharedSubscriptionsNotSupported,
      ReasonCode.TopicFilterInvalid,
      ReasonCode.GrantedQoS1,
      ReasonCode.QuotaExceeded,
      ReasonCode.GrantedQoS1,
    ]);
  });
});

describe("the window towards a client", () => {
  test("[MQTT-3.3.4-9] holds no more than the client's Receive Maximum, and moves with its acknowledgements", () => {
    const { publisher, listener } = setUp({ receiveMaximum: 2 });
    listener.subscribe("a", 2);
    for (let index = 1; index <= 6; index += 1)
      publisher.publish("a", `${index}`, { qos: index % 2 === 0 ? 2 : 1 });
    expect(listener.payloads).toEqual(["1", "2"]);
    const [first, second] = listener.all("publish");
    listener.respond("puback", first?.packetIdentifier ?? 0);
    expect(listener.payloads).toEqual(["1", "2", "3"]);
    listener.respond("pubrec", second?.packetIdentifier ?? 0);
    expect(listener.payloads).toHaveLength(3);
    listener.respond("pubcomp", second?.packetIdentifier ?? 0);
    expect(listener.payloads).toEqual(["1", "2", "3", "4"]);
  });

  test("holds no more than the server's own maximum", () => {
    const { shard, publisher, listener } = setUp();
    listener.subscribe("a", 1);
    for (let index = 0; index < shard.limits.inflightMessagesMax + 5; index += 1) {
      publisher.publish("a", "", { qos: 1 });
    }
    expect(listener.inflightCount).toBe(shard.limits.inflightMessagesMax);
  });

  test("[MQTT-3.3.4-10] does not hold back QoS 0", () => {
    const { publisher, listener } = setUp({ receiveMaximum: 1 });
    listener.subscribe("a", 1);
    for (const payload of ["1", "2"]) publisher.publish("a", payload, { qos: 1 });
    publisher.publish("a", "0");
    expect(listener.payloads).toEqual(["1", "0"]);
  });

  test("[MQTT-4.3.3-4] [MQTT-4.4.0-2] a PUBREC that refuses the message ends its delivery", () => {
    const { publisher, listener } = setUp({ receiveMaximum: 1 });
    listener.subscribe("a", 2);
    publisher.publish("a", "1", { qos: 2 });
    publisher.publish("a", "2", { qos: 2 });
    listener.respond("pubrec", listener.last("publish").packetIdentifier ?? 0, ReasonCode.QuotaExceeded);
    expect(listener.all("pubrel")).toEqual([]);
    expect(listener.payloads).toEqual(["1", "2"]);
  });

  test("acknowledgements that answer nothing change nothing", () => {
    const { publisher, listener } = setUp({ receiveMaximum: 1 });
    listener.subscribe("a", 2);
    publisher.publish("a", "1", { qos: 2 });
    publisher.publish("a", "2", { qos: 1 });
    const { packetIdentifier = 0 } = listener.last("publish");
    listener.respond("puback", packetIdentifier + 1);
    listener.send({ type: "puback", packetIdentifier, reasonCode: 0 });
    listener.send({ type: "pubcomp", packetIdentifier, reasonCode: 0 });
    listener.respond("pubrec", packetIdentifier + 1);
    expect(listener.last("pubrel").reasonCode).toBe(ReasonCode.PacketIdentifierNotFound);
    expect(listener.payloads).toEqual(["1"]);
  });

  test("[MQTT-2.2.1-4] an identifier is not used again while it is in flight, after 65 535 others", () => {
    const { publisher, listener } = setUp();
    listener.subscribe("a", 2);
    publisher.publish("a", "first", { qos: 2 });
    const { packetIdentifier = 0 } = listener.last("publish");
    for (let index = 0; index < 65_534; index += 1) {
      publisher.publish("a", "", { qos: 1 });
      listener.acknowledge(listener.last("publish"));
      listener.take();
    }
    publisher.publish("a", "held back", { qos: 1 });
    publisher.publish("a", "behind it", { qos: 1 });
    expect(listener.all("publish")).toEqual([]);
    listener.respond("pubrec", packetIdentifier);
    listener.respond("pubcomp", packetIdentifier);
    expect(listener.payloads.slice(-2)).toEqual(["held back", "behind it"]);
  });

  test("[MQTT-4.6.0-5] messages come in the order in which they were published", () => {
    const { publisher, listener } = setUp({ receiveMaximum: 3, acks: "auto" });
    listener.subscribe("a", 2);
    const payloads = Array.from({ length: 250 }, (_, index) => `${index}`);
    publisher.send(
      ...payloads.slice(0, 90).map((payload) => publisher.publishPacket("a", payload, { qos: 1 })),
    );
    publisher.send(
      ...payloads.slice(90, 180).map((payload) => publisher.publishPacket("a", payload, { qos: 2 })),
    );
    publisher.send(
      ...payloads.slice(180).map((payload) => publisher.publishPacket("a", payload, { qos: 1 })),
    );
    expect(listener.payloads).toEqual(payloads);
  });
});

describe("Message Expiry Interval", () => {
  test("[MQTT-3.3.2-6] is sent on less the time that the message waited", () => {
    const { shard, publisher, listener } = setUp({ sessionExpiryIntervalSec: week });
    listener.subscribe("a", 1);
    publisher.publish("a", "now", { qos: 1, messageExpiryIntervalSec: 100 });
    expect(listener.last("publish").messageExpiryIntervalSec).toBe(100);
    listener.acknowledge(listener.last("publish")).lose();
    publisher.publish("a", "later", { qos: 1, messageExpiryIntervalSec: 100 });
    shard.advance(30_000);
    listener.connect({ cleanStart: false });
    expect(listener.last("publish").messageExpiryIntervalSec).toBe(70);
    expect(listener.last("publish").message.messageExpiryIntervalSec).toBe(100);
  });

  test("[MQTT-3.3.2-5] a message that expired before it was sent is left out", () => {
    const { shard, publisher, listener } = setUp({ sessionExpiryIntervalSec: week, receiveMaximum: 1 });
    listener.subscribe("a", 2);
    listener.lose();
    publisher.publish("a", "short", { qos: 2, messageExpiryIntervalSec: 10 });
    publisher.publish("a", "long", { qos: 1, messageExpiryIntervalSec: 11 });
    shard.advance(10_000);
    listener.connect({ cleanStart: false });
    expect(listener.payloads).toEqual(["long"]);
    listener.acknowledge(listener.last("publish"));
    expect(shard.counters.droppedExpired).toBe(1);
  });

  test("of 0 lets the message expire at once when it has to wait", () => {
    const { publisher, listener } = setUp({ sessionExpiryIntervalSec: week });
    listener.subscribe("a", 1);
    listener.lose();
    publisher.publish("a", "1", { qos: 1, messageExpiryIntervalSec: 0 });
    listener.connect({ cleanStart: false });
    expect(listener.payloads).toEqual([]);
  });
});
