/** `npm run backup` against brokers as users start them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { closeAllClients, connectClient } from "../support/clients.ts";
import {
  connectPersistentRaw,
  pingRaw,
  publishExactlyOnceRaw,
  receiveRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { type Broker, type BrokerOptions, startBroker, temporaryDirectory } from "./broker.ts";

const COMMAND_PATH = resolve(import.meta.dirname, "../../src/host/backup.ts");
const TOKEN = "a-secret-that-only-operators-know-0001";
const directory = temporaryDirectory();

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const brokers: Broker[] = [];

afterEach(closeAllClients);
afterAll(() => Promise.all(brokers.map((broker) => broker.stop())));

async function start(options: BrokerOptions = {}): Promise<Broker> {
  const environment = { OPERATOR_TOKEN: TOKEN, ANONYMOUS: "true", ...options.environment };
  const broker = await startBroker({ ...options, environment });
  brokers.push(broker);
  return broker;
}

function endpointOf({ port }: Broker): string {
  return `http://127.0.0.1:${port}/api/v1/backup`;
}

/** Runs the command as npm does, with the token in the environment. */
async function backup(
  { port }: Broker,
  action: "export" | "import",
  path: string,
  flags: readonly string[] = [],
  token = TOKEN,
): Promise<Run> {
  const args = [COMMAND_PATH, action, "--url", `http://127.0.0.1:${port}`, "--file", path, ...flags];
  const child = spawn(process.execPath, args, { env: { ...process.env, OPERATOR_TOKEN: token } });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...output };
}

function newPath(): string {
  return join(directory, unique("backup"));
}

function linesOf(path: string): string[] {
  return readFileSync(path, "utf8").trimEnd().split("\n");
}

/** A session with messages of QoS 1 and 2, of which it has got the first without acknowledging it. */
async function leaveMessages(url: string, clientId: string, topic: string): Promise<string[]> {
  const { client } = await connectPersistentRaw(url, clientId);
  await subscribeRaw(client, topic, 2);
  const publisher = await connectClient(url, { clientId: unique("publisher") });
  const payloads = ["first", "second", "third", "fourth"];
  await publisher.publish(topic, "first", { qos: 2 });
  expect((await client.next("publish")).qos).toBe(2);
  client.terminate();
  for (const [index, payload] of payloads.slice(1).entries()) {
    await publisher.publish(topic, payload, { qos: index % 2 === 0 ? 1 : 2 });
  }
  return payloads;
}

describe.each([
  [1, 4],
  [4, 1],
])("from %i shards to %i", (from, to) => {
  test("sessions with their messages and retained messages move to another broker", async () => {
    const source = await start({ shards: from });
    const clientId = unique("client");
    const payloads = await leaveMessages(source.url, clientId, "queue/topic");
    const publisher = await connectClient(source.url, { clientId: unique("publisher") });
    for (const number of [1, 2, 3]) {
      await publisher.publish(`retained/${number}`, `value ${number}`, { qos: 1, retain: true });
    }
    const path = newPath();
    const exported = await backup(source, "export", path);
    expect(exported).toMatchObject({ code: 0, stderr: "" });
    expect(exported.stdout).toBe(`exported 8 records to ${path}\n`);
    expect(statSync(path).mode & 0o777).toBe(0o600);

    const target = await start({ shards: to });
    const imported = await backup(target, "import", path);
    expect(imported).toMatchObject({ code: 0, stderr: "" });
    expect(imported.stdout).toBe(
      "imported 3 retained messages, and 1 sessions with 4 messages; 0 were there already, 0 have expired, 0 were refused\n",
    );
    await target.restart();
    const { client, connack } = await connectPersistentRaw(target.url, clientId);
    expect(connack.sessionPresent).toBe(true);
    const received: string[] = [];
    while (received.length < 4) received.push((await receiveRaw(client)).payload.toString());
    expect(received).toEqual(payloads);
    const other = await connectClient(target.url, { clientId: unique("publisher") });
    await other.publish("queue/topic", "live", { qos: 1 });
    expect((await receiveRaw(client)).payload.toString()).toBe("live");
    await other.subscribe("retained/#", { qos: 1 });
    expect((await other.nextPayloads(3)).toSorted()).toEqual(["value 1", "value 2", "value 3"]);
    await pingRaw(client);
    expect(client.received.filter(({ cmd }) => cmd === "publish")).toHaveLength(5);
  });
});

test("a client that has a QoS 2 message in hand does not get it twice", async () => {
  const source = await start();
  const clientId = unique("client");
  const { client } = await connectPersistentRaw(source.url, clientId);
  await subscribeRaw(client, "topic", 2);
  const publisher = await connectPersistentRaw(source.url, unique("publisher"));
  await publishExactlyOnceRaw(publisher.client, { topic: "topic", payload: "once", messageId: 9 });
  const { messageId } = await client.next("publish");
  client.send({ cmd: "pubrec", messageId: messageId ?? 0 });
  await client.next("pubrel");
  client.terminate();
  const path = newPath();
  expect((await backup(source, "export", path)).code).toBe(0);
  const target = await start();
  expect((await backup(target, "import", path)).code).toBe(0);
  const again = await connectPersistentRaw(target.url, clientId);
  expect((await again.client.next("pubrel")).messageId).toBe(messageId);
});

describe("a broker and a file", () => {
  let broker: Broker;
  let path: string;

  beforeAll(async () => {
    broker = await start();
    const publisher = await connectClient(broker.url, { clientId: unique("publisher") });
    for (let number = 0; number < 40; number += 1) {
      await publisher.publish(`large/${number}`, "x".repeat(200_000), { qos: 1, retain: true });
    }
    path = newPath();
  });

  test("of many parts: an export asks on until it is whole", async () => {
    const { code, stdout } = await backup(broker, "export", path);
    expect([code, stdout]).toEqual([0, `exported 40 records to ${path}\n`]);
    const lines = linesOf(path);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ type: "header", format: 1, namespace: "default" });
    expect(lines.filter((line) => line.startsWith('{"type":"retained"'))).toHaveLength(40);
    expect(lines.at(-1)).toBe('{"type":"end","records":40}');
    expect(existsSync(`${path}.partial`)).toBe(false);
  });

  test("what is imported over itself is unchanged", async () => {
    const { code, stdout } = await backup(broker, "import", path);
    expect(code).toBe(0);
    expect(stdout).toContain("40 were there already");
  });

  test("what exists and differs is refused by its line, and the command fails; with --replace it gives way", async () => {
    const publisher = await connectClient(broker.url, { clientId: unique("publisher") });
    await publisher.publish("large/7", "newer", { qos: 1, retain: true });
    const refused = await backup(broker, "import", path);
    expect(refused.code).toBe(1);
    const line = linesOf(path).findIndex((text) => text.includes('"large/7"')) + 1;
    expect(refused.stderr).toBe(
      `line ${line}: retained message of large/7: The topic has a retained message already\n`,
    );
    expect(refused.stdout).toContain("39 were there already, 0 have expired, 1 were refused");
    expect((await backup(broker, "import", path, ["--replace"])).code).toBe(0);
    await publisher.subscribe("large/7", { qos: 1 });
    expect((await publisher.nextMessage()).payload).toHaveLength(200_000);
  });

  test("a file that has been cut off is refused before anything is sent", async () => {
    const cut = newPath();
    const lines = linesOf(path);
    writeFileSync(cut, `${lines.slice(0, -1).join("\n")}\n`);
    const { code, stderr } = await backup(broker, "import", cut);
    expect(code).toBe(1);
    expect(stderr).toBe(`duramq: ${cut} has no end mark: it was cut off, or is no backup\n`);
    writeFileSync(cut, `${[...lines.slice(0, 3), ...lines.slice(-1)].join("\n")}\n`);
    const missing = await backup(broker, "import", cut);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toBe("duramq: Line 4 tells of 40 records; there are 2\n");
  });

  test("of a format that this release does not know, or with a line that is wrong, is refused by the line", async () => {
    const wrong = newPath();
    const [header = "", first = "", second = "", ...rest] = linesOf(path).slice(0, 5);
    const end = '{"type":"end","records":4}';
    const write = (lines: readonly string[]): void => writeFileSync(wrong, `${lines.join("\n")}\n`);
    write([header.replace('"format":1', '"format":2'), first, second, ...rest, end]);
    expect((await backup(broker, "import", wrong)).stderr).toContain(
      "Line 1 is wrong: format is 2; this release reads 1",
    );
    write([header, first, "nonsense", ...rest, end]);
    const { code, stderr } = await backup(broker, "import", wrong);
    expect(code).toBe(1);
    expect(stderr).toBe("duramq: the broker answered 400: Line 3 is not JSON\n");
    write([header, first, second.replace('"qos":1', '"qos":7'), ...rest, end]);
    expect((await backup(broker, "import", wrong)).stderr).toMatch(
      /Line 3 is wrong: publication\.message\.qos /,
    );
  });

  test("nobody without the token gets at either, and it is never printed", async () => {
    const wrong = "another-secret-of-more-than-32-characters";
    for (const action of ["export", "import"] as const) {
      const { code, stdout, stderr } = await backup(broker, action, path, [], wrong);
      expect(code).toBe(1);
      expect(stderr).toContain("the broker answered 401");
      expect(stdout + stderr).not.toContain(wrong);
      expect(stdout + stderr).not.toContain(TOKEN);
    }
    for (const headers of [{}, { authorization: wrong }, { authorization: `Basic ${TOKEN}` }]) {
      const response = await fetch(endpointOf(broker), { headers });
      expect(response.status).toBe(401);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
    }
  });

  test("a broker without OPERATOR_TOKEN says what to set", async () => {
    const bare = await startBroker({ dataDir: ":memory:" });
    brokers.push(bare);
    const response = await fetch(endpointOf(bare), { headers: { authorization: `Bearer ${TOKEN}` } });
    expect(response.status).toBe(404);
    expect(((await response.json()) as { detail: string }).detail).toContain("OPERATOR_TOKEN");
  });

  test("a bad cursor, a request without a body and a namespace that is not there are told apart", async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const statusOf = async (path_: string, options: RequestInit = {}): Promise<number> =>
      (await fetch(`${endpointOf(broker)}${path_}`, { headers, ...options })).status;
    expect(await statusOf("?cursor=nonsense")).toBe(400);
    expect(await statusOf('?cursor={"shard":7}')).toBe(400);
    expect(await statusOf("", { method: "POST" })).toBe(400);
    expect(await statusOf("/nowhere")).toBe(404);
  });
});

test("namespaces are apart", async () => {
  const broker = await start({ environment: { NAMESPACES: '{"plant": {"SHARDS": "2"}}' } });
  const publisher = await connectClient(`${broker.url}/plant`, { clientId: unique("publisher") });
  await publisher.publish("topic", "of the plant", { qos: 1, retain: true });
  const path = newPath();
  expect((await backup(broker, "export", path)).stdout).toContain("exported 0 records");
  expect((await backup(broker, "export", path, ["--namespace", "plant"])).stdout).toContain(
    "exported 1 records",
  );
  expect((await backup(broker, "import", path)).code).toBe(0);
  const reader = await connectClient(broker.url, { clientId: unique("reader") });
  await reader.subscribe("topic", { qos: 1 });
  expect(await reader.nextPayloads(1)).toEqual(["of the plant"]);
});
