import { DatabaseSync } from "node:sqlite";
import { decode, encode } from "@msgpack/msgpack";
import { expect, test } from "vitest";
import { anonymousIdentity } from "../../src/core/access/identity.ts";
import type { SessionRecord } from "../../src/core/storage-port.ts";
import { decodeSession, encodeSession } from "../../src/storage/record-codec.ts";
import { migrate } from "../../src/storage/migrations.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { NodeSql } from "./node-sql.ts";

const state = [5, 4, [[3, 1]], [7]];
const row = [1, 11, 2, 0, 3600, 1_700_000_000_000, null, null, [["a/#", 1]], state, 9];

/** What all rows say, old and new. */
const record: SessionRecord = {
  clientId: "client",
  sessionNumber: 11,
  incarnation: 2,
  attachedBoot: 0,
  sessionExpiryIntervalSec: 3600,
  detachedAtMs: 1_700_000_000_000,
  subscriptions: [
    { topicFilter: "a/#", maximumQos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
  ],
  deliveryState: {
    nextOrdinal: 5,
    sentThrough: 4,
    inflight: [{ ordinal: 3, phase: "awaitingPubrec" }],
    receivedQos2: [7],
  },
  deliveryStateSeq: 9,
};

test.each<[string, unknown[], Partial<SessionRecord>]>([
  ["with nothing more", [], {}],
  ["that was imported", [null, "backup"], { importedFrom: "backup" }],
])("a row of a release that kept no owners is read as one without, %s", (_, tail, more) => {
  const database = new DatabaseSync(":memory:");
  migrate(new NodeSql(database));
  const insert = database.prepare("INSERT INTO session (client_id, record) VALUES (?, ?)");
  insert.run("client", encode([...row, ...tail]));
  const storage = new SqliteShardStorage(new NodeSql(database));
  expect([...storage.readSessions()]).toStrictEqual([{ ...record, ...more }]);
});

test("a row with an owner has all else where that release looks for it", () => {
  const owner = { method: "token", username: "ann", roles: ["one"], claims: {}, rules: [] } as const;
  const written = decode(encodeSession({ ...record, owner })) as unknown[];
  expect(written.slice(0, row.length + 2)).toEqual([...row, null, null]);
});

test("that a session is of an anonymous client takes three bytes", () => {
  const plain = encodeSession(record);
  const anonymous = encodeSession({ ...record, owner: anonymousIdentity });
  expect(anonymous.length - plain.length).toBeLessThanOrEqual(3);
  expect(decodeSession("client", anonymous).owner).toBe(anonymousIdentity);
});
