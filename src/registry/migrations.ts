import type { Migrations } from "../storage/schema.ts";

/**
 * The schema of the registry's objects, step by step. Append only: a step that has been released is never changed. An
 * object has all tables, and uses those of its role. No table has an index beside its key: each entry is billed.
 */
export const registryMigrations: Migrations = [
  [
    `CREATE TABLE user (
      username TEXT PRIMARY KEY, salt BLOB NOT NULL, iterations INTEGER NOT NULL, stored_key BLOB NOT NULL,
      server_key BLOB NOT NULL, roles TEXT NOT NULL, rules TEXT NOT NULL, disabled INTEGER NOT NULL,
      updated_at_ms INTEGER NOT NULL
    ) WITHOUT ROWID`,
    // One row: what the users who do not exist are made of.
    `CREATE TABLE secret (id INTEGER PRIMARY KEY CHECK (id = 1), bytes BLOB NOT NULL)`,
    // One row: who may do what, and the shards that do not know it yet.
    `CREATE TABLE policy (
      id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, record BLOB NOT NULL,
      pending TEXT NOT NULL, attempts INTEGER NOT NULL
    )`,
    `CREATE TABLE api_token (
      digest BLOB PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL
    ) WITHOUT ROWID`,
    // A ring: the slot of an entry is written again when as many others have come.
    `CREATE TABLE audit (
      slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
      action TEXT NOT NULL, target TEXT NOT NULL
    )`,
  ],
  [
    "ALTER TABLE user ADD COLUMN client_id TEXT",
    // One row: what has changed here, and the shards that have not heard of it.
    `CREATE TABLE news (
      id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, subjects TEXT NOT NULL,
      dropped_up_to INTEGER NOT NULL, heard_up_to TEXT NOT NULL, tried TEXT NOT NULL, pauses INTEGER NOT NULL
    )`,
    `INSERT INTO news
      SELECT 1, 1, '[[1,"policy"]]', 0, (
        SELECT json_group_object(CAST(value AS TEXT), 0) FROM json_each(policy.pending)
      ), '[]', attempts
      FROM policy WHERE pending <> '[]'`,
    "ALTER TABLE policy DROP COLUMN pending",
    "ALTER TABLE policy DROP COLUMN attempts",
  ],
];
