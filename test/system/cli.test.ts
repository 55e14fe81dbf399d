import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { connectClient, waitUntil } from "../support/clients.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";
import { withDeadline } from "../support/wait.ts";

const broker = useBroker();
const packagePath = createRequire(import.meta.url).resolve("mqtt/package.json");
const commandPath = join(packagePath, "..", "build", "bin", "mqtt.js");
const children = new Set<ChildProcess>();

afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
});

/** What `npx mqtt …` runs. */
function run(...args: string[]): { child: ChildProcess; output: () => string } {
  const connection = ["-l", "ws", "-h", "127.0.0.1", "-p", String(broker.port), "--path", "/mqtt"];
  const child = spawn(process.execPath, [commandPath, ...args, ...connection], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return { child, output: () => output };
}

async function runToEnd(...args: string[]): Promise<string> {
  const { child, output } = run(...args);
  const [exitCode] = (await withDeadline(once(child, "close"), args.join(" "), 30_000)) as [number];
  expect({ exitCode, output: output() }).toEqual({ exitCode: 0, output: "" });
  return output();
}

describe("The command line of MQTT.js", () => {
  test.each([
    ["3.1.1", []],
    ["5", ["--protocolVersion", "5"]],
  ])("publishes to a subscriber at version %s", async (_name, versionArgs) => {
    const topic = unique("cli");
    const subscriber = run("sub", "-t", `${topic}/#`, "-q", "1", "-v", ...versionArgs);
    // The subscriber does not tell when it is ready, so a retained message does.
    await runToEnd("pub", "-t", `${topic}/ready`, "-m", "retained", "-q", "1", "-r", ...versionArgs);
    await waitUntil(() => subscriber.output().includes(`${topic}/ready retained\n`), "the retained message");
    await runToEnd("pub", "-t", `${topic}/live`, "-m", "hello there", "-q", "1", ...versionArgs);
    await waitUntil(() => subscriber.output().includes(`${topic}/live hello there\n`), "the live message");
  });

  test("leaves its will when it is killed", async () => {
    const topic = unique("cli-will");
    const witness = await connectClient(broker.url, { clientId: unique("witness") });
    await witness.subscribe(topic, { qos: 1 });
    await witness.publish(`${topic}/ready`, "ready", { qos: 1, retain: true });
    const will = ["--will-topic", topic, "--will-message", "killed", "--will-qos", "1"];
    const mortal = run("sub", "-t", `${topic}/ready`, "-q", "1", ...will);
    await waitUntil(() => mortal.output().includes("ready"), "the command to be connected");
    mortal.child.kill("SIGKILL");
    expect(await witness.nextMessage()).toMatchObject({ topic, payload: "killed" });
  });
});
