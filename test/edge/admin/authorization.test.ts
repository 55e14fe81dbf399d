import { afterEach, describe, expect, test, vi } from "vitest";
import { tokenScopes } from "../../../src/edge/admin/scopes.ts";
import { Broker, operatorToken } from "./broker.ts";
import { operationNames, operationsWith, people } from "./operations.ts";

const unknownToken = `duramq_${"x".repeat(43)}`;
const accessOf = (scope: string): string => scope.slice(scope.indexOf(":") + 1);

afterEach(() => {
  vi.restoreAllMocks();
});

/** What the operation comes to with a token of those scopes, in a broker where the operator is granted it. */
async function askWith(name: string, scopes: readonly string[]) {
  const broker = new Broker();
  const operation = (await people(broker))[name];
  if (operation === undefined) throw new Error(`there is no operation ${name}`);
  const { path, question } = operation;
  const token = await broker.issue(scopes);
  const [method = ""] = name.split(" ");
  return broker.ask(method, path, { ...question, token });
}

describe.each(operationNames)("%s", (name) => {
  const [method = ""] = name.split(" ");

  test("is for the operator, and for nobody without a token that is known", async () => {
    const broker = new Broker();
    const { [name]: operation } = await people(broker);
    const { path = "", question } = operation ?? {};
    broker.calls.length = 0;
    for (const token of ["", `${operatorToken}x`]) {
      const refused = await broker.ask(method, path, { ...question, token });
      expect(refused.status).toBe(401);
      expect(refused.headers.get("www-authenticate")).toBe('Bearer realm="duramq"');
    }
    expect(broker.calls, "nothing is asked for a stranger").toEqual([]);
    expect((await broker.ask(method, path, { ...question, token: unknownToken })).status).toBe(401);
    expect(broker.calls).toEqual(["default/policy verifyToken"]);
    expect((await broker.ask(method, path, question)).status).toBeLessThan(300);
  });

  test("is granted to a token with its scope, and refused to one with all others", async () => {
    const { scope = "" } = operationsWith("")[name] ?? {};
    const others = tokenScopes.filter((other) => other !== scope && other !== accessOf(scope));
    const refused = await askWith(name, scope === "operator" ? ["read", "write"] : others);
    expect(refused.status).toBe(403);
    const wanted = scope === "operator" ? "OPERATOR_TOKEN" : `the scope ${scope}`;
    expect(refused.json["detail"]).toBe(`This needs ${wanted}`);
    if (scope === "operator") return;
    expect((await askWith(name, [scope])).status).toBeLessThan(300);
    expect((await askWith(name, [accessOf(scope)])).status).toBeLessThan(300);
  });
});

describe("An API token", () => {
  test("opens nothing from the moment at which it expires", async () => {
    const broker = new Broker();
    const token = await broker.issue(["read"], 1_000);
    broker.harness.oversleep(999);
    expect((await broker.ask("GET", "/users", { token })).status).toBe(200);
    broker.harness.oversleep(1);
    expect((await broker.ask("GET", "/users", { token })).status).toBe(401);
  });

  test("opens nothing once it is revoked", async () => {
    const broker = new Broker();
    const token = await broker.issue(["read"]);
    const { json } = await broker.ask("GET", "/tokens");
    const [{ id } = { id: "" }] = json["items"] as { readonly id: string }[];
    expect((await broker.ask("DELETE", `/tokens/${id}`)).status).toBe(204);
    expect((await broker.ask("GET", "/users", { token })).status).toBe(401);
  });

  test("opens nothing in another namespace", async () => {
    const broker = new Broker({ settings: { NAMESPACES: '{"tenant": {}}' } });
    const token = await broker.issue(["read", "write"]);
    expect((await broker.ask("GET", "/namespaces/tenant/users", { token })).status).toBe(401);
    expect((await broker.ask("GET", "/namespaces/nobodys/users", { token })).status).toBe(404);
  });

  test("that is none by its form is not asked about", async () => {
    const broker = new Broker();
    for (const token of [unknownToken.slice(0, -1), `${unknownToken}x`, unknownToken.slice("duramq_".length)])
      expect((await broker.ask("GET", "/users", { token })).status).toBe(401);
    expect(broker.calls).toEqual([]);
  });
});

describe("OPERATOR_TOKEN", () => {
  test.each([
    ["with another end", `${operatorToken.slice(0, -1)}x`],
    ["with another beginning", `x${operatorToken.slice(1)}`],
    ["cut short", operatorToken.slice(0, -1)],
    ["with more behind it", `${operatorToken}x`],
    ["in capitals", operatorToken.toUpperCase()],
  ])("is not the token %s, and every bit of both is looked at", async (_, token) => {
    const broker = new Broker();
    const digest = vi.spyOn(crypto.subtle, "digest");
    expect((await broker.ask("GET", "/users", { token })).status).toBe(401);
    const digested = digest.mock.calls.map(([, bytes]) => new TextDecoder().decode(bytes as Uint8Array));
    expect(digested).toEqual([token, operatorToken]);
  });

  test("is asked for by the scheme Bearer only", async () => {
    const broker = new Broker();
    const ask = (authorization: string) =>
      broker.ask("GET", "/users", { token: "", headers: { authorization } });
    expect((await ask(`bearer  ${operatorToken}`)).status).toBe(200);
    expect((await ask(operatorToken)).status).toBe(401);
    expect((await ask(`Basic ${btoa(`operator:${operatorToken}`)}`)).status).toBe(401);
  });

  test("is the key to the tokens: without it there is no administration for any of them", async () => {
    const broker = new Broker({ settings: { OPERATOR_TOKEN: undefined } });
    const answer = await broker.ask("GET", "/users", { token: unknownToken });
    expect(answer.status).toBe(404);
    expect(answer.json["detail"]).toContain("OPERATOR_TOKEN");
    expect(broker.calls).toEqual([]);
  });
});
