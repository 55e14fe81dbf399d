/** Data that cannot be read: clients are refused, and nothing of it is overwritten. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { ProtocolVersion } from "../../src/core/packet.ts";
import { connectPacket, persistent, publishPacket, subscribePacket } from "./packets.ts";
import { TestObject } from "./test-object.ts";

const serverUnavailable = 0x88;

let object: TestObject;
let logged: string[];

beforeEach(() => {
  object = new TestObject();
  logged = [];
  const log = vi
    .spyOn(console, "error")
    .mockImplementation((...words) => void logged.push(words.map(String).join(" ")));
  return () => log.mockRestore();
});

/** A session with a subscription and a message waiting, and a retained message. */
async function populate(): Promise<void> {
  const client = await object.connect("client", persistent);
  client.send(subscribePacket("news", 1));
  await client.next("suback");
  client.send({ type: "disconnect", reasonCode: 0 });
  await client.closed;
  const publisher = await object.connect("publisher");
  publisher.send(publishPacket("news", "waiting", { qos: 1, retain: true }));
  await publisher.next("puback");
}

function sql(statement: string): Promise<Record<string, SqlStorageValue>[]> {
  return runInDurableObject(object.stub, (_, { storage }) => storage.sql.exec(statement).toArray());
}

/** All rows of all tables. */
async function contents(): Promise<string> {
  const tables = await object.tables();
  const rows = await Promise.all(tables.map((table) => sql(`SELECT * FROM ${table}`)));
  const asNumbers = (_: string, value: unknown): unknown =>
    value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value;
  return JSON.stringify([tables, rows], asNumbers);
}

async function expectRefused(version: ProtocolVersion = 5): Promise<void> {
  const client = await object.open(version);
  client.send(connectPacket("client", { ...persistent, protocolVersion: version }));
  expect((await client.next("connack")).reasonCode).toBe(version === 5 ? serverUnavailable : 3);
  expect((await client.closed).code).toBe(1008);
}

describe("CONNECT is refused with 0x88, and the log says why, when the database", () => {
  test.each([
    ["has a session that cannot be decoded", "UPDATE session SET record = x'93'", 'Session "client"'],
    ["has a segment that cannot be decoded", "UPDATE segment SET head = x'93'", "Head of segment 1"],
    ["has lost a table", "DROP TABLE session", 'The database has no table "session"'],
    ["is of a newer release", "INSERT INTO migration VALUES (99)", "has schema version 99"],
  ])("%s", async (_, statement, words) => {
    await populate();
    await sql(statement);
    await object.evict("lost");
    const before = await contents();
    await expectRefused();
    await expectRefused();
    await expectRefused(4);
    expect(logged.filter((line) => line.includes(words))).toHaveLength(1);
    expect(logged.join()).toContain("every CONNECT is refused until the data can be read");
    expect(await contents()).toBe(before);
    expect(object.instruments.lives).toBeLessThan(5);
  });
});

test("clients that are connected are sent away when what they ask for cannot be read, and refused from then on", async () => {
  await populate();
  const client = await object.connect("reader");
  await sql("UPDATE retained_block SET publications = x'93'");
  client.send(subscribePacket("news", 1));
  expect((await client.closed).code).toBe(1011);
  expect(logged.join()).toContain("Messages of retained block");
  await expectRefused();
});

test("when the data can be read again, so can they: nothing is lost", async () => {
  await populate();
  const [row] = await sql("SELECT hex(record) AS record FROM session");
  await sql("UPDATE session SET record = x'93'");
  await object.evict("lost");
  await expectRefused();
  await sql(`UPDATE session SET record = x'${String(row?.["record"])}'`);
  await object.evict("lost");
  const client = await object.open();
  client.send(connectPacket("client", persistent));
  expect((await client.next("connack")).sessionPresent).toBe(true);
  expect((await client.next("publish")).topicName).toBe("news");
});

test("the alarm of such an object comes back every hour, not at once", async () => {
  await populate();
  await sql("DROP TABLE session");
  await object.evict("lost");
  await object.runAlarm();
  await object.advance(10);
  const { alarmWrites } = object.instruments;
  await object.advance(3 * 3600);
  expect(object.instruments.alarmWrites - alarmWrites).toBeLessThan(5);
});
