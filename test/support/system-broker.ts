import { vi } from "vitest";
import { aedes } from "../../bench/brokers/aedes.ts";
import { startMosquitto } from "../../bench/brokers/mosquitto.ts";
import type { RunningBroker } from "../../bench/brokers/broker.ts";

export interface StartOptions {
  readonly sockets?: "hibernating" | "resident";
  readonly dataDir?: string;
  readonly shards?: number;
  readonly environment?: Readonly<Record<string, string>>;
}
export interface SystemBroker {
  readonly url: string;
  readonly port: number;
  readonly dataDir: string;
  /** SIGTERM. */
  stop(): Promise<unknown>;
  /** SIGKILL. */
  kill(): Promise<unknown>;
  /** Starts again on the same data. */
  restart(): Promise<unknown>;
}

/** `mosquitto` or `aedes` runs the same tests against that broker, which shows that the tests are right. */
const peerName = process.env["BROKER"] ?? "duramq";
export const isPeer = peerName !== "duramq";

/** `BROKER_SOCKETS=resident` runs the same tests with resident sockets. */
const socketMode = process.env["BROKER_SOCKETS"];

/** `BROKER_SHARDS=4` runs the same tests against as many shards, where a test does not say how many it wants. */
const shardCount = Number(process.env["BROKER_SHARDS"] ?? 1);

const TEST_TIMEOUT_MS = 60_000;
const BUILD_AND_START_TIMEOUT_MS = 120_000;

/** Whole-system tests wait for conditions; their own deadlines are shorter than these. */
vi.setConfig({ testTimeout: TEST_TIMEOUT_MS, hookTimeout: BUILD_AND_START_TIMEOUT_MS });

export async function startSystemBroker(options: StartOptions = {}): Promise<SystemBroker> {
  if (peerName === "mosquitto") return asSystemBroker(await startMosquitto());
  if (peerName === "aedes") return asSystemBroker(await aedes.start());
  const { startBroker } = await import("../system/broker.ts");
  return startBroker(withDefaults(options));
}

/** Options with what the environment asks for. */
export function withDefaults<Options extends StartOptions>(options: Options): Options {
  return {
    ...(socketMode === "resident" && { sockets: socketMode }),
    ...(shardCount > 1 && { shards: shardCount }),
    ...options,
  };
}

function asSystemBroker(broker: RunningBroker): SystemBroker {
  const cannot = (): Promise<never> => Promise.reject(new Error(`${broker.name} keeps no data here`));
  return {
    url: broker.url,
    port: Number(new URL(broker.url).port),
    dataDir: "",
    stop: () => broker.stop(),
    kill: cannot,
    restart: cannot,
  };
}
