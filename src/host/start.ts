import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BUNDLE_NAME, BUNDLE_PATH, buildWorker } from "./build.ts";
import { HELP_TEXT, type HostConfig, parseCommand } from "./config.ts";
import { type DataDirectory, openDataDirectory } from "./data-directory.ts";
import { listenable, resolveHost } from "./listen-address.ts";
import { errorMessage, StartError } from "./start-error.ts";
import { formatAddress, SHARD_UNIQUE_KEY, workerdConfig } from "./workerd-config.ts";
import { startWorkerd, type Workerd } from "./workerd-process.ts";

const READY_MAX_MS = 15_000;
const READY_POLL_MS = 50;
const COMMAND_MAX_MS = 4_000;
const EXIT_MAX_MS = 2_000;
const ORPHAN_POLL_MS = 250;
/** Ctrl-C under npm arrives twice, from the terminal and from npm; that is one wish, not two. */
const SAME_SIGNAL_MS = 500;

const EXIT_FAILURE = 1;
const STOP_SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof STOP_SIGNALS;

type Broker = {
  readonly workerd: Workerd;
  readonly controlSocketPath: string;
  readonly objectsPath: string;
  readonly port: number;
};

/** What must be undone at the end, in reverse order; process "exit" runs it, so it is synchronous. */
const cleanups: (() => void)[] = [];

async function main(): Promise<void> {
  const command = parseCommand(process.argv.slice(2), process.env);
  if (command.kind === "help") {
    process.stdout.write(HELP_TEXT);
    return;
  }
  process.on("exit", runCleanups);
  const stopRequested = stopOnSignals();
  const starting = startBroker(command.config);
  const broker = await Promise.race([starting, stopRequested]);
  if (broker === "stop") process.exit(0);
  await wake(broker);
  process.stdout.write(
    `duramq ready on ws://${formatAddress(urlHost(command.config.host), broker.port)}/mqtt\n`,
  );
  await runUntilStopped(broker, stopRequested);
}

async function runUntilStopped(broker: Broker, stopRequested: Promise<"stop">): Promise<never> {
  const end = await Promise.race([broker.workerd.exited, stopRequested]);
  if (end !== "stop") throw new StartError(`workerd stopped unexpectedly (${end})`);
  await drain(broker);
  broker.workerd.kill("SIGTERM");
  // workerd waits for open connections without limit, and its data is safe at any moment
  await Promise.race([broker.workerd.exited, sleep(EXIT_MAX_MS)]);
  process.exit(0);
}

async function startBroker(config: HostConfig): Promise<Broker> {
  const address = await resolveHost(config.host);
  const runDir = createRunDirectory();
  const data = await openData(config, runDir);
  if (config.port !== 0) await listenable(address, config.port);
  await build();
  const controlSocketPath = join(runDir, "control");
  const configPath = join(runDir, "workerd.capnp");
  copyFileSync(BUNDLE_PATH, join(runDir, BUNDLE_NAME));
  writeFileSync(
    configPath,
    workerdConfig({
      bundleName: BUNDLE_NAME,
      address: formatAddress(address, config.port),
      controlSocketPath,
      objectsPath: data.objectsPath,
      variables: config.variables,
    }),
  );
  const workerd = startWorkerd(configPath, runDir);
  cleanups.push(() => workerd.kill("SIGKILL"));
  data.recordWorkerd(workerd.pid, configPath);
  const port = await workerd.listening;
  await Promise.race([healthy(address, port), endedEarly(workerd)]);
  data.recordLayouts();
  return { workerd, controlSocketPath, objectsPath: data.objectsPath, port };
}

/** Holds workerd's configuration and its control socket, so nobody else may enter (mode 0700). */
function createRunDirectory(): string {
  const runDir = mkdtempSync(join(tmpdir(), "duramq-"));
  cleanups.push(() => rmSync(runDir, { recursive: true, force: true }));
  return runDir;
}

/** workerd has SQLite only on disk, so "in memory" is a directory that goes with the process. */
async function openData(config: HostConfig, runDir: string): Promise<DataDirectory> {
  if (config.dataDir === null) {
    const objectsPath = join(runDir, "objects");
    mkdirSync(objectsPath);
    return { objectsPath, recordLayouts: () => {}, recordWorkerd: () => {}, release: () => {} };
  }
  const data = await openDataDirectory(config.dataDir, config.namespaces);
  cleanups.push(data.release);
  return data;
}

async function build(): Promise<void> {
  try {
    await buildWorker();
  } catch (error) {
    throw new StartError(`the build failed: ${errorMessage(error)}`);
  }
}

async function endedEarly(workerd: Workerd): Promise<never> {
  throw new StartError(`workerd stopped unexpectedly (${await workerd.exited})`);
}

async function healthy(address: string, port: number): Promise<void> {
  const url = `http://${formatAddress(reachable(address), port)}/healthz`;
  const deadlineMs = Date.now() + READY_MAX_MS;
  for (;;) {
    const answer = await healthOf(url);
    if (answer === "200") return;
    if (Date.now() >= deadlineMs) throw new StartError(`the broker did not become ready: ${url}: ${answer}`);
    await sleep(READY_POLL_MS);
  }
}

async function healthOf(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(READY_MAX_MS) });
    await response.body?.cancel();
    return String(response.status);
  } catch (error) {
    return errorMessage(error);
  }
}

/** "Every address" is one to listen on, not one to connect to. */
function reachable(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return address === "::" ? "::1" : address;
}

function urlHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

/** After a kill every shard has clients to look after that may not come back to wake it. */
async function wake(broker: Broker): Promise<void> {
  const problem = await ask(broker, "/wake");
  if (problem !== undefined) process.stderr.write(`duramq: not every shard was woken: ${problem}\n`);
}

/** Lets every shard say goodbye to its clients; a broker that cannot is stopped all the same. */
async function drain(broker: Broker): Promise<void> {
  const problem = await ask(broker, "/drain");
  if (problem !== undefined) process.stderr.write(`duramq: clients were not told of the stop: ${problem}\n`);
}

function ask({ controlSocketPath, objectsPath }: Broker, path: string): Promise<string | undefined> {
  return post(controlSocketPath, path, JSON.stringify(objectIds(objectsPath)));
}

/** workerd keeps the database of an object in a file of that name. */
function objectIds(objectsPath: string): string[] {
  const path = join(objectsPath, SHARD_UNIQUE_KEY);
  if (!existsSync(path)) return [];
  return readdirSync(path).flatMap((name) => /^([0-9a-f]+)\.sqlite$/.exec(name)?.[1] ?? []);
}

/** What went wrong, if anything. */
function post(socketPath: string, path: string, body: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(COMMAND_MAX_MS);
    const command = request({ socketPath, path, method: "POST", signal }, (response) => {
      response.resume();
      resolve(response.statusCode === 204 ? undefined : `status ${response.statusCode}`);
    });
    command.on("error", (error) => resolve(error.message));
    command.end(body);
  });
}

/** Resolves at the first signal; a later one ends the process at once. */
function stopOnSignals(): Promise<"stop"> {
  return new Promise((resolve) => {
    let firstSignalMs: number | undefined;
    const onSignal = (signal: StopSignal): void => {
      firstSignalMs ??= Date.now();
      if (Date.now() - firstSignalMs > SAME_SIGNAL_MS) process.exit(STOP_SIGNALS[signal]);
      resolve("stop");
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
    if (process.env["npm_lifecycle_event"] !== undefined) onOrphaned(() => resolve("stop"));
  });
}

/** npm hands a signal to a shell, some of which end without handing it on. */
function onOrphaned(stop: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, ORPHAN_POLL_MS);
  timer.unref();
}

function runCleanups(): void {
  for (const cleanup of cleanups.splice(0).toReversed()) {
    try {
      cleanup();
    } catch {
      // the process ends in any case, and the other cleanups must still run
    }
  }
}

main().catch((error: unknown) => {
  const message = error instanceof StartError ? error.message : `unexpected failure: ${errorMessage(error)}`;
  process.stderr.write(`duramq: ${message.replaceAll("\n", " ")}\n`);
  process.exit(EXIT_FAILURE);
});
