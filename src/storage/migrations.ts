import { packRetainedRows } from "./pack-retained-rows.ts";
import type { SqlDatabase } from "./sql-database.ts";

/** A statement, or what no statement can do. */
type Change = string | ((database: SqlDatabase) => void);

/**
 * The schema, step by step. Append only: a step that has been released is never changed.
 *
 * No table has an index beside its key, for each index entry is billed as one more row.
 */
export const migrations: readonly (readonly Change[])[] = [
  [
    // One row: the life of the object.
    `CREATE TABLE shard (
      id INTEGER PRIMARY KEY CHECK (id = 1), boot INTEGER NOT NULL, settled_boot INTEGER NOT NULL
    )`,
    `CREATE TABLE session (client_id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID`,
    `CREATE TABLE retained (
      topic_name TEXT PRIMARY KEY, expires_at_ms INTEGER, publication BLOB NOT NULL
    ) WITHOUT ROWID`,
    // The message log. Dead segments stay until their slot is written again; the head is read without the body.
    `CREATE TABLE segment (
      slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, head BLOB NOT NULL, publications BLOB NOT NULL
    )`,
  ],
  [
    "ALTER TABLE shard ADD COLUMN layout_epoch INTEGER",
    "ALTER TABLE shard ADD COLUMN layout_shards INTEGER",
    "ALTER TABLE shard ADD COLUMN topic_key_levels INTEGER",
    "ALTER TABLE shard ADD COLUMN number_blocks INTEGER",
    // Which other shards have subscribers of the topics of this one.
    `CREATE TABLE route (
      filter TEXT NOT NULL, shard INTEGER NOT NULL, boot INTEGER NOT NULL, serial INTEGER NOT NULL,
      PRIMARY KEY (filter, shard)
    ) WITHOUT ROWID`,
  ],
  [
    // Many retained messages a row, instead of the table `retained`; the head is read without the messages.
    `CREATE TABLE retained_block (
      slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, head BLOB NOT NULL, publications BLOB NOT NULL
    )`,
    packRetainedRows,
  ],
  [
    // One row: who may do what.
    `CREATE TABLE policy (
      id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, record BLOB NOT NULL
    )`,
  ],
];

/** How many migrations the database has had; 0 for an empty one. */
export function schemaVersionOf(database: SqlDatabase): number {
  const [table] = [...database.query("SELECT name FROM sqlite_master WHERE name = 'migration'")];
  if (table === undefined) return 0;
  const [row] = [...database.query("SELECT MAX(version) AS version FROM migration")];
  return Number(row?.["version"] ?? 0);
}

/** Brings the database to the newest schema. Throws for one that a newer release wrote: it is not touched. */
export function migrate(database: SqlDatabase, upTo: number = migrations.length): void {
  const found = schemaVersionOf(database);
  assertReadable(found);
  if (found >= upTo) return;
  database.transaction(() => {
    if (found === 0) database.run("CREATE TABLE migration (version INTEGER PRIMARY KEY)");
    for (let version = found + 1; version <= upTo; version += 1) {
      for (const change of migrations[version - 1] ?? []) {
        if (typeof change === "string") database.run(change);
        else change(database);
      }
      database.run("INSERT INTO migration (version) VALUES (?)", version);
    }
  });
}

export function assertReadable(schemaVersion: number): void {
  if (schemaVersion <= migrations.length) return;
  throw new Error(
    `The database has schema version ${schemaVersion}; this release reads up to ${migrations.length}`,
  );
}
