import { describe, expect, test } from "vitest";
import { connectClient, persistent, waitUntil, type TestClient } from "../support/clients.ts";
import { connectRaw } from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const SESSION_TAKEN_OVER = 0x8e;
const KEEP_ALIVE_TIMEOUT = 0x8d;

describe.each([4, 5] as const)("A session at protocol version %i", (protocolVersion) => {
  const connect = (role: string): Promise<TestClient> =>
    connectClient(broker.url, { clientId: unique(role), protocolVersion });

  test.each([1, 2] as const)(
    "[MQTT-4.5.0-1] gets what was queued at QoS %i, in order, when it returns",
    async (qos) => {
      const options = persistent(protocolVersion, unique("sleeper"));
      const topic = unique("offline");
      const sleeper = await connectClient(broker.url, options);
      expect(sleeper.connack.sessionPresent).toBe(false);
      await sleeper.subscribe(topic, { qos });
      await sleeper.end();

      const publisher = await connect("publisher");
      const payloads = Array.from({ length: 50 }, (_, index) => String(index));
      await Promise.all(payloads.map((payload) => publisher.publish(topic, payload, { qos })));

      const returned = await connectClient(broker.url, options);
      expect(returned.connack.sessionPresent).toBe(true);
      expect(await returned.nextPayloads(payloads.length)).toEqual(payloads);
      await publisher.publish(topic, "live again", { qos });
      expect((await returned.nextMessage()).payload).toBe("live again");
    },
  );

  test("[MQTT-3.1.2-4] is forgotten at a clean start", async () => {
    const options = persistent(protocolVersion, unique("forgetful"));
    const topic = unique("forgotten");
    const first = await connectClient(broker.url, options);
    await first.subscribe(topic, { qos: 1 });
    await first.end();
    const second = await connectClient(broker.url, { ...options, clean: true });
    expect(second.connack.sessionPresent).toBe(false);
    const marker = `${topic}-marker`;
    await second.subscribe(marker, { qos: 1 });
    await second.publish(topic, "unwanted", { qos: 1 });
    await second.publish(marker, "marker", { qos: 1 });
    expect((await second.nextMessage()).payload).toBe("marker");
  });

  test("ends with the connection when it is not persistent", async () => {
    const clientId = unique("passing");
    const first = await connectClient(broker.url, { clientId, protocolVersion });
    await first.subscribe(unique("passing"), { qos: 1 });
    await first.end();
    const second = await connectClient(broker.url, { clientId, protocolVersion, clean: false });
    expect(second.connack.sessionPresent).toBe(false);
  });

  test("[MQTT-3.1.4-3] is taken over by a second connection with its Client Identifier", async () => {
    const options = persistent(protocolVersion, unique("twin"));
    const topic = unique("twin");
    const first = await connectClient(broker.url, options);
    await first.subscribe(topic, { qos: 1 });
    const second = await connectClient(broker.url, options);
    await first.closed();
    const reasonCodes = first.disconnects.map(({ reasonCode }) => reasonCode);
    expect(reasonCodes).toEqual(protocolVersion === 5 ? [SESSION_TAKEN_OVER] : []);
    expect(second.connack.sessionPresent).toBe(true);
    await second.publish(topic, "for the second", { qos: 1 });
    expect((await second.nextMessage()).payload).toBe("for the second");
  });
});

describe.each([4, 5] as const)("A Will Message at protocol version %i", (protocolVersion) => {
  interface WillSetting {
    readonly witness: TestClient;
    readonly mortal: TestClient;
    readonly willTopic: string;
  }

  async function prepare(retain = false): Promise<WillSetting> {
    const willTopic = unique("will");
    const witness = await connectClient(broker.url, { clientId: unique("witness"), protocolVersion });
    await witness.subscribe(willTopic, { qos: 2 });
    const mortal = await connectClient(broker.url, {
      clientId: unique("mortal"),
      protocolVersion,
      will: { topic: willTopic, payload: Buffer.from("farewell"), qos: 1, retain },
    });
    return { witness, mortal, willTopic };
  }

  test("[MQTT-3.1.2-8] is published when the connection breaks", async () => {
    const { witness, mortal, willTopic } = await prepare();
    await mortal.terminate();
    const message = await witness.nextMessage();
    expect(message).toMatchObject({ topic: willTopic, payload: "farewell" });
    expect(message.packet).toMatchObject({ qos: 1, retain: false });
  });

  test("[MQTT-3.14.4-3] is dropped at a normal DISCONNECT", async () => {
    const { witness, mortal, willTopic } = await prepare();
    await mortal.end();
    await witness.publish(willTopic, "marker", { qos: 1 });
    expect((await witness.nextMessage()).payload).toBe("marker");
  });

  test("[MQTT-3.1.2-15] is retained when its flag says so", async () => {
    const { witness, mortal, willTopic } = await prepare(true);
    await mortal.terminate();
    await witness.nextMessage();
    const latecomer = await connectClient(broker.url, { clientId: unique("latecomer"), protocolVersion });
    await latecomer.subscribe(willTopic, { qos: 1 });
    expect((await latecomer.nextMessage()).packet).toMatchObject({ retain: true });
  });

  test("[MQTT-3.1.2-22] is published when a client falls silent past its keep alive", async () => {
    const willTopic = unique("silence");
    const witness = await connectClient(broker.url, { clientId: unique("witness"), protocolVersion });
    await witness.subscribe(willTopic, { qos: 1 });
    const { client } = await connectRaw(broker.url, {
      clientId: unique("silent"),
      protocolVersion,
      keepAliveSec: 1,
      will: { topic: willTopic, payload: "silenced" },
    });
    const silentSinceMs = Date.now();
    expect((await witness.nextMessage()).payload).toBe("silenced");
    await client.closed();
    const silentSec = (Date.now() - silentSinceMs) / 1000;
    expect(silentSec).toBeGreaterThanOrEqual(1.4);
    expect(silentSec).toBeLessThan(1.5 + 5 + 1);
    if (protocolVersion === 5) {
      expect((await client.next("disconnect")).reasonCode).toBe(KEEP_ALIVE_TIMEOUT);
    }
  });
});

describe("A session of version 5", () => {
  test("[MQTT-4.1.0-2] expires after its Session Expiry Interval", async () => {
    const options = {
      clientId: unique("mayfly"),
      protocolVersion: 5,
      clean: false,
      properties: { sessionExpiryInterval: 1 },
    } as const;
    const first = await connectClient(broker.url, options);
    await first.subscribe(unique("mayfly"), { qos: 1 });
    await first.end();
    const endedMs = Date.now();
    await waitUntil(() => Date.now() > endedMs + 2500, "the session to expire");
    const second = await connectClient(broker.url, options);
    expect(second.connack.sessionPresent).toBe(false);
  });

  test("[MQTT-3.1.3-6] is given a Client Identifier when the client has none", async () => {
    const client = await connectClient(broker.url, { clientId: "", protocolVersion: 5 });
    expect(client.connack.properties?.assignedClientIdentifier).toMatch(/./);
  });
});

describe("A Will Message of version 5", () => {
  const willTopicOf = unique("delayed-will");
  const mortalOptions = (clientId: string, delaySec: number) =>
    ({
      ...persistent(5, clientId),
      will: {
        topic: `${willTopicOf}/${clientId}`,
        payload: Buffer.from("farewell"),
        qos: 1,
        properties: {
          willDelayInterval: delaySec,
          contentType: "text/plain",
          userProperties: { cause: "broken" },
        },
      },
    }) as const;

  async function witness(clientId: string): Promise<TestClient> {
    const client = await connectClient(broker.url, { clientId: unique("witness"), protocolVersion: 5 });
    await client.subscribe(`${willTopicOf}/${clientId}`, { qos: 1 });
    return client;
  }

  test("[MQTT-3.1.3-9] is not published when the client returns within the Will Delay Interval", async () => {
    const clientId = unique("returning");
    const observer = await witness(clientId);
    const mortal = await connectClient(broker.url, mortalOptions(clientId, 4));
    await mortal.terminate();
    const returned = await connectClient(broker.url, mortalOptions(clientId, 4));
    expect(returned.connack.sessionPresent).toBe(true);
    const returnedMs = Date.now();
    await waitUntil(() => Date.now() > returnedMs + 5000, "the Will Delay Interval to pass");
    await observer.publish(`${willTopicOf}/${clientId}`, "marker", { qos: 1 });
    expect((await observer.nextMessage()).payload).toBe("marker");
  });

  test("[MQTT-3.1.2-8] is published with its properties after the Will Delay Interval", async () => {
    const clientId = unique("delayed");
    const observer = await witness(clientId);
    const mortal = await connectClient(broker.url, mortalOptions(clientId, 1));
    const brokenMs = Date.now();
    await mortal.terminate();
    const { packet } = await observer.nextMessage();
    expect(Date.now() - brokenMs).toBeGreaterThanOrEqual(900);
    expect(packet.properties).toMatchObject({
      contentType: "text/plain",
      userProperties: { cause: "broken" },
    });
  });

  test("[MQTT-3.1.2-8] is published at DISCONNECT with Will Message (0x04)", async () => {
    const clientId = unique("leaving");
    const observer = await witness(clientId);
    const mortal = await connectClient(broker.url, mortalOptions(clientId, 0));
    await mortal.mqtt.endAsync({ reasonCode: 0x04 });
    expect((await observer.nextMessage()).payload).toBe("farewell");
  });

  test("is published when the session ends before its delay does", async () => {
    const clientId = unique("short");
    const observer = await witness(clientId);
    const mortal = await connectClient(broker.url, {
      ...mortalOptions(clientId, 3600),
      properties: { sessionExpiryInterval: 1 },
    });
    await mortal.terminate();
    expect((await observer.nextMessage()).payload).toBe("farewell");
  });
});
