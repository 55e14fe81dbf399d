import { describe, expect, test } from "vitest";
import { Home } from "../support/home.ts";
import { RawClient } from "../support/raw-client.ts";
import {
  connectPersistentRaw,
  connectRaw,
  pingRaw,
  publishRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { type Broker, startBroker } from "./broker.ts";
import { useBrokerWith } from "./shards.ts";

const PLANT_SHARDS = 2;
const NAMESPACES = JSON.stringify({
  "plant-a": { SHARDS: String(PLANT_SHARDS), MAXIMUM_QOS: "1" },
  "plant-b": {},
});
const broker = useBrokerWith({ environment: { NAMESPACES } });
const PATHS = ["/mqtt", "/mqtt/plant-a", "/mqtt/plant-b"] as const;
/** In `plant-a`, the only one here with several shards. */
const home = new Home(1, PLANT_SHARDS);

function urlOf(path: string, { port }: Broker = broker.running): string {
  return `ws://127.0.0.1:${port}${path}`;
}

/** The same client in each namespace. */
function connectAll(clientId: string): Promise<RawClient[]> {
  return Promise.all(PATHS.map(async (path) => (await connectRaw(urlOf(path), { clientId })).client));
}

async function payloadsUntil(client: RawClient, last: string): Promise<string[]> {
  const payloads: string[] = [];
  while (payloads.at(-1) !== last) payloads.push((await client.next("publish")).payload.toString());
  return payloads;
}

describe("Namespaces", () => {
  test("do not share messages, and a client may be in each at once", async () => {
    const topic = home.topic("message");
    const clients = await connectAll(home.clientId("everywhere"));
    for (const client of clients) await subscribeRaw(client, topic, 0);
    for (const [index, client] of clients.entries()) {
      publishRaw(client, { topic, payload: `from ${index}`, qos: 0 });
      await pingRaw(client);
    }
    for (const [index, client] of clients.entries()) {
      publishRaw(client, { topic, payload: "last", qos: 0 });
      expect(await payloadsUntil(client, "last")).toEqual([`from ${index}`, "last"]);
    }
  });

  test("do not share retained messages", async () => {
    const topic = home.topic("retained");
    const [first, ...others] = await connectAll(home.clientId("keeper"));
    if (first === undefined) throw new Error("there is a default namespace");
    publishRaw(first, { topic, payload: "kept", qos: 1, retain: true, messageId: 1 });
    await first.next("puback");
    await subscribeRaw(first, topic, 0);
    expect((await first.next("publish")).payload.toString()).toBe("kept");
    for (const client of others) {
      await subscribeRaw(client, topic, 0);
      publishRaw(client, { topic, payload: "last", qos: 0 });
      expect(await payloadsUntil(client, "last")).toEqual(["last"]);
    }
  });

  test("do not share sessions", async () => {
    const clientId = home.clientId("session");
    const { client } = await connectPersistentRaw(urlOf("/mqtt/plant-a"), clientId);
    client.terminate();
    for (const path of PATHS) {
      const { connack } = await connectPersistentRaw(urlOf(path), clientId);
      expect(connack.sessionPresent).toBe(path === "/mqtt/plant-a");
    }
  });

  test("have settings of their own", async () => {
    const maximumQos = async (path: string) => {
      const { connack } = await connectRaw(urlOf(path), { clientId: unique("c") });
      return connack.properties?.maximumQoS;
    };
    expect(await Promise.all(PATHS.map(maximumQos))).toEqual([undefined, 1, undefined]);
  });

  test("have the default one among them by its name", async () => {
    const topic = unique("t");
    const { client } = await connectRaw(urlOf("/mqtt"), { clientId: unique("c") });
    const { client: other } = await connectRaw(urlOf("/mqtt/default"), { clientId: unique("c") });
    await subscribeRaw(client, topic, 0);
    publishRaw(other, { topic, payload: "same", qos: 0 });
    expect((await client.next("publish")).payload.toString()).toBe("same");
  });

  test.each([
    "/mqtt/plant-c",
    "/mqtt/",
    "/mqtt/Plant-A",
    "/mqtt/plant-a/",
    "/mqtt/plant-a/0",
    "/mqtt/plant-a%2F0",
    "/mqtt/__proto__",
    "/mqtt/toString",
    "/mqtt/%00",
    "/mqtt/%ff",
    `/mqtt/${"a".repeat(1000)}`,
  ])("that do not exist are not found, and nothing is told of others: %s", async (path) => {
    const response = await fetch(`http://127.0.0.1:${broker.running.port}${path}`);
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.text()).not.toMatch(/plant-b/);
    await expect(RawClient.open(urlOf(path))).rejects.toThrow("404");
  });

  test("ask for an upgrade, each", async () => {
    const response = await fetch(`http://127.0.0.1:${broker.running.port}/mqtt/plant-a`);
    expect(response.status).toBe(426);
  });
});

test("A stop says goodbye in all namespaces, on all shards", async () => {
  const stopped = await startBroker({ environment: { NAMESPACES } });
  const clients: RawClient[] = [];
  for (const path of PATHS) {
    for (const shard of [0, 1]) {
      const clientId = new Home(shard, PLANT_SHARDS).clientId("told");
      clients.push((await connectRaw(urlOf(path, stopped), { clientId })).client);
    }
  }
  expect((await stopped.stop()).stderr).toBe("");
  for (const client of clients) {
    expect((await client.next("disconnect")).reasonCode).toBe(0x8b);
    expect((await client.closed()).code).toBe(1001);
  }
});

test("A restart finds every namespace's data, and refuses another number of shards for it", async () => {
  const restarted = await startBroker({ environment: { NAMESPACES } });
  const clientId = home.clientId("kept");
  const { client } = await connectPersistentRaw(urlOf("/mqtt/plant-a", restarted), clientId);
  await pingRaw(client);
  await restarted.restart();
  const { connack } = await connectPersistentRaw(urlOf("/mqtt/plant-a", restarted), clientId);
  expect(connack.sessionPresent).toBe(true);
  const changed = { NAMESPACES: '{"plant-a": {"SHARDS": "3"}}' };
  await expect(restarted.restart({ environment: changed })).rejects.toThrow(
    `duramq: NAMESPACES.plant-a.SHARDS: the data in ${restarted.dataDir} was made with 2, it cannot be opened with 3`,
  );
});
