import type { IConnectPacket } from "mqtt-packet";
import { describe, expect, test } from "vitest";
import { connectClient, persistent, type TestClient } from "../support/clients.ts";
import { RawClient, type PacketOf } from "../support/raw-client.ts";
import {
  connectPersistentRaw,
  connectRaw,
  pingRaw,
  publishRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const PAYLOAD_FORMAT_INVALID = 0x99;
const BAD_AUTHENTICATION_METHOD = 0x8c;
const PROTOCOL_ERROR = 0x82;
const TOO_MANY_LEVELS = "level/".repeat(1000);

type ConnectProperties = NonNullable<IConnectPacket["properties"]>;

function connect(role: string): Promise<TestClient> {
  return connectClient(broker.url, { clientId: unique(role), protocolVersion: 5 });
}

/** The CONNACK, whatever it says. */
async function connackOf(
  packet: Partial<IConnectPacket>,
): Promise<{ client: RawClient; connack: PacketOf<"connack"> }> {
  const client = await RawClient.open(broker.url);
  client.send({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clean: true,
    clientId: unique("raw"),
    keepalive: 60,
    ...packet,
  });
  return { client, connack: await client.expectNext("connack") };
}

async function connectWith(properties: ConnectProperties): Promise<RawClient> {
  return (await connectRaw(broker.url, { clientId: unique("raw"), properties })).client;
}

describe("Request Response Information", () => {
  test("[MQTT-3.1.2-28] is answered with a topic of the client's own, only where it was asked for", async () => {
    const asked = await Promise.all(
      ["one", "other"].map((role) =>
        connackOf({ clientId: unique(role), properties: { requestResponseInformation: true } }),
      ),
    );
    const topics = asked.map(({ connack }) => connack.properties?.responseInformation);
    for (const topic of topics) expect(topic).toMatch(/^[^+#]+$/);
    expect(topics[0]).not.toBe(topics[1]);
    for (const properties of [{}, { requestResponseInformation: false }]) {
      const { connack } = await connackOf({ properties });
      expect(connack.properties?.responseInformation).toBeUndefined();
    }
  });

  test("[MQTT-3.3.2-15] [MQTT-3.3.2-16] lets a request find its way back, with its Correlation Data", async () => {
    const requester = await connectClient(broker.url, {
      clientId: unique("requester"),
      protocolVersion: 5,
      properties: { requestResponseInformation: true },
    });
    const responder = await connect("responder");
    const responseTopic = `${requester.connack.properties?.responseInformation}/answers`;
    const topic = unique("service");
    await requester.subscribe(responseTopic, { qos: 1 });
    await responder.subscribe(topic, { qos: 1 });
    const correlationData = Buffer.from([0, 255, 7]);
    await requester.publish(topic, "question", { qos: 1, properties: { responseTopic, correlationData } });
    const { properties } = (await responder.nextMessage()).packet;
    await responder.publish(properties?.responseTopic ?? "", "answer", {
      qos: 1,
      properties: { correlationData: properties?.correlationData ?? Buffer.alloc(0) },
    });
    const answer = await requester.nextMessage();
    expect(answer).toMatchObject({ topic: responseTopic, payload: "answer" });
    expect(answer.packet.properties?.correlationData).toEqual(correlationData);
  });
});

describe("Request Problem Information", () => {
  /** PUBACK, PUBREC and SUBACK of what is refused. */
  async function refusals(client: RawClient) {
    publishRaw(client, { topic: "$SYS/refused", payload: "x", qos: 1, messageId: 1 });
    const puback = await client.expectNext("puback");
    publishRaw(client, { topic: "$SYS/refused", payload: "x", qos: 2, messageId: 2 });
    const pubrec = await client.expectNext("pubrec");
    client.send({ cmd: "subscribe", messageId: 3, subscriptions: [{ topic: TOO_MANY_LEVELS, qos: 0 }] });
    const suback = await client.expectNext("suback");
    expect([puback.reasonCode, pubrec.reasonCode, ...(suback.granted as number[])]).toEqual([
      0x87, 0x87, 0x8f,
    ]);
    return [puback, pubrec, suback].map(({ properties }) => properties);
  }

  test.each([{}, { requestProblemInformation: true }])(
    "brings Reason Strings with refusals, as %j",
    async (properties) => {
      for (const given of await refusals(await connectWith(properties))) {
        expect(given?.reasonString).toMatch(/\w+ \w+/);
      }
    },
  );

  test("[MQTT-3.1.2-29] set to 0 leaves them out, but for CONNACK and DISCONNECT", async () => {
    const client = await connectWith({ requestProblemInformation: false });
    expect(await refusals(client)).toEqual([undefined, undefined, undefined]);
    client.send({ cmd: "auth", reasonCode: 0x19, properties: { authenticationMethod: "none" } });
    await client.closed();
    const disconnect = await client.next("disconnect");
    expect(disconnect.reasonCode).toBe(PROTOCOL_ERROR);
    expect(disconnect.properties?.userProperties).toBeUndefined();
  });

  test("a success has no Reason String", async () => {
    const { client, connack } = await connackOf({});
    expect(connack.properties?.reasonString).toBeUndefined();
    await subscribeRaw(client, unique("topic"), 1);
    const suback = client.received.find(({ cmd }) => cmd === "suback") as PacketOf<"suback">;
    expect(suback.properties).toBeUndefined();
    publishRaw(client, { topic: unique("topic"), payload: "x", qos: 1, messageId: 1 });
    expect((await client.expectNext("puback")).properties).toBeUndefined();
  });
});

describe("The client's Maximum Packet Size", () => {
  test.each([0, 1, 2] as const)(
    "[MQTT-3.1.2-24] [MQTT-3.1.2-25] leaves larger messages out for this client only, at QoS %i",
    async (qos) => {
      const topic = unique("size");
      const filter = `${topic}/#`;
      const properties = { maximumPacketSize: 200 };
      const small = await connectClient(broker.url, {
        clientId: unique("small"),
        protocolVersion: 5,
        properties,
      });
      const large = await connect("large");
      for (const client of [small, large]) await client.subscribe(filter, { qos });
      const payloads = ["1", "x".repeat(300), "2", "y".repeat(1000), "3"];
      for (const payload of payloads) await large.publish(`${topic}/a`, payload, { qos });
      expect(await small.nextPayloads(3)).toEqual(["1", "2", "3"]);
      expect(await large.nextPayloads(5)).toEqual(payloads);
      expect(small.untaken).toEqual([]);
    },
  );

  test("is met to the byte", async () => {
    const topic = unique("size");
    const client = await connectWith({ maximumPacketSize: 100 });
    await subscribeRaw(client, topic, 0);
    // Fixed header 2, length of the topic 2, the topic, no properties 1.
    const room = 100 - 5 - topic.length;
    const publisher = await connect("publisher");
    for (const size of [room + 1, room]) await publisher.publish(topic, "x".repeat(size));
    expect((await client.next("publish")).bytes).toHaveLength(100);
    expect(client.untaken).toEqual([]);
  });

  test("holds for retained messages, and for what waited for the session", async () => {
    const clientId = unique("shrunk");
    const topic = unique("size");
    const { client: before } = await connectPersistentRaw(broker.url, clientId);
    await subscribeRaw(before, `${topic}/queued`, 1);
    before.send({ cmd: "disconnect" });
    await before.closed();
    const publisher = await connect("publisher");
    for (const name of ["queued", "retained"]) {
      const options = { qos: 1, retain: name === "retained" } as const;
      await publisher.publish(`${topic}/${name}`, "x".repeat(500), options);
      await publisher.publish(`${topic}/${name}/small`, "small", options);
    }
    await publisher.publish(`${topic}/queued`, "small", { qos: 1 });
    const { client } = await connectRaw(broker.url, {
      clientId,
      clean: false,
      properties: { maximumPacketSize: 150, sessionExpiryInterval: 3600 },
    });
    expect((await client.next("publish")).payload.toString()).toBe("small");
    await subscribeRaw(client, `${topic}/retained/#`, 1);
    expect((await client.next("publish")).topic).toBe(`${topic}/retained/small`);
    expect(Math.max(...client.received.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(150);
  });

  test("[MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3] leaves out Reason Strings that are too long", async () => {
    const client = await connectWith({ maximumPacketSize: 30 });
    publishRaw(client, { topic: "$SYS/refused", payload: "x", qos: 1, messageId: 1 });
    expect((await client.expectNext("puback")).reasonCode).toBe(0x87);
    publishRaw(client, { topic: "$SYS/refused", payload: "x", qos: 2, messageId: 2 });
    expect((await client.expectNext("pubrec")).reasonCode).toBe(0x87);
    client.send({ cmd: "subscribe", messageId: 3, subscriptions: [{ topic: TOO_MANY_LEVELS, qos: 0 }] });
    expect((await client.expectNext("suback")).granted).toEqual([0x8f]);
    client.send({ cmd: "auth", reasonCode: 0x19, properties: { authenticationMethod: "none" } });
    await client.closed();
    expect((await client.next("disconnect")).reasonCode).toBe(PROTOCOL_ERROR);
    for (const { bytes } of client.received) expect(bytes.length).toBeLessThanOrEqual(30);
  });

  test("[MQTT-3.2.2-19] leaves out the Reason String of a CONNACK, too", async () => {
    const { client, connack } = await connackOf({
      properties: { maximumPacketSize: 20, authenticationMethod: "unknown" },
    });
    await client.closed();
    expect(connack.reasonCode).toBe(BAD_AUTHENTICATION_METHOD);
    expect(connack.bytes.length).toBeLessThanOrEqual(20);
  });
});

describe("The client's Receive Maximum", () => {
  /** When it returns, the broker has handled them all. */
  async function publishNumbers(topic: string, count: number, qos: 0 | 1 | 2): Promise<void> {
    const publisher = await connect("publisher");
    for (let number = 1; number <= count; number += 1) await publisher.publish(topic, `${number}`, { qos });
    await publisher.publish(unique("elsewhere"), "marker", { qos: 1 });
  }

  /** What the client has got so far and not taken, after a round trip. */
  async function arrived(client: RawClient): Promise<string[]> {
    await pingRaw(client);
    return client.untaken.flatMap((packet) => (packet.cmd === "publish" ? [packet.payload.toString()] : []));
  }

  test("[MQTT-3.3.4-9] [MQTT-4.9.0-2] holds QoS 1 messages back until earlier ones are acknowledged", async () => {
    const topic = unique("window");
    const client = await connectWith({ receiveMaximum: 3 });
    await subscribeRaw(client, topic, 1);
    await publishNumbers(topic, 7, 1);
    expect(await arrived(client)).toEqual(["1", "2", "3"]);
    const [first, second, third] = [
      await client.next("publish"),
      await client.next("publish"),
      await client.next("publish"),
    ];
    client.send({ cmd: "puback", messageId: second.messageId ?? 0 });
    expect(await arrived(client)).toEqual(["4"]);
    for (const { messageId = 0 } of [third, first]) client.send({ cmd: "puback", messageId });
    expect(await arrived(client)).toEqual(["4", "5", "6"]);
  });

  test("[MQTT-4.9.0-2] counts a QoS 2 message until PUBCOMP, or until a PUBREC that refuses it", async () => {
    const topic = unique("window");
    const client = await connectWith({ receiveMaximum: 1 });
    await subscribeRaw(client, topic, 2);
    await publishNumbers(topic, 3, 2);
    const { messageId = 0 } = await client.next("publish");
    client.send({ cmd: "pubrec", messageId });
    await client.next("pubrel");
    expect(await arrived(client)).toEqual([]);
    client.send({ cmd: "pubcomp", messageId });
    const second = await client.next("publish");
    expect(second.payload.toString()).toBe("2");
    client.send({ cmd: "pubrec", messageId: second.messageId ?? 0, reasonCode: 0x80 });
    expect((await client.next("publish")).payload.toString()).toBe("3");
  });

  test("[MQTT-4.9.0-3] holds back neither QoS 0 messages nor any other packets", async () => {
    const topic = unique("window");
    const client = await connectWith({ receiveMaximum: 1 });
    await subscribeRaw(client, topic, 1);
    await publishNumbers(topic, 2, 1);
    expect(await arrived(client)).toEqual(["1"]);
    await publishNumbers(topic, 3, 0);
    expect(await arrived(client)).toEqual(["1", "1", "2", "3"]);
    await subscribeRaw(client, unique("window"), 2, 9);
    publishRaw(client, { topic, payload: "own", qos: 1, messageId: 10 });
    expect((await client.next("puback")).messageId).toBe(10);
  });

  test("holds for what is sent again to a session that returns with a smaller one", async () => {
    const topic = unique("window");
    const clientId = unique("narrowed");
    const { client: before } = await connectPersistentRaw(broker.url, clientId);
    await subscribeRaw(before, topic, 1);
    await publishNumbers(topic, 5, 1);
    expect(await arrived(before)).toEqual(["1", "2", "3", "4", "5"]);
    before.terminate();
    const { client } = await connectRaw(broker.url, {
      clientId,
      clean: false,
      properties: { receiveMaximum: 2, sessionExpiryInterval: 3600 },
    });
    const received: string[] = [];
    while (received.length < 5) {
      expect((await arrived(client)).length).toBeLessThanOrEqual(2);
      const message = await client.next("publish");
      expect(message.dup).toBe(true);
      received.push(message.payload.toString());
      client.send({ cmd: "puback", messageId: message.messageId ?? 0 });
    }
    expect(received).toEqual(["1", "2", "3", "4", "5"]);
  });

  test("is that of the session's present connection when it is larger again", async () => {
    const topic = unique("window");
    const options = persistent(5, unique("widened"));
    const narrow = await connectClient(broker.url, {
      ...options,
      properties: { sessionExpiryInterval: 3600, receiveMaximum: 1 },
    });
    await narrow.subscribe(topic, { qos: 1 });
    await narrow.end();
    await publishNumbers(topic, 4, 1);
    const { client } = await connectPersistentRaw(broker.url, options.clientId);
    for (const payload of ["1", "2", "3", "4"]) {
      expect((await client.next("publish")).payload.toString()).toBe(payload);
    }
  });
});

describe("A payload that claims to be UTF-8", () => {
  const payloadFormatIndicator = true;

  test("is refused with 0x99 when it is not, and nobody gets it", async () => {
    const topic = unique("format");
    const witness = await connect("witness");
    await witness.subscribe(topic, { qos: 2 });
    const { client } = await connectRaw(broker.url, { clientId: unique("liar") });
    const message = {
      topic,
      payload: Buffer.from([0x61, 0xff]) as never,
      properties: { payloadFormatIndicator },
    };
    publishRaw(client, { ...message, qos: 0 });
    publishRaw(client, { ...message, qos: 1, messageId: 1 });
    expect((await client.expectNext("puback")).reasonCode).toBe(PAYLOAD_FORMAT_INVALID);
    publishRaw(client, { ...message, qos: 2, messageId: 2 });
    expect((await client.expectNext("pubrec")).reasonCode).toBe(PAYLOAD_FORMAT_INVALID);
    // The refused Packet Identifier is free again, and the same bytes pass without the claim.
    publishRaw(client, { topic, payload: message.payload, qos: 2, messageId: 2 });
    expect((await client.expectNext("pubrec")).reasonCode ?? 0).toBe(0);
    client.send({ cmd: "pubrel", messageId: 2 });
    const { packet } = await witness.nextMessage();
    expect([...(packet.payload as Buffer)]).toEqual([0x61, 0xff]);
    expect(witness.untaken).toEqual([]);
  });

  test.each(["", "grüße 🦆", "a\0b"])("passes when it is, as %j", async (payload) => {
    const client = await connect("honest");
    const topic = unique("format");
    await client.subscribe(topic, { qos: 1 });
    await client.publish(topic, payload, { qos: 1, properties: { payloadFormatIndicator } });
    const message = await client.nextMessage();
    expect(message.payload).toBe(payload);
    expect(message.packet.properties?.payloadFormatIndicator).toBe(true);
  });

  test("is refused as a Will already at CONNECT", async () => {
    const will = { topic: unique("format"), payload: Buffer.from([0xff]), qos: 0, retain: false } as const;
    const { connack } = await connackOf({ will: { ...will, properties: { payloadFormatIndicator } } });
    expect(connack.reasonCode).toBe(PAYLOAD_FORMAT_INVALID);
  });
});

describe("Enhanced authentication", () => {
  test("[MQTT-4.12.0-1] [MQTT-4.12.0-4] by an unknown method ends with CONNACK 0x8C, and makes no session", async () => {
    const clientId = unique("stranger");
    const { client, connack } = await connackOf({
      clientId,
      clean: false,
      properties: {
        sessionExpiryInterval: 3600,
        authenticationMethod: "SCRAM-SHA-1",
        authenticationData: Buffer.from("n,,n=user,r=nonce"),
      },
    });
    expect(connack.reasonCode).toBe(BAD_AUTHENTICATION_METHOD);
    expect(connack.properties?.reasonString).toMatch(/Method/);
    await client.closed();
    const { connack: second } = await connectPersistentRaw(broker.url, clientId);
    expect(second.sessionPresent).toBe(false);
  });

  test.each([0x18, 0x19])(
    "AUTH with %i is a Protocol Error where CONNECT named no method",
    async (reasonCode) => {
      const { client } = await connectRaw(broker.url, { clientId: unique("raw") });
      client.send({ cmd: "auth", reasonCode, properties: { authenticationMethod: "SCRAM-SHA-1" } });
      await client.closed();
      expect((await client.next("disconnect")).reasonCode).toBe(PROTOCOL_ERROR);
    },
  );
});
