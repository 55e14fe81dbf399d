/** The command: runs seeds, or looks whether planted bugs are found. */
import { drawPlan } from "./draw.ts";
import { hunt } from "./hunt.ts";
import type { Mutant } from "./mutants.ts";
import { mutants } from "./mutants.ts";
import type { Options } from "./options.ts";
import { readOptions, usage, UsageError } from "./options.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { shrink } from "./shrink.ts";

type Print = (text: string) => void;

/** Seeds between two lines that tell how far it is. */
const progressSeeds = 1000;

/** Returns the exit code: 0, 1 for a broken rule or a bug that is not found, 2 for a command line that makes no sense. */
export function simulate(args: readonly string[], print: Print): 0 | 1 | 2 {
  try {
    const options = readOptions(args);
    if (options.help) print(usage);
    else if (options.mutants) return runMutants(options, print) ? 0 : 1;
    else return runPlanted(options, print) ? 0 : 1;
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    print(`${error.message}\n\n${usage}`);
    return 2;
  }
}

function runPlanted(options: Options, print: Print): boolean {
  const { plant } = options;
  if (plant === undefined) return runSeeds(options, print);
  const [mutant] = mutants.filter(({ name }) => name === plant);
  if (mutant === undefined) throw new UsageError(`There is no bug "${plant}":\n${namesOf(mutants)}`);
  const takeBack = mutant.plant();
  try {
    return runSeeds(options, print);
  } finally {
    takeBack();
  }
}

function runSeeds({ seeds, start, all, log, effort, lines }: Options, print: Print): boolean {
  let brokenCount = 0;
  for (let seed = start; seed < start + seeds; seed += 1) {
    const plan = drawPlan(seed);
    const result = run(plan);
    if (log) print(result.lines.join("\n"));
    const doneCount = seed - start + 1;
    if (result.violation !== undefined) {
      brokenCount += 1;
      if (!all) {
        const shortest = shrink(plan, result, run, effort);
        print(report(seed, shortest.plan, shortest.result, lines));
        return false;
      }
      print(`${seed}: ${result.violation.message}`);
    }
    if (doneCount % progressSeeds === 0 && doneCount < seeds) print(`${doneCount} of ${seeds}`);
  }
  print(`${seeds} seeds from ${start}: ${brokenCount} break a rule`);
  return brokenCount === 0;
}

function runMutants({ start, seeds, only }: Options, print: Print): boolean {
  const chosen = mutants.filter(({ name }) => name.includes(only));
  if (chosen.length === 0) throw new UsageError(`No bug has "${only}" in its name:\n${namesOf(mutants)}`);
  let caughtCount = 0;
  for (const mutant of chosen) {
    const found = hunt(mutant, start, seeds);
    if (found !== undefined) caughtCount += 1;
    const end = found === undefined ? "NOT CAUGHT" : `caught at seed ${found.seed} by "${found.rule}"`;
    print(`${mutant.name}: ${end}`);
  }
  print(`${caughtCount} of ${chosen.length} caught within ${seeds} seeds from ${start}`);
  return caughtCount === chosen.length;
}

function namesOf(all: readonly Mutant[]): string {
  return all.map(({ name }) => `  ${name}`).join("\n");
}
