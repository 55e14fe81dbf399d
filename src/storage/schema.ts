/** The schema of a database, which grows step by step. */
import type { SqlDatabase } from "./sql-database.ts";
import { UnreadableError } from "./unreadable-error.ts";

/** A statement, or what no statement can do. */
type Change = string | ((database: SqlDatabase) => void);

/** The changes of each step. */
export type Migrations = readonly (readonly Change[])[];

/** How many migrations the database has had; 0 for an empty one. */
export function schemaVersionOf(database: SqlDatabase): number {
  const [table] = [...database.query("SELECT name FROM sqlite_master WHERE name = 'migration'")];
  if (table === undefined) return 0;
  const [row] = [...database.query("SELECT MAX(version) AS version FROM migration")];
  return Number(row?.["version"] ?? 0);
}

/** Takes the steps that the database has not had. Throws for one that a newer release wrote: it is not touched. */
export function migrateBy(migrations: Migrations, database: SqlDatabase, upTo: number): void {
  const found = schemaVersionOf(database);
  assertReadableBy(migrations, found);
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

/** Throws {@link UnreadableError} for a database of a newer release. */
export function assertReadableBy(migrations: Migrations, schemaVersion: number): void {
  if (schemaVersion <= migrations.length) return;
  throw new UnreadableError(
    `The database has schema version ${schemaVersion}; this release reads up to ${migrations.length}`,
  );
}
