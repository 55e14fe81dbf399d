import { describe, expect, test } from "vitest";
import { connectClient, type TestClient } from "../support/clients.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const retained = { qos: 1, retain: true } as const;

describe.each([4, 5] as const)("Retained messages at protocol version %i", (protocolVersion) => {
  const connect = (role: string): Promise<TestClient> =>
    connectClient(broker.url, { clientId: unique(role), protocolVersion });

  /** What a new subscription gets before a message that is published after its SUBACK. */
  async function retainedPayloads(filter: string, markerTopic: string): Promise<string[]> {
    const subscriber = await connect("subscriber");
    await subscriber.subscribe(filter, { qos: 1 });
    await subscriber.publish(markerTopic, "marker", { qos: 1 });
    const payloads: string[] = [];
    for (;;) {
      const { payload, packet } = await subscriber.nextMessage();
      if (payload === "marker") return payloads.toSorted();
      expect(packet.retain).toBe(true);
      payloads.push(payload);
    }
  }

  test("[MQTT-3.3.1-5] are given to a new subscription, with RETAIN set", async () => {
    const publisher = await connect("publisher");
    const root = unique("retained");
    await publisher.publish(`${root}/a`, "value of a", retained);
    await publisher.publish(`${root}/b`, "value of b", retained);
    await publisher.publish(`${root}/c`, "not retained", { qos: 1 });
    expect(await retainedPayloads(`${root}/+`, `${root}/marker`)).toEqual(["value of a", "value of b"]);
  });

  test("[MQTT-3.3.1-5] are replaced by a newer one on the same topic", async () => {
    const publisher = await connect("publisher");
    const root = unique("replaced");
    await publisher.publish(`${root}/a`, "old", retained);
    await publisher.publish(`${root}/a`, "new", retained);
    expect(await retainedPayloads(`${root}/+`, `${root}/marker`)).toEqual(["new"]);
  });

  test("[MQTT-3.3.1-6] are removed by an empty payload", async () => {
    const publisher = await connect("publisher");
    const root = unique("cleared");
    await publisher.publish(`${root}/a`, "value", retained);
    await publisher.publish(`${root}/a`, "", retained);
    expect(await retainedPayloads(`${root}/+`, `${root}/marker`)).toEqual([]);
  });

  test("[MQTT-3.3.1-8] are left alone by a message without RETAIN", async () => {
    const publisher = await connect("publisher");
    const root = unique("kept");
    await publisher.publish(`${root}/a`, "kept", retained);
    await publisher.publish(`${root}/a`, "passing", { qos: 1 });
    expect(await retainedPayloads(`${root}/+`, `${root}/marker`)).toEqual(["kept"]);
  });

  test("[MQTT-3.3.1-12] go to existing subscriptions with RETAIN cleared", async () => {
    const client = await connect("live");
    const topic = unique("live");
    await client.subscribe(topic, { qos: 1 });
    await client.publish(topic, "value", retained);
    expect((await client.nextMessage()).packet).toMatchObject({ retain: false });
  });

  test("are stored and given again at each QoS", async () => {
    const publisher = await connect("publisher");
    // With two levels in common: what is on one shard is in order, so the last one tells that all are stored.
    const root = `${unique("levels")}/of`;
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish(`${root}/${qos}`, String(qos), { qos, retain: true });
    }
    await publisher.publish(root, "", { qos: 1 });
    const subscriber = await connect("subscriber");
    await subscriber.subscribe(`${root}/+`, { qos: 1 });
    const messages = await Promise.all([0, 1, 2].map(() => subscriber.nextMessage()));
    const levels = messages.map(({ payload, packet }) => [payload, packet.qos]);
    expect(levels.toSorted()).toEqual([
      ["0", 0],
      ["1", 1],
      ["2", 1],
    ]);
  });

  test("are given again when a client subscribes again", async () => {
    const client = await connect("again");
    const topic = unique("again");
    await client.publish(topic, "value", retained);
    await client.subscribe(topic, { qos: 1 });
    expect((await client.nextMessage()).packet).toMatchObject({ retain: true });
    await client.subscribe(topic, { qos: 1 });
    expect((await client.nextMessage()).packet).toMatchObject({ retain: true });
  });
});

describe("Subscription options of version 5", () => {
  const connect = (role: string): Promise<TestClient> =>
    connectClient(broker.url, { clientId: unique(role), protocolVersion: 5 });

  /** Subscribes twice with the Retain Handling; the payloads that came by each of the two. */
  async function subscribeTwice(retainHandling: number): Promise<string[][]> {
    const client = await connect("handling");
    const topic = unique("handling");
    await client.publish(topic, "retained", retained);
    const seen: string[][] = [];
    for (const marker of ["marker 1", "marker 2"]) {
      await client.subscribe(topic, { qos: 1, rh: retainHandling });
      await client.publish(topic, marker, { qos: 1 });
      const payloads: string[] = [];
      while (!payloads.includes(marker)) payloads.push((await client.nextMessage()).payload);
      seen.push(payloads.slice(0, -1));
    }
    return seen;
  }

  test("[MQTT-3.3.1-9] Retain Handling 0 sends retained messages at every subscribe", async () => {
    expect(await subscribeTwice(0)).toEqual([["retained"], ["retained"]]);
  });

  test("[MQTT-3.3.1-10] Retain Handling 1 sends them only to a new subscription", async () => {
    expect(await subscribeTwice(1)).toEqual([["retained"], []]);
  });

  test("[MQTT-3.3.1-11] Retain Handling 2 never sends them", async () => {
    expect(await subscribeTwice(2)).toEqual([[], []]);
  });

  test("[MQTT-3.3.1-13] Retain As Published keeps the RETAIN flag of live messages", async () => {
    const client = await connect("published");
    const topic = unique("published");
    await client.subscribe(topic, { qos: 1, rap: true });
    await client.publish(topic, "flagged", retained);
    await client.publish(topic, "plain", { qos: 1 });
    const messages = [await client.nextMessage(), await client.nextMessage()];
    expect(messages.map(({ payload, packet }) => [payload, packet.retain])).toEqual([
      ["flagged", true],
      ["plain", false],
    ]);
  });

  test("[MQTT-3.8.3-3] No Local keeps a client's own messages from it, and only those", async () => {
    const [client, other] = await Promise.all([connect("local"), connect("other")]);
    const topic = unique("local");
    await client.subscribe(topic, { qos: 1, nl: true });
    await client.publish(topic, "my own", { qos: 1 });
    await other.publish(topic, "another's", { qos: 1 });
    expect((await client.nextMessage()).payload).toBe("another's");
  });
});
