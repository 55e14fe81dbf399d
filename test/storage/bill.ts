/** What every statement of src/storage is billed, pinned once: each driver must come to the same number. */
import { describe, expect, test } from "vitest";
import { migrations } from "../../src/storage/migrations.ts";
import type { SqlDatabase, SqlValue } from "../../src/storage/sql-database.ts";

interface Billed {
  readonly sql: string;
  readonly parameters?: readonly SqlValue[];
  readonly rowsWritten: number;
}

const blob = new Uint8Array([1, 2, 3]);

const createMigrationTable = "CREATE TABLE migration (version INTEGER PRIMARY KEY)";

/** What no statement can do takes several. */
const packed: readonly Billed[] = [
  {
    sql: "SELECT topic_name, expires_at_ms, length(publication) AS size FROM retained ORDER BY topic_name",
    rowsWritten: 0,
  },
  {
    sql: "SELECT publication FROM retained WHERE topic_name BETWEEN ? AND ? ORDER BY topic_name",
    parameters: ["a", "b"],
    rowsWritten: 0,
  },
  { sql: "INSERT INTO retained_block VALUES (?, ?, ?, ?)", parameters: [7, 7, blob, blob], rowsWritten: 1 },
  { sql: "DROP TABLE retained", rowsWritten: 0 },
];

/** A table is a row of the schema, which is written and then filled in; a column changes that row. */
const schema: readonly Billed[] = [createMigrationTable, ...migrations.flat()].flatMap((change) => {
  if (typeof change !== "string") return packed;
  return [{ sql: change, rowsWritten: change.startsWith("CREATE") ? 2 : 1 }];
});

const insertShard = "INSERT OR REPLACE INTO shard VALUES (1, ?, ?, ?, ?, ?, ?)";
const insertSession = "INSERT OR REPLACE INTO session VALUES (?, ?)";
const insertRetained = "INSERT OR REPLACE INTO retained_block VALUES (?, ?, ?, ?)";
const insertSegment = "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?)";
const insertRoute = "INSERT OR REPLACE INTO route VALUES (?, ?, ?, ?)";
const insertPolicy = "INSERT OR REPLACE INTO policy VALUES (1, ?, ?)";
const insertMigration = "INSERT INTO migration (version) VALUES (?)";
const deleteSession = "DELETE FROM session WHERE client_id = ?";
const deleteRetained = "DELETE FROM retained_block WHERE slot = ?";
const deleteSegment = "DELETE FROM segment WHERE slot = ?";
const deleteRoute = "DELETE FROM route WHERE filter = ? AND shard = ?";

/** A row that is new, overwritten, deleted, and deleted when it is not there. */
const writes: readonly Billed[] = [
  { sql: insertMigration, parameters: [1], rowsWritten: 1 },
  { sql: insertShard, parameters: [1, 0, 1, 1, 2, 0], rowsWritten: 1 },
  { sql: insertShard, parameters: [2, 1, 1, 1, 2, 0], rowsWritten: 1 },
  { sql: insertSession, parameters: ["client", blob], rowsWritten: 1 },
  { sql: insertSession, parameters: ["client", blob], rowsWritten: 1 },
  { sql: insertRetained, parameters: [1, 1, blob, blob], rowsWritten: 1 },
  { sql: insertRetained, parameters: [1, 2, blob, blob], rowsWritten: 1 },
  { sql: insertSegment, parameters: [1, 1, blob, blob], rowsWritten: 1 },
  { sql: insertSegment, parameters: [1, 2, blob, blob], rowsWritten: 1 },
  { sql: insertPolicy, parameters: [1, blob], rowsWritten: 1 },
  { sql: insertPolicy, parameters: [2, blob], rowsWritten: 1 },
  { sql: insertRoute, parameters: ["a/#", 3, 1, 1], rowsWritten: 1 },
  { sql: insertRoute, parameters: ["a/#", 3, 1, 2], rowsWritten: 1 },
];

const reads: readonly Billed[] = [
  { sql: "SELECT name FROM sqlite_master WHERE name = 'migration'" },
  { sql: "SELECT name FROM sqlite_master WHERE type = 'table'" },
  { sql: "SELECT MAX(version) AS version FROM migration" },
  { sql: "SELECT * FROM shard" },
  { sql: "SELECT version, record FROM policy" },
  { sql: "SELECT filter, shard, boot, serial FROM route" },
  { sql: "SELECT client_id, record FROM session" },
  { sql: "SELECT slot, seq, head FROM retained_block" },
  { sql: "SELECT publications FROM retained_block WHERE slot = ?", parameters: [1] },
  { sql: "SELECT slot, seq, head FROM segment ORDER BY seq" },
  { sql: "SELECT slot, seq, head FROM segment WHERE slot = ?", parameters: [1] },
  { sql: "SELECT slot, seq, head, publications FROM segment WHERE slot = ?", parameters: [1] },
].map((one) => ({ ...one, rowsWritten: 0 }));

const deletions: readonly Billed[] = [
  { sql: deleteSession, parameters: ["client"], rowsWritten: 1 },
  { sql: deleteSession, parameters: ["client"], rowsWritten: 0 },
  { sql: deleteRetained, parameters: [1], rowsWritten: 1 },
  { sql: deleteRetained, parameters: [1], rowsWritten: 0 },
  { sql: deleteSegment, parameters: [1], rowsWritten: 1 },
  { sql: deleteSegment, parameters: [1], rowsWritten: 0 },
  { sql: deleteRoute, parameters: ["a/#", 3], rowsWritten: 1 },
  { sql: deleteRoute, parameters: ["a/#", 3], rowsWritten: 0 },
];

/** In the order in which they are run, on an empty database. */
export const bill: readonly Billed[] = [...schema, ...writes, ...reads, ...deletions];

/** `makeDatabase`: an empty one, by the driver. */
export function describeBill(name: string, makeDatabase: () => SqlDatabase): void {
  describe(`what ${name} counts`, () => {
    test("is what each statement is billed", () => {
      const database = makeDatabase();
      const counted = bill.map(({ sql, parameters = [] }) => {
        const before = database.rowsWritten;
        if (sql.startsWith("SELECT")) expect([...database.query(sql, ...parameters)]).toBeDefined();
        else database.run(sql, ...parameters);
        return { sql, rowsWritten: database.rowsWritten - before };
      });
      expect(counted).toEqual(bill.map(({ sql, rowsWritten }) => ({ sql, rowsWritten })));
    });
  });
}
