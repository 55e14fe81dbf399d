import { describe, expect, test } from "vitest";
import { connectClient, persistent, type TestClient } from "../support/clients.ts";
import { connectRaw, receiveRaw, subscribeRaw } from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const properties = {
  contentType: "text/plain",
  responseTopic: "answers",
  correlationData: Buffer.from("1"),
  userProperties: { colour: "blue" },
};

function connect(protocolVersion: 3 | 4 | 5): Promise<TestClient> {
  return connectClient(broker.url, {
    clientId: unique(`version-${protocolVersion}`),
    protocolVersion,
    protocolId: protocolVersion === 3 ? "MQIsdp" : "MQTT",
  });
}

const VERSIONS = [3, 4, 5] as const;
const PAIRS = VERSIONS.flatMap((publisher) => VERSIONS.map((subscriber) => [publisher, subscriber] as const));

describe.each(PAIRS)("A publisher of protocol version %i and a subscriber of version %i", (from, to) => {
  test.each([0, 1, 2] as const)("exchange a message at QoS %i", async (qos) => {
    const [publisher, subscriber] = await Promise.all([connect(from), connect(to)]);
    const topic = unique("mixed");
    await subscriber.subscribe(topic, { qos });
    await publisher.publish(topic, "hello", { qos, ...(from === 5 ? { properties } : {}) });
    const { payload, packet } = await subscriber.nextMessage();
    expect([payload, packet.qos]).toEqual(["hello", qos]);
    expect(packet.properties?.contentType).toBe(from === 5 && to === 5 ? "text/plain" : undefined);
  });

  test("exchange a retained message", async () => {
    const publisher = await connect(from);
    const topic = unique("mixed-retained");
    await publisher.publish(topic, "kept", { qos: 1, retain: true });
    const subscriber = await connect(to);
    await subscriber.subscribe(topic, { qos: 1 });
    const { payload, packet } = await subscriber.nextMessage();
    expect([payload, packet.retain]).toEqual(["kept", true]);
  });
});

describe("A fan-out to every protocol version and QoS", () => {
  test("gives each subscriber the same message in its own form", async () => {
    const topic = unique("fan-out");
    const kinds = VERSIONS.flatMap((version) => ([0, 1, 2] as const).map((qos) => ({ version, qos })));
    const subscribers = await Promise.all(
      kinds.map(async ({ version, qos }) => {
        const client = await connect(version);
        await client.subscribe(topic, { qos });
        return { client, version, qos };
      }),
    );
    const publisher = await connect(5);
    await publisher.publish(topic, "for all", { qos: 2, properties });
    for (const { client, version, qos } of subscribers) {
      const { payload, packet } = await client.nextMessage();
      expect([payload, packet.qos]).toEqual(["for all", qos]);
      expect(packet.properties?.contentType).toBe(version === 5 ? "text/plain" : undefined);
    }
  });
});

describe("A session that changes its protocol version", () => {
  test.each([
    [5, 4],
    [4, 5],
  ] as const)("from %i to %i gets its queue in the new form", async (before, after) => {
    const clientId = unique("changing");
    const topic = unique("changing");
    const first = await connectClient(broker.url, persistent(before, clientId));
    await first.subscribe(topic, { qos: 1 });
    await first.end();
    const publisher = await connect(5);
    await publisher.publish(topic, "queued", { qos: 1, properties });
    const second = await connectClient(broker.url, persistent(after, clientId));
    expect(second.connack.sessionPresent).toBe(true);
    const { payload, packet } = await second.nextMessage();
    expect(payload).toBe("queued");
    expect(packet.properties?.contentType).toBe(after === 5 ? "text/plain" : undefined);
  });
});

describe("A subscriber of version 3.1.1", () => {
  test("gets a PUBLISH without a property field", async () => {
    const { client } = await connectRaw(broker.url, { clientId: unique("raw"), protocolVersion: 4 });
    const topic = unique("plain");
    await subscribeRaw(client, topic, 1);
    const publisher = await connect(5);
    await publisher.publish(topic, "abc", { qos: 1, properties });
    const { bytes } = await receiveRaw(client);
    const fixedHeaderBytes = 2;
    expect(bytes.length).toBe(fixedHeaderBytes + 2 + topic.length + 2 + "abc".length);
  });
});
