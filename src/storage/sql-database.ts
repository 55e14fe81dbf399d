export type SqlValue = string | number | null | Uint8Array;

/** A SQLite database as this project uses one: synchronous, and it counts what Cloudflare would bill. */
export interface SqlDatabase {
  /** Runs one statement and yields its rows. The rows must be read before the next statement runs. */
  query(sql: string, ...parameters: SqlValue[]): Iterable<Record<string, SqlValue>>;
  /** Runs one statement that returns nothing. */
  run(sql: string, ...parameters: SqlValue[]): void;
  /** All of it is kept or, when `work` throws, nothing. */
  transaction(work: () => void): void;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** Size of the database. */
  readonly storedBytes: number;
}
