/** How shards come to hear of what has changed, however often they, or the object that tells them, fail. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { registryMigrations } from "../../src/registry/migrations.ts";
import { ShardNews, subjectsMax, type Subjects } from "../../src/registry/shard-news.ts";
import { guardMs, ShardPush, tellingsMax } from "../../src/registry/shard-push.ts";
import { LazyDatabase } from "../../src/storage/lazy-database.ts";
import { NodeSql } from "../storage/node-sql.ts";

let sql: NodeSql;

beforeEach(() => {
  sql = new NodeSql();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A life of the object, with shards that can be made to fail, and the alarm. */
class Life {
  readonly database = new LazyDatabase(sql, registryMigrations);
  readonly news: ShardNews;
  readonly push: ShardPush;
  /** What each shard was told, call by call. */
  readonly told: Subjects[][];
  readonly failing = new Set<number>();
  /** Shards never answer. */
  isSilent = false;
  alarmDelayMs: number | undefined;
  onCall: () => void = () => {};

  constructor(shards: number) {
    this.told = Array.from({ length: shards }, () => []);
    this.news = new ShardNews(this.database, shards);
    this.push = new ShardPush(this.news, {
      tell: async (shard, subjects) => {
        this.told[shard]?.push(subjects);
        this.onCall();
        if (this.isSilent) await new Promise(() => {});
        return !this.failing.has(shard);
      },
      setAlarm: (delayMs) => void (this.alarmDelayMs = delayMs),
      clearAlarm: () => void (this.alarmDelayMs = undefined),
    });
  }

  /** Up to the moment at which the write and the alarm are kept. */
  change(...subjects: readonly string[]): void {
    for (const subject of subjects) this.database.write((database) => this.news.add(database, subject));
    this.push.guard();
  }

  /** One call of the push, and how many shards were told. */
  async round(): Promise<{ left: number; told: number }> {
    const before = this.told.flat().length;
    const left = await this.push.push();
    return { left, told: this.told.flat().length - before };
  }
}

describe("A change", () => {
  test("reaches every shard, and the alarm is armed until it has", async () => {
    const life = new Life(3);
    life.change("ann");
    expect(life.alarmDelayMs).toBe(guardMs);
    expect(await life.push.push()).toBe(0);
    expect(life.told).toEqual([[["ann"]], [["ann"]], [["ann"]]]);
    expect(life.alarmDelayMs).toBeUndefined();
  });

  test("costs a row with the change, and one when all have heard", async () => {
    const life = new Life(3);
    life.change("ann");
    await life.push.push();
    const before = sql.rowsWritten;
    life.change("bob");
    expect(sql.rowsWritten - before).toBe(1);
    await life.push.push();
    expect(sql.rowsWritten - before).toBe(2);
  });

  test("is told to so many shards in an event as one may call, and to the next at once by the alarm", async () => {
    const life = new Life(2 * tellingsMax + 5);
    life.change("ann");
    expect(await life.round()).toEqual({ told: tellingsMax, left: tellingsMax + 5 });
    expect(life.alarmDelayMs).toBe(0);
    expect(await life.round()).toEqual({ told: tellingsMax, left: 5 });
    expect(life.alarmDelayMs).toBe(0);
    expect(await life.round()).toEqual({ told: 5, left: 0 });
    expect(life.told).toEqual(life.told.map(() => [["ann"]]));
    expect(life.alarmDelayMs).toBeUndefined();
  });

  test("reaches every shard also when the next ones come faster than the alarm", async () => {
    const life = new Life(2 * tellingsMax);
    for (const subject of ["ann", "bob", "cid"]) {
      life.change(subject);
      await life.push.push();
    }
    expect(life.told.map((tellings) => tellings.flat().includes("ann"))).toEqual(life.told.map(() => true));
  });

  test("is told again to those only that have not heard it, less and less often", async () => {
    const life = new Life(3);
    life.failing.add(1);
    life.change("ann");
    const delays: (number | undefined)[] = [];
    for (let count = 0; count < 12; count += 1) {
      expect(await life.push.push()).toBe(1);
      delays.push(life.alarmDelayMs);
    }
    expect(life.told.map(({ length }) => length)).toEqual([1, 12, 1]);
    expect(delays.slice(0, 6)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
    expect(delays.at(-1)).toBe(30_000);
    life.failing.clear();
    expect(await life.push.push()).toBe(0);
    expect(life.alarmDelayMs).toBeUndefined();
  });

  test("waits for a pause when more shards than one event may call do not hear", async () => {
    const life = new Life(tellingsMax + 8);
    for (let shard = 0; shard < tellingsMax + 8; shard += 1) life.failing.add(shard);
    life.change("ann");
    const delays: (number | undefined)[] = [];
    for (let count = 0; count < 6; count += 1) {
      await life.push.push();
      delays.push(life.alarmDelayMs);
    }
    expect(delays).toEqual([0, 1_000, 0, 2_000, 0, 4_000]);
  });

  test("does not wait for a shard that does not answer, nor for one that the settings no longer have", async () => {
    vi.useFakeTimers();
    const before = new Life(4);
    before.failing.add(1).add(3);
    before.change("ann");
    await before.push.push();
    const after = new Life(2);
    after.isSilent = true;
    const left = after.push.push();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await left).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
    after.isSilent = false;
    expect(await after.push.push()).toBe(0);
    expect(after.told).toEqual([[], [["ann"], ["ann"]]]);
  });

  test("is told by the next life when this one ends after the write, or before the shards have answered", async () => {
    vi.useFakeTimers();
    const first = new Life(2);
    first.change("ann");
    expect(first.alarmDelayMs).toBe(guardMs);
    const second = new Life(2);
    second.isSilent = true;
    void second.push.push();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(second.told).toEqual([[["ann"]], [["ann"]]]);
    // Nothing more of these two lives is kept.
    const third = new Life(2);
    expect(await third.push.push()).toBe(0);
    expect(third.told).toEqual([[["ann"]], [["ann"]]]);
  });

  test("that comes while another is told is told to all, and its alarm stays armed", async () => {
    const life = new Life(2);
    life.change("ann");
    life.onCall = () => {
      life.onCall = () => {};
      life.change("bob");
    };
    expect(await life.push.push()).toBe(2);
    expect(life.alarmDelayMs).toBe(guardMs);
    expect(await life.push.push()).toBe(0);
    expect(life.told).toEqual([
      [["ann"], ["bob"]],
      [["ann"], ["bob"]],
    ]);
  });

  test("shares a round with others that wait for the one that is under way", async () => {
    const life = new Life(1);
    life.change("ann");
    const first = life.push.push();
    await Promise.resolve();
    life.change("bob");
    const second = life.push.push();
    life.change("cid");
    const third = life.push.push();
    expect(await Promise.all([first, second, third])).toEqual([1, 0, 0]);
    expect(life.told).toEqual([[["ann"], ["bob", "cid"]]]);
  });

  test("is told after a round that failed as a whole", async () => {
    const life = new Life(1);
    life.change("ann");
    const note = vi.spyOn(life.news, "note").mockImplementationOnce(() => {
      throw new Error("there is no room");
    });
    await expect(life.push.push()).rejects.toThrow("there is no room");
    expect(await life.push.push()).toBe(0);
    expect(note).toHaveBeenCalledTimes(2);
  });

  test("is told by another alarm when this one fails", async () => {
    const life = new Life(1);
    life.change("ann");
    life.alarmDelayMs = undefined;
    vi.spyOn(life.news, "note").mockImplementationOnce(() => {
      throw new Error("there is no room");
    });
    const logged = vi.spyOn(console, "error").mockImplementationOnce(() => {});
    await life.push.goOn();
    expect(logged).toHaveBeenCalledOnce();
    expect(life.alarmDelayMs).toBe(guardMs);
    await life.push.goOn();
    expect(life.alarmDelayMs).toBeUndefined();
    expect(life.news.pendingCount).toBe(0);
  });
});

describe("A shard that has not heard of several changes", () => {
  test("is told of those only, each once, and in one call", async () => {
    const life = new Life(2);
    life.failing.add(1);
    for (const subject of ["ann", "bob", "ann"]) {
      life.change(subject);
      await life.push.push();
    }
    life.failing.clear();
    await life.push.push();
    expect(life.told[0]).toEqual([["ann"], ["bob"], ["ann"]]);
    expect(life.told[1]?.at(-1)).toEqual(["bob", "ann"]);
  });

  test("is told that everything has changed when there are too many names; others are told the names", async () => {
    const life = new Life(2);
    life.change("first");
    life.failing.add(1);
    await life.push.push();
    const names = Array.from({ length: subjectsMax }, (_, index) => `user-${index}`);
    life.change(...names);
    await life.push.push();
    expect(life.told[0]?.at(-1)).toEqual(names);
    expect(life.told[1]?.at(-1)).toBe("all");
    life.failing.clear();
    expect(await life.push.push()).toBe(0);
    life.change("ann");
    await life.push.push();
    expect(life.told[1]?.slice(-2)).toEqual(["all", ["ann"]]);
  });

  test("takes no more room with each change, however long it is away", () => {
    const life = new Life(2);
    const sizeOf = (): number => JSON.stringify([...sql.query("SELECT * FROM news")]).length;
    const name = (index: number): string => `${"x".repeat(250)}${String(index).padStart(6, "0")}`;
    for (let index = 0; index < subjectsMax + 200; index += 1) life.change(name(index));
    for (let index = 0; index < 200; index += 1) life.change(name(0));
    expect(sizeOf()).toBeLessThan(300_000);
  });
});

test("Whatever fails and dies, every shard hears of every change after the change, and then there is peace", async () => {
  const event = fc.oneof(
    fc.record({ type: fc.constant("change"), name: fc.constantFrom("ann", "bob", "cid", "dan") }),
    fc.record({ type: fc.constant("round"), failing: fc.subarray([0, 1, 2]) }),
    fc.record({ type: fc.constant("death") }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
      sql = new NodeSql();
      let life = new Life(3);
      /** By shard: names that have changed since it has heard of them. */
      const unheard = Array.from({ length: 3 }, () => new Set<string>());
      const collect = (failing: readonly number[]): void => {
        for (const [shard, told] of life.told.entries()) {
          if (!failing.includes(shard)) for (const name of told.flat()) unheard[shard]?.delete(name);
          told.length = 0;
        }
      };
      for (const one of events) {
        if ("name" in one) {
          life.change(one.name);
          for (const names of unheard) names.add(one.name);
        } else if ("failing" in one) {
          for (const shard of one.failing) life.failing.add(shard);
          await life.push.push();
          collect(one.failing);
          life.failing.clear();
        } else {
          life = new Life(3);
        }
        expect(life.news.pendingCount).toBe(unheard.filter(({ size }) => size > 0).length);
      }
      await life.push.push();
      collect([]);
      expect(unheard.map(({ size }) => size)).toEqual([0, 0, 0]);
      expect(life.news.pendingCount).toBe(0);
      expect((await life.round()).told).toBe(0);
    }),
  );
});
