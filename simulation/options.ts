/** What the command line asks for. */
import { parseArgs } from "node:util";

export const usage = `Usage: npm run simulate -- [options]

Runs namespaces of 1 to 8 shards through faults that are drawn from a seed, and checks what their clients saw.
The first seed that breaks a rule is printed with the shortest history that was found, and the exit code is 1.

  --seeds N     so many seeds (default 1000)
  --start N     from this one on (default 1)
  --all         go on after a violation: one line for each, and no search for a shorter history
  --log         print what happens in each run
  --effort N    runs that are spent on finding a shorter history (default 400)
  --lines N     lines of that history that are printed (default 250)
  --mutants     plant each bug in turn and look at which seed it is found
  --only TEXT   with --mutants: only bugs with that in their name
  --plant NAME  run with that bug planted
  --help        print this`;

export interface Options {
  readonly seeds: number;
  readonly start: number;
  readonly all: boolean;
  readonly log: boolean;
  readonly effort: number;
  readonly lines: number;
  readonly mutants: boolean;
  readonly only: string;
  readonly plant: string | undefined;
  readonly help: boolean;
}

/** Something is wrong with the command line. */
export class UsageError extends Error {}

const seedMax = 2 ** 32 - 1;

export function readOptions(args: readonly string[]): Options {
  const values = parsed(args);
  const { all, log, mutants, only, plant, help } = values;
  if (only !== "" && !mutants) throw new UsageError("--only goes with --mutants");
  if (plant !== undefined && mutants) throw new UsageError("--plant does not go with --mutants");
  return {
    seeds: wholeNumber("seeds", values.seeds, 1),
    start: wholeNumber("start", values.start, 0),
    effort: wholeNumber("effort", values.effort, 0),
    lines: wholeNumber("lines", values.lines, 1),
    all,
    log,
    mutants,
    only,
    plant,
    help,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string", default: "1000" },
        start: { type: "string", default: "1" },
        all: { type: "boolean", default: false },
        log: { type: "boolean", default: false },
        effort: { type: "string", default: "400" },
        lines: { type: "string", default: "250" },
        mutants: { type: "boolean", default: false },
        only: { type: "string", default: "" },
        plant: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= seedMax) return value;
  throw new UsageError(`--${name} is a whole number from ${least} to ${seedMax}, not "${text}"`);
}
