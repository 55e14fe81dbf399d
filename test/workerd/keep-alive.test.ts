/** What falls due without anybody saying anything: on a clock that the test moves. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import type { ConnectPacket } from "../../src/core/packet.ts";
import { encodeClientPacket } from "../codec/client-encode.ts";
import type { Client } from "./client.ts";
import {
  connectPacket,
  persistent,
  publishPacket,
  responsePacket,
  subscribePacket,
  text,
  will,
} from "./packets.ts";
import { TestObject } from "./test-object.ts";

const keepAliveTimeout = 0x8d;
const resetWillGraceSec = 30;
/** How much later than due things may happen. */
const slipSec = 5;

let object: TestObject;
/** Sees the Wills; never falls due itself. */
let witness: Client;

beforeEach(async () => {
  object = new TestObject();
  await witnessConnects(false);
});

async function witnessConnects(sessionPresent: boolean): Promise<void> {
  witness = await object.open();
  witness.send(connectPacket("witness", persistent));
  expect((await witness.next("connack")).sessionPresent).toBe(sessionPresent);
  if (sessionPresent) return;
  witness.send(subscribePacket("wills/#", 0));
  await witness.next("suback");
}

function connectWithWill(options: Partial<ConnectPacket> = {}): Promise<Client> {
  return object.connect("client", { will: will("wills/client", { qos: 0 }), keepAliveSec: 10, ...options });
}

async function willCount(): Promise<number> {
  await witness.ping();
  return witness.untaken.filter(({ type }) => type === "publish").length;
}

describe("[MQTT-3.1.2-22] a client that is silent", () => {
  test("is closed and its Will published within 1.5 × Keep Alive + 5 s", async () => {
    const client = await connectWithWill();
    await object.advance(15 + slipSec);
    expect((await client.next("disconnect")).reasonCode).toBe(keepAliveTimeout);
    expect((await client.closed).code).toBe(1008);
    expect(await willCount()).toBe(1);
  });

  test("is not closed before 1.5 × Keep Alive", async () => {
    const client = await connectWithWill();
    await object.advance(14.9);
    expect(await willCount()).toBe(0);
    await client.ping();
    await object.advance(14.9);
    expect(await willCount()).toBe(0);
    expect(client.isClosed).toBe(false);
  });

  test("is closed in time whenever the object is evicted, and whatever else is going on", async () => {
    const other = await object.connect("other", { keepAliveSec: 7 });
    for (let phaseSec = 0; phaseSec < 8; phaseSec += 1) {
      const client = await connectWithWill();
      for (let sec = 0; sec < 15 + slipSec; sec += 1) {
        await object.evict();
        await object.advance(1);
        if (sec % 7 === phaseSec % 7) await other.ping();
      }
      expect((await client.next("disconnect")).reasonCode).toBe(keepAliveTimeout);
      await object.advance(1);
    }
    expect(await willCount()).toBe(8);
  });

  test("with Keep Alive 0 is never closed", async () => {
    const client = await connectWithWill({ keepAliveSec: 0 });
    await object.advance(3 * 3600);
    expect(await willCount()).toBe(0);
    await client.ping();
    expect(client.isClosed).toBe(false);
  });

  test("is told of a shorter Keep Alive, which then holds", async () => {
    const client = await object.open();
    client.send(connectPacket("client", { keepAliveSec: 65_535 }));
    const { serverKeepAliveSec = 0 } = await client.next("connack");
    expect(serverKeepAliveSec).toBe(3600);
    await object.advance(serverKeepAliveSec * 1.5 + slipSec);
    expect((await client.next("disconnect")).reasonCode).toBe(keepAliveTimeout);
  });
});

describe("an alarm that runs late", () => {
  test.each([
    { title: "in the life that armed it", evict: async () => {} },
    { title: "in a new life", evict: () => object.evict() },
  ])("$title gives clients time to be heard", async ({ evict }) => {
    const silent = await connectWithWill();
    const alive = await object.connect("alive", { keepAliveSec: 10 });
    await evict();
    object.skip(600);
    await object.runAlarm();
    await object.evict();
    await object.advance(4);
    await alive.ping();
    await object.evict();
    expect([silent.isClosed, await willCount()]).toEqual([false, 0]);
    await object.advance(1 + slipSec);
    expect((await silent.next("disconnect")).reasonCode).toBe(keepAliveTimeout);
    expect(await willCount()).toBe(1);
    expect(alive.isClosed).toBe(false);
  });
});

describe("a Will", () => {
  const delayed = { will: will("wills/client", { qos: 0, willDelayIntervalSec: 30 }), ...persistent };

  test("[MQTT-3.1.2-8] is published at once for each of several clients that vanish while the object sleeps", async () => {
    const clients = [
      await connectWithWill(),
      await object.connect("other", { will: will("wills/other", { qos: 0 }) }),
      await object.connect("lasting", { will: will("wills/lasting", { qos: 0 }), ...persistent }),
    ];
    await object.evict();
    await Promise.all(clients.map((client) => client.vanish()));
    expect(await willCount()).toBe(3);
    await object.advance(3600);
    expect(await willCount()).toBe(3);
  });

  test("[MQTT-3.1.2-8] is published at once for the only client, too, when its close wakes the object", async () => {
    await witness.vanish();
    const client = await connectWithWill({ will: will("wills/client", { qos: 0, retain: true }) });
    await object.evict();
    await client.vanish();
    await object.evict();
    const late = await object.connect("late");
    late.send(subscribePacket("wills/client", 0));
    expect(text((await late.next("publish")).payload)).toBe("will");
  });

  test("waits for its delay, evicted or not", async () => {
    const client = await connectWithWill(delayed);
    await client.vanish();
    await object.evict();
    await object.advance(29);
    expect(await willCount()).toBe(0);
    await object.evict();
    await object.advance(1 + slipSec);
    expect(await willCount()).toBe(1);
  });

  test("[MQTT-3.1.3-9] is not published when the client returns during the delay", async () => {
    const client = await connectWithWill(delayed);
    await client.vanish();
    await object.advance(29);
    await object.connect("client", persistent);
    await object.advance(3600);
    expect(await willCount()).toBe(0);
  });

  test("of a client that a reset cut off waits for it to return", async () => {
    await connectWithWill();
    await object.abort();
    await witnessConnects(true);
    await object.advance(resetWillGraceSec - 1);
    expect(await willCount()).toBe(0);
    await object.advance(1 + slipSec);
    expect(await willCount()).toBe(1);
    await object.advance(3600);
    expect(await willCount()).toBe(1);
  });

  test("of a client that a reset cut off is forgotten when it returns", async () => {
    await connectWithWill();
    await object.abort();
    await witnessConnects(true);
    await object.advance(resetWillGraceSec - 1);
    await object.connect("client");
    await object.advance(3600);
    expect(await willCount()).toBe(0);
  });

  test.each([
    { title: "its Keep Alive", keepAliveSec: 10, latestSec: 15 + resetWillGraceSec + 2 * slipSec },
    { title: "an hour", keepAliveSec: 0, latestSec: 3600 + resetWillGraceSec + 2 * slipSec },
  ])(
    "is published after a reset that only the alarm notices, within $title",
    async ({ keepAliveSec, latestSec }) => {
      await connectWithWill({ keepAliveSec, will: will("wills/client", { qos: 0, retain: true }) });
      await object.abort();
      await object.advance(latestSec);
      const late = await object.connect("late");
      late.send(subscribePacket("wills/client", 0));
      expect(text((await late.next("publish")).payload)).toBe("will");
    },
  );
});

describe("a session", () => {
  const expiring = { cleanStart: false, sessionExpiryIntervalSec: 60 };

  async function sessionRows(): Promise<string[]> {
    return runInDurableObject(object.stub, (_, { storage: { sql } }) =>
      sql
        .exec("SELECT client_id FROM session")
        .toArray()
        .map((row) => String(row["client_id"])),
    );
  }

  async function isPresent(): Promise<boolean> {
    const client = await object.open();
    client.send(connectPacket("client", expiring));
    return (await client.next("connack")).sessionPresent;
  }

  test("is there until its expiry and its row is gone soon after", async () => {
    const client = await object.connect("client", expiring);
    await client.vanish();
    await object.evict();
    await object.advance(59);
    expect(await sessionRows()).toEqual(["client", "witness"]);
    await object.advance(1 + slipSec);
    expect(await sessionRows()).toEqual(["witness"]);
    expect(await isPresent()).toBe(false);
  });

  test("expires though a reset cut the connection and nobody came back", async () => {
    await object.connect("client", expiring);
    await object.abort();
    await witnessConnects(true);
    await object.advance(60 + 2 * slipSec);
    expect(await sessionRows()).toEqual(["witness"]);
    expect(await isPresent()).toBe(false);
  });

  test("does not expire while its client is connected", async () => {
    const client = await object.connect("client", expiring);
    await object.advance(3600);
    await object.evict();
    await client.vanish();
    await object.advance(30);
    expect(await isPresent()).toBe(true);
  });
});

describe("what only memory holds", () => {
  test("a socket without CONNECT is closed after 10 s, and not before", async () => {
    const client = await object.open();
    object.skip(9);
    await object.stub.fireTimer();
    await witness.ping();
    expect(client.isClosed).toBe(false);
    object.skip(1);
    await object.stub.fireTimer();
    expect((await client.closed).code).toBe(1002);
  });

  test("an unfinished packet closes its connection after 10 s", async () => {
    const client = await connectWithWill({ keepAliveSec: 0 });
    client.sendBytes(encodeClientPacket(publishPacket("news", "never finished"), 5).subarray(0, 5));
    await expect.poll(() => object.instruments.isAwake).toBe(true);
    object.skip(10);
    await object.stub.fireTimer();
    expect((await client.next("disconnect")).reasonCode).toBe(0x81);
    expect(await willCount()).toBe(1);
  });

  test("messages that wait for acknowledgements become a row after 30 s, and survive an eviction", async () => {
    const client = await object.connect("slow", { receiveMaximum: 1 });
    client.send(subscribePacket("news", 1));
    await client.next("suback");
    for (const payload of ["one", "two", "three"]) {
      witness.send(publishPacket("news", payload, { qos: 1 }));
      await witness.next("puback");
    }
    const before = object.rows;
    object.skip(30);
    await object.stub.fireTimer();
    expect(object.rows - before).toBe(1);
    for (const payload of ["one", "two", "three"]) {
      await object.evict();
      const message = await client.next("publish");
      expect(text(message.payload)).toBe(payload);
      client.send(responsePacket("puback", message.packetIdentifier ?? 0));
    }
  });
});
