import { abortAllDurableObjects } from "cloudflare:test";
import { afterAll, describe, expect, test } from "vitest";
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

const cases = scenarios.flatMap((scenario) => scenario.versions.map((version) => ({ ...scenario, version })));

describe("clients notice nothing when the object is evicted before any step", () => {
  test.each(cases)("$title (version $version)", { timeout: timeoutMs }, async ({ version, ...scenario }) => {
    const undisturbed = new ScenarioRun(scenario, version);
    await undisturbed.finish();
    await undisturbed.end();
    runCount += 1;
    const failures = await disturb(scenario, version, async (run, reached) => {
      await reached;
      if (!run.canBeEvicted) return false;
      await run.object.evict("kept");
      await run.finish();
      await run.end();
      expect(run.transcript).toEqual(undisturbed.transcript);
      return true;
    });
    expect(failures).toEqual([]);
  });
});

describe("nothing is lost when the object is evicted and the sockets with it before any step", () => {
  test.each(cases)("$title (version $version)", { timeout: timeoutMs }, async ({ version, ...scenario }) => {
    const failures = await disturb(scenario, version, async (run, reached) => {
      await reached;
      if (!run.canBeEvicted) return false;
      run.loseSockets();
      await run.object.evict("lost");
      // The alarm of the new life comes before the clients: after them in the runs with an abort.
      await run.object.stub.wake();
      await run.object.advance(0);
      await run.comeBack();
      await run.finish();
      await run.end();
      return true;
    });
    expect(failures).toEqual([]);
  });
});

describe("nothing is lost when the object is aborted before any step", () => {
  test.each(cases)("$title (version $version)", { timeout: timeoutMs }, async ({ version, ...scenario }) => {
    const arrivals: Promise<void>[] = [];
    // One abort ends all objects, so the runs wait for each other.
    let abort: Promise<void> | undefined;
    const failures = await disturb(scenario, version, async (run, reached) => {
      arrivals.push(reached);
      await reached;
      abort ??= Promise.all(arrivals).then(() => abortAllDurableObjects());
      run.loseSockets();
      await abort;
      await run.comeBack();
      await run.finish();
      await run.end();
      return true;
    });
    expect(failures).toEqual([]);
  });
});

/**
 * Makes a run for every index, all at the same time. `fault` is told when the run has come to the step of that
 * index; it sees to the rest and says whether there could be a fault. Returns what went wrong.
 */
async function disturb(
  scenario: Scenario,
  version: ProtocolVersion,
  fault: (run: ScenarioRun, reached: Promise<void>) => Promise<boolean>,
): Promise<string[]> {
  const titles = [...scenario.steps.map(({ title }) => title), "the end"];
  const failures = await Promise.all(
    titles.map(async (title, index) => {
      const run = new ScenarioRun(scenario, version);
      try {
        if (await fault(run, run.runTo(index))) runCount += 1;
        else skippedCount += 1;
        return [];
      } catch (error) {
        return [`before step ${index}, "${title}": ${(error as Error).message}`];
      }
    }),
  );
  return failures.flat();
}
