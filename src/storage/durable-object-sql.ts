import type { SqlDatabase, SqlValue } from "./sql-database.ts";

/** The database of a Durable Object. https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/ */
export class DurableObjectSql implements SqlDatabase {
  readonly #storage: DurableObjectStorage;
  rowsRead = 0;
  rowsWritten = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  get storedBytes(): number {
    return this.#storage.sql.databaseSize;
  }

  *query(sql: string, ...parameters: SqlValue[]): Iterable<Record<string, SqlValue>> {
    const cursor = this.#storage.sql.exec(sql, ...parameters);
    for (const row of cursor) yield fromRow(row);
    this.#count(cursor);
  }

  run(sql: string, ...parameters: SqlValue[]): void {
    const cursor = this.#storage.sql.exec(sql, ...parameters);
    cursor.toArray();
    this.#count(cursor);
  }

  transaction(work: () => void): void {
    this.#storage.transactionSync(work);
  }

  #count(cursor: SqlStorageCursor<Record<string, SqlStorageValue>>): void {
    this.rowsRead += cursor.rowsRead;
    this.rowsWritten += cursor.rowsWritten;
  }
}

/** Changes the row itself: there may be thousands. */
function fromRow(row: Record<string, SqlStorageValue | Uint8Array>): Record<string, SqlValue> {
  for (const name in row) {
    const value = row[name];
    if (value instanceof ArrayBuffer) row[name] = new Uint8Array(value);
  }
  return row as Record<string, SqlValue>;
}
