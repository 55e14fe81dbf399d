import { afterEach, describe, expect, test, vi } from "vitest";
import { type Asked, Broker, operatorToken } from "./broker.ts";

const secret = "a-secret-pencil";
const rule = { effect: "allow", action: "all", topicFilter: "a/#" } as const;
const inAnHour = { expiresAtMs: 1_900_000_000_000 };

afterEach(() => {
  vi.restoreAllMocks();
});

function expectProblem(answer: Asked, status: number, detail: string | RegExp): void {
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.json).toEqual({
    type: "about:blank",
    title: expect.any(String),
    status,
    detail: expect.stringMatching(detail),
  });
  expect(answer.status).toBe(status);
  expect(answer.text).not.toMatch(/secret|\bat .*\.ts/);
}

describe("What is asked for wrongly is refused by place and kind, without its value", () => {
  test.each<[string, string, unknown, string | RegExp]>([
    ["PUT", "/users/ann", { password: [secret] }, /^password: /],
    ["PUT", "/users/ann", { password: secret, roles: secret }, /^roles: /],
    ["PUT", "/users/ann", { password: secret, roles: [""] }, /^roles\.0: /],
    ["PUT", "/users/ann", { password: secret, disabled: "no" }, /^disabled: /],
    ["PUT", "/users/ann", { password: secret, rules: [{ ...rule, action: secret }] }, /^rules\.0\.action: /],
    ["PUT", "/users/ann", { pass: secret }, /"pass"/],
    ["PUT", "/users/ann", [secret], /^json: /],
    ["PUT", "/users/ann", secret, "Malformed JSON in request body"],
    ["PUT", `/users/${"a".repeat(257)}`, { password: secret }, /^username: /],
    [
      "PUT",
      "/rules",
      { rules: [{ ...rule, topicFilter: `${secret}/#/a` }] },
      /^rules\.0\.topicFilter: must be/,
    ],
    ["PUT", "/rules", { rules: [{ ...rule, qosMax: 3 }] }, "rules.0.qosMax: must be 0, 1 or 2"],
    ["PUT", "/rules", {}, /^rules: /],
    ["PUT", "/policy", { roles: { reader: [secret] } }, /^roles\.reader\.0: /],
    ["PUT", "/policy", { bans: [{ by: secret, value: "x" }] }, /^bans\.0\.by: /],
    ["PUT", `/roles/${"r".repeat(65)}`, { rules: [] }, /^role: /],
    ["PUT", "/roles/__proto__", { rules: [rule] }, /^role: /],
    ["PUT", "/users/ann", { password: "x", clientId: "a\0" }, /^clientId: /],
    ["POST", "/bans", { by: "client" }, /^value: /],
    ["POST", "/bans", { by: "client", value: "x", untilMs: secret }, /^untilMs: /],
    ["DELETE", "/bans?by=client", undefined, /^value: /],
    [
      "POST",
      "/tokens",
      { name: "x", scopes: [secret], ...inAnHour },
      /^scopes\.0: must be some of read, write/,
    ],
    ["POST", "/tokens", { name: "x", scopes: [], ...inAnHour }, /^scopes: /],
    ["POST", "/tokens", { name: "x", scopes: ["read"] }, /^expiresAtMs: /],
    ["GET", "/clients?limit=0", undefined, /^limit: /],
    ["GET", "/sessions?limit=501", undefined, /^limit: /],
    ["GET", "/audit?limit=many", undefined, /^limit: /],
    ["GET", "/retained", undefined, "topicFilter: "],
    ["DELETE", "/retained?topicFilter=a%23", undefined, "topicFilter: must be a Topic Filter"],
    ["GET", "/retained?topicFilter=%24share/g/a", undefined, "topicFilter: must be a Topic Filter"],
    ["GET", "/retained/message?topicName=", undefined, /^topicName: /],
  ])("%s %s with %j", async (method, path, body, detail) => {
    const broker = new Broker();
    const headers = { "if-match": "*" };
    expectProblem(
      await broker.ask(method, path, { headers, ...(body !== undefined && { body }) }),
      400,
      detail,
    );
    expect(broker.calls).toEqual([]);
  });

  test("and so is a body that is said to be something else, or none at all", async () => {
    const broker = new Broker();
    const body = { password: secret };
    for (const type of ["text/plain", "application/x-www-form-urlencoded"])
      expectProblem(
        await broker.ask("PUT", "/users/ann", { body, headers: { "content-type": type } }),
        415,
        "Unsupported Media Type",
      );
    expectProblem(await broker.ask("PUT", "/users/ann"), 400, "Malformed JSON in request body");
    expect(broker.calls).toEqual([]);
  });

  test("and so is a body that is too large, before it is read as JSON", async () => {
    const body = `"${secret}${"x".repeat(2 * 1024 * 1024)}`;
    const broker = new Broker();
    expectProblem(await broker.ask("PUT", "/policy", { body }), 413, "2097152 bytes");
    expectProblem(await broker.ask("PUT", "/policy", { body, token: "" }), 401, "OPERATOR_TOKEN");
  });

  test("and nothing at all is read of a stranger's body", async () => {
    const broker = new Broker();
    const pull = vi.fn<(controller: ReadableStreamDefaultController) => void>((controller) =>
      controller.enqueue(new Uint8Array(1)),
    );
    const body = new ReadableStream({ pull }, { highWaterMark: 0 });
    const url = "https://broker.example/api/v1/namespaces/default/policy";
    const init = { method: "PUT", body, duplex: "half", headers: { "content-type": "application/json" } };
    expect((await broker.fetch(new Request(url, init as RequestInit))).status).toBe(401);
    expect(pull).not.toHaveBeenCalled();
  });
});

describe("What cannot be done is refused with the reason", () => {
  test.each<[string, string, unknown, number, string]>([
    ["PUT", "/users/ann", {}, 422, "A new user needs a password"],
    ["PUT", "/users/ann", { password: `${secret}\u0000` }, 422, "A password has 1 to 1024 bytes"],
    ["PUT", "/users/ann", { password: secret.repeat(100) }, 422, "A password has 1 to 1024 bytes"],
    ["PUT", "/users/a%00b", { password: secret }, 422, "A user name has 1 to"],
    ["POST", "/tokens", { name: "x", scopes: ["read"], expiresAtMs: 1 }, 422, "would have expired"],
    ["GET", "/users/nobody", undefined, 404, "There is no such user"],
    ["DELETE", "/roles/nobodys", undefined, 404, "There is no such role"],
    ["DELETE", "/roles/constructor", undefined, 404, "There is no such role"],
    ["DELETE", "/bans?by=client&value=x", undefined, 404, "There is no such ban"],
    ["DELETE", "/tokens/0123", undefined, 404, "There is no such token"],
    ["GET", "/clients/nobody", undefined, 404, "No client of that identifier is connected"],
    ["DELETE", "/clients/nobody", undefined, 404, "No client of that identifier is connected"],
    ["GET", "/sessions/nobody", undefined, 404, "There is no session of that client"],
    ["DELETE", "/sessions/nobody", undefined, 404, "There is no session of that client"],
    ["GET", "/retained/message?topicName=a", undefined, 404, "The topic has no retained message"],
    ["GET", "/nothing", undefined, 404, "There is nothing at"],
    ["POST", "/users", {}, 404, "There is nothing at"],
  ])("%s %s with %j", async (method, path, body, status, detail) => {
    const question = body === undefined ? {} : { body };
    expectProblem(await new Broker().ask(method, path, question), status, detail);
  });

  test("to create is not to replace: a user keeps the password that a change does not name", async () => {
    const broker = new Broker();
    await broker.ask("PUT", "/users/ann", { body: { password: secret } });
    const changed = await broker.ask("PUT", "/users/ann", { body: { roles: ["reader"] } });
    expect(changed.json["user"]).toMatchObject({ username: "ann", roles: ["reader"] });
    expect(changed.text).not.toContain(secret);
  });
});

describe("A problem of the broker's own says nothing of its inside", () => {
  test("when the registry fails", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const broker = new Broker();
    broker.instead.set("default/policy", () => Promise.reject(new Error(secret)));
    expectProblem(await broker.ask("GET", "/policy"), 500, "The request failed");
    expect(logged).toHaveBeenCalledOnce();
  });

  test("when a setting is wrong, but for its name", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const broker = new Broker({ settings: { JWT_SECRET: "short-secret" } });
    expectProblem(await broker.ask("GET", "/users"), 500, "Setting JWT_SECRET");
  });

  test("nor does one of a stranger repeat what was sent", async () => {
    const answer = await new Broker().ask("GET", "/users", { token: `${operatorToken}-no` });
    expectProblem(answer, 401, "OPERATOR_TOKEN");
  });
});
