import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { StartError } from "./start-error.ts";

/** The package chooses the binary of this platform; its only export is that path. */
const { default: workerdPath } = createRequire(import.meta.url)("workerd") as { default: string };

const LIFELINE_FD = 3;
const EVENTS_FD = 4;

/**
 * A launcher killed with SIGKILL can stop nobody. So a watcher beside workerd reads a pipe that only
 * the launcher holds open: its end without a line means that the launcher is gone, and workerd must
 * go too, with the private directory nobody else would remove.
 */
const GUARDED_START = `
run_dir=$1; shift
{ exec >/dev/null 2>&1 ${EVENTS_FD}>&-; read -r _ <&${LIFELINE_FD} || { kill -KILL $$; rm -rf "$run_dir"; }; } &
exec "$@" ${LIFELINE_FD}<&-
`;

/** workerd's stack traces are bare addresses, of no use to a reader. */
const NOISE = /^stack: (\S+@[0-9a-f]+ ?)+$/;

export type Workerd = {
  readonly pid: number;
  /** the port of the public socket, once it listens; rejects when workerd ends before */
  readonly listening: Promise<number>;
  /** how it ended, in words */
  readonly exited: Promise<string>;
  kill(signal: NodeJS.Signals): void;
};

export function startWorkerd(configPath: string, runDir: string): Workerd {
  const child = spawnGuarded([workerdPath, "serve", configPath, `--control-fd=${EVENTS_FD}`], runDir);
  const complaints: string[] = [];
  let listens = false;
  forwardLines(child.stdout, (line) => log(line));
  forwardLines(child.stderr, (line) => {
    if (NOISE.test(line)) return;
    if (listens) log(`workerd: ${line}`);
    else complaints.push(line);
  });
  const exited = exitOf(child);
  const listening = Promise.race([
    portOf(child.stdio[EVENTS_FD] as Readable).then((port) => {
      listens = true;
      for (const line of complaints) log(`workerd: ${line}`);
      return port;
    }),
    exited.then((how) => {
      throw new StartError(`workerd did not start (${how}): ${complaints[0] ?? "it gave no reason"}`);
    }),
  ]);
  return { pid: child.pid ?? 0, listening, exited, kill: (signal) => void child.kill(signal) };
}

/** In a process group of its own, or Ctrl-C would end workerd before the launcher could drain it. */
function spawnGuarded(command: readonly [string, ...string[]], runDir: string): ChildProcess {
  const stdio = ["ignore", "pipe", "pipe", "pipe", "pipe"] as const;
  if (process.platform === "win32") return spawn(command[0], command.slice(1), { stdio: [...stdio] });
  const args = ["-c", GUARDED_START, "duramq", runDir, ...command];
  return spawn("/bin/sh", args, { stdio: [...stdio], detached: true });
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => {
      dismissWatcher(child.stdio[LIFELINE_FD] as Writable);
      resolve(signal === null ? `exit code ${code}` : signal);
    });
  });
}

/** A line tells the watcher that workerd has ended: its process number may be another's by now. */
function dismissWatcher(lifeline: Writable): void {
  lifeline.on("error", () => {});
  lifeline.end("\n");
}

function portOf(events: Readable): Promise<number> {
  return new Promise((resolve) => {
    forwardLines(events, (line) => {
      const event = JSON.parse(line) as { event: string; socket?: string; port?: number };
      if (event.event === "listen" && event.socket === "public") resolve(event.port ?? 0);
    });
  });
}

function forwardLines(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream, crlfDelay: Infinity }).on("line", onLine);
}

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}
