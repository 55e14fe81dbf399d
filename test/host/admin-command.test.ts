import { describe, expect, test } from "vitest";
import { parseAdminCommand } from "../../src/host/admin-command.ts";

const TOKEN = "a-secret-that-only-operators-know";

function requestOf(...args: string[]) {
  return parseAdminCommand(args, { OPERATOR_TOKEN: TOKEN })?.request;
}

describe("a command of the administration is a request", () => {
  test.each([
    [["users", "list"], { method: "GET", path: "/users", query: {} }],
    [["clients", "disconnect", "a/b"], { method: "DELETE", path: "/clients/a%2Fb", query: {} }],
    [
      ["bans", "remove", "address", "::1"],
      { method: "DELETE", path: "/bans", query: { by: "address", value: "::1" } },
    ],
    [
      ["clients", "list", "--username", "ann"],
      { method: "GET", path: "/clients", query: { username: "ann" } },
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
    [["users", "put"], '"users put" takes 1 names'],
    [["roles", "put", "r", "--rule", "allow"], '--rule: "allow" is not'],
    [["users", "put", "a", "--password", "pencil"], "--password"],
    [["users", "list", "--url", "broker"], "--url (DURAMQ_URL)"],
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
