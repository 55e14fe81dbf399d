import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll } from "vitest";
import { TEMPORARY_ROOT_VARIABLE } from "./global-setup.ts";

const LAUNCHER_PATH = resolve(import.meta.dirname, "../../src/host/start.ts");
const READY_LINE = /^duramq ready on (ws:\/\/.+:(\d+)\/mqtt)$/;
const START_MAX_MS = 20_000;
const GONE_MAX_MS = 10_000;
const POLL_MS = 20;

export type BrokerOptions = {
  /** a new temporary directory by default; ":memory:" works too */
  readonly dataDir?: string;
  /** 0, the default, takes any free port, which a restart keeps */
  readonly port?: number;
  readonly shards?: number;
  readonly sockets?: "hibernating" | "resident";
  readonly environment?: Readonly<Record<string, string>>;
};

export type Exit = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type Launch = {
  readonly child: ChildProcess;
  /** the ready line's url and port; rejects with what the launcher said when it ends before */
  readonly ready: Promise<{ readonly url: string; readonly port: number }>;
  readonly exited: Promise<Exit>;
};

export type Broker = {
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** all that the current process has written to standard output and standard error */
  output(): { readonly stdout: string; readonly stderr: string };
  readonly launcher: ChildProcess;
  workerdPid(): number;
  /** SIGTERM, as a user or a service manager stops it; resolves when everything has ended */
  stop(): Promise<Exit>;
  /** SIGKILL of the launcher; resolves when workerd has followed it */
  kill(): Promise<void>;
  /** starts it again, with the same data and port, stopping it first if it still runs */
  restart(changes?: BrokerOptions): Promise<void>;
};

const launchers = new Set<ChildProcess>();

// a test that failed half-way may leave a broker running
afterAll(() => {
  for (const child of launchers) child.kill("SIGKILL");
  launchers.clear();
});

/** Removed when all system tests have ended. */
export function temporaryDirectory(): string {
  return mkdtempSync(join(process.env[TEMPORARY_ROOT_VARIABLE] ?? tmpdir(), "duramq-test-"));
}

/** Starts the launcher just as `npm start -- FLAGS` does, in an environment without its variables. */
export function launch(flags: readonly string[], environment: BrokerOptions["environment"] = {}): Launch {
  const {
    PORT: _port,
    HOST: _host,
    DATA_DIR: _data,
    SHARDS: _shards,
    SOCKETS: _sockets,
    ...rest
  } = process.env;
  const env = { ...rest, ...environment };
  const child = spawn(process.execPath, [LAUNCHER_PATH, ...flags], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  launchers.add(child);
  const output = { stdout: "", stderr: "" };
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  const exited = once(child, "close").then(([code]): Exit => {
    launchers.delete(child);
    return { code, ...output };
  });
  const ready = readyOf(child, exited);
  // who only waits for the end must not fail on a broker that was meant to be refused
  ready.catch(() => {});
  return { child, exited, ready };
}

function readyOf(child: ChildProcess, exited: Promise<Exit>): Promise<{ url: string; port: number }> {
  const readyLine = new Promise<{ url: string; port: number }>((resolveReady) => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = READY_LINE.exec(line);
      if (match !== null) resolveReady({ url: match[1] ?? "", port: Number(match[2]) });
    });
  });
  const failed = exited.then(({ code, stderr }) => {
    throw new Error(`the broker ended with code ${code}: ${stderr.trim()}`);
  });
  return Promise.race([readyLine, failed]);
}

export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  let current = { ...options, dataDir: options.dataDir ?? temporaryDirectory() };
  let launched = launch(flagsOf(current), current.environment);
  let running = true;
  let output = collect(launched.child);
  let address = await within(START_MAX_MS, "ready line", launched.ready);

  async function stop(): Promise<Exit> {
    running = false;
    launched.child.kill("SIGTERM");
    return within(GONE_MAX_MS, "end of the launcher", launched.exited);
  }
  async function kill(): Promise<void> {
    running = false;
    const pid = current.dataDir === ":memory:" ? undefined : workerdPid(current.dataDir);
    launched.child.kill("SIGKILL");
    await within(GONE_MAX_MS, "end of the launcher", launched.exited);
    if (pid !== undefined) await until("end of workerd", () => !processExists(pid));
    await until("release of the port", async () => !(await accepts(address.port)));
  }
  async function restart(changes: BrokerOptions = {}): Promise<void> {
    if (running) await stop();
    current = { ...current, port: address.port, ...changes, dataDir: changes.dataDir ?? current.dataDir };
    launched = launch(flagsOf(current), current.environment);
    output = collect(launched.child);
    address = await within(START_MAX_MS, "ready line", launched.ready);
    running = true;
  }
  return {
    get url() {
      return address.url;
    },
    get port() {
      return address.port;
    },
    get dataDir() {
      return current.dataDir;
    },
    get launcher() {
      return launched.child;
    },
    output: () => ({ ...output }),
    workerdPid: () => workerdPid(current.dataDir),
    stop,
    kill,
    restart,
  };
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  return output;
}

function flagsOf(options: BrokerOptions & { readonly dataDir: string }): string[] {
  const flags = ["--data", options.dataDir, "--port", String(options.port ?? 0)];
  if (options.shards !== undefined) flags.push("--shards", String(options.shards));
  if (options.sockets !== undefined) flags.push("--sockets", options.sockets);
  return flags;
}

export function workerdPid(dataDir: string): number {
  const record = JSON.parse(readFileSync(join(dataDir, "broker.json"), "utf8")) as { workerdPid: number };
  return record.workerdPid;
}

export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !isZombie(pid);
}

/** Ended, but not yet collected by its parent: in a container that may take a while. */
function isZombie(pid: number): boolean {
  const statPath = `/proc/${pid}/stat`;
  return existsSync(statPath) && / Z /.test(readFileSync(statPath, "utf8"));
}

export function accepts(port: number): Promise<boolean> {
  return new Promise((resolveAccepts) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolveAccepts(true);
    });
    socket.once("error", () => resolveAccepts(false));
  });
}

/** Waits for a condition, and names it when it does not come true. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, maxMs = GONE_MAX_MS) {
  const deadlineMs = Date.now() + maxMs;
  while (!(await condition())) {
    if (Date.now() >= deadlineMs) throw new Error(`waited ${maxMs} ms in vain for: ${what}`);
    await sleep(POLL_MS);
  }
}

async function within<T>(maxMs: number, what: string, promise: Promise<T>): Promise<T> {
  const cancel = new AbortController();
  const late = sleep(maxMs, undefined, { signal: cancel.signal }).then(() => {
    throw new Error(`waited ${maxMs} ms in vain for: ${what}`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel.abort();
  }
}
