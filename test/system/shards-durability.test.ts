/** What several shards owe to each other and to their clients when all of them go down at once. */
import { expect, test } from "vitest";
import { crash, leaveSubscription, resume, useCrashableBrokers } from "../support/crash.ts";
import { Home } from "../support/home.ts";
import type { RawClient } from "../support/raw-client.ts";
import {
  connectPersistentRaw,
  connectRaw,
  nextAck,
  publishRaw,
  receiveRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { isPeer } from "../support/system-broker.ts";
import { waitUntil } from "../support/wait.ts";

const SHARDS = 4;
const SERVER_SHUTTING_DOWN = 0x8b;
const startBroker = useCrashableBrokers();
const homes = Array.from({ length: SHARDS }, (_, index) => new Home(index, SHARDS));

interface Flow {
  readonly publisherId: string;
  readonly topic: string;
  readonly sleeperId: string;
}

/** From a publisher on each shard by a topic of the next one to a session of the one after that. */
async function leaveFlows(url: string): Promise<Flow[]> {
  const at = (index: number): Home => homes[index % SHARDS] as Home;
  return Promise.all(
    homes.map(async (home, index) => {
      const topic = at(index + 1).topic("flow");
      const sleeperId = await leaveSubscription(url, topic, at(index + 2).clientId("sleeper"));
      return { publisherId: home.clientId("publisher"), topic, sleeperId };
    }),
  );
}

function acknowledgedBy(client: RawClient): Set<number> {
  return new Set(client.received.flatMap((one) => (one.cmd === "pubrec" ? [one.messageId ?? 0] : [])));
}

/** Sends again what has not been acknowledged, and finishes every exchange. */
async function finish(
  url: string,
  { publisherId, topic }: Flow,
  client: RawClient,
  ids: number[],
): Promise<void> {
  const acknowledged = acknowledgedBy(client);
  const again = await resume(url, publisherId);
  const open = ids.filter((messageId) => !acknowledged.has(messageId));
  for (const messageId of open) {
    publishRaw(again, { topic, payload: String(messageId), qos: 2, messageId, dup: true });
  }
  await waitUntil(() => acknowledgedBy(again).size === open.length, "every PUBREC");
  for (const messageId of ids) again.send({ cmd: "pubrel", messageId });
  for (const messageId of ids) await nextAck(again, "pubcomp", messageId);
}

/** Everything up to a message that is published when as many are there as there should be. */
async function receiveFlow(url: string, { sleeperId, topic }: Flow, count: number): Promise<string[]> {
  const client = await resume(url, sleeperId);
  const payloads: string[] = [];
  while (payloads.length < count) payloads.push((await receiveRaw(client)).payload.toString());
  publishRaw(client, { topic, payload: "marker", qos: 2, messageId: 60_000 });
  for (let payload = ""; payload !== "marker";) {
    payload = (await receiveRaw(client)).payload.toString();
    payloads.push(payload);
  }
  return payloads;
}

test.skipIf(isPeer).each([1, 10, 25])(
  "[MQTT-4.3.3-8] After kill -9 in QoS 2 flows across all shards, at PUBREC %i, each message arrives exactly once",
  async (killAfterCount) => {
    const MESSAGE_COUNT = 50;
    const broker = await startBroker({ shards: SHARDS });
    const flows = await leaveFlows(broker.url);
    const ids = Array.from({ length: MESSAGE_COUNT }, (_, index) => index + 1);
    const clients = await Promise.all(
      flows.map(async ({ publisherId }) => (await connectPersistentRaw(broker.url, publisherId)).client),
    );
    for (const messageId of ids) {
      for (const [index, { topic }] of flows.entries()) {
        publishRaw(clients[index] as RawClient, { topic, payload: String(messageId), qos: 2, messageId });
      }
    }
    const countAcks = () => clients.reduce((sum, client) => sum + acknowledgedBy(client).size, 0);
    await waitUntil(() => countAcks() >= killAfterCount, "some acknowledgements");
    await crash(broker);
    await Promise.all(clients.map((client) => client.closed()));
    await Promise.all(flows.map((flow, index) => finish(broker.url, flow, clients[index] as RawClient, ids)));
    const received = await Promise.all(flows.map((flow) => receiveFlow(broker.url, flow, MESSAGE_COUNT)));
    expect(received).toEqual(flows.map(() => [...ids.map(String), "marker"]));
  },
);

test.skipIf(isPeer)(
  "SIGTERM sends the clients of all shards away, and publishes no Will of those who return",
  async () => {
    const broker = await startBroker({ shards: SHARDS });
    const topic = homes[3]?.topic("will") ?? "";
    const witnesses = await Promise.all(
      homes.map((home) => leaveSubscription(broker.url, topic, home.clientId("witness"))),
    );
    const mortalIds = homes.map((home) => home.clientId("mortal"));
    const will = { topic, payload: Buffer.from("farewell"), qos: 1, retain: false } as const;
    const mortals = await Promise.all(
      mortalIds.map((clientId) => connectRaw(broker.url, { clientId, will })),
    );
    await broker.stop();
    for (const { client } of mortals) {
      expect((await client.next("disconnect")).reasonCode).toBe(SERVER_SHUTTING_DOWN);
    }
    await broker.restart();
    for (const clientId of mortalIds) await connectRaw(broker.url, { clientId });
    const [publisherHome] = homes;
    const { client } = await connectRaw(broker.url, { clientId: publisherHome?.clientId("publisher") ?? "" });
    publishRaw(client, { topic, payload: "marker", qos: 1, messageId: 1 });
    await client.next("puback");
    for (const witnessId of witnesses) {
      const witness = await resume(broker.url, witnessId);
      expect((await receiveRaw(witness)).payload.toString()).toBe("marker");
    }
  },
);

test.skipIf(isPeer)(
  "After kill -9 subscriptions on all shards still stand, and retained messages are there",
  async () => {
    const broker = await startBroker({ shards: SHARDS });
    const topics = homes.map((home) => home.topic("state"));
    const sleeperIds = await Promise.all(
      homes.map((home) => leaveSubscription(broker.url, "+", home.clientId("sleeper"))),
    );
    const { client } = await connectRaw(broker.url, { clientId: homes[0]?.clientId("publisher") ?? "" });
    for (const [index, topic] of topics.entries()) {
      publishRaw(client, { topic, payload: `kept ${topic}`, qos: 1, retain: true, messageId: index + 1 });
      await client.next("puback");
    }
    await crash(broker);
    const { client: later } = await connectRaw(broker.url, { clientId: homes[1]?.clientId("later") ?? "" });
    await subscribeRaw(later, "+", 1);
    const kept = topics.map((topic) => `kept ${topic}`).toSorted();
    const takeAll = async (from: RawClient): Promise<string[]> => {
      const payloads: string[] = [];
      while (payloads.length < topics.length) payloads.push((await receiveRaw(from)).payload.toString());
      return payloads.toSorted();
    };
    expect(await takeAll(later)).toEqual(kept);
    for (const sleeperId of sleeperIds)
      expect(await takeAll(await resume(broker.url, sleeperId))).toEqual(kept);
  },
);
