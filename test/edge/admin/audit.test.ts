import { afterEach, describe, expect, test, vi } from "vitest";
import { endLine, headerLine } from "../../../src/backup/format.ts";
import { Broker } from "./broker.ts";
import { documentedOperations } from "./document.ts";
import { operationNames, operationsWith, people } from "./operations.ts";

interface Entry {
  readonly seq: number;
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
}

afterEach(() => {
  vi.restoreAllMocks();
});

const changes = operationNames.filter((name) => !name.startsWith("GET "));

async function entriesOf(broker: Broker): Promise<Entry[]> {
  return (await broker.ask("GET", "/audit")).json["items"] as Entry[];
}

test("Every operation that is no GET is one that the audit log tells of", async () => {
  const documented = [...(await documentedOperations()).keys()].filter((name) => !name.startsWith("GET "));
  const audited = Object.entries(operationsWith("")).filter(
    ([, operation]) => operation.audited !== undefined,
  );
  expect(audited.map(([name]) => name).toSorted()).toEqual(documented.toSorted());
});

describe.each(changes)("%s", (name) => {
  const [method = ""] = name.split(" ");

  test("leaves an entry with who did what to whom, and nothing that is secret", async () => {
    const broker = new Broker();
    const { [name]: operation } = await people(broker);
    const { audited, path = "", question, scope = "" } = operation ?? {};
    const token = scope === "operator" ? undefined : await broker.issue([scope]);
    const before = await entriesOf(broker);
    const issued = before[0];
    broker.harness.oversleep(1_234);
    const answer = await broker.ask(method, path, { ...question, ...(token !== undefined && { token }) });
    expect(answer.status).toBeLessThan(300);
    const [entry, ...older] = await entriesOf(broker);
    expect(older).toEqual(before);
    expect(`${entry?.action} ${entry?.target}`).toEqual(
      typeof audited === "string" ? audited : expect.stringMatching(audited ?? /^$/),
    );
    expect(entry?.atMs).toBe(broker.harness.nowMs);
    expect(entry?.actor).toBe(token === undefined ? "operator" : `token ${issued?.target}`);
    expect(JSON.stringify(entry)).not.toMatch(/secret|duramq_/);
  });

  test("leaves none for who may not, so that strangers write no rows", async () => {
    const broker = new Broker();
    const { [name]: operation } = await people(broker);
    const { path = "", question } = operation ?? {};
    const token = await broker.issue(["read"]);
    const before = await entriesOf(broker);
    for (const refused of ["", token]) await broker.ask(method, path, { ...question, token: refused });
    expect(await entriesOf(broker)).toEqual(before);
  });
});

describe("The audit log", () => {
  test("tells of what was tried on users, clients and sessions, even if it came to nothing", async () => {
    const broker = new Broker();
    const refused = [
      await broker.ask("PUT", "/users/bob", { body: {} }),
      await broker.ask("DELETE", "/clients/bob"),
      await broker.ask("DELETE", "/sessions/bob"),
    ];
    expect(refused.map(({ status }) => status)).toEqual([422, 404, 404]);
    expect(await broker.audited()).toEqual(["user.put bob", "client.disconnect bob", "session.delete bob"]);
  });

  test("tells of every part of a backup that is imported, and of none that is exported", async () => {
    const broker = new Broker({ settings: { NAMESPACES: '{"tenant": {}}' } });
    const header = headerLine({ id: "a-secret-id", namespace: "default", exportedAt: "2030-01-31" });
    const question = { body: header + endLine(0) };
    expect((await broker.ask("POST", "/backup", question)).status).toBe(200);
    expect((await broker.ask("POST", "/backup?firstLine=7", question)).status).toBe(200);
    expect((await broker.ask("POST", "/backup?firstLine=1", question)).status).toBe(400);
    expect((await broker.ask("POST", "/backup", { ...question, token: "" })).status).toBe(401);
    expect((await broker.ask("POST", "/backup/tenant", question)).status).toBe(200);
    expect(await broker.audited()).toEqual(["backup.import from line 2", "backup.import from line 7"]);
  });

  test("makes no change that it cannot tell of", async () => {
    const broker = new Broker();
    await people(broker);
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    broker.instead.set("default/policy recordChange", () => Promise.reject(new Error("lost")));
    expect((await broker.ask("DELETE", "/users/ann")).status).toBe(500);
    expect((await broker.ask("DELETE", "/sessions/away")).status).toBe(500);
    expect((await broker.ask("DELETE", "/retained?topicFilter=%23")).status).toBe(500);
    expect(logged).toHaveBeenCalledTimes(3);
    expect((await broker.ask("GET", "/users/ann")).status).toBe(200);
    expect((await broker.ask("GET", "/sessions/away")).status).toBe(200);
    expect((await broker.ask("GET", "/retained/message?topicName=a/b")).status).toBe(200);
  });
});
