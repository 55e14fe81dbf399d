import { describe, expect, test } from "vitest";
import { connectClient, persistent, waitUntil } from "../support/clients.ts";
import { crash, leaveSubscription, receiveAll, resume, useCrashableBrokers } from "../support/crash.ts";
import {
  connectPersistentRaw,
  connectRaw,
  publishRaw,
  receiveRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { isPeer } from "../support/system-broker.ts";
import { unique } from "../support/unique.ts";

const startBroker = useCrashableBrokers();
const SERVER_SHUTTING_DOWN = 0x8b;
const RESET_WILL_GRACE_MS = 30_000;

describe.skipIf(isPeer)("After kill -9 and a start on the same data", () => {
  test.each([1, 2] as const)(
    "nothing that was acknowledged at QoS %i is lost, and its order is kept",
    async (qos) => {
      const KILL_AFTER_COUNT = 30;
      const broker = await startBroker();
      const topic = unique("flood");
      const sleeperId = await leaveSubscription(broker.url, topic);
      const { client, connack } = await connectPersistentRaw(broker.url, unique("publisher"));
      const messageCount = Math.min(connack.properties?.receiveMaximum ?? 100, 100);
      for (let messageId = 1; messageId <= messageCount; messageId += 1) {
        publishRaw(client, { topic, payload: String(messageId), qos, messageId });
      }
      const ackType = qos === 1 ? "puback" : "pubrec";
      const countAcks = (): number => client.received.filter(({ cmd }) => cmd === ackType).length;
      await waitUntil(() => countAcks() >= KILL_AFTER_COUNT, "some acknowledgements");
      await crash(broker);
      await client.closed();
      const acknowledgedCount = countAcks();
      const payloads = await receiveAll(broker.url, sleeperId, topic);
      expect(payloads.length).toBeGreaterThanOrEqual(acknowledgedCount);
      // One publisher's messages are stored in order, so what was kept is a beginning of what was sent.
      expect(payloads).toEqual(payloads.map((_, index) => String(index + 1)));
    },
  );

  test("[MQTT-4.3.3-10] what a publisher at QoS 2 repeats after a kill in the flood comes exactly once", async () => {
    const MESSAGE_COUNT = 50;
    const broker = await startBroker();
    const topic = unique("repeat");
    const sleeperId = await leaveSubscription(broker.url, topic);
    const publisherId = unique("publisher");
    const { client } = await connectPersistentRaw(broker.url, publisherId);
    const ids = Array.from({ length: MESSAGE_COUNT }, (_, index) => index + 1);
    for (const messageId of ids) publishRaw(client, { topic, payload: String(messageId), qos: 2, messageId });
    await client.next("pubrec");
    await crash(broker);
    await client.closed();
    const received = new Set(
      client.received.flatMap((packet) => (packet.cmd === "pubrec" ? [packet.messageId] : [])),
    );
    const again = await resume(broker.url, publisherId);
    for (const messageId of ids) {
      if (received.has(messageId)) continue;
      publishRaw(again, { topic, payload: String(messageId), qos: 2, messageId, dup: true });
      await again.next("pubrec");
    }
    for (const messageId of ids) {
      again.send({ cmd: "pubrel", messageId });
      await again.next("pubcomp");
    }
    const payloads = await receiveAll(broker.url, sleeperId, topic);
    expect(payloads).toEqual(ids.map(String));
  });

  test("retained messages are as they were: set, replaced and cleared", async () => {
    const broker = await startBroker();
    const root = unique("retained");
    const before = await connectClient(broker.url, { clientId: unique("before"), protocolVersion: 5 });
    const retain = { qos: 1, retain: true } as const;
    await before.publish(`${root}/set`, "value", { ...retain, properties: { contentType: "text/plain" } });
    await before.publish(`${root}/replaced`, "old", retain);
    await before.publish(`${root}/replaced`, "new", retain);
    await before.publish(`${root}/cleared`, "value", retain);
    await before.publish(`${root}/cleared`, "", retain);
    await crash(broker);
    const after = await connectClient(broker.url, { clientId: unique("after"), protocolVersion: 5 });
    await after.subscribe(`${root}/+`, { qos: 1 });
    await after.publish(`${root}/marker`, "marker", { qos: 1 });
    const messages = [await after.nextMessage(), await after.nextMessage(), await after.nextMessage()];
    const seen = messages.map(({ topic, payload, packet }) => [
      topic,
      payload,
      packet.properties?.contentType,
    ]);
    expect(seen.toSorted()).toEqual([
      [`${root}/marker`, "marker", undefined],
      [`${root}/replaced`, "new", undefined],
      [`${root}/set`, "value", "text/plain"],
    ]);
  });

  test.each([4, 5] as const)("the subscriptions of a session of version %i still stand", async (version) => {
    const broker = await startBroker();
    const root = unique("subscriptions");
    const options = persistent(version, unique("subscriber"));
    const before = await connectClient(broker.url, options);
    await before.subscribe([`${root}/kept`, `${root}/dropped`], { qos: 1 });
    await before.unsubscribe(`${root}/dropped`);
    await crash(broker);
    const after = await connectClient(broker.url, options);
    expect(after.connack.sessionPresent).toBe(true);
    await after.publish(`${root}/dropped`, "unwanted", { qos: 1 });
    await after.publish(`${root}/kept`, "wanted", { qos: 1 });
    expect((await after.nextMessage()).payload).toBe("wanted");
  });

  test("it can be killed again and again", async () => {
    const broker = await startBroker();
    const topic = unique("again");
    const sleeperId = await leaveSubscription(broker.url, topic);
    const payloads = ["1", "2", "3"];
    for (const payload of payloads) {
      const { client } = await connectRaw(broker.url, { clientId: unique("publisher") });
      publishRaw(client, { topic, payload, qos: 1, messageId: 1 });
      await client.next("puback");
      await crash(broker);
    }
    expect(await receiveAll(broker.url, sleeperId, topic)).toEqual(payloads);
  });
});

describe.skipIf(isPeer)("SIGTERM", () => {
  test.each(["hibernating", "resident"] as const)(
    "tells clients of version 5 that the server shuts down (0x8B), with %s sockets",
    async (sockets) => {
      const broker = await startBroker({ sockets });
      const connections = await Promise.all(
        ([3, 4, 5, 5] as const).map((protocolVersion) =>
          connectRaw(broker.url, { clientId: unique("client"), protocolVersion }),
        ),
      );
      await broker.stop();
      for (const { client } of connections) {
        await client.closed();
        const reasons = client.received.flatMap((packet) =>
          packet.cmd === "disconnect" ? [packet.reasonCode] : [],
        );
        expect(reasons).toEqual(client.protocolVersion === 5 ? [SERVER_SHUTTING_DOWN] : []);
      }
    },
  );

  test("keeps sessions and their queues for the next start", async () => {
    const broker = await startBroker();
    const topic = unique("stopped");
    const sleeperId = await leaveSubscription(broker.url, topic);
    const { client } = await connectRaw(broker.url, { clientId: unique("publisher") });
    publishRaw(client, { topic, payload: "kept", qos: 1, messageId: 1 });
    await client.next("puback");
    await broker.stop();
    await broker.restart();
    expect(await receiveAll(broker.url, sleeperId, topic)).toEqual(["kept"]);
  });

  test(
    "publishes no will of a client that returns, whereas that of one that does not goes out after its grace",
    async () => {
      const [stopped, killed] = await Promise.all([startBroker(), startBroker()]);
      const [returning, leaving, lost] = await Promise.all([
        leaveWill(stopped.url),
        leaveWill(stopped.url),
        leaveWill(killed.url),
      ]);
      await stopped.stop();
      await stopped.restart();
      await connectRaw(stopped.url, { clientId: returning.clientId });
      await crash(killed);
      for (const [broker, { witnessId }] of [
        [stopped, leaving],
        [killed, lost],
      ] as const) {
        const witness = await resume(broker.url, witnessId);
        const message = await witness.next("publish", RESET_WILL_GRACE_MS + 30_000);
        expect(message.payload.toString()).toBe("farewell");
      }
      expect(await receiveAll(stopped.url, returning.witnessId, returning.topic)).toEqual([]);
    },
    RESET_WILL_GRACE_MS + 60_000,
  );
});

interface Will {
  readonly clientId: string;
  readonly topic: string;
  readonly witnessId: string;
}

/** A client with a will stays connected; a persistent session waits for that will. */
async function leaveWill(url: string): Promise<Will> {
  const topic = unique("will");
  const witnessId = await leaveSubscription(url, topic);
  const clientId = unique("mortal");
  await connectRaw(url, { clientId, will: { topic, payload: "farewell", qos: 1 } });
  return { clientId, topic, witnessId };
}

describe.skipIf(isPeer)("A session that was connected when the broker was killed", () => {
  test("gets what was queued since, live messages included", async () => {
    const broker = await startBroker();
    const topic = unique("connected");
    const subscriberId = unique("subscriber");
    const { client } = await connectPersistentRaw(broker.url, subscriberId);
    await subscribeRaw(client, topic, 1);
    await crash(broker);
    const { client: publisher } = await connectRaw(broker.url, { clientId: unique("publisher") });
    publishRaw(publisher, { topic, payload: "while away", qos: 1, messageId: 1 });
    await publisher.next("puback");
    const again = await resume(broker.url, subscriberId);
    expect((await receiveRaw(again)).payload.toString()).toBe("while away");
    publishRaw(publisher, { topic, payload: "live", qos: 1, messageId: 2 });
    expect((await receiveRaw(again)).payload.toString()).toBe("live");
  });
});
