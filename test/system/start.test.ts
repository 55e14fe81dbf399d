import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import {
  accepts,
  type Broker,
  type BrokerOptions,
  launch,
  processExists,
  startBroker,
  temporaryDirectory,
  until,
} from "./broker.ts";

const readyPort = /^duramq ready on ws:.+:(\d+)\/mqtt$/m;
const BUILD_AND_START_MAX_MS = 20_000;

const brokers: Broker[] = [];

async function start(options: BrokerOptions = {}): Promise<Broker> {
  const broker = await startBroker(options);
  brokers.push(broker);
  return broker;
}

afterEach(async () => {
  for (const broker of brokers.splice(0)) if (broker.launcher.exitCode === null) await broker.kill();
});

async function refusalOf(
  flags: readonly string[],
  environment: Record<string, string> = {},
): Promise<string> {
  const { code, stdout, stderr } = await launch(flags, environment).exited;
  expect(stdout).toBe("");
  expect(code).not.toBe(0);
  expect(stderr.trimEnd().split("\n"), "one line").toHaveLength(1);
  return stderr.trimEnd();
}

describe("start", () => {
  test("prints one line, naming the port it took, and answers /healthz", async () => {
    const broker = await start({ dataDir: ":memory:" });
    expect(broker.output().stdout).toBe(`duramq ready on ws://127.0.0.1:${broker.port}/mqtt\n`);
    const response = await fetch(`http://127.0.0.1:${broker.port}/healthz`);
    expect(response.status).toBe(200);
  });

  test("takes settings from the environment, and flags win", async () => {
    const dataDir = join(temporaryDirectory(), "from-environment");
    const launched = launch(["--port=0"], { PORT: "no port", DATA_DIR: dataDir, SOCKETS: "resident" });
    await launched.ready;
    expect(existsSync(join(dataDir, "layout.json"))).toBe(true);
    launched.child.kill("SIGTERM");
    expect((await launched.exited).code).toBe(0);
  });

  test("does not offer the launcher's commands to the network", async () => {
    const broker = await start({ dataDir: ":memory:" });
    const response = await fetch(`http://127.0.0.1:${broker.port}/drain`, { method: "POST" });
    expect(response.status).toBe(404);
  });

  test("--help exits with 0", async () => {
    const { code, stdout } = await launch(["--help"]).exited;
    expect(code).toBe(0);
    expect(stdout).toContain("--data");
  });
});

describe("refusal", () => {
  test("of a busy port", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const line = await refusalOf(["--data=:memory:", `--port=${port}`]);
    expect(line).toBe(`duramq: --port (PORT): ${port} on 127.0.0.1 is already in use`);
    server.close();
  });

  test("of a data directory below a file", async () => {
    const file = join(temporaryDirectory(), "file");
    writeFileSync(file, "");
    const line = await refusalOf(["--port=0", "--data", join(file, "data")]);
    expect(line).toBe(`duramq: --data (DATA_DIR): cannot use ${join(file, "data")}: ENOTDIR`);
  });

  test("of a data directory that cannot be written", async () => {
    const dataDir = temporaryDirectory();
    mkdirSync(join(dataDir, "lock"));
    expect(await refusalOf(["--port=0", "--data", dataDir])).toMatch(
      /^duramq: --data \(DATA_DIR\): cannot use /,
    );
  });

  test("of an unknown flag", async () => {
    expect(await refusalOf(["--prot=1"])).toBe("duramq: Unknown option '--prot' (see --help)");
  });

  test("of a data directory that cannot be made", async () => {
    const line = await refusalOf(["--port=0", "--data=/proc/duramq"]);
    expect(line).toMatch(/^duramq: --data \(DATA_DIR\): cannot use \/proc\/duramq: E/);
  });

  test("of a malformed value", async () => {
    expect(await refusalOf([], { PORT: "70000" })).toMatch(/^duramq: PORT: "70000" is not/);
  });

  test("of an address that others can reach, unless it knows its clients or lets everybody in", async () => {
    const line = await refusalOf(["--data=:memory:", "--host=0.0.0.0"]);
    expect(line).toMatch(
      /^duramq: --host \(HOST\): 0\.0\.0\.0 can be reached by others; set .*ANONYMOUS to "true"/,
    );
  });

  test("of an address this machine does not have", async () => {
    const line = await refusalOf(["--data=:memory:", "--host=192.0.2.1"], { ANONYMOUS: "true" });
    expect(line).toBe("duramq: --host (HOST): 192.0.2.1 is not an address of this machine");
  });

  test("of another number of shards than the data was made with", async () => {
    const broker = await start({ shards: 2 });
    await broker.stop();
    const line = await refusalOf(["--port=0", "--data", broker.dataDir]);
    expect(line).toBe(
      `duramq: --shards (SHARDS): the data in ${broker.dataDir} was made with 2, it cannot be opened with 1`,
    );
  });

  test("of another layout of topics than the data was made with", async () => {
    const broker = await start();
    await broker.stop();
    const line = await refusalOf(["--port=0", "--data", broker.dataDir], { TOPIC_KEY_LEVELS: "3" });
    expect(line).toMatch(/^duramq: TOPIC_KEY_LEVELS: the data in .* was made with 2, .* with 3$/);
  });

  test("of data of an earlier release that was made with another number of shards", async () => {
    const broker = await start();
    await broker.stop();
    writeFileSync(join(broker.dataDir, "layout.json"), '{"format":1,"shards":2}');
    const line = await refusalOf(["--port=0", "--data", broker.dataDir]);
    expect(line).toMatch(/^duramq: --shards \(SHARDS\): the data in .* was made with 2, /);
  });

  test("of a jurisdiction, which workerd does not know", async () => {
    const line = await refusalOf(["--data=:memory:"], { JURISDICTION: "eu" });
    expect(line).toBe("duramq: JURISDICTION works on Cloudflare only");
  });

  test("of namespaces that cannot be read", async () => {
    const line = await refusalOf(["--data=:memory:"], { NAMESPACES: '{"a": {"SHARDS": "none"}}' });
    expect(line).toBe("duramq: NAMESPACES.a.SHARDS must be a whole number from 1 to 1024");
  });

  test("of a second broker on the same data", async () => {
    const broker = await start();
    const line = await refusalOf(["--port=0", "--data", broker.dataDir]);
    expect(line).toBe(
      `duramq: --data (DATA_DIR): another duramq (process ${broker.launcher.pid}) uses ${broker.dataDir}`,
    );
    expect(await accepts(broker.port)).toBe(true);
  });
});

describe("stop", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`by ${signal} exits with 0 and leaves nothing behind`, async () => {
      const TMPDIR = temporaryDirectory();
      const broker = await start({ environment: { TMPDIR } });
      expect(readdirSync(TMPDIR)).not.toEqual([]);
      const workerdPid = broker.workerdPid();
      const exited = once(broker.launcher, "close");
      broker.launcher.kill(signal);
      expect((await exited)[0]).toBe(0);
      expect(broker.output()).toEqual({ stdout: expect.stringMatching(/^duramq ready .*\n$/), stderr: "" });
      expect(processExists(workerdPid)).toBe(false);
      expect(readdirSync(TMPDIR)).toEqual([]);
    });
  }

  test("by a signal that npm passes on a second time is one stop", async () => {
    const broker = await start();
    const exited = once(broker.launcher, "close");
    broker.launcher.kill("SIGINT");
    broker.launcher.kill("SIGINT");
    expect((await exited)[0]).toBe(0);
  });

  test("of npm alone ends the broker too", async () => {
    const dataDir = temporaryDirectory();
    const npm = spawn("npm", ["start", "--", "--port=0", "--data", dataDir], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    let output = "";
    npm.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    await until("the ready line", () => readyPort.test(output), BUILD_AND_START_MAX_MS);
    const port = Number(readyPort.exec(output)?.[1]);
    npm.kill("SIGTERM");
    await until("the end of the broker", async () => !(await accepts(port)));
  });

  test("during the start exits with 0", async () => {
    const dataDir = temporaryDirectory();
    const launched = launch(["--port=0", "--data", dataDir]);
    await until("use of the data directory", () => existsSync(join(dataDir, "broker.json")));
    launched.child.kill("SIGTERM");
    expect((await launched.exited).code).toBe(0);
  });
});

describe("kill", () => {
  test("of the launcher takes workerd along, and a restart on the same port and data works", async () => {
    const broker = await start();
    const { port } = broker;
    const workerdPid = broker.workerdPid();
    broker.launcher.kill("SIGKILL");
    await once(broker.launcher, "close");
    await broker.restart();
    expect(broker.port).toBe(port);
    expect(processExists(workerdPid)).toBe(false);
    expect((await broker.stop()).code).toBe(0);
  });

  test("of workerd ends the launcher with one line, and a restart works", async () => {
    const broker = await start();
    const exited = once(broker.launcher, "close");
    process.kill(broker.workerdPid(), "SIGKILL");
    expect((await exited)[0]).not.toBe(0);
    expect(broker.output().stderr).toBe("duramq: workerd stopped unexpectedly (SIGKILL)\n");
    await broker.restart();
  });

  test("of the launcher removes the private directory", async () => {
    const TMPDIR = temporaryDirectory();
    const broker = await start({ dataDir: ":memory:", environment: { TMPDIR } });
    expect(readdirSync(TMPDIR)).toHaveLength(1);
    await broker.kill();
    await until("removal of the private directory", () => readdirSync(TMPDIR).length === 0);
  });
});
