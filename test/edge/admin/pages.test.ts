import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { toBase64Url, utf8 } from "../../../src/auth/bytes.ts";
import { SimulatedClient } from "../../core/simulated-client.ts";
import { Broker } from "./broker.ts";

interface Page {
  readonly clientIds: readonly string[];
  readonly cursor?: string;
}

const cursorOf = (place: string): string => toBase64Url(utf8(place));

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** So many clients on each shard, in the order in which they are listed. */
function connect(broker: Broker, counts: readonly number[]): string[] {
  const { placement } = broker.harness;
  return counts.flatMap((count, shard) => {
    const clientIds: string[] = [];
    for (let number = 0; clientIds.length < count; number += 1) {
      const clientId = `client-${String(number).padStart(4, "0")}`;
      if (placement.sessionShard(clientId) === shard) clientIds.push(clientId);
    }
    for (const clientId of clientIds) SimulatedClient.connected(broker.harness, { clientId });
    return clientIds;
  });
}

async function pageOf(broker: Broker, limit: number, cursor?: string): Promise<Page> {
  const query = cursor === undefined ? "" : `&cursor=${cursor}`;
  const { json, status, text } = await broker.ask("GET", `/clients?limit=${limit}${query}`);
  if (status !== 200) throw new Error(text);
  const { items, ...rest } = json as { items: { clientId: string }[]; cursor?: string };
  return { ...rest, clientIds: items.map(({ clientId }) => clientId) };
}

async function pagesOf(broker: Broker, limit: number): Promise<Page[]> {
  const pages = [await pageOf(broker, limit)];
  for (let last = pages[0]; last?.cursor !== undefined; last = pages.at(-1))
    pages.push(await pageOf(broker, limit, last.cursor));
  return pages;
}

describe("A list of what lies on several shards", () => {
  test.each([1, 2, 3, 4, 7, 8])("has everything once, in pages of %i", async (limit) => {
    const broker = new Broker({ shards: 4 });
    const clientIds = connect(broker, [3, 0, 2, 2]);
    const pages = await pagesOf(broker, limit);
    expect(pages.flatMap((page) => page.clientIds)).toEqual(clientIds);
    for (const page of pages.slice(0, -1)) expect(page.clientIds).toHaveLength(limit);
  });

  test("goes on inside a shard after the last item of the page before", async () => {
    const broker = new Broker({ shards: 2 });
    const clientIds = connect(broker, [3, 1]);
    const first = await pageOf(broker, 2);
    expect(first).toEqual({ clientIds: clientIds.slice(0, 2), cursor: cursorOf(`0/${clientIds[1]}`) });
    broker.calls.length = 0;
    expect(await pageOf(broker, 9, first.cursor)).toEqual({ clientIds: clientIds.slice(2) });
    expect(broker.calls).toEqual(["default/0 clients", "default/1 clients"]);
  });

  test("goes on with the next shard if the page before ended with one", async () => {
    const broker = new Broker({ shards: 3 });
    const clientIds = connect(broker, [2, 1, 1]);
    const first = await pageOf(broker, 2);
    expect(first).toEqual({ clientIds: clientIds.slice(0, 2), cursor: cursorOf("1/") });
    broker.calls.length = 0;
    expect(await pageOf(broker, 1, first.cursor)).toEqual({
      clientIds: [clientIds[2]],
      cursor: cursorOf("2/"),
    });
    expect(broker.calls).toEqual(["default/1 clients"]);
  });

  test("moves nothing when somebody comes or goes between two pages", async () => {
    const broker = new Broker({ shards: 1 });
    const [first = "", second = "", third = ""] = connect(broker, [3]);
    const { cursor } = await pageOf(broker, 2);
    await broker.ask("DELETE", `/clients/${second}`);
    SimulatedClient.connected(broker.harness, { clientId: `${first}-later` });
    expect(await pageOf(broker, 2, cursor)).toEqual({ clientIds: [third] });
  });

  test("asks 32 shards at most for a page, which is empty then and has a cursor", async () => {
    const broker = new Broker({ shards: 40 });
    const [clientId] = connect(
      broker,
      Array.from({ length: 40 }, (_, shard) => (shard === 39 ? 1 : 0)),
    );
    broker.calls.length = 0;
    const first = await pageOf(broker, 10);
    expect(first).toEqual({ clientIds: [], cursor: cursorOf("32/") });
    expect(broker.calls).toHaveLength(32);
    expect(await pageOf(broker, 10, first.cursor)).toEqual({ clientIds: [clientId] });
    expect(broker.calls).toHaveLength(40);
  });

  test("asks only the shards that can know: one for a client, one for a topic's level", async () => {
    const broker = new Broker({ shards: 8 });
    const { placement } = broker.harness;
    for (const query of ["subscriptions?clientId=ann", "retained?topicFilter=a/b/%23"])
      expect((await broker.ask("GET", `/${query}`)).status).toBe(200);
    expect(broker.calls).toEqual([
      `default/${placement.sessionShard("ann")} subscriptions`,
      `default/${placement.topicShard("a/b/c")} retainedNames`,
    ]);
  });
});

describe("A cursor that no page has given is refused", () => {
  const lists = ["/clients", "/sessions", "/subscriptions", "/retained?topicFilter=%23", "/cost"];
  const cursors: readonly [string, string][] = [
    ["is no Base64", "*"],
    ["is no UTF-8", toBase64Url(new Uint8Array([0x30, 0x2f, 0xff]))],
    ["names no shard", cursorOf("a/b")],
    ["names a shard only", cursorOf("0")],
    ["names a shard that there is not", cursorOf("3/")],
    ["names a shard below the first", cursorOf("-1/")],
    ["is empty", ""],
  ];

  test.each(lists.flatMap((list) => cursors.map((cursor) => [list, ...cursor] as const)))(
    "by %s when it %s",
    async (list, _, cursor) => {
      const broker = new Broker({ shards: 3 });
      const mark = list.includes("?") ? "&" : "?";
      const answer = await broker.ask("GET", `${list}${mark}cursor=${encodeURIComponent(cursor)}`);
      expect([answer.status, answer.json["detail"]]).toEqual([
        400,
        "cursor: must be as the page before says",
      ]);
      expect(broker.calls).toEqual([]);
    },
  );

  test("by a list of one shard when it is of another", async () => {
    const broker = new Broker({ shards: 8 });
    const other = (broker.harness.placement.sessionShard("ann") + 1) % 8;
    const answer = await broker.ask("GET", `/subscriptions?clientId=ann&cursor=${cursorOf(`${other}/x`)}`);
    expect(answer.status).toBe(400);
  });

  test.each(["x", "16/", "-1/", "0", "1e1/", " 0/"])("by the list of users: %j", async (cursor) => {
    const answer = await new Broker().ask("GET", `/users?cursor=${encodeURIComponent(cursor)}`);
    expect([answer.status, answer.json["detail"]]).toEqual([400, "cursor: must be as the page before says"]);
  });

  test.each(["x", "0", "-1", "1.5"])("by the audit log: %j", async (cursor) => {
    expect((await new Broker().ask("GET", `/audit?cursor=${cursor}`)).status).toBe(400);
  });
});

test("The users are listed once each, in pages over their buckets", async () => {
  const broker = new Broker();
  const names = Array.from({ length: 20 }, (_, number) => `user-${number}`);
  for (const name of names) await broker.ask("PUT", `/users/${name}`, { body: { password: "pencil" } });
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const { json } = await broker.ask("GET", `/users?limit=3${query}`);
    seen.push(...(json["items"] as { username: string }[]).map(({ username }) => username));
    cursor = json["cursor"] as string | undefined;
  } while (cursor !== undefined);
  expect(seen.toSorted()).toEqual(names.toSorted());
});

test("The audit log is read page by page, the newest first", async () => {
  const broker = new Broker();
  for (let number = 1; number <= 5; number += 1) await broker.ask("DELETE", `/clients/client-${number}`);
  const targets: unknown[][] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? "" : `&cursor=${cursor}`;
    const { json } = await broker.ask("GET", `/audit?limit=2${query}`);
    targets.push((json["items"] as { target: string }[]).map(({ target }) => target));
    cursor = json["cursor"] as string | undefined;
  } while (cursor !== undefined);
  expect(targets).toEqual([["client-5", "client-4"], ["client-3", "client-2"], ["client-1"]]);
});

describe("A shard that does not answer", () => {
  const questions: readonly [string, string][] = [
    ["GET", "/clients"],
    ["GET", "/clients/ann"],
    ["DELETE", "/clients/ann"],
    ["GET", "/sessions"],
    ["GET", "/sessions/ann"],
    ["DELETE", "/sessions/ann"],
    ["GET", "/subscriptions"],
    ["GET", "/retained?topicFilter=%23"],
    ["GET", "/retained/message?topicName=a"],
    ["DELETE", "/retained?topicFilter=%23"],
    ["GET", "/cost"],
  ];
  let broker: Broker;

  beforeEach(() => {
    broker = new Broker({ shards: 1 });
    vi.spyOn(console, "error").mockImplementation(() => {});
  });

  test.each(questions)("is named to who asks %s %s, without what went wrong in it", async (method, path) => {
    broker.instead.set("default/0", () => Promise.reject(new Error("a-secret of the shard")));
    const answer = await broker.ask(method, path);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.json).toEqual({
      type: "about:blank",
      title: "Service unavailable",
      status: 503,
      detail: "Shard 0 did not answer",
    });
    expect(console.error).toHaveBeenCalledOnce();
  });

  test("is waited for so long only", async () => {
    vi.useFakeTimers();
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    broker.instead.set("default/0", () => {
      resolve();
      return new Promise(() => {});
    });
    const answer = broker.ask("GET", "/sessions/ann");
    await asked;
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await answer).json).toMatchObject({ status: 503, detail: "Shard 0 did not answer" });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends the list that it is a part of, and no other", async () => {
    const several = new Broker({ shards: 3 });
    connect(several, [1, 1, 1]);
    several.instead.set("default/1", () => Promise.reject(new Error("lost")));
    expect((await several.ask("GET", "/clients")).json["detail"]).toBe("Shard 1 did not answer");
    expect((await several.ask("GET", "/clients?limit=1")).status).toBe(200);
    expect((await several.ask("GET", `/clients?cursor=${cursorOf("2/")}`)).status).toBe(200);
  });
});
