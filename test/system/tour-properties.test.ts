import { describe, expect, test } from "vitest";
import { connectClient, persistent, waitUntil, type TestClient } from "../support/clients.ts";
import type { RawClient } from "../support/raw-client.ts";
import { connectRaw, pingRaw, publishRaw, subscribeRaw } from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();

function connect(role: string): Promise<TestClient> {
  return connectClient(broker.url, { clientId: unique(role), protocolVersion: 5 });
}

describe("Properties of a PUBLISH", () => {
  test.each([0, 1, 2] as const)("[MQTT-3.3.2-4] reach the subscriber unaltered at QoS %i", async (qos) => {
    const client = await connect("properties");
    const topic = unique("properties");
    const properties = {
      payloadFormatIndicator: true,
      contentType: "application/json; charset=utf-8",
      responseTopic: "answers/here",
      correlationData: Buffer.from([0, 1, 254, 255]),
      userProperties: { colour: "blue", shape: ["round", "square"] },
    };
    await client.subscribe(topic, { qos });
    await client.publish(topic, "{}", { qos, properties });
    const { packet } = await client.nextMessage();
    expect({ ...packet.properties, userProperties: { ...packet.properties?.userProperties } }).toEqual(
      properties,
    );
  });

  test("[MQTT-3.3.2-18] keep User Properties in order, duplicates included", async () => {
    const { client } = await connectRaw(broker.url, { clientId: unique("ordered") });
    const topic = unique("ordered");
    await subscribeRaw(client, topic, 0);
    const userProperties = Buffer.concat(
      [
        ["b", "1"],
        ["a", "2"],
        ["b", "3"],
        ["b", "1"],
        ["", ""],
        ["a", "2"],
      ].map(([name = "", value = ""]) =>
        Buffer.concat([Buffer.from([0x26]), lengthPrefixed(name), lengthPrefixed(value)]),
      ),
    );
    const body = Buffer.concat([
      lengthPrefixed(topic),
      Buffer.from([userProperties.length]),
      userProperties,
      Buffer.from("payload"),
    ]);
    client.sendBytes(Buffer.concat([Buffer.from([0x30, body.length]), body]));
    const message = await client.next("publish");
    expect(message.bytes.includes(userProperties)).toBe(true);
  });

  test("are kept with a retained message", async () => {
    const client = await connect("retained");
    const topic = unique("retained");
    const properties = { contentType: "text/plain", userProperties: { kept: "yes" } };
    await client.publish(topic, "value", { qos: 1, retain: true, properties });
    await client.subscribe(topic, { qos: 1 });
    const { packet } = await client.nextMessage();
    expect(packet).toMatchObject({ retain: true, properties });
  });

  test("are kept while a message waits for its session", async () => {
    const options = persistent(5, unique("sleeper"));
    const topic = unique("queued");
    const sleeper = await connectClient(broker.url, options);
    await sleeper.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 7 } });
    await sleeper.end();
    const publisher = await connect("publisher");
    const properties = { responseTopic: "answers", correlationData: Buffer.from("42") };
    await publisher.publish(topic, "value", { qos: 1, properties });
    const returned = await connectClient(broker.url, options);
    const { packet } = await returned.nextMessage();
    expect(packet.properties).toMatchObject({ ...properties, subscriptionIdentifier: 7 });
  });
});

describe("The Message Expiry Interval", () => {
  test("[MQTT-3.3.2-5] [MQTT-3.3.2-6] drops a queued message that is too old, and tells what is left", async () => {
    const options = persistent(5, unique("sleeper"));
    const topic = unique("expiry");
    const sleeper = await connectClient(broker.url, options);
    await sleeper.subscribe(topic, { qos: 1 });
    await sleeper.end();
    const publisher = await connect("publisher");
    await publisher.publish(topic, "short-lived", { qos: 1, properties: { messageExpiryInterval: 1 } });
    await publisher.publish(topic, "long-lived", { qos: 1, properties: { messageExpiryInterval: 100 } });
    await publisher.publish(topic, "ageless", { qos: 1 });
    const publishedMs = Date.now();
    await waitUntil(() => Date.now() > publishedMs + 2000, "the message to expire");
    const returned = await connectClient(broker.url, options);
    const longLived = await returned.nextMessage();
    expect(longLived.payload).toBe("long-lived");
    expect(longLived.packet.properties?.messageExpiryInterval).toBeLessThanOrEqual(99);
    expect(longLived.packet.properties?.messageExpiryInterval).toBeGreaterThan(100 - 60);
    const ageless = await returned.nextMessage();
    expect(ageless.payload).toBe("ageless");
    expect(ageless.packet.properties?.messageExpiryInterval).toBeUndefined();
  });

  test("[MQTT-3.3.2-5] drops a retained message that is too old", async () => {
    const client = await connect("retained");
    const root = unique("retained-expiry");
    await client.publish(`${root}/short`, "short-lived", {
      qos: 1,
      retain: true,
      properties: { messageExpiryInterval: 1 },
    });
    await client.publish(`${root}/long`, "long-lived", {
      qos: 1,
      retain: true,
      properties: { messageExpiryInterval: 100 },
    });
    const publishedMs = Date.now();
    await waitUntil(() => Date.now() > publishedMs + 2000, "the message to expire");
    await client.subscribe(`${root}/+`, { qos: 1 });
    await client.publish(`${root}/marker`, "marker", { qos: 1 });
    expect(await client.nextPayloads(2)).toEqual(["long-lived", "marker"]);
  });
});

describe("Overlapping subscriptions", () => {
  test("[MQTT-3.3.4-2] [MQTT-3.3.4-4] deliver one copy at the highest QoS, with all their identifiers", async () => {
    const client = await connect("overlapping");
    const root = unique("overlapping");
    const subscriptions = [
      { filter: `${root}/#`, qos: 1, id: 1 },
      { filter: `${root}/+`, qos: 2, id: 268_435_455 },
      { filter: `${root}/a`, qos: 0, id: 128 },
    ] as const;
    for (const { filter, qos, id } of subscriptions) {
      await client.subscribe(filter, { qos, properties: { subscriptionIdentifier: id } });
    }
    await client.publish(`${root}/a`, "message", { qos: 2 });
    await client.publish(`${root}/a`, "marker", { qos: 2 });
    const message = await client.nextMessage();
    expect(message).toMatchObject({ payload: "message", packet: { qos: 2 } });
    const identifiers = [message.packet.properties?.subscriptionIdentifier ?? []].flat();
    expect(identifiers.toSorted((a, b) => a - b)).toEqual([1, 128, 268_435_455]);
    expect((await client.nextMessage()).payload).toBe("marker");
  });

  test("[MQTT-3.3.5-1 (3.1.1)] deliver one copy to a client of version 3.1.1 too", async () => {
    const client = await connectClient(broker.url, { clientId: unique("overlapping"), protocolVersion: 4 });
    const root = unique("overlapping");
    await client.subscribe(`${root}/#`, { qos: 1 });
    await client.subscribe(`${root}/+`, { qos: 2 });
    await client.publish(`${root}/a`, "message", { qos: 2 });
    await client.publish(`${root}/a`, "marker", { qos: 2 });
    expect((await client.nextMessage()).packet).toMatchObject({ qos: 2 });
    expect((await client.nextMessage()).payload).toBe("marker");
  });

  test("name no identifier for a subscription that has none", async () => {
    const client = await connect("nameless");
    const topic = unique("nameless");
    await client.subscribe(topic, { qos: 1 });
    await client.publish(topic, "message", { qos: 1 });
    const { packet } = await client.nextMessage();
    expect(packet.properties?.subscriptionIdentifier).toBeUndefined();
  });
});

describe("Limits that the client announces", () => {
  test("[MQTT-3.3.4-9] Receive Maximum bounds the messages in flight", async () => {
    const { client } = await connectRaw(broker.url, {
      clientId: unique("narrow"),
      properties: { receiveMaximum: 2 },
    });
    const topic = unique("narrow");
    await subscribeRaw(client, topic, 1);
    const publisher = await connect("publisher");
    for (const payload of ["1", "2", "3"]) await publisher.publish(topic, payload, { qos: 1 });
    const first = await client.next("publish");
    await client.next("publish");
    await pingRaw(client);
    expect(client.untaken.map(({ cmd }) => cmd)).toEqual([]);
    client.send({ cmd: "puback", messageId: first.messageId ?? 0 });
    expect((await client.next("publish")).payload.toString()).toBe("3");
  });

  test("[MQTT-3.1.2-24] Maximum Packet Size: a larger message is left out, the next one comes", async () => {
    const { client } = await connectRaw(broker.url, {
      clientId: unique("small"),
      properties: { maximumPacketSize: 200 },
    });
    const topic = unique("small");
    await subscribeRaw(client, topic, 1);
    const publisher = await connect("publisher");
    await publisher.publish(topic, "x".repeat(300), { qos: 1 });
    await publisher.publish(topic, "small enough", { qos: 1 });
    expect((await client.next("publish")).payload.toString()).toBe("small enough");
  });
});

describe("The Receive Maximum that the broker announces", () => {
  const RECEIVE_MAXIMUM_EXCEEDED = 0x93;

  function publishWithoutRelease(count: number, topic: string, client: RawClient): void {
    for (let messageId = 1; messageId <= count; messageId += 1) {
      publishRaw(client, { topic, payload: String(messageId), qos: 2, messageId });
    }
  }

  test.each([false, true])(
    "[MQTT-3.3.4-7] is the number of QoS 2 messages that it takes at once (a session waits: %s)",
    async (hasSubscriber) => {
      const topic = unique("window");
      if (hasSubscriber) {
        const sleeper = await connectClient(broker.url, persistent(5, unique("sleeper")));
        await sleeper.subscribe(topic, { qos: 2 });
        await sleeper.end();
      }
      const { client, connack } = await connectRaw(broker.url, { clientId: unique("wide") });
      const receiveMaximum = connack.properties?.receiveMaximum ?? 1000;
      publishWithoutRelease(receiveMaximum, topic, client);
      for (let messageId = 1; messageId <= receiveMaximum; messageId += 1) {
        expect((await client.expectNext("pubrec")).messageId).toBe(messageId);
      }
      await pingRaw(client);
    },
  );

  test("[MQTT-3.3.4-7] one QoS 2 message more is refused with 0x93", async () => {
    const { client, connack } = await connectRaw(broker.url, { clientId: unique("wider") });
    const receiveMaximum = connack.properties?.receiveMaximum ?? 65_535;
    expect(receiveMaximum).toBeLessThan(65_535);
    publishWithoutRelease(receiveMaximum + 1, unique("window"), client);
    await client.closed();
    expect((await client.next("disconnect")).reasonCode).toBe(RECEIVE_MAXIMUM_EXCEEDED);
  });
});

describe("A Topic Alias", () => {
  test("[MQTT-3.3.2-12] stands for the Topic Name it was given with", async () => {
    const { client, connack } = await connectRaw(broker.url, { clientId: unique("alias") });
    expect(connack.properties?.topicAliasMaximum).toBeGreaterThan(0);
    const topic = unique("alias");
    await subscribeRaw(client, topic, 0);
    publishRaw(client, { topic, payload: "named", qos: 0, properties: { topicAlias: 1 } });
    publishRaw(client, { topic: "", payload: "by alias", qos: 0, properties: { topicAlias: 1 } });
    for (const payload of ["named", "by alias"]) {
      const message = await client.next("publish");
      expect(message.topic).toBe(topic);
      expect(message.payload.toString()).toBe(payload);
      expect(message.properties?.topicAlias).toBeUndefined();
    }
  });
});

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
