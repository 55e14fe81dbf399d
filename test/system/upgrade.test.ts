import { describe, expect, test } from "vitest";
import type { ClientOptions } from "ws";
import { RawClient } from "../support/raw-client.ts";
import { connectRaw, publishRaw, receiveRaw, subscribeRaw } from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";
import { upgrade as upgradeOf, type Upgrade } from "../support/upgrade.ts";

const broker = useBroker();

/** The answer to an upgrade of that path. */
function upgrade(path: string, subprotocols: string[], options: ClientOptions = {}): Promise<Upgrade> {
  return upgradeOf(`ws://127.0.0.1:${broker.port}${path}`, subprotocols, options);
}

describe("The HTTP side", () => {
  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${broker.port}${path}`);

  test("answers 426 to GET /mqtt without an upgrade, and says what to do", async () => {
    const response = await get("/mqtt");
    expect(response.status).toBe(426);
    expect(await response.text()).toContain("WebSocket");
  });

  test.each(["/", "/mqttx", "/other"])("answers 404 to an unknown path, %s", async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  test("answers 404 to an upgrade of an unknown path", async () => {
    expect((await upgrade("/other", ["mqtt"])).status).toBe(404);
  });

  test("answers 200 to GET /healthz", async () => {
    expect((await get("/healthz")).status).toBe(200);
  });

  test.each([[[]], [["chat"]], [["MQTT5", "x"]]])(
    "[MQTT-6.0.0-3] [MQTT-6.0.0-3 (3.1.1)] refuses an upgrade that does not offer mqtt but %j with 400 and a reason",
    async (subprotocols) => {
      const answer = await upgrade("/mqtt", subprotocols);
      expect(answer.status).toBe(400);
      expect(answer.body).toMatch(/mqtt/i);
    },
  );

  test.each([
    [["mqtt"], "mqtt"],
    [["mqttv3.1"], "mqttv3.1"],
    [["chat", "mqtt"], "mqtt"],
    [["mqttv3.1", "mqtt"], "mqtt"],
  ])("[MQTT-6.0.0-4] [MQTT-6.0.0-4 (3.1.1)] answers an offer of %j with %s", async (subprotocols, chosen) => {
    const { status, headers } = await upgrade("/mqtt", subprotocols);
    expect(status).toBe(101);
    // Which of two that both suit is the server's choice.
    if (subprotocols.length > 1 && subprotocols.every((name) => name.startsWith("mqtt"))) {
      expect(subprotocols).toContain(headers["sec-websocket-protocol"]);
    } else {
      expect(headers["sec-websocket-protocol"]).toBe(chosen);
    }
  });

  test("takes no assigned Client Identifier from a header of the client", async () => {
    const headers = { "duramq-assigned-client-id": "stolen" };
    const client = await RawClient.open(broker.url, { webSocket: { headers } });
    client.send({ cmd: "connect", protocolVersion: 5, clientId: "", clean: true, keepalive: 60 });
    const { reasonCode, properties } = await client.expectNext("connack");
    expect(reasonCode).toBe(0);
    expect(properties?.assignedClientIdentifier).toMatch(/^duramq-/);
  });

  test("negotiates no compression, even when it is offered", async () => {
    const { status, headers } = await upgrade("/mqtt", ["mqtt"], { perMessageDeflate: true });
    expect(status).toBe(101);
    expect(headers["sec-websocket-extensions"]).toBeUndefined();
  });
});

describe("The framing of packets", () => {
  test("[MQTT-6.0.0-1] [MQTT-6.0.0-1 (3.1.1)] a text frame closes the connection with 1003", async () => {
    const { client } = await connectRaw(broker.url, { clientId: unique("texter") });
    client.sendText("hello");
    expect((await client.closed()).code).toBe(1003);
  });

  test("[MQTT-6.0.0-1] a text frame before CONNECT closes the connection with 1003", async () => {
    const client = await RawClient.open(broker.url);
    client.sendText("hello");
    expect((await client.closed()).code).toBe(1003);
  });

  test.each([1, 2, 3, 7])(
    "[MQTT-6.0.0-2] [MQTT-6.0.0-2 (3.1.1)] packets may be split over frames of %i bytes",
    async (frameBytes) => {
      const client = await RawClient.open(broker.url, { protocolVersion: 4 });
      client.sendInFrames(connectBytes(client), frameBytes);
      expect((await client.expectNext("connack")).returnCode).toBe(0);
      const topic = unique("split");
      await subscribeRaw(client, topic, 1);
      const publish = client.encode({
        cmd: "publish",
        topic,
        payload: "x".repeat(200),
        qos: 1,
        messageId: 9,
        dup: false,
        retain: false,
      });
      client.sendInFrames(publish, frameBytes);
      expect((await receiveRaw(client)).payload.toString()).toBe("x".repeat(200));
      expect((await client.next("puback")).messageId).toBe(9);
    },
  );

  test("[MQTT-6.0.0-2] [MQTT-4.2.0-1] [MQTT-7.1.1-1 (3.1.1)] a frame may hold many packets, and the beginning of another", async () => {
    const client = await RawClient.open(broker.url, { protocolVersion: 4 });
    const topic = unique("joined");
    const publishes = Array.from({ length: 10 }, (_, index) =>
      client.encode({
        cmd: "publish",
        topic,
        payload: String(index),
        qos: 1,
        messageId: index + 1,
        dup: false,
        retain: false,
      }),
    );
    const bytes = Buffer.concat([
      connectBytes(client),
      client.encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] }),
      ...publishes,
      client.encode({ cmd: "pingreq" }),
    ]);
    client.sendBytes(bytes.subarray(0, -1));
    client.sendBytes(bytes.subarray(-1));
    await client.expectNext("connack");
    expect((await client.next("suback")).messageId).toBe(1);
    for (const index of publishes.keys()) {
      expect((await client.next("publish")).payload.toString()).toBe(String(index));
      expect((await client.next("puback")).messageId).toBe(index + 1);
    }
    await client.next("pingresp");
  });

  test("a large packet may come in many frames, between other clients' packets", async () => {
    const [{ client: slow }, { client: quick }] = await Promise.all([
      connectRaw(broker.url, { clientId: unique("slow") }),
      connectRaw(broker.url, { clientId: unique("quick") }),
    ]);
    const topic = unique("interleaved");
    await subscribeRaw(quick, topic, 0);
    const payload = Buffer.alloc(20_000, "0123456789");
    const packet = slow.encode({ cmd: "publish", topic, payload, qos: 0, dup: false, retain: false });
    const middle = packet.length >> 1;
    slow.sendInFrames(packet.subarray(0, middle), 1000);
    publishRaw(quick, { topic, payload: "quick", qos: 0 });
    expect((await quick.next("publish")).payload.toString()).toBe("quick");
    slow.sendInFrames(packet.subarray(middle), 1000);
    expect(Buffer.compare(Buffer.from((await quick.next("publish")).payload), payload)).toBe(0);
  });
});

function connectBytes(client: RawClient): Buffer {
  return client.encode({ cmd: "connect", protocolVersion: 4, clientId: unique("framed"), clean: true });
}
