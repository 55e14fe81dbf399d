import { drawPlan } from "./draw.ts";
import type { Mutant } from "./mutants.ts";
import { run } from "./run.ts";

export interface Catch {
  readonly seed: number;
  readonly rule: string;
}

/** The first seed at which the planted bug breaks a rule that holds without it; undefined when none does. */
export function hunt(mutant: Mutant, start: number, seeds: number): Catch | undefined {
  for (let seed = start; seed < start + seeds; seed += 1) {
    const plan = drawPlan(seed);
    const takeBack = mutant.plant();
    const { violation } = tryTo(() => run(plan), takeBack);
    if (violation !== undefined && run(plan).violation === undefined) return { seed, rule: violation.rule };
  }
  return undefined;
}

function tryTo<Value>(work: () => Value, atLast: () => void): Value {
  try {
    return work();
  } finally {
    atLast();
  }
}
