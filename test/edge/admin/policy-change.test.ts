import { beforeEach, describe, expect, test } from "vitest";
import { type Asked, Broker } from "./broker.ts";

const rule = { effect: "allow", action: "all", topicFilter: "a/#" } as const;
const body = { rules: [rule] };

let broker: Broker;

beforeEach(() => {
  broker = new Broker({ shards: 2 });
});

function put(path: string, ifMatch?: string): Promise<Asked> {
  return broker.ask("PUT", path, {
    body,
    ...(ifMatch !== undefined && { headers: { "if-match": ifMatch } }),
  });
}

async function etag(): Promise<string> {
  return (await broker.ask("GET", "/policy")).headers.get("etag") ?? "";
}

/** Somebody else changes the policy whenever it has been read, so many times. */
function disturb(times: number): void {
  let left = times;
  broker.afterCall = async (name) => {
    if (name !== "default/policy policy" || left === 0) return;
    left -= 1;
    await broker.call("default/policy", "putPolicy", "somebody", { ...body, bans: [] }, times - left - 1);
  };
}

test("A ban that is over is forgotten with the next one", async () => {
  const untilMs = Date.now() + 3_600_000;
  for (const ban of [
    { by: "client", value: "over", untilMs: 1 },
    { by: "client", value: "later", untilMs },
    { by: "client", value: "for good" },
  ])
    expect((await broker.ask("POST", "/bans", { body: ban })).status).toBe(201);
  const { items } = (await broker.ask("GET", "/bans")).json;
  expect(items).toEqual([
    { by: "client", value: "later", untilMs },
    { by: "client", value: "for good" },
  ]);
});

describe("Who has seen a version of the policy", () => {
  test("replaces that one, and is told the next", async () => {
    expect(await etag()).toBe('"0"');
    const done = await put("/policy", '"0"');
    expect([done.status, done.json]).toEqual([200, { version: 1, pendingShards: 0 }]);
    expect(done.headers.get("etag")).toBe('"1"');
    expect(await etag()).toBe('"1"');
  });

  test.each<[string, string, unknown]>([
    ["PUT", "/policy", body],
    ["PUT", "/rules", body],
    ["PUT", "/roles/reader", body],
    ["DELETE", "/roles/reader", undefined],
    ["POST", "/bans", { by: "client", value: "x" }],
    ["DELETE", "/bans?by=client&value=x", undefined],
  ])("does not change another one (%s %s)", async (method, path, sent) => {
    await put("/rules");
    const question = { headers: { "if-match": '"0"' }, ...(sent !== undefined && { body: sent }) };
    const refused = await broker.ask(method, path, question);
    expect([refused.status, refused.json["detail"]]).toEqual([412, "The policy is of version 1 by now"]);
    expect(await etag()).toBe('"1"');
    expect(await broker.audited()).toEqual(["rules.put everybody"]);
  });

  test.each(['W/"0"', '"7", "0"', "*", '"7" , W/"0"'])("may say so as %s", async (ifMatch) => {
    expect((await put("/policy", ifMatch)).status).toBe(200);
  });

  test.each(["0", "", '"00"', "undefined"])("does not say so as %j", async (ifMatch) => {
    expect((await put("/rules", ifMatch)).status).toBe(412);
  });

  test("must say so to replace the whole", async () => {
    expect((await put("/policy")).status).toBe(428);
    expect(await etag()).toBe('"0"');
  });

  test("is told when somebody else was quicker", async () => {
    disturb(1);
    expect((await put("/policy", '"0"')).status).toBe(412);
  });
});

describe("Who has seen no version", () => {
  test("changes a part of whatever there is, up to three times anew", async () => {
    disturb(2);
    const done = await put("/roles/reader");
    expect([done.status, done.json["version"]]).toEqual([200, 3]);
    const { json } = await broker.ask("GET", "/policy");
    expect(json).toMatchObject({ rules: [rule], roles: { reader: [rule] } });
  });

  test("is refused after three conflicts", async () => {
    disturb(3);
    const refused = await put("/roles/reader");
    expect([refused.status, refused.json["detail"]]).toEqual([
      409,
      "Others are changing the policy; try again",
    ]);
    expect((await broker.ask("GET", "/roles")).json).toEqual({ items: [] });
  });
});

test("A change says how many shards have yet to hear of it", async () => {
  broker.instead.set("default/1", () => Promise.reject(new Error("lost")));
  expect((await put("/rules")).json).toEqual({ version: 1, pendingShards: 1 });
  const made = await broker.ask("PUT", "/users/ann", { body: { password: "pencil" } });
  expect(made.json).toMatchObject({ pendingShards: 0 });
  const changed = await broker.ask("PUT", "/users/ann", { body: { password: "pencil" } });
  expect(changed.json).toMatchObject({ pendingShards: 1 });
  const deletion = async () => (await broker.ask("DELETE", "/users/ann")).json;
  expect(await deletion()).toEqual({ existed: true, pendingShards: 1 });
  expect(await deletion()).toEqual({ existed: false, pendingShards: 1 });
  broker.instead.clear();
  expect((await put("/rules")).json).toEqual({ version: 2, pendingShards: 0 });
});

test("A policy that is too large for a shard is refused, and leaves no trace", async () => {
  const rules = Array.from({ length: 600 }, () => ({ ...rule, topicFilter: "x".repeat(1000) }));
  const refused = await broker.ask("PUT", "/rules", { body: { rules } });
  expect([refused.status, refused.json["detail"]]).toEqual([422, "A policy has 524288 bytes at most"]);
  expect(await broker.audited()).toEqual([]);
});
