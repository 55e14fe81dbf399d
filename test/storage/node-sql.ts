import type { SQLInputValue, StatementSync } from "node:sqlite";
import { DatabaseSync } from "node:sqlite";
import type { SqlDatabase, SqlValue } from "../../src/storage/sql-database.ts";

/** The port over SQLite in Node; what it counts is what Cloudflare would bill. */
export class NodeSql implements SqlDatabase {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;
  rowsRead = 0;
  rowsWritten = 0;

  constructor(database: DatabaseSync = new DatabaseSync(":memory:")) {
    this.#database = database;
  }

  get storedBytes(): number {
    const [pages] = this.#database.prepare("PRAGMA page_count").all();
    const [size] = this.#database.prepare("PRAGMA page_size").all();
    return Number(pages?.["page_count"]) * Number(size?.["page_size"]);
  }

  *query(sql: string, ...parameters: SqlValue[]): Iterable<Record<string, SqlValue>> {
    for (const row of this.#prepare(sql).iterate(...(parameters as SQLInputValue[]))) {
      this.rowsRead += 1;
      yield row as Record<string, SqlValue>;
    }
  }

  run(sql: string, ...parameters: SqlValue[]): void {
    const { changes } = this.#prepare(sql).run(...(parameters as SQLInputValue[]));
    this.rowsWritten += rowsBilled(sql, Number(changes));
  }

  /** Nested ones are savepoints, as in `transactionSync`. */
  transaction(work: () => void): void {
    const name = `level_${this.#depth}`;
    this.#database.exec(`SAVEPOINT ${name}`);
    this.#depth += 1;
    try {
      work();
    } catch (error) {
      this.#database.exec(`ROLLBACK TO ${name}`);
      throw error;
    } finally {
      this.#depth -= 1;
      this.#database.exec(`RELEASE ${name}`);
    }
  }

  #prepare(sql: string): StatementSync {
    // Not kept for a schema change: it is run once.
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    if (!isSchemaChange(sql)) this.#statements.set(sql, statement);
    return statement;
  }
}

function isSchemaChange(sql: string): boolean {
  return /^\s*(?:CREATE|ALTER|DROP)\b/i.test(sql);
}

/**
 * No table has an index beside its key, so each changed row is one row billed. SQLite leaves `changes` of the last
 * write as it was when the schema changes: a table adds a row there and fills it in, a column changes one; what goes costs nothing.
 */
function rowsBilled(sql: string, changes: number): number {
  if (!isSchemaChange(sql)) return changes;
  if (/^\s*DROP\b/i.test(sql)) return 0;
  return /^\s*CREATE\b/i.test(sql) ? 2 : 1;
}
