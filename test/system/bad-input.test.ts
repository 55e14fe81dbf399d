import { describe, expect, test } from "vitest";
import {
  BAD_FIRST_PACKETS,
  BAD_PACKETS_OF_VERSION_5,
  BAD_TOPIC_FILTERS,
  BAD_TOPIC_FILTER_CODES,
  badPackets,
  NOT_A_CONNECT,
} from "../support/bad-packets.ts";
import { bytes, NO_PROPERTIES, variableByteInteger } from "../support/bytes.ts";
import { RawClient } from "../support/raw-client.ts";
import { connectRaw, publishRaw, subscribeRaw } from "../support/raw-session.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";

const broker = useBroker();
const PROTOCOL_ERROR = 0x82;
const PACKET_TOO_LARGE = 0x95;

/** Runs `disturb` between two messages of another client, which must get both, and nothing else. */
async function withBystander(disturb: () => Promise<void>): Promise<void> {
  const { client } = await connectRaw(broker.url, { clientId: unique("bystander") });
  const topic = unique("bystander");
  await subscribeRaw(client, topic, 1);
  publishRaw(client, { topic, payload: "before", qos: 0 });
  await disturb();
  publishRaw(client, { topic, payload: "after", qos: 0 });
  for (const payload of ["before", "after"]) {
    expect((await client.next("publish")).payload.toString()).toBe(payload);
  }
  expect(client.isOpen).toBe(true);
  client.send({ cmd: "disconnect" });
  await client.closed();
}

/** The Reason Code of the DISCONNECT that came before the close, if one did. */
async function disconnectReason(client: RawClient): Promise<number | undefined> {
  await client.closed();
  const last = client.received.at(-1);
  return last?.cmd === "disconnect" ? last.reasonCode : undefined;
}

describe("A first packet that is malformed closes the connection, unaccepted:", () => {
  test.each(BAD_FIRST_PACKETS)("$title", async ({ bytes: content }) => {
    await withBystander(async () => {
      const client = await RawClient.open(broker.url, { protocolVersion: 4 });
      client.sendBytes(content);
      await client.closed();
      // A CONNACK that refuses may come first; its second byte of the body is the code.
      for (const packet of client.received) {
        expect(packet.cmd).toBe("connack");
        expect(packet.bytes[3]).toBeGreaterThan(0);
      }
    });
  });
});

describe("[MQTT-3.1.0-1] A first packet other than CONNECT closes the connection, unanswered:", () => {
  test.each(NOT_A_CONNECT)("$title", async ({ bytes: content }) => {
    await withBystander(async () => {
      const client = await RawClient.open(broker.url);
      client.sendBytes(content);
      await client.closed();
      expect(client.received).toEqual([]);
    });
  });
});

describe.each([
  [4, Buffer.alloc(0), []],
  [5, NO_PROPERTIES, BAD_PACKETS_OF_VERSION_5],
] as const)("At protocol version %i the connection is closed by", (protocolVersion, optional, more) => {
  async function connect(): Promise<RawClient> {
    const { client } = await connectRaw(broker.url, { clientId: unique("offender"), protocolVersion });
    return client;
  }

  test.each([...badPackets(optional), ...more])("$title", async ({ bytes: content, reasonCodes }) => {
    await withBystander(async () => {
      const client = await connect();
      client.sendBytes(content);
      const reason = await disconnectReason(client);
      if (protocolVersion === 5) expect(reasonCodes).toContain(reason);
      else expect(client.received.map(({ cmd }) => cmd)).toEqual(["connack"]);
    });
  });

  test("[MQTT-3.1.0-2] a second CONNECT", async () => {
    await withBystander(async () => {
      const client = await connect();
      client.send({ cmd: "connect", protocolVersion, clientId: unique("second"), clean: true });
      expect(await disconnectReason(client)).toBe(protocolVersion === 5 ? PROTOCOL_ERROR : undefined);
    });
  });

  test("a packet over the limit, before it has come whole", async () => {
    await withBystander(async () => {
      const client = await connect();
      const largest = variableByteInteger(268_435_455);
      client.sendBytes(bytes(0x30, largest, 0, 3, "top", "only the beginning"));
      expect(await disconnectReason(client)).toBe(protocolVersion === 5 ? PACKET_TOO_LARGE : undefined);
    });
  });

  test.each(BAD_TOPIC_FILTERS)("or refused for the Topic Filter %j", async (topic) => {
    await withBystander(async () => {
      const client = await connect();
      const filter = Buffer.from(topic);
      const body = bytes(0, 7, optional, filter.length >> 8, filter.length & 0xff, filter, 0);
      client.sendBytes(bytes(0x82, variableByteInteger(body.length), body));
      // Rejects when the connection closes instead, which is the other way to refuse it.
      const suback = await client.next("suback").catch(() => undefined);
      if (suback) expect(BAD_TOPIC_FILTER_CODES).toContain(suback.granted[0]);
      else expect([undefined, ...BAD_TOPIC_FILTER_CODES]).toContain(await disconnectReason(client));
      client.terminate();
    });
  });
});

describe("The largest packet that CONNACK announces", () => {
  test("[MQTT-3.2.2-15] is taken, and one byte more is refused with 0x95", async () => {
    const { client, connack } = await connectRaw(broker.url, { clientId: unique("large") });
    const maximumPacketBytes = connack.properties?.maximumPacketSize ?? 0;
    expect(maximumPacketBytes).toBeGreaterThan(0);
    const { client: subscriber } = await connectRaw(broker.url, { clientId: unique("subscriber") });
    const topic = unique("large");
    await subscribeRaw(subscriber, topic, 0);

    client.sendBytes(publishOfSize(client, topic, maximumPacketBytes));
    expect((await subscriber.next("publish")).bytes.length).toBe(maximumPacketBytes);
    client.sendBytes(publishOfSize(client, topic, maximumPacketBytes + 1));
    expect(await disconnectReason(client)).toBe(PACKET_TOO_LARGE);
    expect(subscriber.isOpen).toBe(true);
  });
});

function publishOfSize(client: RawClient, topic: string, sizeBytes: number): Buffer {
  const encode = (payloadBytes: number): Buffer => {
    const payload = Buffer.alloc(payloadBytes, "x");
    return client.encode({ cmd: "publish", topic, payload, qos: 0, dup: false, retain: false });
  };
  const guess = encode(sizeBytes);
  return encode(sizeBytes - (guess.length - sizeBytes));
}
