/** `npm run simulate -- --seeds 1000 --start 1` runs seeds; `--mutants` looks whether planted bugs are found. */
import { parseArgs } from "node:util";
import { drawPlan } from "./draw.ts";
import { hunt } from "./hunt.ts";
import { mutants } from "./mutants.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { shrink } from "./shrink.ts";

const { values } = parseArgs({
  options: {
    /** So many, from `--start` on. */
    seeds: { type: "string", default: "1000" },
    start: { type: "string", default: "1" },
    /** Plants bugs and looks whether they are found. */
    mutants: { type: "boolean", default: false },
    /** Of these only the ones with that in their name. */
    only: { type: "string", default: "" },
    /** Names every seed that breaks a rule, and looks for no shorter history. */
    all: { type: "boolean", default: false },
    /** Prints what happened in each run. */
    log: { type: "boolean", default: false },
    /** Runs that are spent on finding a shorter history, and lines of it that are printed. */
    effort: { type: "string", default: "400" },
    lines: { type: "string", default: "250" },
  },
});
const seeds = Number(values.seeds);
const start = Number(values.start);
const isDone = values.mutants ? runMutants() : runSeeds();
process.exitCode = isDone ? 0 : 1;

function runSeeds(): boolean {
  let brokenCount = 0;
  for (let seed = start; seed < start + seeds; seed += 1) {
    const plan = drawPlan(seed);
    const result = run(plan);
    if (values.log) console.log(result.lines.join("\n"));
    if (result.violation === undefined) continue;
    brokenCount += 1;
    if (values.all) {
      console.log(`${seed}: ${result.violation.message}`);
      continue;
    }
    const shortest = shrink(plan, result, run, Number(values.effort));
    console.log(report(seed, shortest.plan, shortest.result, Number(values.lines)));
    return false;
  }
  console.log(`${seeds} seeds from ${start}: ${brokenCount} break a rule`);
  return brokenCount === 0;
}

function runMutants(): boolean {
  let survivors = 0;
  for (const mutant of mutants.filter(({ name }) => name.includes(values.only))) {
    const found = hunt(mutant, start, seeds);
    if (found === undefined) survivors += 1;
    const end = found === undefined ? "SURVIVES" : `caught at seed ${found.seed} by "${found.rule}"`;
    console.log(`${mutant.name}: ${end}`);
  }
  return survivors === 0;
}
