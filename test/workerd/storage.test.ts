/** The contract of the storage port, over the database of a Durable Object. */
import { runInDurableObject } from "cloudflare:test";
import { aroundEach } from "vitest";
import { DurableObjectSql } from "../../src/storage/durable-object-sql.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { describeShardStorage } from "../storage/contract.ts";
import { describeBill } from "../storage/bill.ts";
import { TestObject } from "./test-object.ts";

let storage: DurableObjectStorage;

/** A database can be used only inside its object. */
aroundEach((runTest) =>
  runInDurableObject(new TestObject().stub, async (_, state) => {
    storage = state.storage;
    await runTest();
  }),
);

describeShardStorage("the database of a Durable Object", () => {
  dropTables(storage.sql);
  const open = () => new SqliteShardStorage(new DurableObjectSql(storage));
  return { storage: open(), reopen: open };
});

describeBill("the database of a Durable Object", () => {
  dropTables(storage.sql);
  return new DurableObjectSql(storage);
});

function dropTables(sql: SqlStorage): void {
  const tables = sql.exec(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
  );
  for (const { name } of tables.toArray()) sql.exec(`DROP TABLE ${String(name)}`);
}
