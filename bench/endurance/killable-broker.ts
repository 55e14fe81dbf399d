import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnChild, stopChild, waitForOutput } from "../brokers/child.ts";

const startMaxMs = 60_000;
const launcherPath = fileURLToPath(new URL("../../src/host/start.ts", import.meta.url));

/** The broker as `npm start` runs it, on a disk of its own. */
export class KillableBroker {
  readonly #shards: number;
  readonly #dataDir = mkdtempSync(join(tmpdir(), "duramq-endurance-"));
  #child: ChildProcess | undefined;
  /** Any free port at first; clients come back to it later. */
  #port = "0";

  constructor(shards: number) {
    this.#shards = shards;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/mqtt`;
  }

  /** Starts, with the data of the lives before. */
  async start(): Promise<void> {
    const flags = ["--port", this.#port, "--data", this.#dataDir, "--shards", String(this.#shards)];
    this.#child = spawnChild(process.execPath, [launcherPath, ...flags]);
    const [, port = ""] = await waitForOutput(this.#child, /ready on ws:\/\/.+:(\d+)\/mqtt/, startMaxMs);
    this.#port = port;
  }

  /** kill -9 of workerd; resolves when its launcher has ended with it. */
  async kill(): Promise<void> {
    if (this.#child === undefined) throw new Error("the broker does not run");
    const ended = once(this.#child, "exit");
    process.kill(this.#workerdPid, "SIGKILL");
    await ended;
    this.#child = undefined;
  }

  /** Ends it for good, with its data. */
  async remove(): Promise<void> {
    if (this.#child !== undefined) await stopChild(this.#child);
    rmSync(this.#dataDir, { recursive: true, force: true, maxRetries: 5 });
  }

  get #workerdPid(): number {
    const record = JSON.parse(readFileSync(join(this.#dataDir, "broker.json"), "utf8")) as {
      readonly workerdPid: number;
    };
    return record.workerdPid;
  }
}
