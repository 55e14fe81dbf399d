import { describe, expect, test } from "vitest";
import { Harness } from "../core/harness.ts";
import { SimulatedClient } from "../core/simulated-client.ts";
import { bothVersions, lasting } from "./wire.ts";

type Version = (typeof bothVersions)[number];

/** A client whose session stays, subscribed to everything, which the test lets answer. */
function setUp(protocolVersion: Version, settings: { receiveMaximum?: number } = {}) {
  const shard = new Harness();
  const options = { ...lasting(protocolVersion, "c"), acks: "manual", ...settings } as const;
  const client = SimulatedClient.connected(shard, options);
  client.subscribe("#", 2);
  return { shard, client, publisher: SimulatedClient.connected(shard) };
}

describe.each(bothVersions)("QoS 1 to a client of version %i", (protocolVersion) => {
  test("[MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT-4.3.2-1 (3.1.1)] is sent under an unused identifier without DUP, and is in flight until PUBACK", () => {
    const { client, publisher } = setUp(protocolVersion);
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 1 });
    const [first, second] = client.all("publish");
    expect([first?.dup, second?.dup]).toEqual([false, false]);
    expect(first?.packetIdentifier).not.toBe(second?.packetIdentifier);
    client.answer(1);
    client.lose().connect();
    expect(client.all("publish").map(({ packetIdentifier }) => packetIdentifier)).toEqual([
      second?.packetIdentifier,
    ]);
    client.answer(1);
    client.lose().connect();
    expect(client.all("publish")).toEqual([]);
  });
});

describe.each(bothVersions)("QoS 2 to a client of version %i", (protocolVersion) => {
  test("[MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.3.3-1 (3.1.1)] goes through PUBLISH, PUBREL and the end, each sent again until it is answered", () => {
    const { client, publisher } = setUp(protocolVersion);
    publisher.publish("a", "1", { qos: 2 });
    const { packetIdentifier } = client.only("publish");
    expect(client.only("publish").dup).toBe(false);
    client.lose().connect();
    expect(client.only("publish")).toMatchObject({ packetIdentifier, dup: true });
    client.answer(1);
    expect(client.only("pubrel")).toMatchObject({ packetIdentifier, reasonCode: 0 });
    client.lose().connect();
    expect(client.all("publish")).toEqual([]);
    expect(client.only("pubrel").packetIdentifier).toBe(packetIdentifier);
    client.answer(1);
    client.lose().connect();
    expect(client.take().map(({ type }) => type)).toEqual(["connack"]);
  });
});

describe("The expiry of a message", () => {
  test.each([1, 2] as const)("[MQTT-4.3.3-7] does not end a delivery that has begun, at QoS %i", (qos) => {
    const { shard, client, publisher } = setUp(5);
    publisher.publish("a", "1", { qos, messageExpiryIntervalSec: 10 });
    const { packetIdentifier } = client.only("publish");
    client.lose();
    shard.advance(60_000);
    client.connect();
    expect(client.all("publish").map((publish) => publish.packetIdentifier)).toEqual([packetIdentifier]);
    expect(client.only("publish").messageExpiryIntervalSec).toBeGreaterThanOrEqual(0);
  });

  test("[MQTT-4.3.3-13] does not end its acknowledgements", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { acks: "manual" });
    const identifier = client.publish("a", "1", { qos: 2, messageExpiryIntervalSec: 1 });
    expect(client.only("pubrec").packetIdentifier).toBe(identifier);
    shard.advance(60_000);
    client.publish("a", "1", {
      qos: 2,
      messageExpiryIntervalSec: 1,
      packetIdentifier: identifier,
      dup: true,
    });
    expect(client.all("pubrec").map(({ reasonCode }) => reasonCode < 0x80)).toEqual([true, true]);
    client.respond("pubrel", identifier);
    expect(client.only("pubcomp")).toMatchObject({ packetIdentifier: identifier, reasonCode: 0 });
  });
});

describe.each(bothVersions)("QoS 1 and 2 from a client of version %i", (protocolVersion) => {
  function incoming() {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("a", 2);
    const options = { ...lasting(protocolVersion, "p"), acks: "manual" } as const;
    return { shard, listener, client: SimulatedClient.connected(shard, options) };
  }

  test("[MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT-4.3.2-2 (3.1.1)] at QoS 1 are acknowledged, and the identifier then names a new message, DUP or not", () => {
    const { client, listener } = incoming();
    for (const dup of [false, true, false])
      client.publish("a", `${dup}`, { qos: 1, packetIdentifier: 7, dup });
    expect(client.all("puback").map(({ packetIdentifier }) => packetIdentifier)).toEqual([7, 7, 7]);
    expect(listener.payloads).toEqual(["false", "true", "false"]);
  });

  test("[MQTT-4.3.2-4] [MQTT-4.3.3-8] are written, where they must outlive the server, before they are acknowledged", () => {
    const { shard, client } = incoming();
    const away = SimulatedClient.connected(shard, lasting(protocolVersion, "away"));
    away.subscribe("a", 2);
    away.lose();
    shard.trace.length = 0;
    client.publish("a", "1", { qos: 1 });
    client.publish("a", "2", { qos: 2 });
    // What makes it outlive the server lies where the session is that waits for it.
    const commit = `commit in ${shard.shardOfClient("away").index}`;
    const steps = shard.trace
      .filter((step) => step === commit || /^puback|^pubrec/.test(step))
      .filter((step, index, all) => step !== all[index - 1])
      .map((step) => step.split(" ")[0]);
    expect(steps).toEqual(["commit", "puback", "commit", "pubrec"]);
  });

  test("[MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-4.3.3-2 (3.1.1)] at QoS 2 are passed on once until PUBREL, over a return and a reset too, and anew after it", () => {
    const { shard, client, listener } = incoming();
    const again = { qos: 2, packetIdentifier: 7, dup: true } as const;
    client.publish("a", "1", { ...again, dup: false });
    client.publish("a", "1", again);
    client.lose().connect();
    client.publish("a", "1", again);
    expect(client.only("pubrec").packetIdentifier).toBe(7);
    expect(listener.payloads).toEqual(["1"]);
    shard.reset();
    listener.connect();
    listener.subscribe("a", 2);
    client.connect();
    client.publish("a", "1", again);
    expect(listener.payloads).toEqual(["1"]);
    client.respond("pubrel", 7);
    expect(client.only("pubcomp").packetIdentifier).toBe(7);
    client.publish("a", "2", again);
    expect(listener.payloads).toEqual(["1", "2"]);
  });

  test("[MQTT-4.6.0-2 (3.1.1)] [MQTT-4.6.0-3 (3.1.1)] [MQTT-4.6.0-2] [MQTT-4.6.0-3] are acknowledged in their order", () => {
    const { shard, client } = incoming();
    const away = SimulatedClient.connected(shard, lasting(protocolVersion, "away"));
    away.subscribe("logged", 2);
    away.lose();
    const topics = ["a", "logged", "a", "b", "logged"];
    client.send(
      ...topics.map((topic, index) =>
        client.publishPacket(topic, "", { qos: 1, packetIdentifier: index + 1 }),
      ),
      ...topics.map((topic, index) =>
        client.publishPacket(topic, "", { qos: 2, packetIdentifier: index + 11 }),
      ),
    );
    expect(client.all("puback").map(({ packetIdentifier }) => packetIdentifier)).toEqual([1, 2, 3, 4, 5]);
    expect(client.all("pubrec").map(({ packetIdentifier }) => packetIdentifier)).toEqual([
      11, 12, 13, 14, 15,
    ]);
  });
});

test("[MQTT-4.3.3-9] A QoS 2 message that was refused leaves its identifier free for a new one", () => {
  const shard = new Harness();
  const listener = SimulatedClient.connected(shard);
  listener.subscribe("a", 2);
  const client = SimulatedClient.connected(shard, { acks: "manual" });
  client.publish("$SYS/a", "1", { qos: 2, packetIdentifier: 7 });
  client.publish("a", "2", { qos: 2, packetIdentifier: 7 });
  expect(client.all("pubrec").map(({ reasonCode }) => reasonCode)).toEqual([0x87, 0]);
  expect(listener.payloads).toEqual(["2"]);
});

describe.each(bothVersions)("What a client of version %i did not acknowledge", (protocolVersion) => {
  test("[MQTT-4.4.0-1] [MQTT-4.4.0-1 (3.1.1)] is sent again when it returns, under the same identifiers, and at no other time", () => {
    const { shard, client, publisher } = setUp(protocolVersion);
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 2 });
    const before = client.all("publish").map(({ packetIdentifier }) => packetIdentifier);
    shard.advance(24 * 3600_000);
    expect(client.all("publish")).toHaveLength(2);
    client.lose().connect();
    expect(client.all("publish").map(({ packetIdentifier }) => packetIdentifier)).toEqual(before);
    expect(client.all("publish").map(({ dup }) => dup)).toEqual([true, true]);
  });

  test("[MQTT-4.6.0-1 (3.1.1)] [MQTT-4.6.0-5] is sent again in its first order, before what waits", () => {
    const { client, publisher } = setUp(protocolVersion);
    for (let index = 1; index <= 5; index += 1)
      publisher.publish("a", `${index}`, { qos: index % 2 === 0 ? 1 : 2 });
    client.acknowledge(client.all("publish")[2]!);
    client.lose();
    publisher.publish("a", "6", { qos: 1 });
    const { length } = client.messages;
    client.connect();
    expect(client.all("pubrel")).toHaveLength(1);
    expect(client.all("publish").map(({ message }) => Buffer.from(message.payload).toString())).toEqual([
      "1",
      "2",
      "4",
      "5",
      "6",
    ]);
    expect(length).toBe(5);
  });

  test("[MQTT-4.6.0-4 (3.1.1)] is released in the order of its PUBRECs", () => {
    const { client, publisher } = setUp(protocolVersion);
    for (const payload of ["1", "2", "3"]) publisher.publish("a", payload, { qos: 2 });
    const [first, second, third] = client.all("publish").map(({ packetIdentifier }) => packetIdentifier ?? 0);
    for (const identifier of [third, first, second]) client.respond("pubrec", identifier ?? 0);
    expect(client.all("pubrel").map(({ packetIdentifier }) => packetIdentifier)).toEqual([
      third,
      first,
      second,
    ]);
  });
});

test.each(["puback", "pubrec"] as const)(
  "[MQTT-4.4.0-2] %s that refuses ends the delivery: nothing is sent again",
  (type) => {
    const { client, publisher } = setUp(5);
    publisher.publish("a", "1", { qos: type === "puback" ? 1 : 2 });
    client.respond(type, client.only("publish").packetIdentifier ?? 0, 0x80);
    expect(client.all("pubrel")).toEqual([]);
    client.lose().connect();
    expect(client.inbox.map((received) => received.type)).toEqual(["connack"]);
  },
);

describe.each(bothVersions)("Messages to subscribers of version %i", (protocolVersion) => {
  test.each([0, 1, 2] as const)(
    "[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.6.0-5 (3.1.1)] [MQTT-4.6.0-6 (3.1.1)] come in the order in which one client published them, on any topic: QoS %i",
    (qos) => {
      const shard = new Harness();
      const client = SimulatedClient.connected(shard, { protocolVersion });
      client.subscribe("#", 2);
      const publisher = SimulatedClient.connected(shard);
      const payloads = Array.from({ length: 300 }, (_, index) => `${index}`);
      for (const payload of payloads) publisher.publish(`topic/${Number(payload) % 3}`, payload, { qos });
      expect(client.payloads).toEqual(payloads);
    },
  );

  test("[MQTT-4.5.0-1] [MQTT-4.5.0-1 (3.1.1)] go to every session that matches, the publisher's own included", () => {
    const shard = new Harness();
    const clients = ["a/b", "a/+", "#", "a/c"].map((filter) => {
      const client = SimulatedClient.connected(shard, { protocolVersion });
      client.subscribe(filter, 1);
      return client;
    });
    clients[0]?.publish("a/b", "1", { qos: 1 });
    expect(clients.map(({ payloads }) => payloads)).toEqual([["1"], ["1"], ["1"], []]);
  });
});

describe("The window to a client", () => {
  test.each([1, 5, 65_535])(
    "[MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-3.3.4-9] begins with its Receive Maximum, 100 at most: %i",
    (receiveMaximum) => {
      const { client, publisher } = setUp(5, { receiveMaximum });
      for (let index = 0; index < 150; index += 1)
        publisher.publish("a", `${index}`, { qos: index % 2 === 0 ? 1 : 2 });
      const size = Math.min(receiveMaximum, 100);
      expect(client.all("publish")).toHaveLength(size);
      client.answer(1);
      expect(client.all("publish")).toHaveLength(size + 1);
    },
  );

  test("[MQTT-4.9.0-3] [MQTT-3.3.4-10] when it is full holds back nothing but QoS 1 and 2 messages", () => {
    const { client, publisher } = setUp(5, { receiveMaximum: 1 });
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 1 });
    client.take();
    publisher.publish("a", "3", { qos: 0 });
    client.ping().subscribe("b");
    client.unsubscribe("b");
    client.publish("c", "4", { qos: 2, packetIdentifier: 9 });
    client.respond("pubrel", 9);
    const types = client.take().map((packet) => (packet.type === "publish" ? packet.qos : packet.type));
    expect(types).toEqual([0, "pingresp", "suback", "unsuback", "pubrec", "pubcomp"]);
  });
});
