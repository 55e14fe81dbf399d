import { describe, expect, test } from "vitest";
import { connectClient, waitUntil, type TestClient } from "../support/clients.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const QOS_LEVELS = [0, 1, 2] as const;
const broker = useBroker();

describe.each([4, 5] as const)("A client of protocol version %i", (protocolVersion) => {
  const connect = (role: string): Promise<TestClient> =>
    connectClient(broker.url, { clientId: unique(role), protocolVersion });

  describe.each(QOS_LEVELS)("that publishes at QoS %i", (publishQos) => {
    test.each(QOS_LEVELS)(
      "[MQTT-3.8.4-8] reaches a subscription at QoS %i at the lower of the two",
      async (subscribeQos) => {
        const [publisher, subscriber] = await Promise.all([connect("publisher"), connect("subscriber")]);
        const topic = unique("qos");
        expect(await subscriber.subscribe(topic, { qos: subscribeQos })).toEqual([subscribeQos]);
        await publisher.publish(topic, "hello", { qos: publishQos });
        const message = await subscriber.nextMessage();
        expect(message).toMatchObject({ topic, payload: "hello" });
        expect(message.packet).toMatchObject({
          qos: Math.min(publishQos, subscribeQos),
          retain: false,
          dup: false,
        });
      },
    );

    test("[MQTT-4.6.0-5] has its messages delivered in the order it sent them", async () => {
      const [publisher, subscriber] = await Promise.all([connect("publisher"), connect("subscriber")]);
      const topic = unique("order");
      await subscriber.subscribe(topic, { qos: publishQos });
      // MQTT.js sends them all at once, whatever Receive Maximum a broker of version 5 announces.
      const messageCount = protocolVersion === 5 ? (publisher.receiveMaximum ?? 200) : 200;
      const payloads = Array.from({ length: messageCount }, (_, index) => String(index));
      await Promise.all(payloads.map((payload) => publisher.publish(topic, payload, { qos: publishQos })));
      expect(await subscriber.nextPayloads(payloads.length)).toEqual(payloads);
      expect(subscriber.untaken).toEqual([]);
    });
  });

  test("gets its own messages when it subscribes to them", async () => {
    const client = await connect("echo");
    const topic = unique("echo");
    await client.subscribe(topic, { qos: 2 });
    await client.publish(topic, "to myself", { qos: 2 });
    expect((await client.nextMessage()).payload).toBe("to myself");
  });

  test.each([
    ["a zero-length payload", Buffer.alloc(0)],
    ["every byte value", Buffer.from(Array.from({ length: 256 }, (_, index) => index))],
    ["100 kB", Buffer.alloc(100_000, "duramq ")],
  ])("gets the payload unchanged: %s", async (_what, payload) => {
    const client = await connect("payload");
    const topic = `${unique("payload")}/ünïcødé/漢字/🦆`;
    await client.subscribe(topic, { qos: 1 });
    await client.publish(topic, payload, { qos: 1 });
    const { packet } = await client.nextMessage();
    expect(packet.topic).toBe(topic);
    expect(Buffer.compare(Buffer.from(packet.payload), payload)).toBe(0);
  });

  test.each([
    ["+", "ROOT", true],
    ["#", "ROOT/a/b", true],
    ["ROOT/+/c", "ROOT/b/c", true],
    ["ROOT/+/c", "ROOT/b/d/c", false],
    ["ROOT/#", "ROOT", true],
    ["ROOT/#", "ROOT/a/b/c", true],
    ["ROOT/+", "ROOT", false],
    ["ROOT/+", "ROOT/", true],
    ["ROOT/+/+", "ROOT//", true],
    ["ROOT/a", "ROOT/A", false],
    ["ROOT/+/#", "ROOT/a", true],
    ["/ROOT/+", "/ROOT/a", true],
    ["ROOT/$a", "ROOT/$a", true],
    ["ROOT/+", "ROOT/$a", true],
  ])(
    "[MQTT-4.7.3-4] with the Topic Filter %s sees a message on %s: %s",
    async (filterPattern, topicPattern, isMatch) => {
      const root = unique("wild");
      const filter = filterPattern.replace("ROOT", root);
      const topic = topicPattern.replace("ROOT", root);
      const marker = `${root}-marker`;
      const client = await connect("wildcard");
      await client.subscribe([filter, marker], { qos: 1 });
      await client.publish(topic, "message", { qos: 1 });
      await client.publish(marker, "marker", { qos: 1 });
      const topics: string[] = [];
      while (!topics.includes(marker)) topics.push((await client.nextMessage()).topic);
      expect(topics.includes(topic)).toBe(isMatch);
    },
  );

  test.each(["#", "+/monitor/Clients"])(
    "[MQTT-4.7.2-1] with the Topic Filter %s sees no Topic Name that begins with $",
    async (filter) => {
      const [publisher, subscriber] = await Promise.all([connect("publisher"), connect("subscriber")]);
      const marker = unique("marker");
      await subscriber.subscribe([filter, marker], { qos: 1 });
      await publisher.publish("$test/monitor/Clients", "hidden", { qos: 1 });
      await publisher.publish(marker, "marker", { qos: 1 });
      const first = await waitUntil(async () => {
        const message = await subscriber.nextMessage();
        return message.topic === marker || message.topic.startsWith("$") ? message : undefined;
      }, "the marker");
      expect(first.topic).toBe(marker);
    },
  );

  test("[MQTT-3.10.4-2] gets nothing more after UNSUBACK", async () => {
    const client = await connect("unsubscriber");
    const root = unique("unsubscribe");
    await client.subscribe([`${root}/a`, `${root}/b`], { qos: 1 });
    await client.unsubscribe(`${root}/a`);
    await client.publish(`${root}/a`, "unwanted", { qos: 1 });
    await client.publish(`${root}/b`, "wanted", { qos: 1 });
    expect((await client.nextMessage()).payload).toBe("wanted");
  });

  test("[MQTT-3.8.4-3] changes the QoS of a subscription by subscribing again", async () => {
    const client = await connect("resubscriber");
    const topic = unique("resubscribe");
    await client.subscribe(topic, { qos: 0 });
    await client.subscribe(topic, { qos: 2 });
    await client.publish(topic, "once", { qos: 2 });
    await client.publish(topic, "again", { qos: 2 });
    const messages = [await client.nextMessage(), await client.nextMessage()];
    expect(messages.map(({ payload, packet }) => [payload, packet.qos])).toEqual([
      ["once", 2],
      ["again", 2],
    ]);
  });

  test("[MQTT-3.8.4-5] subscribes to many Topic Filters in one packet", async () => {
    const client = await connect("many");
    const root = unique("many");
    const filters = Array.from({ length: 20 }, (_, index) => `${root}/${index}`);
    expect(await client.subscribe(filters, { qos: 1 })).toEqual(filters.map(() => 1));
    for (const filter of filters) await client.publish(filter, filter, { qos: 1 });
    expect(await client.nextPayloads(filters.length)).toEqual(filters);
  });

  test("[MQTT-3.12.4-1] is answered when it pings", async () => {
    const client = await connectClient(broker.url, {
      clientId: unique("pinger"),
      protocolVersion,
      keepalive: 1,
      reschedulePings: false,
    });
    let pingResponseCount = 0;
    client.mqtt.on("packetreceive", (packet) => {
      if (packet.cmd === "pingresp") pingResponseCount += 1;
    });
    await waitUntil(() => pingResponseCount >= 3, "three PINGRESP");
    expect(client.mqtt.connected).toBe(true);
  });
});
