/** A stranger's path: a broker that knows nobody, and `npm run admin` to change that. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import mqtt, { type MqttClient } from "mqtt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { withDeadline } from "../support/wait.ts";
import { type Broker, startBroker } from "./broker.ts";

const COMMAND_PATH = resolve(import.meta.dirname, "../../src/host/admin.ts");
const TOKEN = "a-secret-that-only-operators-know-0001";
const NOT_AUTHORIZED = 0x87;

let broker: Broker;
const clients: MqttClient[] = [];

beforeAll(async () => {
  const environment = { OPERATOR_TOKEN: TOKEN, ANONYMOUS: "false", NAMESPACES: '{"tenant": {}}' };
  broker = await startBroker({ dataDir: ":memory:", shards: 2, environment });
});

afterAll(async () => {
  for (const client of clients) client.end(true);
  await broker?.stop();
});

/** Runs the command as npm does. Rejects when it fails. */
async function admin(args: readonly string[], { input = "", token = TOKEN } = {}): Promise<string> {
  const child = spawn(process.execPath, [COMMAND_PATH, ...args], {
    env: { ...process.env, OPERATOR_TOKEN: token, DURAMQ_URL: `http://127.0.0.1:${broker.port}` },
    stdio: "pipe",
  });
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

function connect(password: string, clientId = "alice-1"): Promise<MqttClient> {
  return mqtt.connectAsync(broker.url, {
    protocolVersion: 5,
    clientId,
    username: "alice",
    password,
    reconnectPeriod: 0,
  });
}

function disconnectReason(client: MqttClient): Promise<number | undefined> {
  const reason = new Promise<number | undefined>((told) => {
    client.once("disconnect", ({ reasonCode }) => told(reasonCode));
  });
  return withDeadline(reason, "a DISCONNECT");
}

test("a role, a user, and what they come to", async () => {
  await expect(connect("pencil")).rejects.toThrow(/refused/i);
  await admin(["roles", "put", "sensor", "--rule", "allow all sensors/${username}/#"]);
  await admin(["users", "put", "alice", "--password-stdin", "--role", "sensor"], { input: "pencil\n" });
  await expect(connect("wrong")).rejects.toThrow(/refused/i);

  const client = await connect("pencil");
  clients.push(client);
  await client.publishAsync("sensors/alice/1", "21", { qos: 1, retain: true });
  await expect(client.publishAsync("sensors/bob/1", "21", { qos: 1 })).rejects.toThrow(/Not authorized/i);
  await client.subscribeAsync("sensors/alice/#", { qos: 1 });
  expect(await admin(["clients", "list"])).toContain("clientId=alice-1");
  expect(await admin(["subscriptions", "list", "--client", "alice-1"])).toContain(
    "topicFilter=sensors/alice/#",
  );

  const bound = disconnectReason(client);
  const binding = ["--role", "sensor", "--client-id", "alice-2"];
  expect(await admin(["users", "put", "alice", ...binding])).toContain("pendingShards=0");
  expect(await bound).toBe(NOT_AUTHORIZED);
  expect(await admin(["users", "get", "alice"])).toContain("clientId=alice-2");
  await expect(connect("pencil")).rejects.toThrow(/identifier not valid/i);
  const other = await connect("pencil", "alice-2");
  clients.push(other);
  await other.subscribeAsync("sensors/alice/#", { qos: 1 });

  const changed = disconnectReason(other);
  await admin(["roles", "put", "sensor", "--rule", "allow publish sensors/${username}/#"]);
  expect(await changed).toBe(NOT_AUTHORIZED);

  const again = await connect("pencil", "alice-2");
  clients.push(again);
  const deleted = disconnectReason(again);
  expect(await admin(["users", "delete", "alice"])).toContain("pendingShards=0");
  expect(await deleted).toBe(NOT_AUTHORIZED);
  await expect(connect("pencil", "alice-2")).rejects.toThrow(/refused/i);
});

test("the policy goes through a pipe and back, once for each version", async () => {
  const shown = await admin(["policy", "get"]);
  expect(await admin(["policy", "put", "-"], { input: shown })).toContain("pendingShards=0");
  await expect(admin(["policy", "put", "-"], { input: shown })).rejects.toThrow("by now");
});

test("retained messages are listed and deleted", async () => {
  expect(await admin(["retained", "list", "sensors/#"])).toBe("topicName=sensors/alice/1\n");
  expect(await admin(["retained", "delete", "#"])).toContain("deletedCount=1");
  expect(await admin(["retained", "list", "#"])).toBe("");
});

test("the token of a namespace does nothing in another", async () => {
  const issued = await admin([
    "tokens",
    "issue",
    "dashboard",
    "--scope",
    "read",
    "--namespace",
    "tenant",
    "--json",
  ]);
  const { secret: token } = JSON.parse(issued) as { secret: string };
  expect(await admin(["users", "list", "--namespace", "tenant"], { token })).toBe("");
  await expect(admin(["users", "list"], { token })).rejects.toThrow("OPERATOR_TOKEN");
  await expect(admin(["roles", "put", "r", "--namespace", "tenant"], { token })).rejects.toThrow(
    "policy:write",
  );
  expect(await admin(["audit", "list", "--namespace", "tenant"])).not.toContain(token);
  expect(JSON.stringify(broker.output())).not.toContain(token);
});
