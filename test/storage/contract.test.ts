import { DatabaseSync } from "node:sqlite";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { describeShardStorage } from "./contract.ts";
import { NodeSql } from "./node-sql.ts";

describeShardStorage("memory", () => {
  const storage = new MemoryShardStorage();
  return { storage, reopen: () => storage };
});

describeShardStorage("SQLite in Node", () => {
  const database = new DatabaseSync(":memory:");
  return {
    storage: new SqliteShardStorage(new NodeSql(database)),
    reopen: () => new SqliteShardStorage(new NodeSql(database)),
  };
});
