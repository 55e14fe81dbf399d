import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import { SqliteShardStorage } from "../../src/storage/sqlite-shard-storage.ts";
import { isForLackOfRoom, StorageFullError } from "../../src/storage/storage-full-error.ts";
import { NodeSql } from "./node-sql.ts";

const shard = { boot: 1, settledBoot: 0 };

test("a commit for which SQLite has no room says so, and nothing of it is written", () => {
  const database = new DatabaseSync(":memory:");
  const storage = new SqliteShardStorage(new NodeSql(database));
  storage.commit({ ...emptyWriteSet(), shard });
  database.exec("PRAGMA max_page_count = 1");
  const payload = new Uint8Array(1_000_000);
  const message = { topicName: "a", payload, qos: 1, retain: false } as const;
  const segment = { slot: 1, seq: 1, messages: [], publications: [{ message }], deliveryStates: [] };
  const writes = { ...emptyWriteSet(), shard: { ...shard, boot: 2 }, segments: [segment] };
  expect(() => storage.commit(writes)).toThrow(StorageFullError);
  expect(storage.readShard()).toMatchObject({ boot: 1 });
  expect(storage.readSegment(1)).toBeUndefined();
});

test.each([
  ["database or disk is full: SQLITE_FULL", true],
  ["Exceeded allowed rows written in Durable Objects free tier.", true],
  ["UNIQUE constraint failed", false],
])("%j is for lack of room: %s", (message, isFull) => {
  expect(isForLackOfRoom(new Error(message))).toBe(isFull);
});
