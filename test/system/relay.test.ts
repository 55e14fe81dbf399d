import type { IConnectPacket } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { connectClient } from "../support/clients.ts";
import { Home } from "../support/home.ts";
import { RawClient } from "../support/raw-client.ts";
import {
  connectPersistentRaw,
  connectRaw,
  pingRaw,
  publishRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { hinted, useBrokerWith } from "./shards.ts";

const SHARDS = 4;
const broker = useBrokerWith({ shards: SHARDS, environment: { MAXIMUM_PACKET_SIZE_BYTES: "300000" } });
const home = new Home(2, SHARDS);

const PATHS = [
  ["relayed by the Worker", () => broker.running.url],
  ["straight to its shard", (clientId: string) => hinted(broker.running.url, clientId)],
] as const;

function connectBytes(client: RawClient, clientId: string, changes: Partial<IConnectPacket> = {}): Buffer {
  return client.encode({
    cmd: "connect",
    protocolVersion: client.protocolVersion,
    clientId,
    clean: true,
    keepalive: 60,
    ...changes,
  });
}

/** A client on another connection that sees what happens to the topic. */
async function witnessOf(topic: string): Promise<RawClient> {
  const clientId = home.clientId("witness");
  const { client } = await connectRaw(hinted(broker.running.url, clientId), { clientId });
  await subscribeRaw(client, topic, 1);
  return client;
}

async function nextPayload(client: RawClient): Promise<string> {
  return (await client.next("publish")).payload.toString();
}

/** What stands out against a Will that was not published: the next message. */
function publishMarker(witness: RawClient, topic: string): void {
  publishRaw(witness, { topic, payload: "marker", qos: 0 });
}

describe.each(PATHS)("A client %s", (_name, urlOf) => {
  function connectWithWill(topic: string) {
    const clientId = home.clientId("mortal");
    const will = { topic, payload: Buffer.from("will"), qos: 1 as const, retain: false };
    return connectRaw(urlOf(clientId), { clientId, will });
  }

  test.each([3, 4, 5] as const)("speaks version %i", async (protocolVersion) => {
    const clientId = home.clientId("c");
    const topic = home.topic("spoken");
    const { client } = await connectRaw(urlOf(clientId), { clientId, protocolVersion });
    await subscribeRaw(client, topic, 1);
    publishRaw(client, { topic, payload: "hi", qos: 1, messageId: 7 });
    expect(await nextPayload(client)).toBe("hi");
    expect((await client.next("puback")).messageId).toBe(7);
  });

  test.each(["mqtt", "mqttv3.1"])("gets the subprotocol %s that it offers", async (subprotocol) => {
    const client = await RawClient.open(urlOf(home.clientId("c")), { subprotocols: [subprotocol] });
    expect(client.socket.protocol).toBe(subprotocol);
    expect(client.socket.extensions).toBe("");
    client.terminate();
  });

  test.each([1, 7])("may send CONNECT in frames of %i bytes", async (frameBytes) => {
    const clientId = home.clientId("c");
    const client = await RawClient.open(urlOf(clientId));
    client.sendInFrames(connectBytes(client, clientId), frameBytes);
    expect((await client.expectNext("connack")).reasonCode).toBe(0);
  });

  test("may send CONNECT, SUBSCRIBE and the beginning of PUBLISH in one frame", async () => {
    const clientId = home.clientId("c");
    const topic = home.topic("one-frame");
    const client = await RawClient.open(urlOf(clientId), { protocolVersion: 4 });
    const bytes = Buffer.concat([
      connectBytes(client, clientId),
      client.encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] }),
      client.encode({ cmd: "publish", topic, payload: "joined", qos: 0, dup: false, retain: false }),
    ]);
    client.sendBytes(bytes.subarray(0, -3));
    client.sendBytes(bytes.subarray(-3));
    await client.expectNext("connack");
    await client.expectNext("suback");
    expect(await nextPayload(client)).toBe("joined");
  });

  test("sends and gets packets of any size unaltered and in order", async () => {
    const clientId = home.clientId("c");
    const topic = home.topic("bulk");
    const { client } = await connectRaw(urlOf(clientId), { clientId });
    await subscribeRaw(client, topic, 0);
    // A few at a time: of more, a shard leaves some out at QoS 0.
    for (let round = 0; round < 20; round += 1) {
      const sizes = [250_000, ...Array.from({ length: 20 }, (_, index) => 1 + index * round * 5)];
      const payloads = sizes.map((size) => Buffer.alloc(size, `${round} ${size} `));
      for (const payload of payloads) {
        const publish = { cmd: "publish", topic, payload, qos: 0, dup: false, retain: false } as const;
        client.sendInFrames(client.encode(publish), 60_000);
      }
      for (const payload of payloads) {
        expect(Buffer.compare(Buffer.from((await client.next("publish")).payload), payload)).toBe(0);
      }
    }
  });

  test("keeps its session, its queue and its order when it comes back", async () => {
    const clientId = home.clientId("returning");
    const topic = home.topic("kept");
    const { client } = await connectPersistentRaw(urlOf(clientId), clientId);
    await subscribeRaw(client, topic, 1);
    client.terminate();
    await client.closed();
    const witness = await witnessOf(topic);
    for (const [index, payload] of ["1", "2"].entries()) {
      publishRaw(witness, { topic, payload, qos: 1, messageId: index + 1 });
      await witness.next("puback");
    }
    const { client: back, connack } = await connectPersistentRaw(urlOf(clientId), clientId);
    expect(connack.sessionPresent).toBe(true);
    expect([await nextPayload(back), await nextPayload(back)]).toEqual(["1", "2"]);
  });

  test.each([1000, 1001, 3000, 4999, undefined])(
    "that closes with %s, and no DISCONNECT, leaves its Will",
    async (code) => {
      const topic = home.topic("will");
      const witness = await witnessOf(topic);
      const { client } = await connectWithWill(topic);
      client.socket.close(code);
      expect(await nextPayload(witness)).toBe("will");
      // Without a code the answer may have none either, which ws shows as 1005.
      expect(code === undefined ? [1000, 1005] : [code]).toContain((await client.closed()).code);
    },
  );

  test("that breaks off leaves its Will", async () => {
    const topic = home.topic("will");
    const witness = await witnessOf(topic);
    const { client } = await connectWithWill(topic);
    client.terminate();
    expect(await nextPayload(witness)).toBe("will");
  });

  test("that says everything at once and breaks off is heard, and leaves its Will", async () => {
    const topic = home.topic("will");
    const witness = await witnessOf(topic);
    const clientId = home.clientId("hasty");
    const client = await RawClient.open(urlOf(clientId));
    const will = { topic, payload: Buffer.from("will"), qos: 0 as const, retain: false };
    client.sendBytes(
      Buffer.concat([
        connectBytes(client, clientId, { will }),
        client.encode({ cmd: "publish", topic, payload: "said", qos: 0, dup: false, retain: false }),
      ]),
    );
    client.terminate();
    expect(await nextPayload(witness)).toBe("said");
    expect(await nextPayload(witness)).toBe("will");
  });

  test("that says DISCONNECT just before it closes leaves no Will, however it closes", async () => {
    const topic = home.topic("will");
    const witness = await witnessOf(topic);
    for (const code of [1000, 1001, 4000]) {
      const clientId = home.clientId("polite");
      const client = await RawClient.open(urlOf(clientId), { protocolVersion: 4 });
      const will = { topic, payload: Buffer.from("will"), qos: 0 as const, retain: false };
      for (const bytes of [
        connectBytes(client, clientId, { will }),
        client.encode({ cmd: "publish", topic, payload: "said", qos: 0, dup: false, retain: false }),
        client.encode({ cmd: "disconnect" }),
      ]) {
        client.sendBytes(bytes);
      }
      client.socket.close(code);
      await client.closed();
      publishMarker(witness, topic);
      expect([await nextPayload(witness), await nextPayload(witness)]).toEqual(["said", "marker"]);
    }
  });

  test("is told why the shard closes", async () => {
    const clientId = home.clientId("c");
    const { client } = await connectRaw(urlOf(clientId), { clientId });
    client.sendBytes(connectBytes(client, clientId));
    expect((await client.next("disconnect")).reasonCode).toBe(0x82);
    expect((await client.closed()).code).toBe(1002);
  });

  test("is taken over by one that comes on either way", async () => {
    const clientId = home.clientId("twin");
    const { client: first } = await connectRaw(urlOf(clientId), { clientId });
    for (const [, otherUrlOf] of PATHS) {
      await connectRaw(otherUrlOf(clientId), { clientId });
    }
    expect((await first.next("disconnect")).reasonCode).toBe(0x8e);
    await first.closed();
  });

  test.each([
    ["no CONNECT", Buffer.from([0xc0, 0x00]), 1002],
    ["no MQTT", Buffer.from("GET / HTTP/1.1\r\n\r\n"), 1002],
    ["a packet that is too large", Buffer.from([0x10, 0xff, 0xff, 0x7f]), 1002],
    ["text", "hello", 1003],
  ])("that begins with %s is refused by a shard", async (_begins, data, code) => {
    const client = await RawClient.open(urlOf(home.clientId("c")));
    if (typeof data === "string") client.sendText(data);
    else client.sendBytes(data);
    const closed = await client.closed();
    expect(closed.code).toBe(code);
    expect(closed.reason).not.toBe("");
    expect(client.received).toEqual([]);
  });

  test.each([
    [6, 5, 0x84],
    [2, 4, 1],
  ] as const)("of version %i is answered in version %i with %i", async (version, spoken, code) => {
    const client = await RawClient.open(urlOf(home.clientId("c")), { protocolVersion: spoken });
    const bytes = connectBytes(client, "c");
    bytes[8] = version;
    client.sendBytes(bytes);
    const { reasonCode, returnCode } = await client.expectNext("connack");
    expect(spoken === 5 ? reasonCode : returnCode).toBe(code);
    await client.closed();
  });

  test("that sends a text frame later is closed with 1003", async () => {
    const clientId = home.clientId("c");
    const { client } = await connectRaw(urlOf(clientId), { clientId });
    client.sendText("hello");
    expect((await client.closed()).code).toBe(1003);
  });
});

describe("A Client Identifier", () => {
  test("that contradicts the hint is refused with 0x85", async () => {
    const client = await RawClient.open(hinted(broker.running.url, home.clientId("said")));
    client.sendBytes(connectBytes(client, home.clientId("meant")));
    expect((await client.expectNext("connack")).reasonCode).toBe(0x85);
    await client.closed();
  });

  test("is that of the hint when CONNECT has none", async () => {
    const clientId = home.clientId("hinted");
    const client = await RawClient.open(hinted(broker.running.url, clientId));
    client.sendBytes(connectBytes(client, ""));
    const { properties } = await client.expectNext("connack");
    expect(properties?.assignedClientIdentifier).toBe(clientId);
  });

  test("is assigned when there is neither, and leads back to the session", async () => {
    const client = await RawClient.open(broker.running.url);
    const sessionExpiryInterval = 3600;
    client.sendBytes(connectBytes(client, "", { properties: { sessionExpiryInterval } }));
    const { reasonCode, properties } = await client.expectNext("connack");
    expect(reasonCode).toBe(0);
    const clientId = properties?.assignedClientIdentifier ?? "";
    expect(clientId).toMatch(/^duramq-[0-9a-f-]{36}$/);
    client.terminate();
    for (const [, urlOf] of PATHS) {
      const { client: back, connack } = await connectPersistentRaw(urlOf(clientId), clientId);
      expect(connack.sessionPresent).toBe(true);
      back.terminate();
    }
  });

  test("is not needed in version 3.1.1 either", async () => {
    const { client } = await connectRaw(broker.running.url, { clientId: "", protocolVersion: 4 });
    await pingRaw(client);
  });

  test("is not needed by MQTT.js", async () => {
    const client = await connectClient(broker.running.url, { clientId: "", protocolVersion: 5 });
    expect(client.connack.reasonCode).toBe(0);
  });

  test("cannot be assigned by a header of the client", async () => {
    const client = await RawClient.open(broker.running.url, {
      webSocket: { headers: { "duramq-assigned-client-id": "stolen" } },
    });
    client.sendBytes(connectBytes(client, ""));
    const { reasonCode, properties } = await client.expectNext("connack");
    expect(reasonCode).toBe(0);
    expect(properties?.assignedClientIdentifier).toMatch(/^duramq-/);
  });
});

test("A client that is not known has 10 s for its CONNECT", async () => {
  const [silent, slow] = await Promise.all([
    RawClient.open(broker.running.url),
    RawClient.open(broker.running.url),
  ]);
  slow.sendBytes(connectBytes(slow, "slow").subarray(0, 5));
  expect(await silent.closed()).toEqual({ code: 1002, reason: "There was no CONNECT" });
  expect(await slow.closed()).toEqual({ code: 1002, reason: "A packet was not completed" });
});
