import { describe, expect, test } from "vitest";
import { parseAdminCommand } from "../../src/host/admin-command.ts";

const TOKEN = "a-secret-that-only-operators-know";

function requestOf(...args: string[]) {
  return parseAdminCommand(args, { OPERATOR_TOKEN: TOKEN })?.request;
}

const below = "/namespaces/default";

describe("a command of the administration is a request", () => {
  test.each([
    [["users", "list"], { method: "GET", path: `${below}/users`, query: {} }],
    [
      ["users", "list", "--namespace", "plant-a"],
      { method: "GET", path: "/namespaces/plant-a/users", query: {} },
    ],
    [["namespaces", "list"], { method: "GET", path: "/namespaces", query: {} }],
    [["clients", "disconnect", "a/b"], { method: "DELETE", path: `${below}/clients/a%2Fb`, query: {} }],
    [["clients", "get", "--", "-a"], { method: "GET", path: `${below}/clients/-a`, query: {} }],
    [
      ["bans", "remove", "address", "::1"],
      { method: "DELETE", path: `${below}/bans`, query: { by: "address", value: "::1" } },
    ],
    [
      ["clients", "list", "--username", "ann"],
      { method: "GET", path: `${below}/clients`, query: { username: "ann" } },
    ],
    [
      ["roles", "delete", "r", "--if-version", "7"],
      { method: "DELETE", path: `${below}/roles/r`, query: {}, ifVersion: 7 },
    ],
    [
      ["bans", "add", "client", "c", "--until", "1970-01-01T00:00:01Z"],
      { method: "POST", path: `${below}/bans`, query: {}, body: { by: "client", value: "c", untilMs: 1000 } },
    ],
    [
      ["users", "put", "ann", "--client-id", "ann-1"],
      {
        method: "PUT",
        path: `${below}/users/ann`,
        query: {},
        body: { roles: [], rules: [], disabled: false, clientId: "ann-1" },
      },
    ],
  ])("%j", (args, request) => {
    expect(requestOf(...args)).toEqual(request);
  });

  test("with rules in their order, whose filters may hold spaces", () => {
    expect(requestOf("rules", "put", "--rule", "deny all a b/#", "--rule", "allow publish #")?.body).toEqual({
      rules: [
        { effect: "deny", action: "all", topicFilter: "a b/#" },
        { effect: "allow", action: "publish", topicFilter: "#" },
      ],
    });
  });
});

describe("a command is refused", () => {
  test.each([
    [["users", "rename", "a"], 'there is no command "users rename"'],
    [["users", "put"], 'it is "users put USERNAME [--password-stdin]'],
    [["users", "get", "ann", "bob"], 'it is "users get USERNAME"'],
    [["users", "list", "--rule", "allow all #"], '"users list" takes no --rule'],
    [["users", "get", ".."], '"." and ".." cannot be named'],
    [["users", "list", "--limit", "0"], "--limit must be a whole number"],
    [["tokens", "issue", "t", "--days", "-1"], "--days"],
    [["rules", "put", "--if-version", "x"], "--if-version"],
    [["rules", "put", "--rule", "allow all qosMax=3 #"], '--rule: "allow all qosMax=3 #" is not'],
    [["rules", "put", "--rule", "allow all retain=no #"], "--rule"],
    [["rules", "put", "--rule", "allow all qosMax=1"], "--rule"],
    [["bans", "add", "client", "c", "--until", "soon"], "--until"],
    [["constructor", ""], 'there is no command "constructor"'],
    [["roles", "put", "r", "--rule", "allow"], '--rule: "allow" is not'],
    [["users", "put", "a", "--password", "pencil"], "--password"],
    [["users", "list", "--url", "broker"], "--url (DURAMQ_URL)"],
    [["users", "list", "--url", "http://ann:pencil@broker"], "no user name and no password"],
    [["users", "list", "--token-file", "/nowhere"], "--token-file"],
  ])("%j", (args, message) => {
    expect(() => requestOf(...args)).toThrow(message);
  });

  test("without a token", () => {
    expect(() => parseAdminCommand(["users", "list"], {})).toThrow("OPERATOR_TOKEN");
  });

  test("but for the one that asks for help", () => {
    expect(parseAdminCommand(["--help"], {})).toBeUndefined();
  });
});
