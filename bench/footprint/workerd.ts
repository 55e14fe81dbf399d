import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { bundle } from "../../src/host/build.ts";
import {
  COMPATIBILITY_DATE,
  COMPATIBILITY_FLAGS,
  REGISTRY_UNIQUE_KEY,
  SHARD_UNIQUE_KEY,
} from "../../src/host/workerd-config.ts";
import { CONTROL_FD, spawnChild, stopChild } from "../brokers/child.ts";
import { Inspector } from "./inspector.ts";

const { default: workerdPath } = createRequire(import.meta.url)("workerd") as { default: string };
const { version: workerdVersion } = createRequire(import.meta.url)("workerd/package.json") as {
  version: string;
};

export { workerdVersion };

/** An eviction waits for what is under way. */
const evictMaxMs = 60_000;

/** What workerd calls it when the inspector listens. */
const inspectorName = "listen-inspector";

/** Evicts the shard as idleness does after 10 s: its memory goes, its sockets stay. */
const evictor = `import unsafe from "workerd:unsafe";
export default {
  async fetch(_request, { SHARD }) {
    await unsafe.evict(SHARD.getByName("default/0"), { webSockets: "hibernate" });
    return new Response(null, { status: 204 });
  },
};
`;

/** A broker of one shard in a workerd of its own, whose heap can be read and which can be evicted. */
export interface Host {
  readonly url: string;
  evict(): Promise<void>;
  liveHeapMb(): Promise<number>;
  residentMb(): number;
  stop(): Promise<void>;
}

/** A process that is debugged may be slower: only where heaps are measured. */
export async function startHost({ isInspected }: { isInspected: boolean }): Promise<Host> {
  const directory = mkdtempSync(join(tmpdir(), "duramq-footprint-"));
  await writeFiles(directory);
  const flags = ["--experimental", `--control-fd=${CONTROL_FD}`];
  if (isInspected) flags.push("--inspector-addr=127.0.0.1:0");
  const child = spawnChild(workerdPath, ["serve", join(directory, "workerd.capnp"), ...flags]);
  child.stdout?.resume();
  child.stderr?.pipe(process.stderr);
  const ports = await portsOf(child, ["public", "evictor", ...(isInspected ? [inspectorName] : [])]);
  const portOf = (name: string): number => ports.get(name) as number;
  child.once("exit", reportEnd);
  const inspector = isInspected ? await Inspector.connect(portOf(inspectorName), "broker") : undefined;
  return {
    url: `ws://127.0.0.1:${portOf("public")}/mqtt`,
    evict: () => evict(portOf("evictor")),
    liveHeapMb: () => {
      if (inspector === undefined) throw new Error("This process is not inspected");
      return inspector.liveHeapMb(() => visit(portOf("public")));
    },
    residentMb: () => residentMbOf(child.pid ?? 0),
    stop: async () => {
      child.off("exit", reportEnd);
      inspector?.close();
      child.kill("SIGKILL");
      await stopChild(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function reportEnd(code: number | null, signal: string | null): void {
  process.stderr.write(`workerd ended by itself: ${signal ?? `exit code ${code}`}\n`);
}

/** Where workerd listens, by name, once it does so under all of the names. */
function portsOf(child: ChildProcess, names: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const ports = new Map<string, number>();
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`workerd ended with code ${code} before it listened`)));
    createInterface(child.stdio[CONTROL_FD] as Readable).on("line", (line) => {
      const { event, port, socket } = JSON.parse(line) as { event: string; port: number; socket?: string };
      ports.set(event === "listen" ? (socket ?? "") : event, port);
      if (names.every((name) => ports.has(name))) resolve(ports);
    });
  });
}

/** Wakes the Worker, not the shard. */
async function visit(port: number): Promise<void> {
  await (await fetch(`http://127.0.0.1:${port}/healthz`)).text();
}

async function evict(port: number): Promise<void> {
  const { status } = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(evictMaxMs) });
  if (status !== 204) throw new Error(`The shard was not evicted: status ${status}`);
}

function residentMbOf(pid: number): number {
  const [, kilobytes = "0"] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (Number(kilobytes) * 1024) / 1_000_000;
}

async function writeFiles(directory: string): Promise<void> {
  const { outputFiles } = await bundle("src/worker.ts");
  const broker = outputFiles.find(({ path }) => path.endsWith(".js"));
  if (broker === undefined) throw new Error("The build has no output");
  writeFileSync(join(directory, "broker.js"), broker.contents);
  writeFileSync(join(directory, "evictor.js"), evictor);
  mkdirSync(join(directory, "objects"));
  writeFileSync(join(directory, "workerd.capnp"), configText(directory));
}

function configText(directory: string): string {
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "broker", worker = .broker),
    (name = "evictor", worker = .evictor),
    (name = "objects", disk = (path = "${join(directory, "objects")}", writable = true)),
  ],
  sockets = [
    (name = "public", address = "127.0.0.1:0", http = (), service = "broker"),
    (name = "evictor", address = "127.0.0.1:0", http = (), service = "evictor"),
  ],
);

const broker :Workerd.Worker = (
  modules = [(name = "broker.js", esModule = embed "broker.js")],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  compatibilityFlags = [${COMPATIBILITY_FLAGS.map((flag) => `"${flag}"`).join(", ")}],
  bindings = [
    (name = "SHARD", durableObjectNamespace = "Shard"),
    (name = "REGISTRY", durableObjectNamespace = "Registry"),
    (name = "ANONYMOUS", text = "true"),
    (name = "FLUSHES_PER_SEC_MAX", text = "unlimited"),
  ],
  durableObjectNamespaces = [
    (className = "Shard", uniqueKey = "${SHARD_UNIQUE_KEY}", enableSql = true),
    (className = "Registry", uniqueKey = "${REGISTRY_UNIQUE_KEY}", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "objects"),
);

const evictor :Workerd.Worker = (
  modules = [(name = "evictor.js", esModule = embed "evictor.js")],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  compatibilityFlags = ["unsafe_module"],
  bindings = [(name = "SHARD", durableObjectNamespace = (className = "Shard", serviceName = "broker"))],
);
`;
}
