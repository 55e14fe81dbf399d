import { describe, expect, test } from "vitest";
import { drawPlan } from "../simulation/draw.ts";
import { hunt } from "../simulation/hunt.ts";
import { mutants } from "../simulation/mutants.ts";
import { run } from "../simulation/run.ts";
import { simulate } from "../simulation/simulate.ts";

/** A fixed budget; `npm run simulate` takes as many as one likes. */
const seedsPerTest = 20;
const starts = Array.from({ length: 12 }, (_, index) => 1 + index * seedsPerTest);

/** A planted bug that nearly every seed finds, by the one rule. */
const swapped = "acknowledgements leave as they are known, not in order";

describe("The simulation", () => {
  test.each(starts)("breaks no rule at the seeds from %i on", (start) => {
    for (let seed = start; seed < start + seedsPerTest; seed += 1) {
      expect(run(drawPlan(seed)).violation, `seed ${seed}`).toBeUndefined();
    }
  });

  test.each([412, 491, 690, 1074, 1875, 2682, 3342, 3846, 4213, 4965, 5082, 8255])(
    "breaks no rule at the seed %i, which once did",
    (seed) => {
      expect(run(drawPlan(seed)).violation).toBeUndefined();
    },
  );

  test.each([1, 2, 3, 56])("of seed %i is the same every time, byte for byte", (seed) => {
    const once = run(drawPlan(seed)).lines.join("\n");
    expect(once).not.toBe("");
    expect(run(drawPlan(seed)).lines.join("\n")).toBe(once);
  });

  test("of another seed is another one", () => {
    expect(run(drawPlan(1)).lines).not.toEqual(run(drawPlan(2)).lines);
  });

  /** From near the seed that catches it, for time; one later will do. */
  test.each([
    ["acknowledgements leave before the commit", 8],
    ["a numbered message that comes again is taken for a new one", 1],
    ["a batch that is older than the last, or leaves one out, is applied", 41],
    ["an older answer removes a newer route", 50],
    [swapped, 1],
    ["memory is kept after a defect", 17],
    ["PUBREL and PUBCOMP leave before what they release is written", 30],
    ["a Will is published twice", 1],
  ])("finds that %s", (name, from) => {
    const mutant = mutants.find((one) => one.name === name);
    expect(mutant && hunt(mutant, from, 300)).toBeDefined();
  });
});

describe("npm run simulate", () => {
  test("tells how it is used", () => {
    const { code, text } = simulated("--help");
    expect(code).toBe(0);
    expect(text).toContain("Usage: npm run simulate");
  });

  test("ends with 0 when no seed breaks a rule", () => {
    expect(simulated("--seeds", "3")).toEqual({ code: 0, text: "3 seeds from 1: 0 break a rule" });
  });

  test.each([
    [["--bogus"], "--bogus"],
    [["--seeds", "many"], "--seeds is a whole number"],
    [["--start", "-1"], "--start"],
    [["--only", "Will"], "--only goes with --mutants"],
    [["--mutants", "--only", "no such bug"], 'No bug has "no such bug" in its name'],
    [["--plant", "no such bug"], 'There is no bug "no such bug"'],
  ])("refuses %j, and says how it is used", (args, complaint) => {
    const { code, text } = simulated(...args);
    expect(code).toBe(2);
    expect(text).toContain(complaint);
    expect(text).toContain("Usage: npm run simulate");
  });

  test("ends with 1 at a violation, and prints its seed, its rule and a history that is shorter than the run", () => {
    const { code, text } = simulated("--plant", swapped, "--effort", "150");
    expect(code).toBe(1);
    const [first = "", ...rest] = text.split("\n");
    const seed = Number(/^seed (\d+) breaks a rule: acknowledgements: \S+: pub/.exec(first)?.[1]);
    const stepCount = rest.filter((line) => line.startsWith("+")).length;
    expect(stepCount).toBeLessThan(drawPlan(seed).steps.length);
    expect(text).toMatch(/^\d+ \S+ > publish m\d+ to /m);
    expect(text).toMatch(/^\d+ acknowledgements: \S+: pub/m);
  });

  test("goes on with --all, one line for each violation", () => {
    const { code, text } = simulated("--plant", swapped, "--all", "--seeds", "5");
    expect(code).toBe(1);
    expect(text).toMatch(/^\d+: acknowledgements: /m);
    expect(text).toMatch(/5 seeds from 1: [1-5] break a rule$/);
  });

  test("takes a planted bug back", () => {
    simulated("--plant", swapped, "--all", "--seeds", "1");
    expect(simulated("--seeds", "5").code).toBe(0);
  });

  test("tells of each planted bug at which seed it is caught", () => {
    const { code, text } = simulated("--mutants", "--only", "in order");
    expect(code).toBe(0);
    expect(text).toMatch(
      /^acknowledgements leave .*: caught at seed \d+ by "acknowledgements"\n1 of 1 caught/,
    );
  });

  test("ends with 1 when a planted bug is not caught", () => {
    const { code, text } = simulated("--mutants", "--only", "retained page is read", "--seeds", "1");
    expect(code).toBe(1);
    expect(text).toContain("NOT CAUGHT");
  });
});

/** What it prints, and its exit code. */
function simulated(...args: string[]): { code: number; text: string } {
  const printed: string[] = [];
  const code = simulate(args, (text) => printed.push(text));
  return { code, text: printed.join("\n") };
}
