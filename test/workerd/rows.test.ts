/** What the broker writes is what its owner pays: rows, with an alarm that is armed counted as one. */
import { describe, expect, test } from "vitest";
import { emptyPolicy } from "../../src/core/access/policy.ts";
import { encodeClientPacket } from "../codec/client-encode.ts";
import type { Client } from "./client.ts";
import {
  connectPacket,
  persistent,
  publishPacket,
  type PublishOptions,
  responsePacket,
  subscribePacket,
  will,
} from "./packets.ts";
import { TestObject } from "./test-object.ts";

/**
 * An object that has made its first commit, which also writes the schema and the object's own row; and whose alarm
 * is armed, as it is while any session with a row is connected.
 */
async function usedObject(): Promise<TestObject> {
  const object = new TestObject();
  await object.connect("first", persistent);
  return object;
}

async function connectAll(
  object: TestObject,
  count: number,
  topicFilter: string,
  qos: 0 | 1 | 2,
): Promise<Client[]> {
  const clients: Client[] = [];
  for (let index = 0; index < count; index += 1) {
    const client = await object.connect(`subscriber-${index}`);
    await subscribe(client, topicFilter, qos);
    clients.push(client);
  }
  return clients;
}

async function subscribe(client: Client, topicFilter: string, qos: 0 | 1 | 2): Promise<void> {
  client.send(subscribePacket(topicFilter, qos));
  await client.next("suback");
}

/** A session that outlives its connections, online, with one subscription. */
async function persistentSubscriber(object: TestObject, qos: 1 | 2): Promise<Client> {
  const client = await object.connect("persistent", persistent);
  await subscribe(client, "news", qos);
  return client;
}

async function publishQos1(client: Client, payload = "x", options: PublishOptions = {}): Promise<void> {
  client.send(publishPacket("news", payload, { qos: 1, ...options }));
  await client.next("puback");
}

async function publishQos2(client: Client): Promise<void> {
  client.send(publishPacket("news", "x", { qos: 2 }));
  await client.next("pubrec");
  client.send(responsePacket("pubrel", 1));
  await client.next("pubcomp");
}

async function takeQos1(client: Client): Promise<void> {
  const { packetIdentifier = 0 } = await client.next("publish");
  client.send(responsePacket("puback", packetIdentifier));
}

async function takeQos2(client: Client): Promise<void> {
  const { packetIdentifier = 0 } = await client.next("publish");
  client.send(responsePacket("pubrec", packetIdentifier));
  await client.next("pubrel");
  client.send(responsePacket("pubcomp", packetIdentifier));
}

async function disconnect(client: Client): Promise<void> {
  client.send({ type: "disconnect", reasonCode: 0 });
  await client.closed;
}

describe("no row is written", () => {
  test("by PINGREQ, also when the object was evicted in between", async () => {
    const object = await usedObject();
    const client = await object.connect("client", { keepAliveSec: 60 });
    const rows = await object.rowsDuring(async () => {
      for (let count = 0; count < 8; count += 1) {
        object.skip(10);
        await object.evict();
        await client.ping();
      }
    });
    expect(rows).toBe(0);
    expect(object.instruments.lives).toBe(9);
  });

  test("by a QoS 0 message, whoever receives it", async () => {
    const object = await usedObject();
    const subscribers = [...(await connectAll(object, 20, "news", 1)), await persistentSubscriber(object, 2)];
    const publisher = await object.connect("publisher");
    const rows = await object.rowsDuring(async () => {
      publisher.send(publishPacket("news", "x"));
      for (const subscriber of subscribers) await subscriber.next("publish");
    });
    expect(rows).toBe(0);
  });

  test("by a QoS 1 message to sessions that end with their connections", async () => {
    const object = await usedObject();
    const subscribers = await connectAll(object, 5, "news", 1);
    const publisher = await object.connect("publisher");
    const rows = await object.rowsDuring(async () => {
      await publishQos1(publisher);
      await object.evict();
      for (const subscriber of subscribers) await takeQos1(subscriber);
      for (const subscriber of subscribers) await subscriber.ping();
    });
    expect(rows).toBe(0);
  });

  test("by a QoS 2 message between sessions that end with their connections", async () => {
    const object = await usedObject();
    const subscribers = await connectAll(object, 5, "news", 2);
    const publisher = await object.connect("publisher");
    const rows = await object.rowsDuring(async () => {
      await publishQos2(publisher);
      await object.evict();
      for (const subscriber of subscribers) await takeQos2(subscriber);
      for (const subscriber of subscribers) await subscriber.ping();
    });
    expect(rows).toBe(0);
  });

  test("by CONNECT and DISCONNECT of a session that ends with its connection", async () => {
    const object = await usedObject();
    const rows = await object.rowsDuring(async () => disconnect(await object.connect("client")));
    expect(rows).toBe(0);
  });

  test("by the subscriptions of such a session", async () => {
    const object = await usedObject();
    const client = await object.connect("client");
    expect(await object.rowsDuring(() => subscribe(client, "news", 2))).toBe(0);
  });

  test("by a SUBSCRIBE that says nothing new", async () => {
    const object = await usedObject();
    const client = await persistentSubscriber(object, 1);
    expect(await object.rowsDuring(() => subscribe(client, "news", 1))).toBe(0);
  });
});

describe("one row is written", () => {
  test.each([
    ["with a session that outlives it", persistent],
    ["with a Will", { will: will("wills") }],
    ["with both", { ...persistent, will: will("wills") }],
  ] as const)("by a CONNECT %s, and one by its DISCONNECT", async (_, options) => {
    const object = await usedObject();
    let client: Client | undefined;
    const connecting = await object.rowsDuring(async () => {
      client = await object.connect("client", options);
    });
    const leaving = await object.rowsDuring(async () => client && disconnect(client));
    expect([connecting, leaving]).toEqual([1, 1]);
  });

  test("by a new subscription of a session that outlives its connection", async () => {
    const object = await usedObject();
    const client = await object.connect("client", persistent);
    expect(await object.rowsDuring(() => subscribe(client, "news", 1))).toBe(1);
  });

  test("by a retained message that is set, replaced or cleared; none by clearing what is not there", async () => {
    const object = await usedObject();
    const client = await object.connect("client");
    const rows: number[] = [];
    for (const payload of ["one", "two", "", ""]) {
      rows.push(await object.rowsDuring(() => publishQos1(client, payload, { retain: true })));
    }
    expect(rows).toEqual([1, 1, 1, 0]);
  });
});

describe("messages to a session that outlives its connection", () => {
  const messageCount = 5;

  test("cost two rows at most with QoS 1, when they come one by one", async () => {
    const object = await usedObject();
    const subscriber = await persistentSubscriber(object, 1);
    const publisher = await object.connect("publisher");
    const rows = await object.rowsDuring(async () => {
      for (let count = 0; count < messageCount; count += 1) {
        await publishQos1(publisher);
        await takeQos1(subscriber);
        await subscriber.ping();
        object.skip(60);
      }
    });
    expect(rows).toBeLessThanOrEqual(2 * messageCount);
  });

  test("cost four rows at most with QoS 2, when they come one by one", async () => {
    const object = await usedObject();
    const subscriber = await persistentSubscriber(object, 2);
    const publisher = await object.connect("publisher", persistent);
    const rows = await object.rowsDuring(async () => {
      for (let count = 0; count < messageCount; count += 1) {
        await publishQos2(publisher);
        await takeQos2(subscriber);
        await subscriber.ping();
        object.skip(60);
      }
    });
    expect(rows).toBeLessThanOrEqual(4 * messageCount);
  });

  test.each([1, 10])(
    "cost a tenth of a row each when they come together, to sessions: %i",
    async (sessionCount) => {
      const object = await usedObject();
      const subscribers: Client[] = [];
      for (let index = 0; index < sessionCount; index += 1) {
        const subscriber = await object.connect(`persistent-${index}`, persistent);
        await subscribe(subscriber, "news", 1);
        subscribers.push(subscriber);
      }
      const publisher = await object.connect("publisher");
      const batch = Array.from({ length: 40 }, (_, index) =>
        publishPacket("news", "x", { qos: 1, packetIdentifier: index + 1 }),
      );
      const rows = await object.rowsDuring(async () => {
        publisher.send(...batch);
        for (const _ of batch) await publisher.next("puback");
        for (const subscriber of subscribers) await takeTogether(subscriber, batch.length);
      });
      expect(rows).toBeLessThanOrEqual(batch.length / 10);
    },
  );

  test("cost one row a flush, however many sessions are away and want them", async () => {
    const object = await usedObject();
    const publisher = await object.connect("publisher");
    for (let index = 0; index < 50; index += 1) {
      const away = await object.connect(`away-${index}`, persistent);
      await subscribe(away, "news", 1);
      await disconnect(away);
      object.skip(1);
    }
    // Also arms the alarm anew.
    await publishQos1(publisher);
    expect(await object.rowsDuring(() => publishQos1(publisher))).toBe(1);
  });

  test.each([
    ["one retained message replaces the other", () => "news"],
    ["each is the retained message of its own topic", (index: number) => `news/${index}`],
  ])("cost a tenth of a row each when %s", async (_description, topicOf) => {
    const object = await usedObject();
    const publisher = await object.connect("publisher");
    const batch = Array.from({ length: 40 }, (_, index) =>
      publishPacket(topicOf(index), `${index}`, { retain: true }),
    );
    const rows = await object.rowsDuring(async () => {
      publisher.send(...batch);
      await publisher.ping();
      await publisher.ping();
    });
    expect(rows).toBeLessThanOrEqual(batch.length / 10);
  });

  async function takeTogether(client: Client, count: number): Promise<void> {
    const responses = [];
    for (let index = 0; index < count; index += 1) {
      const { packetIdentifier = 0 } = await client.next("publish");
      responses.push(responsePacket("puback", packetIdentifier));
    }
    client.send(...responses);
    await client.ping();
  }
});

describe("a stranger leaves nothing behind", () => {
  /** It has been taken note, without any client, that the namespace has no policy. */
  async function knowingObject(): Promise<TestObject> {
    const object = new TestObject();
    await object.stub.setPolicy(emptyPolicy);
    return object;
  }

  const connect = encodeClientPacket(connectPacket("stranger", persistent), 5);
  const withFlags = (flags: number): Uint8Array => connect.with(9, flags);
  test.each([
    ["a packet that is not CONNECT", Uint8Array.of(0xc0, 0)],
    ["a PUBLISH", encodeClientPacket(publishPacket("news", "x", { retain: true }), 5)],
    ["a reserved flag of CONNECT", withFlags(0x03)],
    ["another protocol", connect.with(5, 0x58)],
    ["another protocol version", connect.with(8, 9)],
    ["a Remaining Length of five bytes", Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0xff, 0x01)],
    ["a packet larger than any", Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0x7f)],
    ["packet type 0", Uint8Array.of(0x00, 0)],
  ])("that begins with %s", async (_, bytes) => {
    const object = await knowingObject();
    const before = object.rows;
    const client = await object.open();
    client.sendBytes(bytes);
    await client.closed;
    await object.evict();
    expect(object.rows - before).toBe(0);
  });

  test("that sends nothing, and is sent away after 10 s", async () => {
    const object = await knowingObject();
    const before = object.rows;
    const client = await object.open();
    object.skip(10);
    await object.stub.fireTimer();
    expect((await client.closed).code).toBe(1002);
    expect(object.rows - before).toBe(0);
  });

  test("but for the first of all, who has the shard ask for the policy: one row with the schema, and never again", async () => {
    const { rows } = await knowingObject();
    const object = new TestObject();
    for (let life = 1; life <= 3; life += 1) {
      const client = await object.open();
      client.sendBytes(Uint8Array.of(0xc0, 0));
      await client.closed;
      await object.evict("lost");
      expect(object.rows).toBe(rows);
    }
  });
});

describe("the alarm of 100 idle clients is armed", () => {
  test.each([
    { keepAliveSec: 6, writesPerMinuteMax: 12 },
    { keepAliveSec: 60, writesPerMinuteMax: 2 },
    { keepAliveSec: 300, writesPerMinuteMax: 2 },
  ])(
    "at most $writesPerMinuteMax times a minute with Keep Alive $keepAliveSec",
    async ({ keepAliveSec, writesPerMinuteMax }) => {
      const object = new TestObject();
      const clients = await Promise.all(
        Array.from({ length: 100 }, (_, index) => object.connect(`client-${index}`, { keepAliveSec })),
      );
      const { alarmWrites, rowsWritten } = object.instruments;
      const minutes = 3;
      for (let sec = 0; sec < minutes * 60; sec += 1) {
        await object.evict();
        await object.advance(1);
        const pinging = clients.filter((_, index) => (sec + index) % keepAliveSec === 0);
        await Promise.all(pinging.map((client) => client.ping()));
      }
      expect(clients.filter(({ isClosed }) => isClosed)).toEqual([]);
      expect(object.instruments.alarmWrites - alarmWrites).toBeLessThanOrEqual(writesPerMinuteMax * minutes);
      expect(object.instruments.rowsWritten).toBe(rowsWritten);
    },
    20_000,
  );
});
