import { describe, expect, test } from "vitest";
import { connectClient, type ConnectOptions, type TestClient } from "../support/clients.ts";
import type { PacketOf, RawClient } from "../support/raw-client.ts";
import {
  connectPersistentRaw,
  connectRaw,
  pingRaw,
  publishRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const MESSAGE_COUNT = 200;

function connect(role: string, options: Omit<Partial<ConnectOptions>, "protocolVersion"> = {}) {
  return connectClient(broker.url, { clientId: unique(role), ...options, protocolVersion: 5 });
}

/** A raw client that announced so many aliases and is subscribed to `filter`. */
async function subscriber(filter: string, topicAliasMaximum?: number): Promise<RawClient> {
  const { client } = await connectRaw(broker.url, {
    clientId: unique("subscriber"),
    ...(topicAliasMaximum !== undefined && { properties: { topicAliasMaximum } }),
  });
  await subscribeRaw(client, filter, 0);
  return client;
}

/** Names the topics of the messages as the specification has it (section 3.3.2.3.4). */
function resolve(messages: readonly PacketOf<"publish">[]): string[] {
  const names = new Map<number, string>();
  return messages.map(({ topic, properties }) => {
    const alias = properties?.topicAlias;
    if (topic !== "") {
      if (alias !== undefined) names.set(alias, topic);
      return topic;
    }
    return names.get(alias ?? 0) ?? `alias ${alias} stands for nothing`;
  });
}

async function take(client: RawClient, count: number): Promise<PacketOf<"publish">[]> {
  const messages: PacketOf<"publish">[] = [];
  while (messages.length < count) messages.push(await client.next("publish"));
  return messages;
}

const sizeOf = (messages: readonly PacketOf<"publish">[]): number =>
  messages.reduce((sum, { bytes }) => sum + bytes.length, 0);

describe("Topic Aliases to a client", () => {
  test("[MQTT-3.1.2-26] [MQTT-3.1.2-27] save the bytes of the Topic Name, for those who announced a maximum", async () => {
    const topic = `${unique("alias")}/a/rather/long/topic/name/such/as/devices/have/them`;
    const [without, withNone, withAliases] = await Promise.all([
      subscriber(topic),
      subscriber(topic, 0),
      subscriber(topic, 1),
    ]);
    const publisher = await connect("publisher");
    for (let index = 0; index < MESSAGE_COUNT; index += 1) await publisher.publish(topic, `value ${index}`);
    const plain = await take(without, MESSAGE_COUNT);
    expect(await take(withNone, MESSAGE_COUNT).then(sizeOf)).toBe(sizeOf(plain));
    expect(plain.every((message) => message.properties?.topicAlias === undefined)).toBe(true);
    const short = await take(withAliases, MESSAGE_COUNT);
    // The first one names the topic; the others have three bytes of alias in place of the name.
    const savedBytes = (MESSAGE_COUNT - 1) * (topic.length - 3) - 3;
    expect(sizeOf(plain) - sizeOf(short)).toBe(savedBytes);
    expect(resolve(short)).toEqual(plain.map((message) => message.topic));
    expect(short.map(({ payload }) => payload.toString())).toEqual(
      plain.map(({ payload }) => payload.toString()),
    );
  });

  test("save bytes of MQTT.js too, which sees the same topics", async () => {
    const topic = `${unique("alias")}/a/rather/long/topic/name/such/as/devices/have/them`;
    const receivedBytes = async (topicAliasMaximum: number): Promise<number> => {
      const client = await connect("reader", { properties: { topicAliasMaximum } });
      let sum = 0;
      client.mqtt.stream.on("data", (chunk: Buffer) => (sum += chunk.length));
      await client.subscribe(topic, { qos: 1 });
      for (let index = 0; index < MESSAGE_COUNT; index += 1) {
        await client.publish(topic, `value ${index}`, { qos: 1 });
      }
      for (let index = 0; index < MESSAGE_COUNT; index += 1) {
        expect(await client.nextMessage()).toMatchObject({ topic, payload: `value ${index}` });
      }
      return sum;
    };
    const savedBytes = (await receivedBytes(0)) - (await receivedBytes(10));
    expect(savedBytes).toBeGreaterThan((MESSAGE_COUNT - 1) * (topic.length - 10));
  });

  test.each([1, 3, 100])(
    "[MQTT-3.1.2-26] [MQTT-3.3.2-8] stay from 1 to the announced %i, and name the right topic whatever the order",
    async (topicAliasMaximum) => {
      // With two levels in common: what is on one shard arrives in order.
      const root = `${unique("alias")}/of`;
      const [client, plain] = await Promise.all([
        subscriber(`${root}/#`, topicAliasMaximum),
        subscriber(`${root}/#`),
      ]);
      const publisher = await connect("publisher");
      // Some topics often, others rarely, and more of them than aliases.
      const topics = Array.from({ length: MESSAGE_COUNT }, (_, index) => `${root}/${(index * index) % 47}`);
      for (const topic of topics) await publisher.publish(topic, topic);
      const messages = await take(client, MESSAGE_COUNT);
      const aliases = messages.flatMap(({ properties }) => properties?.topicAlias ?? []);
      expect(Math.min(...aliases)).toBeGreaterThanOrEqual(1);
      expect(Math.max(...aliases)).toBeLessThanOrEqual(topicAliasMaximum);
      expect(resolve(messages)).toEqual(topics);
      expect(messages.map(({ payload }) => payload.toString())).toEqual(topics);
      expect((await take(plain, MESSAGE_COUNT)).map(({ topic }) => topic)).toEqual(topics);
    },
  );

  test("[MQTT-3.3.2-7] are set anew on the next connection of the session", async () => {
    const topic = `${unique("alias")}/long/enough`;
    const options = {
      clientId: unique("returning"),
      clean: false,
      properties: { sessionExpiryInterval: 3600, topicAliasMaximum: 5 },
    };
    const publisher = await connect("publisher");
    const first = await connectRaw(broker.url, options);
    await subscribeRaw(first.client, topic, 1);
    for (const payload of ["1", "2"]) await publisher.publish(topic, payload, { qos: 1 });
    const before = await take(first.client, 2);
    expect(before.map((message) => message.topic)).toEqual([topic, ""]);
    first.client.terminate();
    await first.client.closed();
    await publisher.publish(topic, "3", { qos: 1 });
    const second = await connectRaw(broker.url, options);
    const after = await take(second.client, 3);
    expect(resolve(after)).toEqual([topic, topic, topic]);
    expect(after[0]).toMatchObject({ topic, dup: true });
    // Without aliases this time.
    second.client.terminate();
    const { client: third } = await connectPersistentRaw(broker.url, options.clientId);
    expect((await take(third, 3)).map((message) => message.topic)).toEqual([topic, topic, topic]);
  });

  test("[MQTT-3.1.2-24] are not wasted on a message that is too large to be sent", async () => {
    const topic = `${unique("alias")}/long/enough`;
    const { client } = await connectRaw(broker.url, {
      clientId: unique("small"),
      properties: { topicAliasMaximum: 5, maximumPacketSize: 100 },
    });
    await subscribeRaw(client, topic, 0);
    const publisher = await connect("publisher");
    for (const payload of ["x".repeat(200), "small", "again"]) await publisher.publish(topic, payload);
    const messages = await take(client, 2);
    expect(resolve(messages)).toEqual([topic, topic]);
    expect(messages.map(({ payload }) => payload.toString())).toEqual(["small", "again"]);
  });
});

describe("Topic Aliases from a client", () => {
  async function reader(filter: string): Promise<TestClient> {
    const client = await connect("reader");
    await client.subscribe(filter, { qos: 2 });
    return client;
  }

  test("[MQTT-3.3.2-12] work with each announced number, at each QoS, and can be set anew", async () => {
    const root = unique("alias");
    const client = await reader(`${root}/#`);
    const { client: writer, connack } = await connectRaw(broker.url, { clientId: unique("writer") });
    const maximum = connack.properties?.topicAliasMaximum ?? 0;
    expect(maximum).toBeGreaterThan(0);
    const aliases = Array.from({ length: maximum }, (_, index) => index + 1);
    const publish = (name: string, payload: string, topicAlias: number): void => {
      const topic = name && `${root}/${name}`;
      publishRaw(writer, { topic, payload, qos: 1, messageId: topicAlias, properties: { topicAlias } });
    };
    for (const alias of aliases) publish(`first-${alias}`, `first-${alias}`, alias);
    for (const alias of aliases) publish("", `first-${alias}`, alias);
    for (const alias of aliases) publish(`second-${alias}`, `second-${alias}`, alias);
    for (const alias of aliases) publish("", `second-${alias}`, alias);
    for (let count = 0; count < 4 * maximum; count += 1) {
      const { topic, payload, packet } = await client.nextMessage();
      expect(topic).toBe(`${root}/${payload}`);
      expect(packet.properties?.topicAlias).toBeUndefined();
    }
    expect(client.untaken).toEqual([]);
  });

  test("serve retained messages and QoS 2 as well", async () => {
    const topic = unique("alias");
    const { client: writer } = await connectRaw(broker.url, { clientId: unique("writer") });
    publishRaw(writer, { topic, payload: "first", qos: 0, properties: { topicAlias: 1 } });
    const message = { topic: "", payload: "kept", qos: 2, retain: true, messageId: 7 } as const;
    publishRaw(writer, { ...message, properties: { topicAlias: 1 } });
    await writer.expectNext("pubrec");
    writer.send({ cmd: "pubrel", messageId: 7 });
    await writer.expectNext("pubcomp");
    const client = await reader(topic);
    expect(await client.nextMessage()).toMatchObject({ topic, payload: "kept", packet: { retain: true } });
  });

  test("[MQTT-3.3.2-7] end with the connection, the session's next one included", async () => {
    const topic = unique("alias");
    const clientId = unique("writer");
    const first = await connectPersistentRaw(broker.url, clientId);
    publishRaw(first.client, { topic, payload: "1", qos: 0, properties: { topicAlias: 1 } });
    await pingRaw(first.client);
    first.client.terminate();
    const second = await connectPersistentRaw(broker.url, clientId);
    expect(second.connack.sessionPresent).toBe(true);
    publishRaw(second.client, { topic: "", payload: "2", qos: 0, properties: { topicAlias: 1 } });
    await second.client.closed();
    expect([0x82, 0x94]).toContain((await second.client.next("disconnect")).reasonCode);
  });

  test("belong to one connection: another client's are its own", async () => {
    const root = unique("alias");
    const client = await reader(`${root}/#`);
    const writers = await Promise.all([
      connectRaw(broker.url, { clientId: unique("writer") }),
      connectRaw(broker.url, { clientId: unique("writer") }),
    ]);
    for (const [index, { client: writer }] of writers.entries()) {
      const topic = `${root}/${index}`;
      publishRaw(writer, { topic, payload: `${index}`, qos: 0, properties: { topicAlias: 1 } });
      await pingRaw(writer);
    }
    for (const [index, { client: writer }] of writers.entries()) {
      publishRaw(writer, { topic: "", payload: `${index}`, qos: 0, properties: { topicAlias: 1 } });
      await pingRaw(writer);
    }
    for (let count = 0; count < 4; count += 1) {
      const { topic, payload } = await client.nextMessage();
      expect(topic).toBe(`${root}/${payload}`);
    }
  });

  test("are assigned by MQTT.js by itself, and sent bytes saved with them", async () => {
    const topic = `${unique("alias")}/a/rather/long/topic/name/such/as/devices/have/them`;
    const client = await reader(topic);
    const sentBytes = async (autoAssignTopicAlias: boolean): Promise<number> => {
      const writer = await connect("writer", { autoAssignTopicAlias });
      let sum = 0;
      const { stream } = writer.mqtt;
      const write = stream.write.bind(stream);
      stream.write = ((chunk: Buffer, ...rest: []) => {
        sum += chunk.length;
        return write(chunk, ...rest);
      }) as typeof stream.write;
      for (let index = 0; index < MESSAGE_COUNT; index += 1) {
        await writer.publish(topic, `value ${index}`, { qos: 1 });
        expect(await client.nextMessage()).toMatchObject({ topic, payload: `value ${index}` });
      }
      return sum;
    };
    const savedBytes = (await sentBytes(false)) - (await sentBytes(true));
    expect(savedBytes).toBeGreaterThan((MESSAGE_COUNT - 2) * (topic.length - 10));
  });
});
