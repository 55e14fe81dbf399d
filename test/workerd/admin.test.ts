import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { app } from "../../src/edge/app.ts";
import { unique } from "../support/unique.ts";

const operatorToken = "a-secret-that-only-operators-know";
const NAMESPACES = JSON.stringify({
  tenant: {},
  b: { OPERATOR_TOKEN: "a-secret-of-namespace-b-and-of-no-other" },
});
const variables = { ...env, OPERATOR_TOKEN: operatorToken, NAMESPACES };
const rule = { effect: "allow", action: "all", topicFilter: "a/#" } as const;
const json = { "content-type": "application/json" };

interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, never> & { readonly items: readonly Record<string, unknown>[] };
}

/** As the operator, if no other token is named; below the default namespace, if the path is not of another. */
async function ask(
  method: string,
  path: string,
  {
    body,
    token = operatorToken,
    headers = {},
    bindings = variables,
  }: {
    readonly body?: unknown;
    readonly token?: string;
    readonly headers?: Record<string, string>;
    readonly bindings?: object;
  } = {},
): Promise<Asked> {
  const url = `https://broker.example/api/v1${path.startsWith("/namespaces") ? "" : "/namespaces/default"}${path}`;
  const request = new Request(url, {
    method,
    headers: { ...(token !== "" && { authorization: `Bearer ${token}` }), ...json, ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const response = await app.fetch(request, bindings as never);
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
}

async function issue(scopes: readonly string[], namespace = "default"): Promise<string> {
  const body = { name: "test", scopes, expiresAtMs: Date.now() + 3_600_000 };
  const answer = await ask("POST", `/namespaces/${namespace}/tokens`, { body });
  expect(answer.status).toBe(201);
  return answer.body["secret"] as unknown as string;
}

describe("The administration is closed", () => {
  test("without OPERATOR_TOKEN, and says what to set", async () => {
    const answer = await ask("GET", "/users", { bindings: { ...env } });
    expect(answer.status).toBe(404);
    expect(answer.body["detail"]).toContain("OPERATOR_TOKEN");
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
  });

  test.each([
    ["", "none"],
    [`${operatorToken}x`, "a longer one"],
    [`duramq_${"x".repeat(43)}`, "one that nobody has issued"],
  ])("to the token %s (%s)", async (token) => {
    const answer = await ask("GET", "/users", { token });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toContain("Bearer");
  });

  test("before anything that was sent is looked at", async () => {
    const answer = await ask("PUT", "/roles/r", { token: "", body: { rules: "wrong" } });
    expect(answer.status).toBe(401);
  });

  test("to the operator of another namespace, and tells of none that is not there", async () => {
    expect((await ask("GET", "/namespaces/b/users")).status).toBe(401);
    expect((await ask("GET", "/namespaces/tenant/users")).status).toBe(200);
    expect((await ask("GET", "/namespaces/c/users")).status).toBe(404);
  });
});

describe("An API token", () => {
  test("opens what its scopes name, in its own namespace only", async () => {
    const token = await issue(["users:read"], "tenant");
    expect((await ask("GET", "/namespaces/tenant/users", { token })).status).toBe(200);
    expect((await ask("GET", "/namespaces/default/users", { token })).status).toBe(401);
    const refused = await ask("DELETE", "/namespaces/tenant/users/ann", { token });
    expect([refused.status, refused.body["detail"]]).toEqual([403, "This needs the scope users:write"]);
  });

  test("that may do everything makes no other tokens", async () => {
    const token = await issue(["read", "write"]);
    expect((await ask("GET", "/audit", { token })).status).toBe(200);
    expect((await ask("PUT", "/roles/everything", { token, body: { rules: [] } })).status).toBe(200);
    for (const method of ["GET", "POST"])
      expect((await ask(method, "/tokens", { token, ...(method === "POST" && { body: {} }) })).status).toBe(
        403,
      );
    expect((await ask("GET", "/namespaces", { token })).status).toBe(403);
  });

  test("is listed without its secret, and opens nothing once it is revoked", async () => {
    const token = await issue(["read"]);
    const listed = await ask("GET", "/tokens");
    expect(JSON.stringify(listed.body)).not.toContain(token);
    const id = listed.body.items.at(-1)?.["id"] as string;
    expect((await ask("GET", "/users", { token })).status).toBe(200);
    expect((await ask("DELETE", `/tokens/${id}`)).status).toBe(204);
    expect((await ask("GET", "/users", { token })).status).toBe(401);
    expect((await ask("DELETE", `/tokens/${id}`)).status).toBe(404);
  });

  test("has scopes that mean something", async () => {
    const body = { name: "test", scopes: ["everything"], expiresAtMs: Date.now() + 1000 };
    expect((await ask("POST", "/tokens", { body })).status).toBe(400);
  });
});

describe("Users", () => {
  test("are put, shown, listed page by page and deleted", async () => {
    const username = unique("user");
    const body = { password: "pencil", roles: ["reader"], rules: [rule], clientId: "reader-1" };
    const put = await ask("PUT", `/users/${username}`, { body });
    expect(put.body).toMatchObject({
      user: { username, roles: ["reader"], disabled: false, clientId: "reader-1" },
      pendingShards: 0,
    });
    expect(JSON.stringify(put.body)).not.toContain("pencil");
    expect((await ask("GET", `/users/${username}`)).body).toMatchObject({ username, rules: [rule] });
    await ask("PUT", `/users/${unique("user")}`, { body });
    const first = await ask("GET", "/users?limit=1");
    const cursor = encodeURIComponent(first.body["cursor"] as unknown as string);
    const second = await ask("GET", `/users?limit=1&cursor=${cursor}`);
    expect(first.body.items).toHaveLength(1);
    expect(second.body.items[0]?.["username"]).not.toBe(first.body.items[0]?.["username"]);
    expect((await ask("DELETE", `/users/${username}`)).body).toEqual({ existed: true, pendingShards: 0 });
    expect((await ask("GET", `/users/${username}`)).status).toBe(404);
  });

  test("need a password at first, and a refusal does not repeat it", async () => {
    const without = await ask("PUT", `/users/${unique("user")}`, { body: {} });
    expect([without.status, without.body["detail"]]).toEqual([422, "A new user needs a password"]);
    const unnamed = await ask("PUT", "/users/ann", { body: { password: "pencil", clientId: "" } });
    expect([unnamed.status, unnamed.body["detail"]]).toEqual([400, expect.stringContaining("clientId")]);
    const wrong = await ask("PUT", "/users/ann", { body: { password: ["secret-in-a-list"] } });
    expect(wrong.status).toBe(400);
    expect(JSON.stringify(wrong.body)).not.toContain("secret-in-a-list");
    const malformed = await ask("PUT", "/users/ann", { headers: { "content-length": "1" }, body: undefined });
    expect(malformed.status).toBe(400);
  });
});

describe("The policy", () => {
  test("is replaced only by who has seen it", async () => {
    const seen = await ask("GET", "/policy");
    const etag = seen.headers.get("etag") ?? "";
    const body = { rules: [rule] };
    expect((await ask("PUT", "/policy", { body })).status).toBe(428);
    const put = await ask("PUT", "/policy", { body, headers: { "if-match": etag } });
    expect(put.status).toBe(200);
    expect(put.headers.get("etag")).not.toBe(etag);
    expect((await ask("PUT", "/policy", { body, headers: { "if-match": etag } })).status).toBe(412);
    expect((await ask("GET", "/policy")).body["rules"]).toEqual([rule]);
  });

  test("has roles and bans that are changed one by one", async () => {
    await ask("PUT", "/roles/reader", { body: { rules: [rule] } });
    await ask("PUT", "/roles/writer", { body: { rules: [] } });
    expect((await ask("GET", "/roles")).body.items).toContainEqual({ role: "reader", rules: [rule] });
    expect((await ask("DELETE", "/roles/writer")).status).toBe(200);
    expect((await ask("DELETE", "/roles/writer")).status).toBe(404);
    const ban = { by: "client", value: "a/b?c" };
    expect((await ask("POST", "/bans", { body: { ...ban, untilMs: 1 } })).status).toBe(201);
    expect((await ask("POST", "/bans", { body: ban })).status).toBe(201);
    expect((await ask("GET", "/bans")).body.items).toEqual([ban]);
    const query = new URLSearchParams(ban).toString();
    expect((await ask("DELETE", `/bans?${query}`)).status).toBe(200);
    expect((await ask("DELETE", `/bans?${query}`)).status).toBe(404);
  });

  test("has bans of addresses and users, which are lifted in whatever notation they were asked for", async () => {
    const bans = [
      ["address", "2001:DB8::1", "2001:db8::/64"],
      ["address", "203.0.113.9/24", "203.0.113.0/24"],
      ["username", "\ufb01nn", "finn"],
    ] as const;
    for (const [by, value, kept] of bans) {
      expect((await ask("POST", "/bans", { body: { by, value } })).status).toBe(201);
      expect((await ask("GET", "/bans")).body.items).toEqual([{ by, value: kept }]);
      const query = new URLSearchParams({ by, value }).toString();
      expect((await ask("DELETE", `/bans?${query}`)).status).toBe(200);
    }
    const answer = await ask("POST", "/bans", { body: { by: "address", value: "203.0.113.0/33" } });
    expect([answer.status, answer.body["detail"]]).toEqual([
      400,
      "value: must be an IP address or a network such as 203.0.113.0/24 or 2001:db8::/48",
    ]);
  });

  test("is not given rules that are none", async () => {
    const body = { rules: [{ ...rule, topicFilter: "a/#/b" }] };
    const answer = await ask("PUT", "/rules", { body });
    expect([answer.status, answer.body["detail"]]).toEqual([
      400,
      "rules.0.topicFilter: must be a Topic Filter",
    ]);
  });
});

describe("Questions to shards", () => {
  test("about who and what is not there have answers", async () => {
    expect((await ask("GET", "/clients")).body).toEqual({ items: [] });
    expect((await ask("GET", "/sessions?clientIdPrefix=x")).body).toEqual({ items: [] });
    expect((await ask("GET", "/subscriptions?topicFilter=a%2F%23")).body).toEqual({ items: [] });
    expect((await ask("GET", "/retained?topicFilter=%23")).body).toEqual({ items: [] });
    for (const path of ["/clients/a%2Fb", "/sessions/nobody", "/retained/message?topicName=a"]) {
      expect((await ask("GET", path)).status).toBe(404);
    }
    for (const path of ["/clients/nobody", "/sessions/nobody"]) {
      expect((await ask("DELETE", path)).status).toBe(404);
    }
    expect((await ask("DELETE", "/retained?topicFilter=a/%2B")).body).toEqual({ deletedCount: 0 });
    expect((await ask("GET", "/cost")).body.items[0]).toMatchObject({ shard: 0 });
  });

  test.each([
    "/clients?limit=0",
    "/clients?limit=501",
    "/clients?cursor=x",
    "/retained?topicFilter=a%23",
    "/retained",
  ])("are well formed: %s", async (path) => {
    expect((await ask("GET", path)).status).toBe(400);
  });
});

describe("The audit log", () => {
  test("tells who has done what, the newest first, and no secrets", async () => {
    const token = await issue(["write"]);
    await ask("PUT", "/users/audited", { token, body: { password: "never-in-a-log" } });
    await ask("PUT", "/roles/audited", { body: { rules: [] } });
    const { body } = await ask("GET", "/audit?limit=2");
    expect(body.items).toMatchObject([
      { actor: "operator", action: "role.put", target: "audited" },
      { actor: expect.stringMatching(/^token [0-9a-f]{16}$/), action: "user.put", target: "audited" },
    ]);
    expect(JSON.stringify(body)).not.toMatch(/never-in-a-log|duramq_/);
    const next = await ask("GET", `/audit?cursor=${body["cursor"] as unknown as string}&limit=1`);
    expect(next.body.items[0]?.["seq"]).toBe((body.items[1]?.["seq"] as number) - 1);
  });
});

describe("The OpenAPI document", () => {
  test("is there for everybody, and has every route with its security", async () => {
    const response = await app.fetch(
      new Request("https://broker.example/api/v1/openapi.json"),
      variables as never,
    );
    const document: { paths: Record<string, Record<string, { security?: unknown }>> } = await response.json();
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    expect(operations.length).toBeGreaterThan(25);
    expect(operations.filter(({ security }) => security === undefined)).toEqual([]);
    expect(JSON.stringify(document)).toContain('"enum":[0,1,2]');
  });
});
