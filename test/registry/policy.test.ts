import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { emptyPolicy } from "../../src/core/access/policy.ts";
import { apiTokensMax, ApiTokens } from "../../src/registry/api-tokens.ts";
import { AuditLog, auditEntriesMax } from "../../src/registry/audit-log.ts";
import { registryMigrations } from "../../src/registry/migrations.ts";
import { PolicyStore } from "../../src/registry/policy-store.ts";
import { policyContentSchema } from "../../src/registry/schemas.ts";
import { ShardNews } from "../../src/registry/shard-news.ts";
import { migrateBy } from "../../src/storage/schema.ts";
import { LazyDatabase } from "../../src/storage/lazy-database.ts";
import { encodePolicy } from "../../src/storage/policy-codec.ts";
import { NodeSql } from "../storage/node-sql.ts";

const rule = { effect: "allow", action: "all", topicFilter: "#" } as const;
const content = policyContentSchema.parse({
  rules: [rule],
  roles: { reader: [rule] },
  bans: [{ by: "client", value: "c" }],
});

let sql: NodeSql;
let database: LazyDatabase;
let nowMs: number;

beforeEach(() => {
  sql = new NodeSql();
  database = open();
  nowMs = 1_900_000_000_000;
});

function open(): LazyDatabase {
  return new LazyDatabase(sql, registryMigrations);
}

function storeIn(storedIn: LazyDatabase): PolicyStore {
  return new PolicyStore(storedIn, new ShardNews(storedIn, 2));
}

describe("The schema of the registry", () => {
  /** SHA-256 of the statements of each released step. A new step adds a line; a line that is here never changes. */
  const released: readonly string[] = [
    "cce5fa703217efeacbb290a16ffeabf994cc6ad5f6fa5fb00d2a16fc606bfd5b",
    "7bea3d686e327c589cf76cbe9b635b9284fc3b9e95e50f3e8172664572c87450",
  ];

  test("is append-only: a released step stays as it was", () => {
    const hashes = registryMigrations.map((statements) =>
      createHash("sha256").update(statements.join(";\n")).digest("hex"),
    );
    expect(hashes).toEqual(released);
  });

  test("comes with the first write: to look into an empty object costs nothing", () => {
    expect(storeIn(database).policy).toEqual(emptyPolicy);
    expect(new ApiTokens(database, () => nowMs).list()).toEqual([]);
    expect(new AuditLog(database, () => nowMs).page()).toEqual([]);
    expect(sql.rowsWritten).toBe(0);
  });

  test("has no index beside the keys, which would be billed", () => {
    database.write(() => {});
    expect(database.rows("SELECT name FROM sqlite_master WHERE type = 'index'")).toEqual([]);
  });

  test("takes over a policy with the shards that had not heard of it, and users without a Client Identifier", () => {
    migrateBy(registryMigrations, sql, 1);
    const record = encodePolicy({ ...content, version: 7 });
    sql.run("INSERT INTO policy VALUES (1, 7, ?, '[0,2]', 3)", record);
    sql.run("INSERT INTO user VALUES ('ann', x'00', 1, x'00', x'00', '[]', '[]', 0, 1)");
    const migrated = open();
    expect(storeIn(migrated).policy).toEqual({ ...content, version: 7 });
    const { tellings } = new ShardNews(migrated, 3).nextRound(3);
    expect(tellings).toEqual([0, 2].map((shard) => ({ shard, subjects: ["policy"] })));
    expect(migrated.first("SELECT client_id FROM user")).toEqual({ client_id: null });
  });

  test("takes over a policy that every shard has heard of", () => {
    migrateBy(registryMigrations, sql, 1);
    sql.run("INSERT INTO policy VALUES (1, 7, ?, '[]', 0)", encodePolicy({ ...content, version: 7 }));
    expect(new ShardNews(open(), 3).pendingCount).toBe(0);
  });

  test("of a newer release is refused", () => {
    database.write(() => {});
    sql.run("INSERT INTO migration (version) VALUES (?)", registryMigrations.length + 1);
    expect(open).toThrow("this release reads up to");
  });
});

describe("The policy", () => {
  test("gets the next version with each change, and is kept", () => {
    const store = storeIn(database);
    expect(store.put(content, 0)).toEqual({ type: "done", version: 1 });
    expect(store.put({ ...content, rules: [] }, 1)).toEqual({ type: "done", version: 2 });
    expect(storeIn(open()).policy).toEqual({ ...content, rules: [], version: 2 });
  });

  test("is not changed by who has seen an older one", () => {
    const store = storeIn(database);
    store.put(content, 0);
    expect(store.put({ ...content, rules: [] }, 0)).toEqual({ type: "conflict", version: 1 });
    expect(store.policy.rules).toEqual([rule]);
  });

  test("is kept with the shards that have to hear of it, or neither is", () => {
    const news = new ShardNews(database, 2);
    const store = new PolicyStore(database, news);
    store.put(content, 0);
    expect(news.pendingCount).toBe(2);
    vi.spyOn(news, "add").mockImplementation(() => {
      throw new Error("there is no room");
    });
    expect(() => store.put(content, 1)).toThrow("there is no room");
    expect([store.policy.version, news.number]).toEqual([1, 1]);
  });

  test("is refused when it is too large for a shard", () => {
    const many = {
      ...content,
      rules: Array.from({ length: 600 }, () => ({ ...rule, topicFilter: "x".repeat(1000) })),
    };
    expect(storeIn(database).put(many, 0)).toMatchObject({ type: "refused" });
  });

  test.each([
    ["more than it has", { extra: 1 }],
    ["a rule that is none", { rules: [{ ...rule, effect: "maybe" }] }],
    ["a role without a name", { roles: { "": [rule] } }],
    ["a ban of nobody", { bans: [{ by: "client", value: "" }] }],
    ["a ban of no address", { bans: [{ by: "address", value: "203.0.113.256" }] }],
    ["a ban of no network", { bans: [{ by: "address", value: "203.0.113.0/33" }] }],
    ["a ban of a name that nobody has", { bans: [{ by: "username", value: "a\u0000" }] }],
    ["rules of a name that nobody has", { users: { "a\u0000": [rule] } }],
    ["rules of one name in two notations", { users: { finn: [rule], "\ufb01nn": [rule] } }],
  ])("is refused with %s", (_, parts) => {
    expect(policyContentSchema.safeParse({ ...content, ...parts }).success).toBe(false);
  });
});

describe("Names and addresses", () => {
  const written = { by: "address", value: "2001:DB8::1" } as const;
  const ban = { by: "address", value: "2001:db8::/64" } as const;

  test("are kept in the notation by which they are compared", () => {
    const parsed = policyContentSchema.parse({
      users: { "\ufb01nn": [rule] },
      bans: [written, { by: "username", value: "\ufb01nn", untilMs: 5 }, { by: "client", value: "\ufb01nn" }],
    });
    expect(parsed.users).toEqual({ finn: [rule] });
    expect(parsed.bans).toEqual([
      ban,
      { by: "username", value: "finn", untilMs: 5 },
      { by: "client", value: "\ufb01nn" },
    ]);
  });

  test("that are refused are told as what they are", () => {
    const { error } = policyContentSchema.safeParse({ bans: [{ by: "address", value: "203.0.113.0/33" }] });
    expect(error?.issues).toMatchObject([
      { path: ["bans", 0, "value"], message: expect.stringContaining("must be an IP address or a network") },
    ]);
  });

  test.each(["roles", "users", "clients"])("that nothing can be kept under are refused: %s", (lists) => {
    const asked = JSON.parse(`{"${lists}": {"__proto__": []}}`);
    expect(policyContentSchema.safeParse(asked).error?.issues).toMatchObject([
      { path: [lists], message: '"__proto__" cannot be a name' },
    ]);
  });

  test("in an older policy are read so, and those that cannot be used are left out", () => {
    const store = storeIn(database);
    const bans = [written, { by: "address", value: "somewhere" } as const];
    store.put({ ...content, bans, users: { "\ufb01nn": [rule], "\u0007": [rule] } }, 0);
    expect(store.policy.bans).toEqual([ban]);
    expect(store.policy.users).toEqual({ finn: [rule] });
  });
});

describe("A token of the administration", () => {
  const request = { name: "dashboard", scopes: ["read"], expiresAtMs: 1_900_000_060_000 };

  test("opens what it was issued for, until it expires or is revoked", async () => {
    const tokens = new ApiTokens(database, () => nowMs);
    const answer = await tokens.issue(request);
    if (answer.type !== "done") throw new Error(answer.reason);
    const { secret, token } = answer;
    expect(await new ApiTokens(open(), () => nowMs).verify(secret)).toEqual({
      ...request,
      id: token.id,
      createdAtMs: nowMs,
    });
    nowMs = request.expiresAtMs;
    expect(await tokens.verify(secret)).toBeUndefined();
    nowMs -= 1;
    expect(tokens.revoke(token.id)).toBe(true);
    expect(tokens.revoke(token.id)).toBe(false);
    expect(await tokens.verify(secret)).toBeUndefined();
  });

  test("is not kept, and not told again", async () => {
    const tokens = new ApiTokens(database, () => nowMs);
    const answer = await tokens.issue(request);
    if (answer.type !== "done") throw new Error(answer.reason);
    expect(answer.secret).toMatch(/^duramq_[\w-]{43}$/);
    const kept = JSON.stringify([tokens.list(), [...sql.query("SELECT * FROM api_token")]]);
    expect(kept).not.toContain(answer.secret.slice("duramq_".length));
  });

  test.each(["", "duramq_", `duramq_${"A".repeat(43)}`, "x"])("is not %j", async (secret) => {
    const tokens = new ApiTokens(database, () => nowMs);
    await tokens.issue(request);
    expect(await tokens.verify(secret)).toBeUndefined();
  });

  test("is not issued to expire at once, nor when there are too many; those that expired make room", async () => {
    const tokens = new ApiTokens(database, () => nowMs);
    expect(await tokens.issue({ ...request, expiresAtMs: nowMs })).toMatchObject({ type: "refused" });
    for (let count = 0; count < apiTokensMax; count += 1) await tokens.issue(request);
    expect(await tokens.issue(request)).toMatchObject({ type: "refused" });
    nowMs = request.expiresAtMs;
    expect(await tokens.issue({ ...request, expiresAtMs: nowMs + 1 })).toMatchObject({ type: "done" });
    expect(database.rows("SELECT COUNT(*) AS tokens FROM api_token")).toEqual([{ tokens: 1 }]);
  });
});

describe("The audit log", () => {
  test("tells who did what to what, and when, the newest first", () => {
    const log = new AuditLog(database, () => nowMs);
    log.record("operator", "user.put", "ann");
    nowMs += 1;
    log.record("operator", "user.delete", "ann");
    expect(new AuditLog(open(), () => nowMs).page()).toEqual([
      { seq: 2, atMs: nowMs, actor: "operator", action: "user.delete", target: "ann" },
      { seq: 1, atMs: nowMs - 1, actor: "operator", action: "user.put", target: "ann" },
    ]);
  });

  test("comes in pages, and costs one row an entry", () => {
    const log = new AuditLog(database, () => nowMs);
    log.record("a", "b", "0");
    const before = sql.rowsWritten;
    for (let index = 1; index < 10; index += 1) log.record("a", "b", String(index));
    expect(sql.rowsWritten - before).toBe(9);
    const targets = (beforeSeq?: number) => log.page(beforeSeq, 4).map(({ target }) => target);
    expect(targets()).toEqual(["9", "8", "7", "6"]);
    expect(targets(7)).toEqual(["5", "4", "3", "2"]);
    expect(targets(3)).toEqual(["1", "0"]);
    expect(targets(1)).toEqual([]);
  });

  test("forgets its oldest entries", () => {
    const log = new AuditLog(database, () => nowMs);
    for (let index = 0; index < auditEntriesMax + 2; index += 1) log.record("a", "b", String(index));
    expect(database.rows("SELECT COUNT(*) AS entries FROM audit")).toEqual([{ entries: auditEntriesMax }]);
    expect(log.page(4)).toMatchObject([{ target: "2" }]);
    expect(log.page(3)).toEqual([]);
  });

  test("cuts what is long", () => {
    const log = new AuditLog(database, () => nowMs);
    log.record("a".repeat(1000), "b", "c");
    expect(log.page()[0]?.actor).toHaveLength(256);
  });
});
