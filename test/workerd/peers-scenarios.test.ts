/** Sessions and topics on several objects, of which any may be away between two steps, or in the middle of one. */
import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, describe, expect, test } from "vitest";
import { type Scenario, ScenarioRun } from "./scenario-runner.ts";
import { homes, peerScenarios, shardCount } from "./scenarios-peers.ts";

const timeoutMs = 60_000;
const version = 5;

afterEach(() => abortAllDurableObjects());

test("the clients and topics of the scenarios are spread over all shards", () => {
  expect(homes).toEqual({ clients: [0, 1, 2, 3], topics: [0, 3] });
});

function newRun(scenario: Scenario): ScenarioRun {
  return new ScenarioRun(scenario, version, shardCount);
}

/** Makes a run for each of the cases, all at the same time. Returns what went wrong. */
async function tryAll<Case>(
  cases: readonly Case[],
  scenario: Scenario,
  attempt: (run: ScenarioRun, one: Case) => Promise<void>,
): Promise<string[]> {
  const failures = await Promise.all(
    cases.map(async (one) => {
      const run = newRun(scenario);
      try {
        await attempt(run, one);
        return [];
      } catch (error) {
        return [`${JSON.stringify(one)}: ${(error as Error).message}`];
      }
    }),
  );
  return failures.flat();
}

/** Indices of the steps that reach the server. */
function stepsOf({ steps }: Scenario): number[] {
  return [...steps.keys()].filter((index) => steps[index]?.isSilent !== true);
}

/** How many calls the shards make in the scenario. */
async function callsOf(scenario: Scenario): Promise<number[]> {
  const run = newRun(scenario);
  await run.finish();
  return Array.from({ length: run.namespace.calls.sent }, (_, index) => index + 1);
}

describe("clients notice nothing", () => {
  test.each(peerScenarios)("of all shards that sleep before any step: $title", { timeout: timeoutMs }, async (scenario) => {
    const undisturbed = newRun(scenario);
    await undisturbed.finish();
    const failures = await tryAll(stepsOf(scenario), scenario, async (run, index) => {
      await run.runTo(index);
      await run.namespace.evict();
      await run.finish();
      expect(run.transcript).toEqual(undisturbed.transcript);
    });
    expect(failures).toEqual([]);
  });

  test.each(peerScenarios)("of one shard that sleeps before any step: $title", { timeout: timeoutMs }, async (scenario) => {
    const undisturbed = newRun(scenario);
    await undisturbed.finish();
    const cases = stepsOf(scenario).flatMap((step) => [{ step, shard: step % 4 }, { step, shard: (step + 2) % 4 }]);
    const failures = await tryAll(cases, scenario, async (run, { step, shard }) => {
      await run.runTo(step);
      await run.namespace.evict("kept", [run.namespace.shard(shard)]);
      await run.finish();
      expect(run.transcript).toEqual(undisturbed.transcript);
    });
    expect(failures).toEqual([]);
  });
});

describe("nothing acknowledged is lost, nor is a QoS 2 message doubled", () => {
  test.each(peerScenarios)(
    "when any call between shards is lost, or its answer: $title",
    { timeout: timeoutMs },
    async (scenario) => {
      const calls = await callsOf(scenario);
      const cases = (["lost", "answer lost"] as const).flatMap((fate) => calls.map((call) => ({ call, fate })));
      const failures = await tryAll(cases, scenario, async (run, { call, fate }) => {
        run.namespace.calls.fateOf = (number) => (number === call ? fate : "delivered");
        await run.finish();
      });
      expect(failures).toEqual([]);
    },
  );

  test.each(peerScenarios)(
    "when all shards crash before any step: $title",
    { timeout: timeoutMs },
    async (scenario) => {
      const arrivals: Promise<void>[] = [];
      let abort: Promise<void> | undefined;
      const failures = await tryAll(stepsOf(scenario), scenario, async (run, index) => {
        const reached = run.runTo(index);
        arrivals.push(reached);
        await reached;
        abort ??= Promise.allSettled(arrivals).then(() => abortAllDurableObjects());
        run.loseSockets();
        run.namespace.calls.forget();
        await abort;
        await run.comeBack();
        await run.finish();
      });
      expect(failures).toEqual([]);
    },
  );
});
