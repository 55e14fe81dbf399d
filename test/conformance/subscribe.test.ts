import { describe, expect, test } from "vitest";
import { Harness } from "../core/harness.ts";
import { SimulatedClient } from "../core/simulated-client.ts";
import { field, packet, uint16 } from "../support/bytes.ts";
import { afterConnect, bothVersions, lasting, WireClient } from "./wire.ts";

describe.each(bothVersions)("SUBSCRIBE of version %i", (protocolVersion) => {
  const optional = protocolVersion === 5 ? [0] : [];
  const subscribe = (identifier: number, ...requests: [filter: string, options: number][]): Buffer =>
    packet(
      0x82,
      uint16(identifier),
      optional,
      requests.map(([filter, options]) => [field(filter), options]),
    );

  function setUp() {
    const shard = new Harness();
    const publisher = SimulatedClient.connected(shard);
    const client = SimulatedClient.connected(shard, { protocolVersion });
    return { shard, publisher, client };
  }

  test("[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-1 (3.1.1)] [MQTT-3.8.4-2 (3.1.1)] is answered with SUBACK under its own identifier, each time", () => {
    const client = afterConnect(protocolVersion, subscribe(0x1234, ["a", 0]), subscribe(0xffff, ["a", 1]));
    expect(client.all("suback").map(({ packetIdentifier }) => packetIdentifier)).toEqual([0x1234, 0xffff]);
  });

  test("[MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.8.4-4 (3.1.1)] [MQTT-3.8.4-5 (3.1.1)] [MQTT-3.9.3-1 (3.1.1)] [MQTT-3.9.3-2 (3.1.1)] of many filters is answered with one SUBACK: the QoS granted, or the failure, in their order", () => {
    const deep = "a/".repeat(200);
    const requests: [string, number][] = [
      ["a", 2],
      [deep, 1],
      ["b", 0],
      ["c", 1],
      ["a", 0],
    ];
    const client = afterConnect(protocolVersion, subscribe(5, ...requests));
    expect(client.only("suback").reasonCodes).toEqual([2, protocolVersion === 5 ? 0x8f : 0x80, 0, 1, 0]);
  });

  test("[MQTT-3.8.4-5] [MQTT-3.8.4-4 (3.1.1)] of many filters is handled as one after the other", () => {
    const { publisher, client } = setUp();
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    client.send({
      type: "subscribe",
      packetIdentifier: 1,
      requests: [
        { topicFilter: "a", maximumQos: 2, ...options },
        { topicFilter: "b", maximumQos: 1, ...options },
        { topicFilter: "a", maximumQos: 0, ...options },
      ],
    });
    publisher.publish("a", "1", { qos: 2 });
    publisher.publish("b", "2", { qos: 2 });
    expect(client.all("publish").map(({ qos }) => qos)).toEqual([0, 1]);
  });

  test("[MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT-3.8.4-3 (3.1.1)] with a filter that is there replaces it: retained messages come again, and one copy of each message", () => {
    const { publisher, client } = setUp();
    publisher.publish("a", "retained", { retain: true, qos: 1 });
    client.subscribe("a", 0);
    publisher.publish("a", "1", { qos: 1 });
    client.subscribe("a", 1);
    publisher.publish("a", "2", { qos: 1 });
    expect(client.payloads).toEqual(["retained", "1", "retained", "2"]);
    expect(client.all("publish").map(({ qos }) => qos)).toEqual([0, 0, 1, 1]);
  });

  test("[MQTT-3.8.4-4] [MQTT-3.8.4-3 (3.1.1)] with a filter that is there loses no message that waits", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { ...lasting(protocolVersion, "c"), acks: "manual" });
    client.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    for (let index = 0; index < 150; index += 1) publisher.publish("a", `${index}`, { qos: 1 });
    client.subscribe("a", 2);
    while (client.unanswered.length > 0) client.answer(10);
    expect(client.payloads).toEqual(Array.from({ length: 150 }, (_, index) => `${index}`));
  });

  test.each([
    [0, 2, 0],
    [1, 0, 0],
    [1, 2, 1],
    [2, 1, 1],
    [2, 2, 2],
  ] as const)(
    "[MQTT-3.8.4-8] [MQTT-3.8.4-6 (3.1.1)] brings a message of QoS %i for a maximum of %i with QoS %i",
    (qos, maximum, expected) => {
      const { publisher, client } = setUp();
      client.subscribe("a", maximum);
      publisher.publish("a", "1", { qos });
      expect(client.only("publish").qos).toBe(expected);
    },
  );

  test("[MQTT-3.3.4-2] [MQTT-3.3.5-1 (3.1.1)] that overlaps with another one brings the highest QoS of them", () => {
    const { publisher, client } = setUp();
    client.subscribe("a/#", 1);
    client.subscribe("a/+", 2);
    client.subscribe("a/b", 0);
    publisher.publish("a/b", "1", { qos: 2 });
    expect(client.only("publish").qos).toBe(2);
    expect(client.payloads).toEqual(["1"]);
  });
});

describe.each(bothVersions)("UNSUBSCRIBE of version %i", (protocolVersion) => {
  const optional = protocolVersion === 5 ? [0] : [];
  const unsubscribe = (identifier: number, ...filters: string[]): Buffer =>
    packet(
      0xa2,
      uint16(identifier),
      optional,
      filters.map((filter) => field(filter)),
    );

  function setUp() {
    const shard = new Harness();
    const publisher = SimulatedClient.connected(shard);
    const client = SimulatedClient.connected(shard, { ...lasting(protocolVersion, "c"), acks: "manual" });
    return { shard, publisher, client };
  }

  test("[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-4 (3.1.1)] [MQTT-3.10.4-5 (3.1.1)] is answered with UNSUBACK under its own identifier, also where nothing was subscribed", () => {
    const client = afterConnect(protocolVersion, unsubscribe(0x1234, "a"), unsubscribe(0xfffe, "b"));
    expect(client.all("unsuback").map(({ packetIdentifier }) => packetIdentifier)).toEqual([0x1234, 0xfffe]);
  });

  test("[MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.10.4-6 (3.1.1)] of many filters is answered once, and ends them one after the other", () => {
    const client = afterConnect(
      protocolVersion,
      packet(0x82, uint16(1), optional, field("a"), 0, field("b"), 0),
      unsubscribe(2, "a", "c", "b", "a"),
    );
    const expected = protocolVersion === 5 ? [0, 0x11, 0, 0x11] : [];
    expect(client.only("unsuback").reasonCodes).toEqual(expected);
    client.sendBytes(packet(0x30, field("a"), optional), packet(0x30, field("b"), optional));
    expect(client.all("publish")).toEqual([]);
  });

  test("[MQTT-3.10.4-1] [MQTT-3.10.4-1 (3.1.1)] ends the subscription with exactly its filter, and no other", () => {
    const { publisher, client } = setUp();
    client.subscribe("a/+");
    client.subscribe("a/b");
    client.unsubscribe("a/B", "+/b", "a/#", "a/b ");
    publisher.publish("a/c", "1");
    client.unsubscribe("a/+");
    publisher.publish("a/c", "2");
    publisher.publish("a/b", "3");
    expect(client.payloads).toEqual(["1", "3"]);
  });

  test("[MQTT-3.10.4-2] [MQTT-3.10.4-2 (3.1.1)] stops new messages, also for a client that is away afterwards", () => {
    const { publisher, client } = setUp();
    client.subscribe("a", 1);
    client.unsubscribe("a");
    publisher.publish("a", "1", { qos: 1 });
    client.lose();
    publisher.publish("a", "2", { qos: 1 });
    client.connect();
    expect(client.payloads).toEqual([]);
  });

  test("[MQTT-3.10.4-3] [MQTT-3.10.4-3 (3.1.1)] lets what is in flight be completed, also after a return", () => {
    const { publisher, client } = setUp();
    client.subscribe("a", 2);
    publisher.publish("a", "1", { qos: 2 });
    client.unsubscribe("a");
    client.lose().connect();
    expect(client.only("publish")).toMatchObject({ qos: 2, dup: true });
    client.acks = "auto";
    client.answer(1);
    expect(client.all("pubrel")).toHaveLength(1);
    expect(client.inflightCount).toBe(0);
  });
});

test("[MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-3.8.3-1 (3.1.1)] [MQTT-3.10.3-1 (3.1.1)] Topic Filters that are not UTF-8 close the connection", () => {
  for (const version of bothVersions) {
    const optional = version === 5 ? [0] : [];
    const ill = field("a", 0xed, 0xa0, 0x80);
    expect(afterConnect(version, packet(0x82, uint16(1), optional, ill, 0)).closeCode).toBe(1002);
    expect(afterConnect(version, packet(0xa2, uint16(1), optional, ill)).closeCode).toBe(1002);
  }
});

test("A SUBSCRIBE or UNSUBSCRIBE under the identifier of a QoS 2 message is refused with 0x91", () => {
  const client = WireClient.connected(new Harness());
  client.sendBytes(packet(0x34, field("a"), uint16(7), 0));
  client.sendBytes(packet(0x82, uint16(7), 0, field("a"), 0), packet(0xa2, uint16(7), 0, field("a")));
  expect(client.only("suback").reasonCodes).toEqual([0x91]);
  expect(client.only("unsuback").reasonCodes).toEqual([0x91]);
  client.sendBytes(packet(0x62, uint16(7)), packet(0x82, uint16(7), 0, field("a"), 0));
  expect(client.all("suback").at(-1)?.reasonCodes).toEqual([0]);
});
