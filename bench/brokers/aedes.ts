import { fileURLToPath } from "node:url";
import type { BrokerKind, RunningBroker } from "./broker.ts";
import { spawnChild, stopChild, waitForOutput } from "./child.ts";

const START_TIMEOUT_MS = 20_000;
const serverPath = fileURLToPath(new URL("./aedes-server.ts", import.meta.url));

export const aedes: BrokerKind = {
  name: "aedes",
  unavailableReason: () => undefined,
  start: startAedes,
};

async function startAedes(): Promise<RunningBroker> {
  const child = spawnChild(process.execPath, [serverPath]);
  const [, port] = await waitForOutput(child, /ready on port (\d+)/, START_TIMEOUT_MS);
  return {
    name: "aedes",
    url: `ws://127.0.0.1:${port}/mqtt`,
    pid: child.pid ?? 0,
    stop: () => stopChild(child),
  };
}
