import { describe, expect, test } from "vitest";
import type { ReceivedPublish } from "../codec/server-decode.ts";
import { Harness } from "../core/harness.ts";
import { bytesOf, SimulatedClient } from "../core/simulated-client.ts";
import { field, packet, properties, uint16 } from "../support/bytes.ts";
import { afterConnect, bothVersions, lasting, WireClient } from "./wire.ts";

type Version = (typeof bothVersions)[number];

function setUp(protocolVersion: Version) {
  const shard = new Harness();
  const publisher = SimulatedClient.connected(shard, { protocolVersion });
  const subscriber = SimulatedClient.connected(shard, { protocolVersion });
  return { shard, publisher, subscriber };
}

/** The payloads and RETAIN flags that a new subscription begins with. */
function retainedOf(shard: Harness, protocolVersion: Version, filter = "#"): [string, boolean, number][] {
  const client = SimulatedClient.connected(shard, { protocolVersion });
  client.subscribe(filter, 2);
  const { payloads } = client;
  return client.all("publish").map(({ retain, qos }, index) => [payloads[index] ?? "", retain, qos]);
}

describe.each(bothVersions)("DUP at version %i", (protocolVersion) => {
  test("[MQTT-3.3.1-1] [MQTT-3.3.1-1 (3.1.1)] is set on what is sent again, and not on what is new", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { ...lasting(protocolVersion, "c"), acks: "manual" });
    client.subscribe("a", 2);
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 2 });
    expect(client.all("publish").map(({ dup }) => dup)).toEqual([false, false]);
    client.lose();
    publisher.publish("a", "3", { qos: 1 });
    client.connect();
    expect(client.all("publish").map(({ dup }) => dup)).toEqual([true, true, false]);
  });

  test("[MQTT-3.3.1-3] [MQTT-3.3.1-3 (3.1.1)] of an incoming PUBLISH is not passed on", () => {
    const { publisher, subscriber } = setUp(protocolVersion);
    subscriber.subscribe("a", 2);
    publisher.publish("a", "1", { qos: 1, dup: true });
    publisher.publish("a", "2", { qos: 2, dup: true });
    expect(subscriber.all("publish").map(({ dup }) => dup)).toEqual([false, false]);
  });

  test("[MQTT-3.3.1-2] [MQTT-3.3.1-2 (3.1.1)] [MQTT-4.3.1-1] [MQTT-4.3.1-1 (3.1.1)] is never set with QoS 0", () => {
    const { shard, publisher, subscriber } = setUp(protocolVersion);
    subscriber.subscribe("a", 0);
    publisher.publish("a", "1", { qos: 1, dup: true });
    publisher.publish("a", "2", { qos: 0 });
    const flags = subscriber.all("publish").map(({ dup, qos }) => [dup, qos]);
    expect(flags).toEqual([
      [false, 0],
      [false, 0],
    ]);
    expect(subscriber.payloads).toEqual(["1", "2"]);
    const offender = WireClient.connected(shard, { protocolVersion });
    offender.sendBytes(packet(0x38, field("a"), protocolVersion === 5 ? [0] : []));
    expect(offender.closeCode).toBe(1002);
  });
});

describe.each(bothVersions)("Retained messages at version %i", (protocolVersion) => {
  test("[MQTT-3.3.1-5] [MQTT-3.3.1-5 (3.1.1)] [MQTT-3.3.1-6 (3.1.1)] [MQTT-3.3.1-8 (3.1.1)] are the last of each topic, with their QoS, sent with RETAIN to a new subscription", () => {
    const { shard, publisher } = setUp(protocolVersion);
    publisher.publish("a/1", "old", { retain: true, qos: 1 });
    publisher.publish("a/1", "new", { retain: true, qos: 2 });
    publisher.publish("a/2", "other", { retain: true, qos: 1 });
    publisher.publish("b", "no match", { retain: true });
    expect(retainedOf(shard, protocolVersion, "a/+").toSorted()).toEqual([
      ["new", true, 2],
      ["other", true, 1],
    ]);
  });

  test("[MQTT-3.3.1-7 (3.1.1)] of QoS 0 take the place of earlier ones", () => {
    const { shard, publisher } = setUp(protocolVersion);
    publisher.publish("a", "old", { retain: true, qos: 2 });
    publisher.publish("a", "new", { retain: true, qos: 0 });
    expect(retainedOf(shard, protocolVersion)).toEqual([["new", true, 0]]);
  });

  test("[MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-10 (3.1.1)] [MQTT-3.3.1-11 (3.1.1)] are removed by an empty one, which is passed on and not kept", () => {
    const { shard, publisher, subscriber } = setUp(protocolVersion);
    subscriber.subscribe("a", 1);
    publisher.publish("a", "value", { retain: true, qos: 1 });
    publisher.publish("a", "", { retain: true, qos: 1 });
    expect(subscriber.payloads).toEqual(["value", ""]);
    expect(retainedOf(shard, protocolVersion)).toEqual([]);
  });

  test("[MQTT-3.3.1-8] [MQTT-3.3.1-12 (3.1.1)] are left alone by a PUBLISH without RETAIN", () => {
    const { shard, publisher } = setUp(protocolVersion);
    publisher.publish("a", "kept", { retain: true });
    publisher.publish("a", "passing");
    publisher.publish("a", "");
    publisher.publish("b", "passing");
    expect(retainedOf(shard, protocolVersion)).toEqual([["kept", true, 0]]);
  });

  test("[MQTT-3.3.1-12] [MQTT-3.3.1-9 (3.1.1)] go to a subscription that was there with RETAIN 0", () => {
    const { publisher, subscriber } = setUp(protocolVersion);
    subscriber.subscribe("a", 1);
    publisher.publish("a", "1", { retain: true, qos: 1 });
    expect(subscriber.only("publish").retain).toBe(false);
  });

  test("[MQTT-3.1.2-7 (3.1.1)] outlive the session of their publisher", () => {
    const { shard, publisher } = setUp(protocolVersion);
    publisher.publish("a", "1", { retain: true });
    publisher.disconnect();
    shard.reset();
    expect(retainedOf(shard, protocolVersion)).toEqual([["1", true, 0]]);
  });
});

describe.each(bothVersions)("The Topic Name of a PUBLISH to a client of version %i", (protocolVersion) => {
  test("[MQTT-3.3.2-3] [MQTT-3.3.2-3 (3.1.1)] is the one it was published under, whatever filter matched", () => {
    const shard = new Harness();
    const client = WireClient.connected(shard, { protocolVersion });
    const optional = protocolVersion === 5 ? [0] : [];
    client.sendBytes(packet(0x82, uint16(1), optional, field("a/#"), 0, field("+/b/c"), 0));
    SimulatedClient.connected(shard).publish("a/b/c");
    expect(client.only("publish")).toMatchObject({ topicName: "a/b/c" });
    SimulatedClient.connected(shard).publish("b/b");
    expect(client.all("publish")).toHaveLength(1);
  });
});

describe("Strings of a PUBLISH of version 5", () => {
  const ill = field("a", 0xc3, 0x28);

  test.each([
    ["[MQTT-3.3.2-1] an ill-formed Topic Name", packet(0x30, ill, 0)],
    ["[MQTT-3.3.2-13] an ill-formed Response Topic", packet(0x30, field("a"), properties(0x08, ill))],
    ["[MQTT-3.3.2-19] an ill-formed Content Type", packet(0x30, field("a"), properties(0x03, ill))],
  ])("%s is malformed", (_title, content) => {
    const client = afterConnect(5, content);
    expect(client.only("disconnect").reasonCode).toBe(0x81);
  });

  test("[MQTT-3.3.2-14] a Response Topic with a wildcard is answered with 0x90", () => {
    const client = afterConnect(5, packet(0x30, field("a"), properties(0x08, field("answers/#"))));
    expect(client.only("disconnect").reasonCode).toBe(0x90);
    expect(client.closeCode).toBe(1008);
  });
});

describe("Properties of a PUBLISH", () => {
  const sent = {
    payloadFormatIndicator: 1,
    contentType: "text/plain",
    responseTopic: "answers/ü",
    correlationData: Uint8Array.of(0, 255, 1),
    userProperties: [
      ["b", "1"],
      ["a", "2"],
      ["b", "1"],
      ["", ""],
    ],
  } as const;

  test.each([0, 1, 2] as const)(
    "[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] come out byte by byte as they went in, at QoS %i",
    (qos) => {
      const shard = new Harness();
      const client = WireClient.connected(shard);
      client.sendBytes(packet(0x82, uint16(1), 0, field("a"), 2));
      const identifier = qos > 0 && { packetIdentifier: 7 };
      const message = { topicName: "a", payload: bytesOf("text"), qos, retain: false, ...sent };
      client.send({ type: "publish", message, dup: false, ...identifier });
      expect(client.only("publish") as ReceivedPublish).toMatchObject(sent);
    },
  );

  test("[MQTT-3.3.2-17] [MQTT-3.3.2-18] come out of a queue and out of the retained messages as they went in", () => {
    const shard = new Harness();
    const away = SimulatedClient.connected(shard, lasting(5, "away"));
    away.subscribe("a", 1);
    away.lose();
    SimulatedClient.connected(shard).publish("a", "text", { qos: 1, retain: true, ...sent });
    shard.reset();
    away.connect();
    const late = SimulatedClient.connected(shard);
    late.subscribe("a", 1);
    for (const client of [away, late]) expect(client.only("publish").message).toMatchObject(sent);
  });

  test("do not reach a client of 3.1.1, which gets the message alone", () => {
    const shard = new Harness();
    const client = WireClient.connected(shard, { protocolVersion: 4 });
    client.sendBytes(packet(0x82, uint16(1), field("a"), 0));
    SimulatedClient.connected(shard).publish("a", "text", sent);
    expect(client.sent.at(-1)).toEqual(Uint8Array.from(packet(0x30, field("a"), "text")));
  });
});

describe("The Message Expiry Interval", () => {
  test("[MQTT-3.3.2-5] [MQTT-3.3.2-6] runs while a message waits, and drops it when it is over", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, lasting(5, "c"));
    client.subscribe("a", 1);
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "short", { qos: 1, messageExpiryIntervalSec: 10 });
    publisher.publish("a", "long", { qos: 1, messageExpiryIntervalSec: 100 });
    shard.advance(30_000);
    client.connect();
    expect(client.payloads).toEqual(["long"]);
    expect(client.only("publish").messageExpiryIntervalSec).toBe(70);
  });
});
