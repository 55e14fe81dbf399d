import { assertReadableBy, type Migrations, migrateBy, schemaVersionOf } from "./schema.ts";
import type { SqlDatabase, SqlValue } from "./sql-database.ts";

export type Row = Record<string, SqlValue>;

/** A database that gets its schema with the first write: to look into an empty one costs no row. */
export class LazyDatabase {
  readonly #database: SqlDatabase;
  readonly #migrations: Migrations;
  #schemaVersion: number;

  constructor(database: SqlDatabase, migrations: Migrations) {
    this.#database = database;
    this.#migrations = migrations;
    this.#schemaVersion = schemaVersionOf(database);
    assertReadableBy(migrations, this.#schemaVersion);
    if (this.#schemaVersion > 0) this.#migrate();
  }

  rows(sql: string, ...parameters: SqlValue[]): Row[] {
    return this.#schemaVersion === 0 ? [] : [...this.#database.query(sql, ...parameters)];
  }

  first(sql: string, ...parameters: SqlValue[]): Row | undefined {
    return this.rows(sql, ...parameters)[0];
  }

  /** All of it is kept or, when `work` throws, nothing. */
  write(work: (database: Pick<SqlDatabase, "run">) => void): void {
    this.#database.transaction(() => {
      if (this.#schemaVersion < this.#migrations.length)
        migrateBy(this.#migrations, this.#database, this.#migrations.length);
      work(this.#database);
    });
    this.#schemaVersion = this.#migrations.length;
  }

  #migrate(): void {
    migrateBy(this.#migrations, this.#database, this.#migrations.length);
    this.#schemaVersion = this.#migrations.length;
  }
}
