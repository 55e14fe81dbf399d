/** `npm run cost`: what described loads cost a month, from what the real core does with them. */
import { parseArgs } from "node:util";
import { flushesPerSecOf } from "../../src/config.ts";
import type { Measurement } from "./measure.ts";
import { measure } from "./measure.ts";
import type { ProcessorTimes } from "./processor.ts";
import { measureProcessor, workMsOf } from "./processor.ts";
import type { Variant } from "./report.ts";
import { formatReport } from "./report.ts";
import { resultOf } from "./result.ts";
import type { Workload, WorkloadName } from "./workloads.ts";
import { shardCounts, workloads } from "./workloads.ts";

const help = `Usage: npm run cost -- [flags]

  --json    print JSON instead of tables: an object for each load and number of shards, one a line
  --help    print this
`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help === true) {
    process.stdout.write(help);
    return;
  }
  log("processor time of workerd");
  const times = await measureProcessor();
  const results = workloads.flatMap((workload) =>
    shardCounts.map((shards) => resultOf(workload, run(workload, shards, times))),
  );
  if (values.json === true)
    process.stdout.write(results.map((result) => `${JSON.stringify(result)}\n`).join(""));
  else process.stdout.write(`\n${formatReport(results, variantsOf(times), times)}\n`);
}

function run(
  workload: Workload,
  shards: number,
  times: ProcessorTimes,
  flushesPerSec = flushesPerSecOf(shards),
): Measurement {
  log(`${workload.name}, ${shards} ${shards === 1 ? "shard" : "shards"}`);
  return measure(workload, shards, workMsOf(times, workload.name), flushesPerSec);
}

function variantsOf(times: ProcessorTimes): Variant[] {
  const shardsMax = Math.max(...shardCounts);
  const flushesPerSec = flushesPerSecOf(1);
  const what = `\`FLUSHES_PER_SEC_MAX\` ${flushesPerSec} instead of ${flushesPerSecOf(shardsMax)}`;
  return (["qos1-10k", "retained-10k"] as const).map((name) => {
    const workload = workloadOf(name);
    const measurement = run(workload, shardsMax, times, flushesPerSec);
    return { what, result: resultOf(workload, measurement) };
  });
}

function workloadOf(wanted: WorkloadName): Workload {
  const found = workloads.find(({ name }) => name === wanted);
  if (found === undefined) throw new Error(`There is no load ${wanted}`);
  return found;
}

/** Progress goes to standard error, so that the report can be redirected. */
function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

// A signal must not leave a broker behind: "exit" handlers end it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

await main();
