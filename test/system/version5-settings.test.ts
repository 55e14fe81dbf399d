/** Limits that the environment of the broker sets: announced in CONNACK, enforced, and named in what refuses. */
import type { IConnectPacket } from "mqtt-packet";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RawClient, type PacketOf } from "../support/raw-client.ts";
import {
  connectPersistentRaw,
  connectRaw,
  nextAck,
  pingRaw,
  publishRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { type Broker, launch, startBroker, temporaryDirectory } from "./broker.ts";

/** A broker with these settings for the tests of a `describe`. */
function brokerWith(environment: Readonly<Record<string, string>>): { readonly url: string } {
  let broker: Broker | undefined;
  beforeAll(async () => {
    broker = await startBroker({ dataDir: ":memory:", environment });
  });
  afterAll(async () => {
    await broker?.stop();
  });
  return {
    get url() {
      if (broker === undefined) throw new Error("the broker runs only inside tests");
      return broker.url;
    },
  };
}

async function connackOf(
  url: string,
  packet: Partial<IConnectPacket> = {},
): Promise<{ client: RawClient; connack: PacketOf<"connack"> }> {
  const client = await RawClient.open(url);
  client.send({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clean: true,
    clientId: unique("raw"),
    keepalive: 10,
    ...packet,
  });
  return { client, connack: await client.expectNext("connack") };
}

async function disconnectOf(client: RawClient): Promise<PacketOf<"disconnect">> {
  await client.closed();
  return client.next("disconnect");
}

async function granted(client: RawClient, topic: string, qos: 0 | 1 | 2): Promise<PacketOf<"suback">> {
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos }] });
  return client.expectNext("suback");
}

const connect = async (url: string, protocolVersion: 4 | 5 = 5): Promise<RawClient> =>
  (await connectRaw(url, { clientId: unique("client"), protocolVersion })).client;

describe("A broker without QoS 2, retained messages, wildcards, shared subscriptions and identifiers", () => {
  const broker = brokerWith({
    MAXIMUM_QOS: "1",
    RETAIN_AVAILABLE: "false",
    WILDCARD_SUBSCRIPTION_AVAILABLE: "false",
    SHARED_SUBSCRIPTION_AVAILABLE: "false",
    SUBSCRIPTION_IDENTIFIERS_AVAILABLE: "false",
  });

  test("[MQTT-3.2.2-9] says so", async () => {
    const { connack } = await connackOf(broker.url);
    expect(connack.properties).toMatchObject({
      maximumQoS: 1,
      retainAvailable: false,
      wildcardSubscriptionAvailable: false,
      sharedSubscriptionAvailable: false,
      subscriptionIdentifiersAvailable: false,
    });
  });

  test("[MQTT-3.2.2-10] grants QoS 2 as QoS 1, and delivers at that", async () => {
    const client = await connect(broker.url);
    const topic = unique("topic");
    expect((await granted(client, topic, 2)).granted).toEqual([1]);
    publishRaw(client, { topic, payload: "x", qos: 1, messageId: 7 });
    expect((await client.next("publish")).qos).toBe(1);
  });

  test("[MQTT-3.2.2-11] disconnects who publishes at QoS 2, with 0x9B", async () => {
    const client = await connect(broker.url);
    publishRaw(client, { topic: unique("topic"), payload: "x", qos: 2, messageId: 1 });
    const { reasonCode, properties } = await disconnectOf(client);
    expect(reasonCode).toBe(0x9b);
    expect(properties?.reasonString).toContain("1");
  });

  test("[MQTT-3.2.2-12] refuses a Will at QoS 2 with 0x9B", async () => {
    const will = { topic: unique("will"), payload: Buffer.from("x"), qos: 2, retain: false } as const;
    const { client, connack } = await connackOf(broker.url, { will });
    expect(connack.reasonCode).toBe(0x9b);
    await client.closed();
  });

  test("[MQTT-3.2.2-13] refuses a Will that is to be retained with 0x9A", async () => {
    const will = { topic: unique("will"), payload: Buffer.from("x"), qos: 0, retain: true } as const;
    const { client, connack } = await connackOf(broker.url, { will });
    expect(connack.reasonCode).toBe(0x9a);
    await client.closed();
  });

  test("[MQTT-3.2.2-14] disconnects who publishes a retained message, with 0x9A", async () => {
    const client = await connect(broker.url);
    publishRaw(client, { topic: unique("topic"), payload: "x", qos: 0, retain: true });
    expect((await disconnectOf(client)).reasonCode).toBe(0x9a);
  });

  test.each([
    ["topic/#", 0xa2],
    ["+/topic", 0xa2],
    ["$share/group/topic", 0x9e],
  ])("refuses the Topic Filter %s with %i, and 0x80 before version 5", async (filter, reasonCode) => {
    const suback = await granted(await connect(broker.url), filter, 1);
    expect(suback.granted).toEqual([reasonCode]);
    expect(suback.properties?.reasonString).toMatch(/not available/);
    expect((await granted(await connect(broker.url, 4), filter, 1)).granted).toEqual([0x80]);
  });

  test("disconnects who sends a Subscription Identifier, with 0xA1", async () => {
    const client = await connect(broker.url);
    client.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: "topic", qos: 0 }],
      properties: { subscriptionIdentifier: 5 },
    });
    expect((await disconnectOf(client)).reasonCode).toBe(0xa1);
  });

  test("closes the connection of a version 3.1.1 client that publishes at QoS 2", async () => {
    const client = await connect(broker.url, 4);
    publishRaw(client, { topic: unique("topic"), payload: "x", qos: 2, messageId: 1 });
    await client.closed();
    expect(client.untaken).toEqual([]);
  });
});

describe("A broker with small numbers", () => {
  const broker = brokerWith({
    MAXIMUM_PACKET_SIZE_BYTES: "2048",
    RECEIVE_MAXIMUM: "3",
    INFLIGHT_MESSAGES_MAX: "2",
    TOPIC_ALIAS_MAXIMUM: "2",
    OUTBOUND_TOPIC_ALIAS_MAXIMUM: "1",
    KEEP_ALIVE_SEC_MAX: "30",
    SESSION_EXPIRY_SEC_MAX: "100",
    VALIDATE_PAYLOAD_FORMAT: "false",
    SUBSCRIPTIONS_PER_SESSION_MAX: "2",
    TOPIC_LEVELS_MAX: "4",
    QUEUED_MESSAGES_PER_SESSION_MAX: "2",
    RETAINED_MESSAGES_MAX: "1",
    SYS_INTERVAL_SEC: "5",
  });

  test("announces them", async () => {
    const { connack } = await connackOf(broker.url, {
      keepalive: 31,
      properties: { sessionExpiryInterval: 101 },
    });
    expect(connack.properties).toEqual({
      receiveMaximum: 3,
      maximumPacketSize: 2048,
      topicAliasMaximum: 2,
      serverKeepAlive: 30,
      sessionExpiryInterval: 100,
    });
  });

  test("announces no Keep Alive and no Session Expiry Interval to who asks for less", async () => {
    const { connack } = await connackOf(broker.url, {
      keepalive: 30,
      properties: { sessionExpiryInterval: 100 },
    });
    expect(connack.properties).not.toHaveProperty("serverKeepAlive");
    expect(connack.properties).not.toHaveProperty("sessionExpiryInterval");
  });

  test("[MQTT-3.2.2-15] takes packets up to the size, and disconnects with 0x95 over it", async () => {
    const client = await connect(broker.url);
    const topic = unique("t");
    // Fixed header 3, length of the topic 2, the topic, no properties 1.
    const room = 2048 - 6 - topic.length;
    publishRaw(client, { topic, payload: "x".repeat(room), qos: 0 });
    await pingRaw(client);
    publishRaw(client, { topic, payload: "x".repeat(room + 1), qos: 0 });
    expect((await disconnectOf(client)).reasonCode).toBe(0x95);
  });

  test("[MQTT-3.3.4-7] takes as many QoS 2 messages at once as Receive Maximum says, and no more", async () => {
    const client = await connect(broker.url);
    for (const messageId of [1, 2, 3]) {
      publishRaw(client, { topic: unique("t"), payload: "x", qos: 2, messageId });
      await nextAck(client, "pubrec", messageId);
    }
    publishRaw(client, { topic: unique("t"), payload: "x", qos: 2, messageId: 4 });
    const { reasonCode, properties } = await disconnectOf(client);
    expect(reasonCode).toBe(0x93);
    expect(properties?.reasonString).toContain("3");
  });

  test("[MQTT-3.3.2-9] takes as many Topic Aliases as Topic Alias Maximum says", async () => {
    const client = await connect(broker.url);
    const publish = (topicAlias: number): void =>
      publishRaw(client, { topic: unique("t"), payload: "x", qos: 0, properties: { topicAlias } });
    publish(2);
    await pingRaw(client);
    publish(3);
    expect((await disconnectOf(client)).reasonCode).toBe(0x94);
  });

  test("has no more than so many messages in flight to a client that would take more", async () => {
    const topic = unique("t");
    const [client, publisher] = await Promise.all([connect(broker.url), connect(broker.url)]);
    await subscribeRaw(client, topic, 1);
    for (const messageId of [1, 2, 3, 4]) {
      publishRaw(publisher, { topic, payload: `${messageId}`, qos: 1, messageId });
      await nextAck(publisher, "puback", messageId);
    }
    await pingRaw(client);
    const messages = client.untaken.filter(({ cmd }) => cmd === "publish");
    expect(messages.map((packet) => packet.bytes.at(-1))).toEqual(["1".charCodeAt(0), "2".charCodeAt(0)]);
  });

  test("sets one Topic Alias for a client that would take more", async () => {
    const root = unique("long-enough");
    const { client } = await connectRaw(broker.url, {
      clientId: unique("client"),
      properties: { topicAliasMaximum: 10 },
    });
    await subscribeRaw(client, `${root}/+`, 0);
    for (const name of ["a", "b", "a"])
      publishRaw(client, { topic: `${root}/${name}`, payload: name, qos: 0 });
    for (const name of ["a", "b", "a"]) {
      expect(await client.next("publish")).toMatchObject({
        topic: `${root}/${name}`,
        properties: { topicAlias: 1 },
      });
    }
  });

  test("refuses one subscription more with 0x97, naming the limit, but not a changed one", async () => {
    const client = await connect(broker.url);
    for (const topic of ["a", "b"]) expect((await granted(client, topic, 0)).granted).toEqual([0]);
    const suback = await granted(client, "c", 0);
    expect(suback.granted).toEqual([0x97]);
    expect(suback.properties?.reasonString).toContain("2");
    expect((await granted(client, "b", 2)).granted).toEqual([2]);
  });

  test("refuses one level more with 0x90 and 0x8F, naming the limit", async () => {
    const client = await connect(broker.url);
    publishRaw(client, { topic: "a/b/c/d", payload: "x", qos: 1, messageId: 1 });
    expect((await client.expectNext("puback")).reasonCode).toBe(0x10);
    publishRaw(client, { topic: "a/b/c/d/e", payload: "x", qos: 1, messageId: 2 });
    const puback = await client.expectNext("puback");
    expect(puback.reasonCode).toBe(0x90);
    expect(puback.properties?.reasonString).toContain("4");
    const suback = await granted(client, "a/b/c/d/+", 0);
    expect(suback.granted).toEqual([0x8f]);
    expect(suback.properties?.reasonString).toContain("4");
  });

  test("refuses one retained message more with 0x97, but not a new value or its removal", async () => {
    const client = await connect(broker.url);
    const retain = async (topic: string, payload: string, messageId: number): Promise<number | undefined> => {
      publishRaw(client, { topic, payload, qos: 1, retain: true, messageId });
      return (await nextAck(client, "puback", messageId)).reasonCode;
    };
    expect(await retain("kept", "1", 1)).toBe(0x10);
    expect(await retain("kept", "2", 2)).toBe(0x10);
    expect(await retain("other", "1", 3)).toBe(0x97);
    expect(await retain("kept", "", 4)).toBe(0x10);
    expect(await retain("other", "1", 5)).toBe(0x10);
    expect(await retain("other", "", 6)).toBe(0x10);
  });

  /** At this moment: who subscribes anew gets no older figure. */
  async function droppedCount(): Promise<number> {
    const reader = await connect(broker.url);
    await subscribeRaw(reader, "$SYS/broker/messages/dropped", 0);
    return Number((await reader.next("publish")).payload);
  }

  test("drops what is too much for the queue of an absent session, and counts it", async () => {
    const topic = unique("t");
    const clientId = unique("sleeper");
    const sleeper = await connectRaw(broker.url, {
      clientId,
      clean: false,
      properties: { sessionExpiryInterval: 60 },
    });
    await subscribeRaw(sleeper.client, topic, 1);
    sleeper.client.terminate();
    await sleeper.client.closed();
    const publisher = await connect(broker.url);
    const before = await droppedCount();
    for (const messageId of [1, 2, 3, 4, 5]) {
      publishRaw(publisher, { topic, payload: `${messageId}`, qos: 1, messageId });
      await nextAck(publisher, "puback", messageId);
    }
    expect(await droppedCount()).toBe(before + 3);
    const { client } = await connectPersistentRaw(broker.url, clientId);
    await pingRaw(client);
    const payloads = client.untaken.flatMap((packet) =>
      packet.cmd === "publish" ? [packet.payload.toString()] : [],
    );
    expect(payloads).toEqual(["1", "2"]);
  });

  test("passes payloads on unchecked, whatever they claim", async () => {
    const client = await connect(broker.url);
    const topic = unique("t");
    await subscribeRaw(client, topic, 0);
    const payload = Buffer.from([0xff]) as never;
    publishRaw(client, { topic, payload, qos: 0, properties: { payloadFormatIndicator: true } });
    expect([...((await client.next("publish")).payload as Buffer)]).toEqual([0xff]);
  });

  test("publishes $SYS again and again to who stays subscribed", async () => {
    const client = await connect(broker.url);
    await subscribeRaw(client, "$SYS/broker/uptime", 0);
    const uptime = async (): Promise<number> => Number((await client.next("publish")).payload);
    const first = await uptime();
    while ((await uptime()) <= first);
  });
});

describe("A broker for QoS 0 only", () => {
  const broker = brokerWith({ MAXIMUM_QOS: "0" });

  test("[MQTT-3.2.2-9] announces 0, grants 0, and disconnects who publishes at QoS 1", async () => {
    const { client, connack } = await connackOf(broker.url);
    expect(connack.properties?.maximumQoS).toBe(0);
    expect((await granted(client, "topic", 1)).granted).toEqual([0]);
    publishRaw(client, { topic: "topic", payload: "x", qos: 1, messageId: 1 });
    expect((await disconnectOf(client)).reasonCode).toBe(0x9b);
  });
});

describe("A broker that is full", () => {
  const elsewhere = "other.example:8787";
  const broker = brokerWith({ CONNECTIONS_MAX: "1", SERVER_REFERENCE: elsewhere });

  test("sends the next client elsewhere, but lets a client take its own session over", async () => {
    const first = await connackOf(broker.url, { clientId: "first" });
    expect(first.connack.reasonCode).toBe(0);
    const second = await connackOf(broker.url, { clientId: "second" });
    expect(second.connack).toMatchObject({ reasonCode: 0x9c, properties: { serverReference: elsewhere } });
    expect(second.connack.properties?.reasonString).toContain("1");
    await second.client.closed();
    const again = await connackOf(broker.url, { clientId: "first" });
    expect(again.connack.reasonCode).toBe(0);
    expect((await disconnectOf(first.client)).reasonCode).toBe(0x8e);
  });
});

test.each([
  ["MAXIMUM_QOS", "3"],
  ["RECEIVE_MAXIMUM", "0"],
  ["RETAIN_AVAILABLE", "maybe"],
  ["TOPIC_ALIAS_MAXIMUM", "65536"],
])("A wrong value of %s is refused by its name: %s", async (name, value) => {
  const { exited } = launch(["--data", temporaryDirectory(), "--port", "0"], { [name]: value });
  const { code, stderr } = await exited;
  expect(code).not.toBe(0);
  expect(stderr).toContain(name);
});
