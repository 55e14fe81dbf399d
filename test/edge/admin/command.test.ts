/** `npm run admin` against the API that it is for. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMANDS, FLAGS, type Flags } from "../../../src/host/admin-commands.ts";
import { runAdmin } from "../../../src/host/admin-run.ts";
import { userBucketOf } from "../../../src/registry-address.ts";
import { SimulatedClient } from "../../core/simulated-client.ts";
import { Broker, operatorToken } from "./broker.ts";
import { type DocumentedOperation, documentedOperations } from "./document.ts";
import { people } from "./operations.ts";

interface Ran {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
  /** "METHOD PATH?QUERY" of the requests. */
  readonly requests: readonly string[];
}

const rule = { effect: "allow", action: "all", topicFilter: "a/#" };

let broker: Broker;
let folder: string;

beforeEach(() => {
  broker = new Broker();
  folder = mkdtempSync(join(tmpdir(), "duramq-admin-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** As the operator, if the environment names no other token. */
async function run(args: readonly string[], { input = "", token = operatorToken } = {}): Promise<Ran> {
  const requests: string[] = [];
  let output = "";
  let errors = "";
  const code = await runAdmin(
    args,
    { OPERATOR_TOKEN: token },
    {
      fetch: (url, options) => {
        requests.push(`${options.method} ${url.pathname.replace("/api/v1", "")}${url.search}`);
        return broker.fetch(new Request(url, options));
      },
      readStdin: async () => input,
      print: (text) => void (output += text),
      printError: (text) => void (errors += text),
    },
  );
  return { code, output, errors, requests };
}

async function done(args: readonly string[], input = ""): Promise<string> {
  const ran = await run(args, { input });
  expect(ran).toMatchObject({ code: 0, errors: "" });
  return ran.output;
}

describe("What the API can do, a command can", () => {
  const flagsOf = (operation: DocumentedOperation | undefined, place: string) =>
    (operation?.parameters ?? []).filter((parameter) => parameter.in === place).map(({ name }) => name);

  test("operation by operation", async () => {
    const operations = Object.values(COMMANDS).map(({ operation }) => operation);
    expect(operations.toSorted()).toEqual([...(await documentedOperations()).keys()].toSorted());
  });

  test("with every part of the query, and in pages where there are some", async () => {
    const documented = await documentedOperations();
    for (const [words, { flags = [], isPaged = false, names = [], operation }] of Object.entries(COMMANDS)) {
      const query = flagsOf(documented.get(operation), "query");
      expect([words, isPaged]).toEqual([words, query.includes("cursor")]);
      const others = query.filter((name) => name !== "cursor" && name !== "limit");
      const byFlags = flags.flatMap((flag) => ("query" in FLAGS[flag] ? FLAGS[flag].query : []));
      const sent = [...names.filter((name) => others.includes(name)), ...byFlags];
      expect([words, sent.toSorted()]).toEqual([words, others.toSorted()]);
      const takesVersion = flags.includes("if-version") || words === "policy put";
      expect([words, takesVersion]).toEqual([
        words,
        flagsOf(documented.get(operation), "header").includes("if-match"),
      ]);
    }
  });

  test("with every part of the body, and of a rule", async () => {
    const documented = await documentedOperations();
    const flags: Flags = {
      role: ["reader"],
      rule: ["allow all qosMax=1 retain=true a/#"],
      disabled: true,
      "client-id": "ann-1",
      scope: ["read"],
      until: "2030-01-31T12:00:00Z",
    };
    for (const [words, { body, flags: taken = [], names = [], operation }] of Object.entries(COMMANDS)) {
      const schema = documented.get(operation)?.requestBody?.content["application/json"].schema;
      expect([words, body === undefined]).toEqual([words, schema === undefined]);
      // The whole policy is sent as it stands in a file.
      if (body === undefined || words === "policy put") continue;
      const sent = body(flags, Object.fromEntries(names.map((name) => [name, "x"])));
      const keys = [...Object.keys(sent), ...(taken.includes("password-stdin") ? ["password"] : [])];
      expect([words, keys.toSorted()]).toEqual([words, Object.keys(schema?.properties ?? {}).toSorted()]);
      const [first] = (sent["rules"] ?? []) as object[];
      if (first === undefined) continue;
      const parts = Object.keys(schema?.properties["rules"]?.items?.properties ?? {});
      expect([words, Object.keys(first).toSorted()]).toEqual([words, parts.toSorted()]);
    }
  });
});

test.each<[string, readonly string[], string?]>([
  ["namespaces list", []],
  ["users list", ["--limit", "1"]],
  ["users get", ["ann"]],
  ["users put", ["ann", "--password-stdin", "--role", "reader", "--rule", "allow all a/#"], "a-secret"],
  ["users delete", ["ann"]],
  ["policy get", []],
  ["policy put", ["-"], '{"version": 1, "rules": []}'],
  ["rules list", []],
  ["rules put", ["--rule", "deny all #", "--if-version", "1"]],
  ["roles list", []],
  ["roles put", ["writer", "--rule", "allow publish qosMax=1 a"]],
  ["roles delete", ["reader", "--if-version", "1"]],
  ["bans list", []],
  ["bans add", ["address", "::1", "--until", "2030-01-31T12:00:00Z"]],
  ["bans remove", ["client", "mallory"]],
  ["tokens list", []],
  ["tokens issue", ["dashboard", "--scope", "read", "--scope", "users:write", "--days", "3000"]],
  ["tokens revoke", ["TOKEN"]],
  ["clients list", ["--prefix", "here", "--username", "ann"]],
  ["clients get", ["here/1"]],
  ["clients disconnect", ["here/1"]],
  ["sessions list", ["--prefix", "a"]],
  ["sessions get", ["away"]],
  ["sessions delete", ["away"]],
  ["subscriptions list", ["--client", "away", "--filter", "a/+"]],
  ["retained list", ["a/#"]],
  ["retained get", ["a/b"]],
  ["retained delete", ["a/#"]],
  ["audit list", ["--limit", "3"]],
  ["cost list", []],
])("The command %s %j is granted", async (words, args, input = "") => {
  const operations = await people(broker);
  const tokenId = operations["DELETE /tokens/{id}"]?.path.split("/").at(-1) ?? "";
  const typed = args.map((arg) => (arg === "TOKEN" ? tokenId : arg));
  const output = await done([...words.split(" "), ...typed], input);
  const changes = /delete|disconnect|revoke/.test(words) && !/users|roles|retained/.test(words);
  expect(output === "").toBe(changes);
});

describe("The policy", () => {
  test("is shown as JSON, changed, and put with the version that was shown", async () => {
    await done(["roles", "put", "reader", "--rule", "allow all a/#"]);
    const path = join(folder, "policy.json");
    writeFileSync(path, await done(["policy", "get"]));
    const policy = JSON.parse(readFileSync(path, "utf8")) as { rules: unknown[] };
    policy.rules.push(rule);
    writeFileSync(path, JSON.stringify(policy));
    expect(await done(["policy", "put", path])).toBe("version=2  pendingShards=0\n");
    const now = JSON.parse(await done(["policy", "get", "--json"])) as object;
    expect(now).toMatchObject({ version: 2, rules: [rule], roles: { reader: [rule] } });
    const again = await run(["policy", "put", path]);
    expect(again).toMatchObject({ code: 1, errors: "duramq: The policy is of version 2 by now\n" });
  });

  test.each([
    ["no JSON", "{", "the policy must be a JSON object"],
    ["no object", "null", "the policy must be a JSON object"],
    ["no version", '{"rules": []}', 'the policy must have the "version"'],
    ["a version that is none", '{"version": "1"}', 'the policy must have the "version"'],
  ])("is not put from %s", async (_, input, message) => {
    const ran = await run(["policy", "put", "-"], { input });
    expect(ran).toMatchObject({ code: 2, requests: [], errors: expect.stringContaining(message) });
  });

  test("is not put from a file that is not there", async () => {
    expect(await run(["policy", "put", join(folder, "none")])).toMatchObject({ code: 2, requests: [] });
  });

  test("is changed in parts only while it has the version that was named", async () => {
    await done(["rules", "put", "--rule", "deny all #", "--if-version", "0"]);
    const late = await run(["bans", "add", "client", "x", "--if-version", "0"]);
    expect(late).toMatchObject({ code: 1, errors: "duramq: The policy is of version 1 by now\n" });
  });
});

describe("Rules", () => {
  test("keep their order, their limits, and the spaces of their filters", async () => {
    const texts = [
      "deny all a b/#",
      "allow publish qosMax=1 retain=false sensors/${username}/#",
      "allow subscribe retain=true #",
    ];
    await done(["rules", "put", ...texts.flatMap((text) => ["--rule", text])]);
    expect((await broker.ask("GET", "/rules")).json["items"]).toEqual([
      { effect: "deny", action: "all", topicFilter: "a b/#" },
      {
        effect: "allow",
        action: "publish",
        topicFilter: "sensors/${username}/#",
        qosMax: 1,
        retain: false,
      },
      { effect: "allow", action: "subscribe", topicFilter: "#", retain: true },
    ]);
  });
});

describe("A list", () => {
  /** More than a page has. */
  function crowd(): string[] {
    const clientIds = Array.from(
      { length: 1_100 },
      (_, number) => `client-${String(number).padStart(4, "0")}`,
    );
    for (const clientId of clientIds) SimulatedClient.connected(broker.harness, { clientId });
    return clientIds;
  }

  test("is shown whole, page by page", async () => {
    const clientIds = crowd();
    const { output, requests } = await run(["clients", "list"]);
    const lines = output.trimEnd().split("\n");
    expect(lines.map((line) => /^clientId=(\S+)/.exec(line)?.[1]).toSorted()).toEqual(clientIds);
    expect(requests).toHaveLength(3);
    const { output: pages } = await run(["clients", "list", "--json"]);
    const counts = pages
      .trimEnd()
      .split("\n")
      .map((page) => JSON.parse(page).items.length as number);
    expect(counts).toEqual([500, 500, 100]);
  });

  test("is shown as far as is asked, and no more is asked for than is shown", async () => {
    crowd();
    const { output, requests } = await run(["clients", "list", "--limit", "501"]);
    expect(output.trimEnd().split("\n")).toHaveLength(501);
    expect(requests.map((request) => /limit=(\d+)/.exec(request)?.[1])).toEqual(["500", "1"]);
  });

  test("of what is retained is deleted whole", async () => {
    const client = SimulatedClient.connected(broker.harness);
    for (let number = 0; number < 600; number += 1)
      client.publish(`topic/${number}`, "1", { qos: 1, retain: true });
    const { requests } = await run(["retained", "delete", "topic/#"]);
    expect(requests.length).toBeGreaterThan(1);
    expect(await done(["retained", "list", "#"])).toBe("");
  });

  test("of the audit log is shown from the newest to the oldest entry", async () => {
    for (let number = 1; number <= 501; number += 1) await broker.ask("DELETE", `/clients/client-${number}`);
    const lines = (await done(["audit", "list"])).trimEnd().split("\n");
    expect(lines.map((line) => /target=client-(\d+)/.exec(line)?.[1])).toEqual(
      Array.from({ length: 501 }, (_, index) => String(501 - index)),
    );
  });
});

describe("A script", () => {
  test("is told by the exit code who is to blame: the broker or what was typed", async () => {
    expect(await run(["users", "list"])).toMatchObject({ code: 0, errors: "" });
    expect(await run(["users", "get", "nobody"])).toMatchObject({
      code: 1,
      output: "",
      errors: "duramq: There is no such user\n",
    });
    expect(await run(["users", "rename", "ann"])).toMatchObject({
      code: 2,
      output: "",
      errors: 'duramq: there is no command "users rename" (see --help)\n',
    });
  });

  test("is told when the broker cannot be reached, or answers something else", async () => {
    const cause = new Error("connection refused");
    broker.fetch = () => Promise.reject(new TypeError("fetch failed", { cause }));
    expect(await run(["users", "list"])).toMatchObject({
      code: 1,
      errors: "duramq: http://127.0.0.1:8787 cannot be reached: connection refused\n",
    });
    broker.fetch = async () => new Response("<html>", { status: 502 });
    expect((await run(["users", "list"])).errors).toBe("duramq: the broker answered with status 502\n");
  });

  test("is not deceived by a client whose name would steer a terminal", async () => {
    const clientId = "a\u001b[2J\u009b\u007f\n";
    SimulatedClient.connected(broker.harness, { clientId });
    const output = await done(["clients", "list"]);
    expect(output).toContain("clientId=a\\u001b[2J\\u009b\\u007f\\u000a  ");
    const json = await done(["clients", "list", "--json"]);
    expect(json.trimEnd()).not.toMatch(/\p{Cc}/u);
    expect((JSON.parse(json) as { items: unknown[] }).items).toMatchObject([{ clientId }]);
  });

  test("finds every command in the help, which needs no token", async () => {
    const { code, output } = await run(["--help"], { token: "" });
    expect(code).toBe(0);
    for (const words of Object.keys(COMMANDS)) expect(output).toContain(`\n  ${words}`);
    expect((await run([], { token: "" })).output).toBe(output);
  });
});

describe("No secret is shown", () => {
  const secret = "a-secret-pencil";

  test("of a user, when it is put or refused", async () => {
    for (const args of [["ann"], ["ann", "--rule", "allow all #/a"]]) {
      const ran = await run(["users", "put", ...args, "--password-stdin"], { input: `${secret}\n` });
      expect(JSON.stringify(ran)).not.toContain(secret);
    }
    expect(
      await broker.call(`default/users/${userBucketOf("ann")}`, "verifyPassword", "ann", secret),
    ).toMatchObject({
      type: "verified",
    });
  });

  test.each([
    [["users", "list"], `${secret}\n${secret}`],
    [["users", "list"], `${secret}-that-opens-nothing`],
    [["users", "list", "--url", `http://operator:${secret}@127.0.0.1`], operatorToken],
    [["users", "put", "ann", "--password", secret], operatorToken],
    [["users", "list", "--token", secret], operatorToken],
  ])("by %j", async (args, token) => {
    const { code, errors, output } = await run(args, { token });
    expect(code).toBeGreaterThan(0);
    expect(errors + output).not.toMatch(new RegExp(`${secret}|${operatorToken}`));
  });
});
