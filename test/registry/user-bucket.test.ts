import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ScramClient } from "../auth/scram-client.ts";
import { challenge, parseClientFirst, prove } from "../../src/auth/scram.ts";
import { attemptIntervalMs, freeAttempts, LoginThrottle } from "../../src/registry/login-throttle.ts";
import { registryMigrations } from "../../src/registry/migrations.ts";
import { ShardNews } from "../../src/registry/shard-news.ts";
import { UserBucket } from "../../src/registry/user-bucket.ts";
import { LazyDatabase } from "../../src/storage/lazy-database.ts";
import { NodeSql } from "../storage/node-sql.ts";

const rights = {
  roles: ["reader"],
  rules: [{ effect: "allow", action: "all", topicFilter: "a/#" }],
} as const;
const ann = { password: "pencil", roles: [...rights.roles], rules: [...rights.rules], disabled: false };

let nowMs: number;
let sql: NodeSql;
let users: UserBucket;
let news: ShardNews;
/** How often the alarm was armed. */
let guards: number;

beforeEach(() => {
  nowMs = 1_900_000_000_000;
  sql = new NodeSql();
  guards = 0;
  users = open();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A new life of the same object. */
function open(): UserBucket {
  const database = new LazyDatabase(sql, registryMigrations);
  news = new ShardNews(database, 2);
  const guard = (): void => void (guards += 1);
  return new UserBucket(database, news, { guard }, () => nowMs);
}

describe("A user", () => {
  test("is kept without the password, and told without what verifies it", async () => {
    expect(await users.put("ann", ann)).toEqual({
      type: "done",
      user: { username: "ann", ...rights, disabled: false, updatedAtMs: nowMs },
    });
    expect(open().get("ann")).toEqual({ username: "ann", ...rights, disabled: false, updatedAtMs: nowMs });
    expect(JSON.stringify([...sql.query("SELECT * FROM user")])).not.toContain("pencil");
  });

  test("logs in with the password, and no other", async () => {
    await users.put("ann", ann);
    expect(await users.verifyPassword("ann", "pencil")).toEqual({
      type: "verified",
      username: "ann",
      rights,
    });
    expect(await users.verifyPassword("ann", "pen")).toEqual({ type: "wrong" });
    expect(await users.verifyPassword("bob", "pencil")).toEqual({ type: "unknown" });
  });

  test("keeps the password over a change that brings none", async () => {
    await users.put("ann", ann);
    await users.put("ann", { roles: [], rules: [], disabled: false });
    expect(await users.verifyPassword("ann", "pencil")).toMatchObject({
      type: "verified",
      rights: { roles: [] },
    });
    await users.put("ann", { ...ann, password: "pen" });
    expect(await users.verifyPassword("ann", "pencil")).toEqual({ type: "wrong" });
  });

  test("who is disabled does not get in, and that looks like a wrong password", async () => {
    await users.put("ann", { ...ann, disabled: true });
    expect(await users.verifyPassword("ann", "pencil")).toEqual({ type: "wrong" });
    expect(await users.scramVerifier("ann")).not.toHaveProperty("rights");
  });

  test("who is deleted is nobody", async () => {
    await users.put("ann", ann);
    expect(users.delete("ann")).toBe(true);
    expect(users.delete("ann")).toBe(false);
    expect(users.get("ann")).toBeUndefined();
    expect(await users.verifyPassword("ann", "pencil")).toEqual({ type: "unknown" });
  });

  test.each([
    ["without a password", "new", { ...ann, password: undefined }],
    ["with an empty password", "new", { ...ann, password: "" }],
    ["with a password that is too long", "new", { ...ann, password: "p".repeat(1025) }],
    ["without a name", "", ann],
    ["with a control character in the name", "a\u0000b", ann],
    ["with a name that is too long", "a".repeat(257), ann],
  ])("is refused %s", async (_, username, change) => {
    const { password, ...rest } = change;
    const answer = await users.put(username, { ...rest, ...(password !== undefined && { password }) });
    expect(answer).toMatchObject({ type: "refused" });
    expect(users.list("", 10)).toEqual([]);
  });

  test("may be bound to a Client Identifier, which is among the rights, until a change without one", async () => {
    await users.put("ann", { ...ann, clientId: "ann-1" });
    expect(open().get("ann")).toMatchObject({ clientId: "ann-1" });
    expect(users.list("", 1)).toMatchObject([{ clientId: "ann-1" }]);
    const bound = { ...rights, clientId: "ann-1" };
    expect(await users.verifyPassword("ann", "pencil")).toMatchObject({ type: "verified", rights: bound });
    expect(await users.scramVerifier("ann")).toMatchObject({ type: "verifier", rights: bound });
    await users.put("ann", ann);
    expect(await users.verifyPassword("ann", "pencil")).toMatchObject({ rights });
    expect(users.get("ann")).not.toHaveProperty("clientId");
  });

  test("who is changed or deleted is noted for every shard, with the alarm; who is new, or was not there, is not", async () => {
    await users.put("ann", ann);
    expect([news.number, guards]).toEqual([0, 0]);
    await users.put("ann", { ...ann, roles: [] });
    users.delete("ann");
    expect(news.nextRound(2).tellings).toEqual([0, 1].map((shard) => ({ shard, subjects: ["ann"] })));
    expect([news.number, guards]).toEqual([2, 2]);
    users.delete("ann");
    await users.put("bob", { ...ann, password: "" });
    expect([news.number, guards]).toEqual([2, 2]);
  });

  test("is not changed when that cannot be noted for the shards, nor noted when the change fails", async () => {
    await users.put("ann", ann);
    const { number } = news;
    vi.spyOn(news, "add").mockImplementation((database, subject) => {
      database.run("INSERT OR REPLACE INTO news VALUES (1, 99, '[]', 0, '{}', '[]', 0)");
      throw new Error(`there is no room for ${subject}`);
    });
    await expect(users.put("ann", { ...ann, roles: [] })).rejects.toThrow("there is no room");
    expect(() => users.delete("ann")).toThrow("there is no room");
    expect(users.get("ann")).toMatchObject({ roles: ["reader"] });
    expect(news.number).toBe(number);
  });

  test("costs a row, a change another one for the shards, and to look for it none", async () => {
    await users.put("ann", ann);
    const before = sql.rowsWritten;
    await users.put("bob", ann);
    expect(sql.rowsWritten - before).toBe(1);
    await users.put("bob", { ...ann, roles: [] });
    expect(sql.rowsWritten - before).toBe(3);
    users.get("bob");
    users.list("", 10);
    expect(sql.rowsWritten - before).toBe(3);
  });

  test("is listed by name, page by page", async () => {
    for (const name of ["cid", "ann", "bob"]) await users.put(name, ann);
    const namesAfter = (after: string) => users.list(after, 2).map(({ username }) => username);
    expect(namesAfter("")).toEqual(["ann", "bob"]);
    expect(namesAfter("bob")).toEqual(["cid"]);
  });
});

describe("Nobody", () => {
  test("costs the same derivations as a user, whatever the outcome", async () => {
    await users.put("ann", ann);
    await users.put("off", { ...ann, disabled: true });
    const derive = vi.spyOn(crypto.subtle, "deriveBits");
    const workOf = async (username: string, password: string): Promise<unknown> => {
      derive.mockClear();
      await users.verifyPassword(username, password);
      return derive.mock.calls.map(([algorithm]) => (algorithm as { iterations: number }).iterations);
    };
    const work = await workOf("ann", "pencil");
    expect(work).toEqual([100_000]);
    expect(await workOf("ann", "pen")).toEqual(work);
    expect(await workOf("ann", "p".repeat(2000))).toEqual(work);
    expect(await workOf("bob", "pencil")).toEqual(work);
    expect(await workOf("off", "pencil")).toEqual(work);
  });

  test("has the same salt in every life of the object", async () => {
    const one = await users.scramVerifier("bob");
    expect(await open().scramVerifier("bob")).toEqual(one);
    expect(one).not.toHaveProperty("rights");
  });

  test("finishes no exchange, as somebody does", async () => {
    await users.put("ann", ann);
    for (const [username, isUser] of [
      ["ann", true],
      ["bob", false],
    ] as const) {
      const answer = await users.scramVerifier(username);
      if (answer.type !== "verifier") throw new Error("there are too many attempts");
      const client = new ScramClient(username, "pencil");
      const first = parseClientFirst(client.first);
      if (first === undefined) throw new Error("the first message is refused");
      const { data, state } = challenge(first, answer.verifier);
      expect((await prove(client.final(data), state)) !== undefined).toBe(isUser);
    }
  });

  test("is slowed down as a user is", async () => {
    await users.put("ann", ann);
    for (const username of ["ann", "bob"]) {
      for (let count = 0; count < freeAttempts; count += 1) {
        expect((await users.scramVerifier(username)).type).toBe("verifier");
      }
      expect(await users.scramVerifier(username)).toEqual({ type: "busy" });
      expect(await users.verifyPassword(username, "pencil")).toEqual({ type: "busy" });
    }
  });
});

describe("Attempts to log in", () => {
  test("are not slowed down by those that succeed", async () => {
    await users.put("ann", ann);
    for (let count = 0; count < freeAttempts + 2; count += 1) {
      expect((await users.verifyPassword("ann", "pencil")).type).toBe("verified");
      await users.scramVerifier("ann");
      users.loginSucceeded("ann");
    }
  });

  test("are bounded in all", async () => {
    await users.put("ann", ann);
    const names = Array.from({ length: 70 }, (_, index) => `nobody-${index}`);
    const answers = await Promise.all(names.map((name) => users.verifyPassword(name, "x")));
    expect(answers.filter(({ type }) => type === "busy")).toHaveLength(70 - 64);
    expect(await users.verifyPassword("ann", "pencil")).toMatchObject({ type: "verified" });
  });

  test("of many at the same time do not pass for one", () => {
    const throttle = new LoginThrottle();
    const admitted = Array.from({ length: 50 }, () => throttle.admit("ann", nowMs)).filter(Boolean);
    expect(admitted).toHaveLength(freeAttempts);
  });

  test("after too many that failed come once a second, and freely again when those are forgotten", () => {
    const throttle = new LoginThrottle();
    for (let count = 0; count < freeAttempts; count += 1) throttle.admit("ann", nowMs);
    expect(throttle.admit("ann", nowMs + attemptIntervalMs - 1)).toBe(false);
    expect(throttle.admit("ann", nowMs + attemptIntervalMs)).toBe(true);
    expect(throttle.admit("ann", nowMs + attemptIntervalMs)).toBe(false);
    expect(throttle.admit("bob", nowMs)).toBe(true);
    const later = nowMs + 16 * 60_000;
    expect(throttle.admit("ann", later) && throttle.admit("ann", later)).toBe(true);
  });

  test("never come faster than that, in whatever rhythm", () => {
    const waits = fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 20, maxLength: 100 });
    fc.assert(
      fc.property(waits, (gaps) => {
        const throttle = new LoginThrottle();
        let atMs = nowMs;
        let admitted = 0;
        for (const gap of gaps) {
          atMs += gap;
          if (throttle.admit("ann", atMs)) admitted += 1;
        }
        expect(admitted).toBeLessThanOrEqual(freeAttempts + (atMs - nowMs) / attemptIntervalMs + 1);
      }),
    );
  });
});
