import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import type { WriteSet } from "../../src/core/storage-port.ts";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { UnreadableError } from "../../src/storage/unreadable-error.ts";
import { NodeSql } from "./node-sql.ts";

const message = { topicName: "topic", payload: new Uint8Array([1]), qos: 1, retain: true } as const;
const state = { nextOrdinal: 2, sentThrough: 0, inflight: [], receivedQos2: [] };
const target = { sessionNumber: 1, ordinal: 1, qos: 1, retain: false } as const;

const everything: WriteSet = {
  ...emptyWriteSet(),
  shard: { boot: 1, settledBoot: 0 },
  sessions: new Map([
    [
      "client",
      {
        clientId: "client",
        sessionNumber: 1,
        incarnation: 1,
        attachedBoot: 1,
        sessionExpiryIntervalSec: 60,
        subscriptions: [],
        deliveryState: state,
        deliveryStateSeq: 1,
      },
    ],
  ]),
  retainedBlocks: new Map([
    [
      2,
      {
        slot: 2,
        seq: 1,
        names: [{ topicName: "topic", sizeBytes: 70 }],
        cleared: [],
        publications: [{ publication: { message } }],
      },
    ],
  ]),
  segments: [
    {
      slot: 4,
      seq: 1,
      messages: [{ sizeBytes: 70, targets: [target] }],
      publications: [{ message }],
      deliveryStates: [],
    },
  ],
};

/** A database with a row of each kind, to which something has happened. */
function damaged(statement: string): { database: DatabaseSync; storage: SqliteShardStorage; sql: NodeSql } {
  const database = new DatabaseSync(":memory:");
  new SqliteShardStorage(new NodeSql(database)).commit(everything);
  database.exec(statement);
  const sql = new NodeSql(database);
  return { database, sql, storage: new SqliteShardStorage(sql) };
}

describe("a row that cannot be decoded is refused by its name", () => {
  test.each([
    ["a session", "UPDATE session SET record = x'9303'", 'Session "client": '],
    [
      "a session of another format",
      "UPDATE session SET record = x'9107'",
      "has format 7; this version reads 1",
    ],
    [
      "the names of retained messages",
      "UPDATE retained_block SET head = x'c1'",
      "Head of retained block 2: ",
    ],
    ["retained messages", "UPDATE retained_block SET publications = x'c1'", "Messages of retained block 2: "],
    ["a retained message", "UPDATE retained_block SET publications = x'9201c401c1'", "A retained message: "],
    ["the head of a segment", "UPDATE segment SET head = x'00'", "Head of segment 4: "],
    ["the messages of a segment", "UPDATE segment SET publications = x'9501'", "Messages of segment 4: "],
  ])("%s", (_, statement, words) => {
    const { storage, sql } = damaged(statement);
    const readAll = (): unknown => [
      [...storage.readSessions()],
      [...storage.readRetainedHeads()],
      storage.readRetainedPublications(2)?.map(({ publication }) => publication),
      [...storage.readSegmentHeads()],
      storage.readSegment(4),
    ];
    expect(readAll).toThrow(UnreadableError);
    expect(readAll).toThrow(words);
    expect(sql.rowsWritten).toBe(0);
  });
});

describe("a database is refused as a whole, and nothing is written", () => {
  test.each([
    ["without a table", "DROP TABLE session", 'The database has no table "session"'],
    [
      "without its schema version",
      "DROP TABLE migration",
      'The database has a table "shard", but does not tell its schema version',
    ],
    [
      "of a newer release",
      "INSERT INTO migration (version) VALUES (99)",
      "The database has schema version 99; this release reads up to",
    ],
  ])("%s", (_, statement, words) => {
    const { database, storage, sql } = damaged(statement);
    const before = contentsOf(database);
    expect(() => storage.readShard()).toThrow(UnreadableError);
    expect(() => storage.readShard()).toThrow(words);
    expect(() => storage.commit(everything)).toThrow(words);
    expect(sql.rowsWritten).toBe(0);
    expect(contentsOf(database)).toEqual(before);
  });
});

test("a failure that says nothing about the data is one like any other", () => {
  const { storage, sql } = damaged("SELECT 1");
  sql.query = () => {
    throw new Error("interrupted");
  };
  expect(() => storage.readShard()).toThrow("interrupted");
  expect(() => storage.readShard()).not.toThrow(UnreadableError);
});

function contentsOf(database: DatabaseSync): unknown[] {
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  return tables.map(({ name }) => [name, database.prepare(`SELECT * FROM ${String(name)}`).all()]);
}
