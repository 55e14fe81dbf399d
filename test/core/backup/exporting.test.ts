import { describe, expect, test } from "vitest";
import type { BackupCursor, BackupRecord } from "../../../src/core/backup/record.ts";
import { week } from "../shards/actors.ts";
import { Harness } from "../harness.ts";
import type { SimulatedShard } from "../simulated-shard.ts";
import { SimulatedClient, textOf } from "../simulated-client.ts";
import { exportAll, exportPage, importAll } from "./backups.ts";

/** A quarter of a page. */
const large = "x".repeat(128 * 1024);

function onlyShardOf({ shards: [shard] }: Harness): SimulatedShard {
  if (shard === undefined) throw new Error("there is no shard");
  return shard;
}

function payloadsOf(records: readonly BackupRecord[]): string[] {
  return records.flatMap((record) =>
    record.type === "session" ? [] : [textOf(record.publication.message.payload).slice(0, 1)],
  );
}

/** A session with nine large messages in its queue. */
function withBacklog(): { harness: Harness; publisher: SimulatedClient } {
  const harness = new Harness({ shards: 1 });
  const options = { clientId: "client", sessionExpiryIntervalSec: week };
  const client = SimulatedClient.connected(harness, options);
  client.subscribe("topic", 2);
  client.lose();
  const publisher = SimulatedClient.connected(harness);
  for (let number = 1; number <= 9; number += 1) publisher.publish("topic", `${number}${large}`, { qos: 1 });
  return { harness, publisher };
}

describe("a page", () => {
  test("holds no more than a few messages, and the next one goes on where it ended", () => {
    const { harness } = withBacklog();
    const sizes: number[] = [];
    let cursor: BackupCursor | undefined;
    const records: BackupRecord[] = [];
    do {
      const page = exportPage(harness, onlyShardOf(harness), cursor);
      sizes.push(page.records.length);
      records.push(...page.records);
      cursor = page.next;
    } while (cursor !== undefined);
    expect(sizes).toEqual([4, 4, 2]);
    expect(payloadsOf(records).join("")).toBe("123456789");
  });

  test("may be read again: another export has not disturbed it", () => {
    const harness = new Harness({ shards: 1 });
    const publisher = SimulatedClient.connected(harness);
    for (let number = 1; number <= 9; number += 1) {
      publisher.publish(`topic/${number}`, `${number}${large}`, { retain: true });
    }
    const shard = onlyShardOf(harness);
    const { next } = exportPage(harness, shard, undefined);
    const once = exportPage(harness, shard, next);
    exportAll(harness);
    expect(exportPage(harness, shard, next)).toStrictEqual(once);
    expect(payloadsOf(once.records).join("")).toBe("5678");
  });

  test("goes on after the object was gone in between", () => {
    const { harness } = withBacklog();
    const records = exportAll(harness, () => harness.reset());
    expect(payloadsOf(records).join("")).toBe("123456789");
  });
});

describe("a session", () => {
  test("is as of the moment of its last page: what its client acknowledges meanwhile does not come again", () => {
    const { harness, publisher } = withBacklog();
    let pages = 0;
    const records = exportAll(harness, () => {
      pages += 1;
      if (pages !== 1) return;
      const client = { clientId: "client", sessionExpiryIntervalSec: week, cleanStart: false } as const;
      SimulatedClient.connected(harness, { ...client, receiveMaximum: 2, acks: "manual" })
        .answer(2)
        .lose();
      publisher.publish("topic", "too late", { qos: 1 });
    });
    const target = new Harness({ shards: 1 });
    importAll(target, records);
    const options = { clientId: "client", sessionExpiryIntervalSec: week, cleanStart: false };
    const client = SimulatedClient.connected(target, options);
    expect(client.payloads.map((payload) => payload[0]).join("")).toBe("3456789");
    expect(client.all("publish").map(({ dup }) => dup)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  test("that ends while it is exported is not imported", () => {
    const { harness } = withBacklog();
    let pages = 0;
    const records = exportAll(harness, () => {
      pages += 1;
      if (pages === 1) SimulatedClient.connected(harness, { clientId: "client" });
    });
    expect(records.map(({ type }) => type)).not.toContain("session");
    const target = new Harness({ shards: 1 });
    importAll(target, records);
    target.reset();
    expect(target.sessionRecords).toEqual([]);
    expect(target.shards[0]?.core.sessions.size).toBe(0);
  });

  test("that ends with its connection is left out", () => {
    const harness = new Harness({ shards: 1 });
    SimulatedClient.connected(harness).subscribe("topic", 1);
    expect(exportAll(harness)).toEqual([]);
  });

  test("with messages that are not written yet is written first", () => {
    const harness = new Harness({ shards: 1, flushesPerSecMax: 0.001 });
    const options = { clientId: "client", sessionExpiryIntervalSec: week, acks: "manual" } as const;
    SimulatedClient.connected(harness, options).subscribe("topic", 1);
    const publisher = SimulatedClient.connected(harness);
    for (let number = 0; number < 150; number += 1) publisher.publish("topic", `${number}`, { qos: 1 });
    const messages = exportAll(harness).filter(({ type }) => type === "message");
    expect(messages).toHaveLength(150);
  });
});

test("a retained message of a topic that begins with $ is exported, and none of the server's own", () => {
  const harness = new Harness({ shards: 1 });
  SimulatedClient.connected(harness).subscribe("$SYS/#");
  SimulatedClient.connected(harness).publish("$own/topic", "kept", { retain: true });
  expect(payloadsOf(exportAll(harness))).toEqual(["k"]);
});
