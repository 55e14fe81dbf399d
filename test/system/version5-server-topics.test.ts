import { describe, expect, test } from "vitest";
import { connectClient, waitUntil, type TestClient } from "../support/clients.ts";
import { RawClient } from "../support/raw-client.ts";
import { connectRaw, nextAck, pingRaw, publishRaw } from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const NOT_AUTHORIZED = 0x87;
/** What there is at least, after `$SYS/`, where `broker/` is left out. */
const FIGURES = [
  "version",
  "uptime",
  "clients/connected",
  "clients/total",
  "clients/expired",
  "messages/received",
  "messages/sent",
  "messages/dropped",
  "bytes/received",
  "bytes/sent",
  "subscriptions/count",
  "retained/count",
  "queue/messages",
  "cost/since",
  "cost/requests",
  "cost/frames/received",
  "cost/calls/billed",
  "cost/calls/made",
  "cost/alarms",
  "cost/rows/read",
  "cost/rows/written",
  "cost/stored/bytes",
  "cost/awake/seconds/estimated",
  "cost/usd/estimated",
];
const nameOf = (topic: string): string => topic.replace(/^\$SYS\/(?:broker\/)?/, "");

function connect(role: string, protocolVersion: 4 | 5 = 5): Promise<TestClient> {
  return connectClient(broker.url, { clientId: unique(role), protocolVersion });
}

/** The figures at this moment, by a new subscription. */
async function readFigures(): Promise<Map<string, string>> {
  const reader = await connect("reader");
  await reader.subscribe("$SYS/#", { qos: 0 });
  const figures = new Map<string, string>();
  while (!FIGURES.every((name) => figures.has(name))) {
    const { topic, payload } = await reader.nextMessage();
    figures.set(nameOf(topic), payload);
  }
  await reader.end();
  return figures;
}

const readFigure = async (name: string): Promise<number> => Number((await readFigures()).get(name));

describe("The topics of the server", () => {
  test.each([4, 5] as const)("come at once to a subscriber of version %i", async (protocolVersion) => {
    const client = await connect("reader", protocolVersion);
    await client.subscribe("$SYS/#", { qos: 1 });
    const seen = new Map<string, string>();
    while (!FIGURES.every((name) => seen.has(name))) {
      const { topic, payload, packet } = await client.nextMessage();
      expect(packet).toMatchObject({ qos: 0, retain: true });
      seen.set(nameOf(topic), payload);
    }
    expect(seen.get("version")).toMatch(/^duramq \d+\.\d+\.\d+/);
    expect(seen.get("cost/usd/estimated")).toMatch(/^\d+\.\d{6}$/);
    const others = [...seen].filter(([name]) => name !== "version" && name !== "cost/usd/estimated");
    for (const [, payload] of others) expect(payload).toMatch(/^\d+$/);
  });

  test("can be asked for one by one and by wildcards", async () => {
    const client = await connect("reader");
    await client.subscribe("$SYS/broker/uptime", { qos: 0 });
    expect((await client.nextMessage()).topic).toBe("$SYS/broker/uptime");
    await client.subscribe("$SYS/+/clients/+", { qos: 0 });
    const topics = [await client.nextMessage(), await client.nextMessage(), await client.nextMessage()];
    expect(topics.map(({ topic }) => topic).toSorted()).toEqual([
      "$SYS/broker/clients/connected",
      "$SYS/broker/clients/expired",
      "$SYS/broker/clients/total",
    ]);
  });

  test("tell how many clients, subscriptions and retained messages there are", async () => {
    const before = await readFigures();
    const [sleeper, awake] = await Promise.all([
      connectClient(broker.url, {
        clientId: unique("sleeper"),
        protocolVersion: 5,
        properties: { sessionExpiryInterval: 3600 },
      }),
      connect("awake"),
    ]);
    const topic = unique("figures");
    await sleeper.subscribe([`${topic}/a`, `${topic}/b`], { qos: 1 });
    await sleeper.end();
    await awake.publish(`${topic}/a`, "waits", { qos: 1 });
    await awake.publish(`${topic}/b`, "waits", { qos: 1, retain: true });
    const after = await readFigures();
    const growth = (name: string): number => Number(after.get(name)) - Number(before.get(name));
    expect(growth("clients/connected")).toBe(1);
    expect(growth("clients/total")).toBe(2);
    expect(growth("subscriptions/count")).toBe(2);
    expect(growth("retained/count")).toBe(1);
    expect(growth("queue/messages")).toBe(2);
    expect(growth("messages/received")).toBe(2);
    expect(growth("bytes/received")).toBeGreaterThan(0);
    expect(growth("bytes/sent")).toBeGreaterThan(0);
  });

  test("count what the broker costs", async () => {
    const before = await readFigures();
    const sleeper = await connectClient(broker.url, {
      clientId: unique("sleeper"),
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 3600 },
    });
    const topic = unique("billed");
    await sleeper.subscribe(topic, { qos: 0 });
    for (let count = 0; count < 10; count += 1) await sleeper.publish(topic, "x", { qos: 1 });
    const watcher = await connect("watcher");
    await watcher.subscribe("$SYS/cost/#", { qos: 0 });
    const after = new Map<string, string>();
    const names = FIGURES.filter((name) => name.startsWith("cost/"));
    while (!names.every((name) => after.has(name))) {
      const { topic: told, payload } = await watcher.nextMessage();
      after.set(nameOf(told), payload);
    }
    const growth = (name: string): number => Number(after.get(name)) - Number(before.get(name));
    expect(growth("cost/requests")).toBe(2);
    // DISCONNECT; CONNECT, SUBSCRIBE and ten messages; CONNECT and SUBSCRIBE; and the library splits packets.
    expect(growth("cost/frames/received")).toBeGreaterThanOrEqual(1 + 12 + 2);
    expect(growth("cost/rows/written")).toBeGreaterThanOrEqual(2);
    expect(growth("cost/usd/estimated")).toBeGreaterThan(0);
    expect(Number(after.get("cost/stored/bytes"))).toBeGreaterThan(0);
    expect(growth("cost/since")).toBe(0);
    expect(Number(after.get("cost/since"))).toBeLessThanOrEqual(Date.now() / 1000);
  });

  test("count what was refused", async () => {
    const before = await readFigure("refusals");
    const { client } = await connectRaw(broker.url, { clientId: unique("refused") });
    publishRaw(client, { topic: "$SYS/mine", payload: "x", qos: 1, messageId: 1 });
    await client.expectNext("puback");
    expect(await readFigure("refusals")).toBe(before + 1);
  });

  test.each(["#", "+/broker/uptime", "+/#"])(
    "[MQTT-4.7.2-1] do not come to a subscriber of %s",
    async (filter) => {
      const client = await connect("stranger");
      const marker = unique("marker");
      await client.subscribe(filter, { qos: 0 });
      await client.subscribe("$SYS/broker/version", { qos: 0 });
      await client.subscribe(marker, { qos: 1 });
      await client.publish(marker, "marker", { qos: 1 });
      const topics: string[] = [];
      while (!topics.includes(marker)) topics.push((await client.nextMessage()).topic);
      expect(topics.filter((topic) => topic.startsWith("$SYS"))).toEqual(["$SYS/broker/version"]);
    },
  );
});

describe("Publishing to $SYS", () => {
  test("is refused with 0x87 and a reason at QoS 1 and 2, and the connection stays", async () => {
    const { client } = await connectRaw(broker.url, { clientId: unique("forger") });
    for (const topic of ["$SYS", "$SYS/broker/uptime", "$SYS/anything"]) {
      publishRaw(client, { topic, payload: "forged", qos: 1, messageId: 1 });
      const puback = await nextAck(client, "puback", 1);
      expect(puback).toMatchObject({ reasonCode: NOT_AUTHORIZED });
      expect(puback.properties?.reasonString).toContain("$SYS");
      publishRaw(client, { topic, payload: "forged", qos: 2, messageId: 2 });
      expect(await nextAck(client, "pubrec", 2)).toMatchObject({ reasonCode: NOT_AUTHORIZED });
    }
    await pingRaw(client);
  });

  test("changes nothing that subscribers see, retained or not", async () => {
    const [witness, forger] = await Promise.all([connect("witness"), connect("forger")]);
    await witness.subscribe("$SYS/broker/version", { qos: 1 });
    const genuine = (await witness.nextMessage()).payload;
    const { client } = await connectRaw(broker.url, { clientId: unique("forger") });
    for (const retain of [false, true]) {
      publishRaw(client, { topic: "$SYS/broker/version", payload: "forged", qos: 0, retain });
    }
    await pingRaw(client);
    await forger.subscribe("$SYS/broker/version", { qos: 1 });
    expect((await forger.nextMessage()).payload).toBe(genuine);
    expect(witness.untaken.map(({ payload }) => payload)).toEqual([]);
  });

  test("[MQTT-3.3.5-2 (3.1.1)] closes the connection of a version 3.1.1 client, which cannot be told", async () => {
    const { client } = await connectRaw(broker.url, { clientId: unique("forger"), protocolVersion: 4 });
    publishRaw(client, { topic: "$SYS/broker/version", payload: "forged", qos: 1, messageId: 1 });
    await client.closed();
    expect(client.untaken).toEqual([]);
  });

  test("is refused as a Will already at CONNECT", async () => {
    const client = await RawClient.open(broker.url);
    client.send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 5,
      clientId: unique("forger"),
      clean: true,
      keepalive: 60,
      will: { topic: "$SYS/broker/version", payload: Buffer.from("forged"), qos: 0, retain: true },
    });
    expect((await client.expectNext("connack")).reasonCode).toBe(NOT_AUTHORIZED);
    await client.closed();
  });

  test("leaves topics with $ of other names to clients", async () => {
    const client = await connect("owner");
    const topic = `$${unique("own")}/topic`;
    await client.subscribe(topic, { qos: 1 });
    await client.publish(topic, "mine", { qos: 1 });
    const message = await waitUntil(() => client.nextMessage(), "the message");
    expect(message).toMatchObject({ topic, payload: "mine" });
  });
});
