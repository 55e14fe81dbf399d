/** `npm run simulate -- --seeds 1000 --start 1` runs seeds; `--mutants` looks whether planted bugs are found. */
import { parseArgs } from "node:util";
import { drawPlan } from "./draw.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { shrink } from "./shrink.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    start: { type: "string", default: "1" },
    effort: { type: "string", default: "400" },
    mutants: { type: "boolean", default: false },
    log: { type: "boolean", default: false },
    lines: { type: "string", default: "250" },
    all: { type: "boolean", default: false },
  },
});
const start = Number(values.start);
for (let seed = start; seed < start + Number(values.seeds); seed += 1) {
  const plan = drawPlan(seed);
  const result = run(plan);
  if (values.log) console.log(result.lines.join("\n"));
  if (result.violation === undefined) continue;
  if (values.all) {
    console.log(`${seed}: ${result.violation.message}`);
    continue;
  }
  const shortest = shrink(plan, result, run, Number(values.effort));
  console.log(report(seed, shortest.plan, shortest.result, Number(values.lines)));
  process.exitCode = 1;
  break;
}
