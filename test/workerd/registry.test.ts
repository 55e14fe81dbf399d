import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { type Config, configOf } from "../../src/config.ts";
import type { Env } from "../../src/env.ts";
import { registryStub, userBucketOf, userBuckets } from "../../src/registry-address.ts";
import { RegistryClient } from "../../src/registry-client.ts";
import type { TestRegistry } from "./worker.ts";

/** The objects belong to all tests of this file, so each test has users of its own. */
const testEnv = env as unknown as Env;
const config = configOf(env, "default") as Config;
const registry = new RegistryClient(testEnv, config);
const policies = (): DurableObjectStub<TestRegistry> =>
  registryStub(testEnv, config, "policy") as unknown as DurableObjectStub<TestRegistry>;
const change = { password: "pencil", roles: ["reader"], rules: [], disabled: false };
const rule = { effect: "allow", action: "all", topicFilter: "#" } as const;

describe("A user", () => {
  test("is in the bucket of the name, and still there in the next life of the object", async () => {
    await registry.putUser("operator", "ann", change);
    const bucket = registryStub(testEnv, config, userBucketOf("ann"));
    await evictDurableObject(bucket);
    expect(await registry.verifyPassword("ann", "pencil")).toEqual({
      type: "verified",
      username: "ann",
      rights: { roles: ["reader"], rules: [] },
    });
    expect(await registry.verifyPassword("ann", "pen")).toEqual({ type: "wrong" });
    expect(await registry.verifyPassword("nobody", "pencil")).toEqual({ type: "unknown" });
  });

  test("has a verifier that crosses the call, as nobody has", async () => {
    await registry.putUser("operator", "scram", change);
    const answer = await registry.scramVerifier("scram");
    const nobody = await registry.scramVerifier("scram-nobody");
    if (answer.type !== "verifier" || nobody.type !== "verifier")
      throw new Error("there are too many attempts");
    expect(answer.rights).toEqual({ roles: ["reader"], rules: [] });
    expect(nobody.rights).toBeUndefined();
    expect(answer.verifier.storedKey).toBeInstanceOf(Uint8Array);
    expect(nobody.verifier.iterations).toBe(answer.verifier.iterations);
    await evictDurableObject(registryStub(testEnv, config, userBucketOf("scram-nobody")));
    expect(await registry.scramVerifier("scram-nobody")).toEqual(nobody);
  });

  test("goes by the normal form of the name", async () => {
    await registry.putUser("operator", "A\u030angstro\u0308m", change);
    expect(await registry.getUser("Ångström")).toMatchObject({ username: "Ångström" });
    expect(await registry.deleteUser("operator", "Ångström")).toMatchObject({ existed: true });
    expect(await registry.getUser("A\u030angstro\u0308m")).toBeUndefined();
  });

  test("with a name that nobody may have is refused", async () => {
    expect(await registry.putUser("operator", "a\u0000b", change)).toMatchObject({ type: "refused" });
    expect(await registry.getUser("a\u0000b")).toBeUndefined();
  });

  test("is listed once, page by page over all buckets", async () => {
    const names = Array.from({ length: 40 }, (_, index) => `listed-${index}`);
    for (const name of names) await registry.putUser("operator", name, change);
    expect(new Set(names.map(userBucketOf)).size).toBeGreaterThan(userBuckets / 2);
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await registry.listUsers(7, cursor);
      if (page === undefined) throw new Error(`the cursor ${cursor} is refused`);
      expect(page.users.length).toBeLessThanOrEqual(7);
      found.push(...page.users.map(({ username }) => username));
      ({ cursor } = page);
    } while (cursor !== undefined);
    expect(found.filter((name) => name.startsWith("listed-")).toSorted()).toEqual(names.toSorted());
    expect(new Set(found).size).toBe(found.length);
  });

  test("leaves a trace in the audit log, without the password", async () => {
    await registry.putUser("operator", "traced", change);
    await registry.deleteUser("operator", "traced");
    const entries = await registry.policies.auditEntries();
    const about = entries.filter(({ target }) => target === "traced");
    expect(about.map(({ actor, action }) => [actor, action])).toEqual([
      ["operator", "user.delete"],
      ["operator", "user.put"],
    ]);
    expect(JSON.stringify(entries)).not.toContain("pencil");
  });
});

describe("A change of a user", () => {
  const bucketOf = (username: string): DurableObjectStub<TestRegistry> =>
    registryStub(testEnv, config, userBucketOf(username)) as unknown as DurableObjectStub<TestRegistry>;

  test("is told to the shards, and by the alarm to those that failed; so is its deletion", async () => {
    const bucket = () => bucketOf("told");
    await bucket().fail([0]);
    expect(await registry.putUser("operator", "told", change)).toMatchObject({ pendingShards: 0 });
    expect(await registry.putUser("operator", "told", change)).toMatchObject({ pendingShards: 1 });
    expect(await registry.deleteUser("operator", "told")).toEqual({ existed: true, pendingShards: 1 });
    expect(await registry.deleteUser("operator", "told")).toEqual({ existed: false, pendingShards: 1 });
    expect(await bucket().alarmAtMs()).not.toBeNull();
    await evictDurableObject(bucket());
    expect(await runDurableObjectAlarm(bucket())).toBe(true);
    expect(await bucket().told()).toEqual(new Map([[0, [["told"]]]]));
    expect(await bucket().alarmAtMs()).toBeNull();
    expect(await registry.deleteUser("operator", "told")).toEqual({ existed: false, pendingShards: 0 });
  });

  test("is told by the next life of an object that dies between the write and the end of the telling", async () => {
    const bucket = () => bucketOf("survivor");
    await registry.putUser("operator", "survivor", change);
    await bucket().silence();
    const put = registry.putUser("operator", "survivor", change).catch(String);
    await vi.waitUntil(async () => (await bucket().told()).get(0)?.flat().includes("survivor"));
    await bucket()
      .crash()
      .catch(() => {});
    expect(await put).toContain("the test says so");
    expect(await registry.getUser("survivor")).toBeDefined();
    expect(await bucket().told()).toEqual(new Map());
    expect(await bucket().alarmAtMs()).not.toBeNull();
    expect(await runDurableObjectAlarm(bucket())).toBe(true);
    expect(await bucket().told()).toEqual(new Map([[0, [["survivor"]]]]));
    expect(await bucket().alarmAtMs()).toBeNull();
  });

  test("is told also after the runtime has given the alarm up, once the object is asked anything", async () => {
    const bucket = () => bucketOf("given-up");
    await registry.putUser("operator", "given-up", change);
    await bucket().fail([0]);
    expect(await registry.putUser("operator", "given-up", change)).toMatchObject({ pendingShards: 1 });
    await runInDurableObject(bucket(), (_, { storage }) => storage.deleteAlarm());
    await evictDurableObject(bucket());
    await registry.getUser("given-up");
    expect(await bucket().alarmAtMs()).not.toBeNull();
    expect(await runDurableObjectAlarm(bucket())).toBe(true);
    expect(await bucket().told()).toEqual(new Map([[0, [["given-up"]]]]));
    await evictDurableObject(bucket());
    await registry.getUser("given-up");
    expect(await bucket().alarmAtMs()).toBeNull();
  });
});

describe("The policy", () => {
  const content = { rules: [rule], roles: {}, users: {}, clients: {}, bans: [] };

  test("is pushed to the shards, and by the alarm to those that failed", async () => {
    const { version } = await policies().policy();
    await policies().fail([0]);
    const answer = await policies().putPolicy("operator", content, version);
    expect(answer).toEqual({ type: "done", version: version + 1, pendingShards: 1 });
    expect(await policies().alarmAtMs()).not.toBeNull();
    await evictDurableObject(policies());
    expect(await runDurableObjectAlarm(policies())).toBe(true);
    expect(await policies().told()).toEqual(new Map([[0, [version + 1]]]));
    expect(await policies().alarmAtMs()).toBeNull();
    expect(await policies().policy()).toEqual({ ...content, version: version + 1 });
  });

  test("is not given to a shard that would not be told of the next one", async () => {
    expect((await policies().policy(0)).version).toBe((await policies().policy()).version);
    const refusal: unknown = await policies()
      .policy(1)
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    expect(String(refusal)).toContain("There is no shard 1 yet");
  });

  test("is refused to who has seen another one, and when it is none", async () => {
    const { version } = await policies().policy();
    expect(await policies().putPolicy("operator", content, version + 1)).toMatchObject({
      type: "conflict",
      version,
    });
    const bad = { ...content, rules: [{ ...rule, topicFilter: "a/#/b" }] };
    const answer = await policies().putPolicy("operator", bad, version);
    expect(answer).toMatchObject({ type: "refused", reason: "rules.0.topicFilter: must be a Topic Filter" });
  });
});

describe("A token of the administration", () => {
  test("opens until it is revoked, in the next life of the object too", async () => {
    const request = { name: "dashboard", scopes: ["read"], expiresAtMs: Date.now() + 60_000 };
    const answer = await policies().issueToken("operator", request);
    if (answer.type !== "done") throw new Error(answer.reason);
    await evictDurableObject(policies());
    expect(await policies().verifyToken(answer.secret)).toEqual(answer.token);
    expect(await policies().revokeToken("operator", answer.token.id)).toBe(true);
    expect(await policies().verifyToken(answer.secret)).toBeUndefined();
  });
});

describe("An object of the registry", () => {
  test.each(["default/users/16", "default/0", "elsewhere/policy", "default/policy@weur"])(
    "that the settings do not have answers nothing: %s",
    async (name) => {
      const call = testEnv.REGISTRY.getByName(name).listUsers("", 1);
      const error: unknown = await call.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(String(error)).toContain("The settings have no registry");
    },
  );
});
