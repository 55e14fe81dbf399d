import { describe, expect, test } from "vitest";
import { drawPlan } from "../simulation/draw.ts";
import { hunt } from "../simulation/hunt.ts";
import { mutants } from "../simulation/mutants.ts";
import { run } from "../simulation/run.ts";

/** A fixed budget; `npm run simulate` takes as many as one likes. */
const seedsPerTest = 100;

describe("The simulation", () => {
  test.each([1, 101, 201])("breaks no rule at the seeds from %i on", (start) => {
    for (let seed = start; seed < start + seedsPerTest; seed += 1) {
      expect(run(drawPlan(seed)).violation, `seed ${seed}`).toBeUndefined();
    }
  });

  test.each([1, 2, 3, 56])("of seed %i is the same every time, byte for byte", (seed) => {
    expect(run(drawPlan(seed)).lines).toEqual(run(drawPlan(seed)).lines);
  });

  test.each([
    "acknowledgements leave before the commit",
    "a Will is published twice",
    "acknowledgements leave as they are known, not in order",
  ])("finds that %s", (name) => {
    const mutant = mutants.find((one) => one.name === name);
    expect(mutant && hunt(mutant, 1, 300)).toBeDefined();
  });
});
