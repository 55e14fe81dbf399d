import { packRetainedRows } from "./pack-retained-rows.ts";
import { assertReadableBy, type Migrations, migrateBy } from "./schema.ts";
import type { SqlDatabase } from "./sql-database.ts";
import { UnreadableError } from "./unreadable-error.ts";

export { schemaVersionOf } from "./schema.ts";

/**
 * The schema, step by step. Append only: a step that has been released is never changed.
 *
 * No table has an index beside its key, for each index entry is billed as one more row.
 */
export const migrations: Migrations = [
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

/** Brings a shard's database to the newest schema. Throws for one that a newer release wrote: it is not touched. */
export function migrate(database: SqlDatabase, upTo: number = migrations.length): void {
  migrateBy(migrations, database, upTo);
}

/** Throws {@link UnreadableError} for a database of a newer release, or without a table that it should have. */
export function assertReadable(database: SqlDatabase, schemaVersion: number): void {
  assertReadableBy(migrations, schemaVersion);
  const found = new Set<unknown>();
  const query = "SELECT name FROM sqlite_master WHERE type = 'table'";
  for (const { name } of database.query(query)) found.add(name);
  const missing = tablesOf(schemaVersion).find((name) => !found.has(name));
  if (missing !== undefined) throw new UnreadableError(`The database has no table "${missing}"`);
  const nameless = tablesOf(migrations.length).find((name) => schemaVersion === 0 && found.has(name));
  if (nameless !== undefined) {
    throw new UnreadableError(`The database has a table "${nameless}", but does not tell its schema version`);
  }
}

/** Which tables a database has: from which version on, and up to which. */
const tables: readonly (readonly [name: string, from: number, through?: number])[] = [
  ["migration", 1],
  ["shard", 1],
  ["session", 1],
  ["segment", 1],
  ["retained", 1, 2],
  ["route", 2],
  ["retained_block", 3],
  ["policy", 4],
];

/** The tables of a database with so many migrations. */
export function tablesOf(schemaVersion: number): string[] {
  const isThere = ([, from, through = Infinity]: (typeof tables)[number]): boolean =>
    from <= schemaVersion && schemaVersion <= through;
  return tables.filter(isThere).map(([name]) => name);
}
