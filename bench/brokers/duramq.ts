import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrokerKind, RunningBroker } from "./broker.ts";
import { spawnChild, stopChild, waitForOutput } from "./child.ts";

/** The first start builds the Worker. */
const START_TIMEOUT_MS = 60_000;
const launcherPath = fileURLToPath(new URL("../../src/host/start.ts", import.meta.url));

export type SocketMode = "hibernating" | "resident";
export type DataPlace = "memory" | "disk";

export function duramq(sockets: SocketMode, data: DataPlace): BrokerKind {
  const name = `duramq-${sockets}${data === "disk" ? "-disk" : ""}`;
  return {
    name,
    unavailableReason: () => (existsSync(launcherPath) ? undefined : "src/host/start.ts does not exist"),
    start: () => startDuramq(name, sockets, data),
  };
}

async function startDuramq(name: string, sockets: SocketMode, data: DataPlace): Promise<RunningBroker> {
  const directory = data === "disk" ? mkdtempSync(join(tmpdir(), "duramq-bench-")) : undefined;
  const args = [launcherPath, "--port", "0", "--data", directory ?? ":memory:", "--sockets", sockets];
  const child = spawnChild(process.execPath, args);
  const [, url = ""] = await waitForOutput(child, /ready on (ws:\/\/\S+)/, START_TIMEOUT_MS);
  return {
    name,
    url,
    pid: child.pid ?? 0,
    stop: async () => {
      await stopChild(child);
      if (directory) rmSync(directory, { recursive: true, force: true });
    },
  };
}
