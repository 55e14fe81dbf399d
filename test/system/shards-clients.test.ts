/** Whole clients whose sessions and topics are on different shards, on either way to them. */
import { afterEach, describe, expect, test } from "vitest";
import { connectClient, type ConnectOptions, persistent } from "../support/clients.ts";
import { Home } from "../support/home.ts";
import { closeAllPahoClients, PahoClient } from "../support/paho-client.ts";
import { hinted, useBrokerWith } from "./shards.ts";

const SHARDS = 4;
const PLANT_SHARDS = 3;
const NAMESPACES = JSON.stringify({ plant: { SHARDS: String(PLANT_SHARDS) } });
const broker = useBrokerWith({ shards: SHARDS, environment: { NAMESPACES } });

afterEach(closeAllPahoClients);

const baseUrls = [
  ["in the default namespace", SHARDS, () => broker.running.url],
  ["in another namespace", PLANT_SHARDS, () => `${broker.running.url}/plant`],
] as const;
const ways = [
  ["by the Worker's relay", (url: string) => url],
  ["straight to their shards", hinted],
] as const;
const settings = baseUrls.flatMap(([where, shards, baseUrl]) =>
  ways.map(([how, way]) => ({
    title: `${where}, ${how}`,
    urlOf: (clientId: string) => way(baseUrl(), clientId),
    publisherHome: new Home(0, shards),
    ownerHome: new Home(1, shards),
    subscriberHome: new Home(2, shards),
  })),
);

describe.each(settings)("Clients $title", ({ urlOf, publisherHome, ownerHome, subscriberHome }) => {
  const connect = (clientId: string, protocolVersion: 4 | 5, options: Partial<ConnectOptions> = {}) =>
    connectClient(urlOf(clientId), { clientId, ...options, protocolVersion });
  const connectPublisher = (version: 4 | 5, options: Partial<ConnectOptions> = {}) =>
    connect(publisherHome.clientId("publisher"), version, options);
  const connectSubscriber = (version: 4 | 5) => connect(subscriberHome.clientId("subscriber"), version);

  describe.each([4, 5] as const)("that are MQTT.js at version %i", (version) => {
    test("publish to each other at each QoS", async () => {
      const topic = ownerHome.topic("news");
      const [publisher, subscriber] = await Promise.all([
        connectPublisher(version),
        connectSubscriber(version),
      ]);
      await subscriber.subscribe(topic, { qos: 2 });
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish(topic, `at ${qos}`, { qos });
        const { payload, packet } = await subscriber.nextMessage();
        expect([payload, packet.qos]).toEqual([`at ${qos}`, qos]);
      }
    });

    test("get retained messages of topics with and without a wildcard, and none that were cleared", async () => {
      const root = ownerHome.topic("state");
      const publisher = await connectPublisher(version);
      await publisher.publish(root, "cleared", { qos: 1, retain: true });
      await publisher.publish(root, "", { qos: 1, retain: true });
      await publisher.publish(`${root}/a/b`, "kept", { qos: 2, retain: true });
      for (const filter of [root, `${root}/a/b`, `${root}/#`]) {
        const subscriber = await connectSubscriber(version);
        await subscriber.subscribe(filter, { qos: 1 });
        await publisher.publish(root, "marker", { qos: 1 });
        await publisher.publish(`${root}/a/b`, "marker", { qos: 1 });
        const { payload, packet } = await subscriber.nextMessage();
        expect([payload, packet.retain]).toEqual(filter === root ? ["marker", false] : ["kept", true]);
      }
    });

    test("leave their Wills to each other, unless they take their leave", async () => {
      const topic = ownerHome.topic("will");
      const witness = await connectSubscriber(version);
      await witness.subscribe(topic, { qos: 1 });
      const will = { topic, payload: Buffer.from("farewell"), qos: 1, retain: false } as const;
      await (await connectPublisher(version, { will })).end();
      await (await connectPublisher(version, { will })).terminate();
      expect((await witness.nextMessage()).payload).toBe("farewell");
      await (await connectPublisher(version)).publish(topic, "marker", { qos: 1 });
      expect((await witness.nextMessage()).payload).toBe("marker");
    });

    test("find what was queued while they were away", async () => {
      const topic = ownerHome.topic("queue");
      const sleeper = persistent(version, subscriberHome.clientId("sleeper"));
      const before = await connectClient(urlOf(sleeper.clientId), sleeper);
      await before.subscribe(topic, { qos: 2 });
      await before.end();
      const publisher = await connectPublisher(version);
      for (const payload of ["1", "2", "3"]) await publisher.publish(topic, payload, { qos: 2 });
      const after = await connectClient(urlOf(sleeper.clientId), sleeper);
      expect(await after.nextPayloads(3)).toEqual(["1", "2", "3"]);
    });
  });

  test.each([4, 3] as const)("that are Paho at version %i publish to each other", async (version) => {
    const topic = ownerHome.topic("news");
    const connectPaho = (clientId: string) => new PahoClient(urlOf(clientId), clientId).connect(version);
    const [publisher, subscriber] = await Promise.all([
      connectPaho(publisherHome.clientId("publisher")),
      connectPaho(subscriberHome.clientId("subscriber")),
    ]);
    await subscriber.subscribe(topic, 2);
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, `at ${qos}`, qos);
      expect((await subscriber.messages.take("message")).payloadString).toBe(`at ${qos}`);
    }
    await publisher.publish(`${topic}/state`, "kept", 1, true);
    await subscriber.subscribe(`${topic}/#`, 1);
    const retained = await subscriber.messages.take("retained message");
    expect([retained.payloadString, retained.retained]).toEqual(["kept", true]);
  });
});
