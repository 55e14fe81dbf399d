import { abortAllDurableObjects } from "cloudflare:test";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { scenarios } from "./scenarios.ts";
import { type Scenario, ScenarioRun } from "./scenario-runner.ts";
import type { ProtocolVersion } from "../../src/core/packet.ts";

const timeoutMs = 60_000;

let runCount = 0;
let skippedCount = 0;

afterAll(() => {
  console.info(
    `scenarios: ${runCount} runs; ${skippedCount} left out, where a pending timer forbids an eviction`,
  );
});

/** Sockets and objects of the runs before. */
afterEach(() => abortAllDurableObjects());

const cases = scenarios.flatMap((scenario) => scenario.versions.map((version) => ({ ...scenario, version })));

describe("clients notice nothing when the object is evicted before any step", () => {
  test.each(cases)("$title (version $version)", { timeout: timeoutMs }, async ({ version, ...scenario }) => {
    const undisturbed = new ScenarioRun(scenario, version);
    await undisturbed.finish();
    runCount += 1;
    const failures = await disturb(scenario, version, changes, async (run, reached) => {
      await reached;
      if (!run.canBeEvicted) return false;
      await run.namespace.evict("kept");
      await run.finish();
      expect(run.transcript).toEqual(undisturbed.transcript);
      return true;
    });
    expect(failures).toEqual([]);
  });
});

describe("nothing acknowledged is lost when the object is evicted with its sockets before any step", () => {
  test.each(cases)("$title (version $version)", { timeout: timeoutMs }, async ({ version, ...scenario }) => {
    const failures = await disturb(scenario, version, changes, async (run, reached) => {
      await reached;
      if (!run.canBeEvicted) return false;
      run.loseSockets();
      await run.namespace.evict("lost");
      // The alarm of the new life comes before the clients: after them in the runs with an abort.
      await run.namespace.touch();
      await run.namespace.advance(0);
      await run.comeBack();
      await run.finish();
      return true;
    });
    expect(failures).toEqual([]);
  });
});

describe("nothing acknowledged is lost when the object is aborted before any step", () => {
  test.each(cases)("$title (version $version)", { timeout: timeoutMs }, async ({ version, ...scenario }) => {
    const arrivals: Promise<void>[] = [];
    // One abort ends all objects, so the runs wait for each other.
    let abort: Promise<void> | undefined;
    const failures = await disturb(scenario, version, all, async (run, reached) => {
      arrivals.push(reached);
      await reached;
      if (abort === undefined) abort = Promise.all(arrivals).then(() => abortAllDurableObjects());
      run.loseSockets();
      await abort;
      await run.comeBack();
      await run.finish();
      return true;
    });
    expect(failures).toEqual([]);
  });
});

/** A step that does not reach the server leaves it as it was: what comes before the next one comes before this. */
function changes({ steps }: Scenario): number[] {
  return all({ steps }).filter((index) => steps[index]?.isSilent !== true);
}

/** All steps, and the end. What a client has not looked at yet is lost with its socket. */
function all({ steps }: Pick<Scenario, "steps">): number[] {
  return [...steps.keys(), steps.length];
}

/**
 * Makes a run for each index, all at the same time. `fault` is told when the run has come to the step of that index;
 * it sees to the rest and says whether there could be a fault. Returns what went wrong.
 */
async function disturb(
  scenario: Scenario,
  version: ProtocolVersion,
  indices: (scenario: Scenario) => number[],
  fault: (run: ScenarioRun, reached: Promise<void>) => Promise<boolean>,
): Promise<string[]> {
  const failures = await Promise.all(
    indices(scenario).map(async (index) => {
      const run = new ScenarioRun(scenario, version);
      try {
        if (await fault(run, run.runTo(index))) runCount += 1;
        else skippedCount += 1;
        return [];
      } catch (error) {
        const title = scenario.steps[index]?.title ?? "the end";
        return [`before step ${index}, "${title}": ${(error as Error).message}`];
      }
    }),
  );
  return failures.flat();
}
