import { describe, expect, test } from "vitest";
import { encodePacket } from "../../src/codec/index.ts";
import type { Limits } from "../../src/core/limits.ts";
import type { ServerPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions, PublishOptions } from "./simulated-client.ts";
import { bytesOf, SimulatedClient, willMessage } from "./simulated-client.ts";

const never = 0xffff_ffff;
const week = 7 * 24 * 3600;
const versions = [3, 4] as const;
/** What the decoder makes of Clean Session. */
const clean = { cleanStart: true, sessionExpiryIntervalSec: 0 };
const notClean = { cleanStart: false, sessionExpiryIntervalSec: never };

function connected(shard: Harness, options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, { protocolVersion: 4, ...options });
}

/** The bytes that leave for a client of that version. */
function bytesFor(client: SimulatedClient, type: ServerPacket["type"], version: 3 | 4): number[] {
  return [...encodePacket(client.last(type), version)];
}

describe.each(versions)("a PUBLISH of a client of version %i", (protocolVersion) => {
  test("that nobody receives is acknowledged without a code", () => {
    const client = connected(new Harness(), { protocolVersion, acks: "manual" });
    client.publish("a", "1", { qos: 1, packetIdentifier: 5 });
    client.publish("a", "1", { qos: 2, packetIdentifier: 6 });
    client.respond("pubrel", 6);
    client.respond("pubrel", 7);
    expect(bytesFor(client, "puback", protocolVersion)).toEqual([0x40, 2, 0, 5]);
    expect(bytesFor(client, "pubrec", protocolVersion)).toEqual([0x50, 2, 0, 6]);
    // A PUBREL that finds nothing is answered all the same.
    expect(bytesFor(client, "pubcomp", protocolVersion)).toEqual([0x70, 2, 0, 7]);
    expect(client.isConnected).toBe(true);
  });

  const refused: readonly (readonly [string, Partial<Limits>, string, PublishOptions])[] = [
    ["for the server's topics", {}, "$SYS/x", {}],
    ["on too many levels", { topicLevelsMax: 1 }, "a/b", {}],
    ["above the maximum QoS", { maximumQos: 0 }, "a", { qos: 1 }],
    ["with RETAIN where nothing is retained", { retainAvailable: false }, "a", { retain: true }],
    ["with RETAIN where there is no room", { retainedMessagesMax: 0 }, "a", { retain: true }],
  ];

  test.each(refused)(
    "[MQTT-3.3.5-2 (3.1.1)] %s closes the connection, without a packet and with the Will",
    (_, limits, topicName, options) => {
      for (const qos of [0, 1, 2] as const) {
        const shard = new Harness({ limits });
        const listener = SimulatedClient.connected(shard);
        listener.subscribe("#", 2);
        const client = connected(shard, { protocolVersion, will: willMessage("will") });
        client.take();
        client.publish(topicName, "refused", { qos, ...options });
        expect(client.inbox).toEqual([]);
        expect(client.isConnected).toBe(false);
        expect(listener.payloads).toEqual(["will"]);
      }
    },
  );

  test("that is refused counts as one refusal", () => {
    const shard = new Harness();
    connected(shard, { protocolVersion }).publish("$SYS/x", "1", { qos: 1 });
    expect([...shard.counters.refusals]).toEqual([[ReasonCode.NotAuthorized, 1]]);
  });

  test("under the identifier of a QoS 2 message that is not released closes the connection", () => {
    const client = connected(new Harness(), { protocolVersion, acks: "manual" });
    client.publish("a", "1", { qos: 2, packetIdentifier: 5 });
    client.publish("a", "2", { qos: 1, packetIdentifier: 5 });
    expect(client.all("puback")).toEqual([]);
    expect(client.isConnected).toBe(false);
  });
});

describe("QoS 2 messages of a client of 3.1.1 that are not released", () => {
  const shardOf = () => new Harness({ limits: { receivedQos2Max: 3, receiveMaximum: 1 } });

  test("close the connection, without a packet, when they are more than the server keeps", () => {
    const client = connected(shardOf(), { acks: "manual" });
    for (let index = 0; index < 3; index += 1) client.publish("a", "1", { qos: 2 });
    expect(client.isConnected).toBe(true);
    client.take();
    client.publish("a", "1", { qos: 2 });
    expect(client.inbox).toEqual([]);
    expect(client.closed?.code).toBe(1002);
  });

  test("make room by PUBREL, are taken again, and are remembered by the session", () => {
    const client = connected(shardOf(), { acks: "manual", ...notClean });
    for (const packetIdentifier of [1, 2, 3]) client.publish("a", "1", { qos: 2, packetIdentifier });
    client.publish("a", "1", { qos: 2, packetIdentifier: 3, dup: true });
    client.respond("pubrel", 1);
    client.publish("a", "1", { qos: 2, packetIdentifier: 4 });
    expect(client.isConnected).toBe(true);
    client.lose().connect();
    client.publish("a", "1", { qos: 2, packetIdentifier: 4, dup: true });
    expect(client.isConnected).toBe(true);
    client.publish("a", "1", { qos: 2, packetIdentifier: 5 });
    expect(client.isConnected).toBe(false);
  });

  test("are not those of QoS 1, of which any number may wait for their PUBACK", () => {
    const shard = shardOf();
    const durable = connected(shard, notClean);
    durable.subscribe("a", 1);
    const client = connected(shard);
    client.send(...Array.from({ length: 10 }, () => client.publishPacket("a", "1", { qos: 1 })));
    expect(client.isConnected).toBe(true);
    expect(client.all("puback")).toHaveLength(10);
    expect(durable.payloads).toHaveLength(10);
  });
});

describe.each(versions)("SUBSCRIBE of a client of version %i", (protocolVersion) => {
  test("[MQTT-3.9.3-2 (3.1.1)] [MQTT-3.8.4-5 (3.1.1)] is answered with 0x80 for what is refused, and the connection stays", () => {
    const limits = { topicLevelsMax: 2, subscriptionsPerSessionMax: 2, wildcardSubscriptionAvailable: false };
    const client = connected(new Harness({ limits }), { protocolVersion });
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const filters = ["a", "a/b/c", "#", "b", "c"];
    client.send({
      type: "subscribe",
      packetIdentifier: 5,
      requests: filters.map((topicFilter) => ({ topicFilter, maximumQos: 2, ...options })),
    });
    expect(bytesFor(client, "suback", protocolVersion)).toEqual([0x90, 7, 0, 5, 2, 0x80, 0x80, 2, 0x80]);
    expect(client.isConnected).toBe(true);
  });

  test("under the identifier of a QoS 2 message is served, for there is no code for it", () => {
    const client = connected(new Harness(), { protocolVersion, acks: "manual" });
    client.publish("x", "1", { qos: 2, packetIdentifier: 1 });
    expect(client.subscribe("a", 1).packetIdentifier).toBe(1);
    expect(bytesFor(client, "suback", protocolVersion)).toEqual([0x90, 3, 0, 1, 1]);
    expect(client.unsubscribe("nothing").reasonCodes).toEqual([ReasonCode.NoSubscriptionExisted]);
    expect(bytesFor(client, "unsuback", protocolVersion)).toEqual([0xb0, 2, 0, 2]);
  });
});

describe.each(versions)("the session of a client of version %i", (protocolVersion) => {
  test("[MQTT-3.1.2-4 (3.1.1)] [MQTT-3.1.2-5 (3.1.1)] without Clean Session never expires", () => {
    const shard = new Harness();
    const client = connected(shard, { protocolVersion, ...notClean });
    client.subscribe("a", 1);
    client.disconnect();
    shard.advance(1000 * week * 1000);
    SimulatedClient.connected(shard).publish("a", "1", { qos: 1 });
    client.connect();
    expect(client.connack.sessionPresent).toBe(true);
    expect(client.payloads).toEqual(["1"]);
    expect(bytesFor(client, "connack", protocolVersion)).toEqual([0x20, 2, protocolVersion === 4 ? 1 : 0, 0]);
  });

  test("[MQTT-3.1.2-6 (3.1.1)] with Clean Session is new, and ends with its connection", () => {
    const shard = new Harness();
    const client = connected(shard, { protocolVersion, ...notClean });
    client.subscribe("a", 1);
    client.lose();
    client.connect(clean);
    expect(client.connack.sessionPresent).toBe(false);
    client.subscribe("b", 1);
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("b", "2", { qos: 1 });
    client.connect(notClean);
    expect(client.connack.sessionPresent).toBe(false);
    expect(client.payloads).toEqual([]);
    expect(shard.segmentCount).toBe(0);
  });

  test("is taken over without a word to the older connection", () => {
    const shard = new Harness();
    const client = connected(shard, { protocolVersion, clientId: "same" });
    const second = connected(shard, { protocolVersion, clientId: "same" });
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack"]);
    expect([client.isConnected, second.isConnected]).toEqual([false, true]);
  });

  test("goes on under another version", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week, topicAliasMaximum: 5 });
    client.subscribe("long/topic", 2, { subscriptionIdentifier: 7, retainAsPublished: true });
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("long/topic", "1", { qos: 2, contentType: "x" });
    client.connect({ protocolVersion, ...notClean, topicAliasMaximum: 0 });
    expect(client.connack.sessionPresent).toBe(true);
    expect(client.payloads).toEqual(["1"]);
    client.lose().connect({ cleanStart: false });
    publisher.publish("long/topic", "2", { qos: 2 });
    expect(client.messages.at(-1)).toMatchObject({ topicAlias: 1, subscriptionIdentifiers: [7] });
  });
});

describe.each(versions)("the Keep Alive of a client of version %i", (protocolVersion) => {
  test("[MQTT-3.1.2-24 (3.1.1)] closes the connection without a packet, and with the Will", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    const client = connected(shard, { protocolVersion, keepAliveSec: 10, will: willMessage("will") });
    client.take();
    for (let round = 0; round < 3; round += 1) {
      shard.advance(14_000);
      client.ping();
    }
    expect(client.isConnected).toBe(true);
    client.take();
    shard.advance(14_999);
    expect(listener.payloads).toEqual([]);
    shard.advance(5_001);
    expect(client.isConnected).toBe(false);
    expect(client.inbox).toEqual([]);
    expect(listener.payloads).toEqual(["will"]);
  });

  test("of 0 keeps the connection for ever", () => {
    const shard = new Harness({ limits: { keepAliveSecMax: 10 } });
    const client = connected(shard, { protocolVersion, keepAliveSec: 0 });
    shard.advance(week * 1000);
    expect(client.isConnected).toBe(true);
  });
});

describe("between the versions", () => {
  test("a message of a client of 5.0 reaches one of 3.1.1, with RETAIN only as a retained one", () => {
    const shard = new Harness();
    const client = connected(shard);
    client.subscribe("a", 2);
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1, retain: true, userProperties: [["name", "value"]] });
    expect(client.messages).toMatchObject([{ qos: 1, retain: false }]);
    const late = connected(shard);
    late.subscribe("a", 2);
    expect(late.messages).toMatchObject([{ qos: 1, retain: true }]);
  });

  test("a message of a client of 3.1.1 reaches one of 5.0, without anything added", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    client.subscribe("a", 2);
    connected(shard).publish("a", "1", { qos: 2 });
    const [{ packetIdentifier: _, ...delivery } = {}] = client.messages;
    const message = { topicName: "a", payload: bytesOf("1"), qos: 2, retain: false };
    expect(delivery).toEqual({ type: "publish", message, qos: 2, retain: false, dup: false });
  });

  test("no client of 3.1.1 is told why its connection ends", () => {
    const shard = new Harness();
    const client = connected(shard);
    client.take();
    shard.drain();
    expect(client.inbox).toEqual([]);
    expect(client.closed?.code).toBe(1001);
  });

  test("what only 5.0 can be refused for does not bother a client of 3.1.1", () => {
    const client = connected(
      new Harness({ limits: { keepAliveSecMax: 10, sessionExpiryIntervalSecMax: 60 } }),
      {
        keepAliveSec: 100,
        ...notClean,
      },
    );
    expect([...encodePacket(client.connack, 4)]).toEqual([0x20, 2, 0, 0]);
    expect(client.isConnected).toBe(true);
  });
});
