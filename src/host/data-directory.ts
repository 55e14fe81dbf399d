import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config.ts";
import { checkLayouts, recordLayouts } from "./layout.ts";
import { replaceFile } from "./replace-file.ts";
import { errorCode, errorMessage, StartError } from "./start-error.ts";

const PREDECESSOR_EXIT_MAX_MS = 2_000;
const POLL_MS = 20;
const SQLITE_BUSY = 5;

export type DataDirectory = {
  /** where workerd keeps the objects' databases */
  readonly objectsPath: string;
  /** Records the running workerd, so that a successor can wait for its end. */
  recordWorkerd(pid: number, configPath: string): void;
  /** Fixes where the data is from now on, once the broker runs. */
  recordLayouts(): void;
  release(): void;
};

type BrokerRecord = {
  readonly launcherPid: number;
  readonly workerdPid: number | null;
  readonly configPath: string | null;
};

/** Takes the directory for this process alone and checks that its data is where these settings look for it. */
export async function openDataDirectory(
  dataDir: string,
  namespaces: readonly Config[],
): Promise<DataDirectory> {
  const root = resolve(dataDir);
  const objectsPath = join(root, "objects");
  createDirectory(objectsPath, root);
  const lock = takeLock(root);
  try {
    await predecessorGone(readRecord(root));
    checkLayouts(root, namespaces);
    writeRecord(root, { launcherPid: process.pid, workerdPid: null, configPath: null });
  } catch (error) {
    lock.close();
    throw error instanceof StartError ? error : unusable(root, error);
  }
  return {
    objectsPath,
    recordLayouts: () => recordLayouts(root, namespaces),
    recordWorkerd: (workerdPid, configPath) =>
      writeRecord(root, { launcherPid: process.pid, workerdPid, configPath }),
    release: () => {
      rmSync(recordPath(root), { force: true });
      lock.close();
    },
  };
}

function createDirectory(path: string, root: string): void {
  try {
    makeDirectories(path);
  } catch (error) {
    throw unusable(root, error);
  }
}

/** Step by step: the recursive mkdir of Node never returns where nothing can be made, as below /proc. */
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  makeDirectories(dirname(path));
  mkdirSync(path);
}

function unusable(root: string, error: unknown): StartError {
  return new StartError(`--data (DATA_DIR): cannot use ${root}: ${errorCode(error) ?? errorMessage(error)}`);
}

/**
 * The lock is a SQLite write lock, that is one of the operating system, which ends with its process
 * however that dies. A file with a process identifier alone would outlive a kill, and after the
 * restart of a container its number may well name another process.
 */
function takeLock(root: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(root, "lock"), { timeout: 0 });
    database.exec("BEGIN IMMEDIATE");
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) throw inUse(root);
    throw unusable(root, error);
  }
}

function inUse(root: string): StartError {
  const owner = readRecord(root)?.launcherPid;
  const who = owner === undefined ? "another duramq" : `another duramq (process ${owner})`;
  return new StartError(`--data (DATA_DIR): ${who} uses ${root}`);
}

function recordPath(root: string): string {
  return join(root, "broker.json");
}

function writeRecord(root: string, record: BrokerRecord): void {
  replaceFile(recordPath(root), record);
}

/** The record only serves messages and a short wait, so a damaged one counts as none. */
function readRecord(root: string): BrokerRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordPath(root), "utf8")) as BrokerRecord;
  } catch {
    return undefined;
  }
}

/** After a kill of the launcher its workerd follows within moments, but may still be writing now. */
async function predecessorGone(record: BrokerRecord | undefined): Promise<void> {
  if (!record?.workerdPid || !record.configPath) return;
  const { workerdPid, configPath } = record;
  const deadlineMs = Date.now() + PREDECESSOR_EXIT_MAX_MS;
  while (commandLine(workerdPid).includes(configPath)) {
    if (Date.now() >= deadlineMs)
      throw new StartError(`--data (DATA_DIR): still used by workerd (process ${workerdPid}), stop it first`);
    await sleep(POLL_MS);
  }
}

/** Empty when there is no such process. The text tells our workerd from a stranger with its number. */
function commandLine(pid: number): string {
  if (!processExists(pid)) return "";
  try {
    if (existsSync("/proc/self/cmdline")) return readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
}
