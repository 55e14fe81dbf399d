import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import { migrate, migrations, schemaVersionOf } from "../../src/storage/migrations.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { NodeSql } from "./node-sql.ts";

/** SHA-256 of the statements of each released step. A new step adds a line; a line that is here never changes. */
const released = [
  "220672648622bc642fb368946931d1d0c05681966f71be2edc26d31f76ab76fe",
  "0dd30ee96ae183c8af5e9d8881f81f2ad08619d2edeea36f5b77562b0c45bbc1",
  "bacc5895dd76488a8523662c998ffd1f7e8ffdfd7f152f71e7ff13b50b2a3c04",
];

describe("migrations", () => {
  test("are append-only: a released step stays as it was", () => {
    const hashes = migrations.map((statements) =>
      createHash("sha256").update(statements.join(";\n")).digest("hex"),
    );
    expect(hashes).toEqual(released);
  });

  test("lead from an empty database to the newest schema", () => {
    const database = new DatabaseSync(":memory:");
    migrate(new NodeSql(database));
    expect(schemaVersionOf(new NodeSql(database))).toBe(migrations.length);
    expect(tablesOf(database)).toEqual([
      "migration",
      "policy",
      "retained",
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
    expect(() => new SqliteShardStorage(sql)).toThrow(message);
    expect(sql.rowsWritten).toBe(0);
    expect(contentsOf(database)).toEqual(before);
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
