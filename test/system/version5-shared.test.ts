import { describe, expect, test } from "vitest";
import { connectClient, persistent, type TestClient } from "../support/clients.ts";
import {
  connectPersistentRaw,
  connectRaw,
  pingRaw,
  receiveRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();

function connect(role: string): Promise<TestClient> {
  return connectClient(broker.url, { clientId: unique(role), protocolVersion: 5 });
}

/** Payloads received until the marker, which every member gets by a subscription of its own. */
async function payloadsUntilMarker(client: TestClient): Promise<string[]> {
  const payloads: string[] = [];
  for (;;) {
    const { payload } = await client.nextMessage();
    if (payload === "marker") return payloads;
    payloads.push(payload);
  }
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `message ${index}`);
}

async function publishAll(topic: string, payloads: readonly string[], qos: 0 | 1 | 2): Promise<void> {
  const publisher = await connect("publisher");
  for (const payload of payloads) await publisher.publish(topic, payload, { qos });
}

describe.each([0, 1, 2] as const)("A shared subscription at QoS %i", (qos) => {
  test("gives each message to one of its members, and each member some", async () => {
    const members = await Promise.all([connect("member"), connect("member")]);
    const topic = unique("shared");
    for (const member of members) {
      await member.subscribe(`$share/group/${topic}/+`, { qos });
      await member.subscribe(`${topic}/control/marker`, { qos });
    }
    const payloads = numbered(100);
    await publishAll(`${topic}/messages`, payloads, qos);
    await publishAll(`${topic}/control/marker`, ["marker"], qos);
    const received = await Promise.all(members.map(payloadsUntilMarker));
    expect(received.flat().toSorted()).toEqual(payloads.toSorted());
    for (const share of received) {
      expect(share.length).toBeGreaterThan(0);
      // In the order in which they were published.
      expect(share).toEqual(payloads.filter((payload) => share.includes(payload)));
    }
  });
});

describe("A shared subscription", () => {
  test("[MQTT-4.8.2-3] is granted to each member the QoS that it asked for, and delivers at that", async () => {
    const [humble, eager] = await Promise.all([connect("humble"), connect("eager")]);
    const topic = unique("shared");
    expect(await humble.subscribe(`$share/group/${topic}`, { qos: 0 })).toEqual([0]);
    expect(await eager.subscribe(`$share/group/${topic}`, { qos: 2 })).toEqual([2]);
    await publishAll(topic, numbered(2), 1);
    const messages = await Promise.all([humble.nextMessage(), eager.nextMessage()]);
    expect(messages.map(({ packet }) => packet.qos)).toEqual([0, 1]);
  });

  test("is apart from other groups and from plain subscriptions to the same topic", async () => {
    const clients = await Promise.all([connect("one"), connect("other"), connect("plain")]);
    const topic = unique("shared");
    const filters = [`$share/one/${topic}`, `$share/other/${topic}`, topic];
    for (const [index, client] of clients.entries()) await client.subscribe(filters[index] ?? "", { qos: 1 });
    const payloads = numbered(10);
    await publishAll(topic, payloads, 1);
    for (const client of clients) expect(await client.nextPayloads(payloads.length)).toEqual(payloads);
  });

  test("names its Subscription Identifier, apart from those of the client's other subscriptions", async () => {
    const client = await connect("both");
    const topic = unique("shared");
    await client.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 1 } });
    await client.subscribe(`$share/group/${topic}`, { qos: 1, properties: { subscriptionIdentifier: 2 } });
    await publishAll(topic, ["message"], 1);
    const messages = [await client.nextMessage(), await client.nextMessage()];
    const identifiers = messages.map(({ packet }) => packet.properties?.subscriptionIdentifier);
    expect(identifiers.toSorted()).toEqual([1, 2]);
  });

  test.each([0, 1] as const)("gets no retained messages with Retain Handling %i", async (retainHandling) => {
    const client = await connect("member");
    const topic = unique("shared");
    await client.publish(topic, "retained", { qos: 1, retain: true });
    await client.subscribe(`$share/group/${topic}`, { qos: 1, rh: retainHandling });
    await client.publish(topic, "live", { qos: 1 });
    expect(await client.nextMessage()).toMatchObject({ payload: "live", packet: { retain: false } });
    expect(client.untaken).toEqual([]);
  });

  test("gives nothing more to a member that unsubscribed", async () => {
    const [leaving, staying] = await Promise.all([connect("leaving"), connect("staying")]);
    const topic = unique("shared");
    const filter = `$share/group/${topic}`;
    for (const member of [leaving, staying]) await member.subscribe(filter, { qos: 1 });
    await leaving.unsubscribe(filter);
    const payloads = numbered(10);
    await publishAll(topic, payloads, 1);
    expect(await staying.nextPayloads(payloads.length)).toEqual(payloads);
    await leaving.subscribe(`${topic}/marker`, { qos: 1 });
    await publishAll(`${topic}/marker`, ["marker"], 1);
    expect((await leaving.nextMessage()).payload).toBe("marker");
  });

  test("is open to clients of version 3.1.1", async () => {
    const old = await connectClient(broker.url, { clientId: unique("old"), protocolVersion: 4 });
    const current = await connect("current");
    const topic = unique("shared");
    for (const member of [old, current]) await member.subscribe(`$share/group/${topic}`, { qos: 1 });
    await publishAll(topic, numbered(2), 1);
    const received = await Promise.all([old.nextMessage(), current.nextMessage()]);
    expect(received.map(({ payload }) => payload).toSorted()).toEqual(numbered(2));
  });

  test.each(["$share/group", "$share/group/", "$share//topic", "$share/gr+up/topic", "$share/gr#up/topic"])(
    "[MQTT-4.8.2-1] [MQTT-4.8.2-2] is refused with the malformed filter %s",
    async (filter) => {
      const { client } = await connectRaw(broker.url, { clientId: unique("malformed") });
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos: 1 }] });
      await client.closed();
      expect((await client.next("disconnect")).reasonCode).toBe(0x8f);
    },
  );
});

describe("The members of a shared subscription", () => {
  /** Two members of whom the first acknowledges nothing, and the messages that it got out of `count`. */
  async function prepare(count: number, qos: 1 | 2) {
    const topic = unique("shared");
    const filter = `$share/group/${topic}`;
    const { client: silent } = await connectRaw(broker.url, { clientId: unique("silent") });
    await subscribeRaw(silent, filter, qos);
    const other = await connect("other");
    await other.subscribe(filter, { qos });
    const payloads = numbered(count);
    await publishAll(topic, payloads, qos);
    await pingRaw(silent);
    const held = silent.untaken.flatMap((packet) =>
      packet.cmd === "publish" ? [packet.payload.toString()] : [],
    );
    return { silent, other, topic, payloads, held };
  }

  test("get what another one left unacknowledged at QoS 1 when its session ends", async () => {
    const { silent, other, payloads, held } = await prepare(20, 1);
    expect(held.length).toBeGreaterThan(0);
    expect(held.length).toBeLessThan(payloads.length);
    const own = await other.nextPayloads(payloads.length - held.length);
    silent.send({ cmd: "disconnect" });
    await silent.closed();
    const handedOver = await other.nextPayloads(held.length);
    expect(handedOver).toEqual(held);
    expect([...own, ...handedOver].toSorted()).toEqual(payloads.toSorted());
  });

  test("get it when the connection broke, too", async () => {
    const { silent, other, payloads, held } = await prepare(20, 1);
    await other.nextPayloads(payloads.length - held.length);
    silent.terminate();
    expect(await other.nextPayloads(held.length)).toEqual(held);
  });

  test("[MQTT-4.8.2-5] do not get what another one was sent at QoS 2", async () => {
    const { silent, other, topic, payloads, held } = await prepare(20, 2);
    expect(held.length).toBeGreaterThan(0);
    await other.nextPayloads(payloads.length - held.length);
    silent.send({ cmd: "disconnect" });
    await silent.closed();
    await publishAll(topic, ["marker"], 2);
    expect((await other.nextMessage()).payload).toBe("marker");
    expect(other.untaken).toEqual([]);
  });

  test("[MQTT-4.8.2-6] do not get what another one refused", async () => {
    const { silent, other, topic, payloads, held } = await prepare(4, 1);
    await other.nextPayloads(payloads.length - held.length);
    for (const _ of held) {
      const { messageId = 0 } = await silent.next("publish");
      silent.send({ cmd: "puback", messageId, reasonCode: 0x80 });
    }
    await pingRaw(silent);
    silent.send({ cmd: "disconnect" });
    await silent.closed();
    await publishAll(topic, ["marker"], 1);
    expect((await other.nextMessage()).payload).toBe("marker");
  });

  test("are passed over while they are away, as long as another one is connected", async () => {
    const topic = unique("shared");
    const filter = `$share/group/${topic}`;
    const sleeper = await connectClient(broker.url, persistent(5, unique("sleeper")));
    await sleeper.subscribe(filter, { qos: 1 });
    const present = await connect("present");
    await present.subscribe(filter, { qos: 1 });
    await sleeper.end();
    const payloads = numbered(10);
    await publishAll(topic, payloads, 1);
    expect(await present.nextPayloads(payloads.length)).toEqual(payloads);
  });

  test("share what comes while all of them are away, and get it when they return", async () => {
    const topic = unique("shared");
    const filter = `$share/group/${topic}`;
    const clientIds = [unique("sleeper"), unique("sleeper")];
    for (const clientId of clientIds) {
      const { client } = await connectPersistentRaw(broker.url, clientId);
      await subscribeRaw(client, filter, 1);
      client.send({ cmd: "disconnect" });
      await client.closed();
    }
    const payloads = numbered(20);
    await publishAll(topic, payloads, 1);
    const received: string[] = [];
    for (const clientId of clientIds) {
      const { client, connack } = await connectPersistentRaw(broker.url, clientId);
      expect(connack.sessionPresent).toBe(true);
      await subscribeRaw(client, `${topic}/${clientId}`, 1, 99);
      await publishAll(`${topic}/${clientId}`, ["marker"], 1);
      const share: string[] = [];
      for (;;) {
        const payload = (await receiveRaw(client)).payload.toString();
        if (payload === "marker") break;
        share.push(payload);
      }
      expect(share.length).toBeGreaterThan(0);
      received.push(...share);
      client.send({ cmd: "disconnect" });
      await client.closed();
    }
    expect(received.toSorted()).toEqual(payloads.toSorted());
  });
});

test("[MQTT-3.8.3-4] No Local on a shared subscription is a Protocol Error", async () => {
  const { client } = await connectRaw(broker.url, { clientId: unique("selfish") });
  const subscription = { topic: "$share/group/topic", qos: 1, nl: true } as const;
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [subscription] });
  await client.closed();
  expect((await client.next("disconnect")).reasonCode).toBe(0x82);
});
