/** `npm run footprint`: the memory of a shard's sessions and what it takes to wake up, measured in workerd. */
import { parseArgs } from "node:util";
import { measureBacklog } from "./backlog.ts";
import { measureMemory } from "./memory.ts";
import { measureMessages } from "./message.ts";
import type { Kind } from "./population.ts";
import { formatBacklog, formatMachine, formatMemory, formatMessages, formatWakes } from "./report.ts";
import { measureWake } from "./wake.ts";

const kinds: readonly Kind[] = ["offline", "connected", "connected, persistent"];
const messageSessionCounts = [100, 1000, 10_000];

/** A process may often have no more than 20,000 files open, and workerd takes two for a WebSocket. */
const memorySessionCounts: Readonly<Record<Kind, number>> = {
  offline: 20_000,
  connected: 9500,
  "connected, persistent": 9500,
};
const wakeSessionCount = 5000;
const evictionCount = 15;
const messageRoundCount = 5;
const backlogMessageCount = 100_000;

const parts: Readonly<Record<string, () => Promise<string>>> = {
  memory: async () => formatMemory(await inTurn((kind) => measureMemory(kind, memorySessionCounts[kind]))),
  wake: async () => formatWakes(await inTurn((kind) => measureWake(kind, wakeSessionCount, evictionCount))),
  message: async () => formatMessages(await measureMessages(messageSessionCounts, messageRoundCount)),
  backlog: async () => formatBacklog(await measureBacklog(backlogMessageCount)),
};

const help = `Usage: npm run footprint -- [flags]

  --only A,B    of: ${Object.keys(parts).join(", ")}
  --help        print this

It takes many open files: the limit (ulimit -n) must be 20,000 at least.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string" }, help: { type: "boolean" } } });
  if (values.help === true) {
    process.stdout.write(help);
    return;
  }
  const names = values.only?.split(",") ?? Object.keys(parts);
  const unknown = names.find((name) => parts[name] === undefined);
  if (unknown !== undefined) {
    process.stderr.write(`There is no part "${unknown}"\n${help}`);
    process.exit(2);
  }
  process.stdout.write(`${formatMachine()}\n`);
  for (const name of names) {
    process.stderr.write(`${name} …\n`);
    process.stdout.write(`\n${await parts[name]?.()}\n`);
  }
}

async function inTurn<Result>(measure: (kind: Kind) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (const kind of kinds) results.push(await measure(kind));
  return results;
}

// A signal must not leave brokers behind: "exit" handlers end them.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

await main();
