import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { BrokerKind, RunningBroker } from "./broker.ts";
import { findFreePort, spawnChild, stopChild, waitForPort } from "./child.ts";

const START_TIMEOUT_MS = 10_000;
/** Debian installs it in /usr/sbin, which is not on every user's PATH. */
const SEARCH_PATH = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

export const mosquitto: BrokerKind = {
  name: "mosquitto",
  unavailableReason: () => (findMosquitto() ? undefined : "mosquitto is not installed"),
  start: () => startMosquitto(),
};

/** `extraConfig` is appended to the configuration. */
export async function startMosquitto(extraConfig = ""): Promise<RunningBroker> {
  const path = findMosquitto();
  if (!path) throw new Error("mosquitto is not installed");
  const directory = mkdtempSync(join(tmpdir(), "duramq-mosquitto-"));
  const port = await findFreePort();
  const configPath = join(directory, "mosquitto.conf");
  writeFileSync(configPath, configuration(await findFreePort(), port) + extraConfig);
  const child = spawnChild(path, ["-c", configPath]);
  child.stdout?.resume();
  child.stderr?.resume();
  child.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  await waitForPort(port, START_TIMEOUT_MS);
  return {
    name: "mosquitto",
    url: `ws://127.0.0.1:${port}/mqtt`,
    pid: child.pid ?? 0,
    stop: () => stopChild(child),
  };
}

/** In 2.0.11 a WebSocket listener only works after a plain TCP one, and on one address family. */
function configuration(tcpPort: number, webSocketPort: number): string {
  return [
    "per_listener_settings false",
    "allow_anonymous true",
    "persistence false",
    "log_type none",
    // Off by default: a queue of 1,000 messages would drop half of what the offline scenario stores.
    "max_queued_messages 0",
    // 20 by default: a publisher with more QoS 2 messages outstanding would stall.
    "max_inflight_messages 0",
    "allow_duplicate_messages false",
    `listener ${tcpPort} 127.0.0.1`,
    `listener ${webSocketPort}`,
    "protocol websockets",
    "socket_domain ipv4",
    "",
  ].join("\n");
}

function findMosquitto(): string | undefined {
  return SEARCH_PATH.map((directory) => join(directory, "mosquitto")).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
