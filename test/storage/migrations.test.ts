import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { Counters } from "../../src/core/counters.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import type { Publication } from "../../src/core/publication.ts";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import { Retained } from "../../src/core/topics/retained.ts";
import {
  migrate,
  migrations,
  schemaVersionOf,
  tablesOf as expectedTablesOf,
} from "../../src/storage/migrations.ts";
import { encodePublication } from "../../src/storage/record-codec.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { NodeSql } from "./node-sql.ts";

/** SHA-256 of each released step: statements, and names of functions. A new step adds a line; none ever changes. */
const released = [
  "220672648622bc642fb368946931d1d0c05681966f71be2edc26d31f76ab76fe",
  "0dd30ee96ae183c8af5e9d8881f81f2ad08619d2edeea36f5b77562b0c45bbc1",
  "4210c5b87b8c6d850ce36fa4a81ae4088426189e39f32d042a031fa5cc14f31e",
  "bacc5895dd76488a8523662c998ffd1f7e8ffdfd7f152f71e7ff13b50b2a3c04",
];

describe("migrations", () => {
  test("are append-only: a released step stays as it was", () => {
    const hashes = migrations.map((changes) => {
      const texts = changes.map((change) => (typeof change === "string" ? change : change.name));
      return createHash("sha256").update(texts.join(";\n")).digest("hex");
    });
    expect(hashes).toEqual(released);
  });

  test("lead from an empty database to the newest schema", () => {
    const database = new DatabaseSync(":memory:");
    migrate(new NodeSql(database));
    expect(schemaVersionOf(new NodeSql(database))).toBe(migrations.length);
    expect(tablesOf(database)).toEqual([
      "migration",
      "policy",
      "retained_block",
      "route",
      "segment",
      "session",
      "shard",
    ]);
  });

  test("write nothing when nothing is to be done", () => {
    const database = new DatabaseSync(":memory:");
    migrate(new NodeSql(database));
    const again = new NodeSql(database);
    migrate(again);
    expect(again.rowsWritten).toBe(0);
  });

  test("lead from every older schema to the newest", () => {
    for (let version = 0; version <= migrations.length; version += 1) {
      const stepwise = new DatabaseSync(":memory:");
      migrate(new NodeSql(stepwise), version);
      expect(schemaVersionOf(new NodeSql(stepwise))).toBe(version);
      migrate(new NodeSql(stepwise));
      const atOnce = new DatabaseSync(":memory:");
      migrate(new NodeSql(atOnce));
      expect(schemaOf(stepwise)).toEqual(schemaOf(atOnce));
    }
  });

  test.each([1, 2])("take the retained messages of schema %i into blocks, without losing one", (version) => {
    const { database, publications } = databaseWithRetainedRows(version);
    const sql = new NodeSql(database);
    const storage = new SqliteShardStorage(sql);
    const blockCount = [...storage.readRetainedHeads()].length;
    expect(sql.rowsWritten).toBeLessThan(blockCount + 20);
    const expected = new Map(publications.map((one) => [one.message.topicName, one]));
    expect(retainedIn(storage)).toEqual(expected);

    const retained = new Retained(storage, defaultLimits, new Counters());
    const changed = { ...(publications[5] as Publication).message, payload: new Uint8Array([1]) };
    retained.store({ message: changed }, 0);
    retained.store({ message: { ...changed, topicName: "topic/7", payload: new Uint8Array() } }, 0);
    storage.commit({ ...emptyWriteSet(), retainedBlocks: retained.flush() });
    expected.set(changed.topicName, { message: changed });
    expected.delete("topic/7");
    expect(retainedIn(new SqliteShardStorage(sql))).toEqual(expected);
  });

  test("keep the rows of taken-in messages as small as others", () => {
    const { database } = databaseWithRetainedRows(2);
    migrate(new NodeSql(database));
    const sizes = database
      .prepare("SELECT length(head) + length(publications) AS size FROM retained_block")
      .all();
    expect(sizes.length).toBeGreaterThan(10);
    const large = sizes.map(({ size }) => Number(size)).filter((size) => size > 70_000);
    expect(large).toHaveLength(1);
  });

  test("of a database without retained messages write no block", () => {
    const database = new DatabaseSync(":memory:");
    migrate(new NodeSql(database), 2);
    expect([...new SqliteShardStorage(new NodeSql(database)).readRetainedHeads()]).toEqual([]);
  });

  test("keep a table free of any index beside its key, which would be billed", () => {
    const database = new DatabaseSync(":memory:");
    migrate(new NodeSql(database));
    expect(database.prepare("SELECT name FROM sqlite_master WHERE type = 'index'").all()).toEqual([]);
  });

  test("refuse a database that a newer release wrote, and leave it as it is", () => {
    const database = newerDatabase();
    const before = contentsOf(database);
    const sql = new NodeSql(database);
    const message = `The database has schema version ${migrations.length + 1}; this release reads up to`;
    expect(() => migrate(sql)).toThrow(message);
    expect(() => new SqliteShardStorage(sql).readShard()).toThrow(message);
    expect(() => new SqliteShardStorage(sql).commit(emptyWriteSet())).toThrow(message);
    expect(sql.rowsWritten).toBe(0);
    expect(contentsOf(database)).toEqual(before);
  });

  test("leave the tables that their version is known by", () => {
    for (let version = 1; version <= migrations.length; version += 1) {
      const database = new DatabaseSync(":memory:");
      migrate(new NodeSql(database), version);
      expect(expectedTablesOf(version).toSorted()).toEqual(tablesOf(database));
    }
  });

  test("come with the first commit, not before", () => {
    const database = new DatabaseSync(":memory:");
    const storage = new SqliteShardStorage(new NodeSql(database));
    expect([...storage.readSessions()]).toEqual([]);
    expect(tablesOf(database)).toEqual([]);
    storage.commit({ ...emptyWriteSet(), shard: { boot: 1, settledBoot: 0 } });
    expect(schemaVersionOf(new NodeSql(database))).toBe(migrations.length);
  });
});

/** As an older release wrote it: a row for each of many messages, one of which is large. */
function databaseWithRetainedRows(version: number): { database: DatabaseSync; publications: Publication[] } {
  const database = new DatabaseSync(":memory:");
  const sql = new NodeSql(database);
  migrate(sql, version);
  const publications = Array.from({ length: 3000 }, (_, index): Publication => {
    const payload = new Uint8Array(index === 1234 ? 200_000 : 300).fill(index);
    const message = { topicName: `topic/${index}`, payload, qos: 1 as const, retain: true };
    return index % 3 === 0 ? { message, expiresAtMs: 4_000_000_000_000 + index } : { message };
  });
  for (const publication of publications) {
    const { expiresAtMs, message } = publication;
    const bytes = encodePublication(publication);
    sql.run("INSERT INTO retained VALUES (?, ?, ?)", message.topicName, expiresAtMs ?? null, bytes);
  }
  return { database, publications };
}

function retainedIn(storage: SqliteShardStorage): Map<string, Publication | undefined> {
  const retained = new Retained(storage, defaultLimits, new Counters());
  return new Map(retained.matchingNames("#").map((topicName) => [topicName, retained.read(topicName, 0)]));
}

/** One step ahead of this release. */
function newerDatabase(): DatabaseSync {
  const database = new DatabaseSync(":memory:");
  const sql = new NodeSql(database);
  migrate(sql);
  sql.run("CREATE TABLE novelty (id INTEGER PRIMARY KEY)");
  sql.run("INSERT INTO migration (version) VALUES (?)", migrations.length + 1);
  return database;
}

function contentsOf(database: DatabaseSync): unknown[] {
  return [schemaOf(database), database.prepare("SELECT * FROM migration").all()];
}

function schemaOf(database: DatabaseSync): unknown[] {
  return database.prepare("SELECT name, sql FROM sqlite_master ORDER BY name").all();
}

function tablesOf(database: DatabaseSync): unknown[] {
  return database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    .all()
    .map(({ name }) => name);
}
