/** Sessions and topics on several objects, of which any may be away between two steps, or in the middle of one. */
import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, describe, expect, test } from "vitest";
import { type Scenario, ScenarioRun } from "./scenario-runner.ts";
import { homes, peerScenarios, shardCount } from "./scenarios-peers.ts";

const timeoutMs = 60_000;
const version = 5;
const alarmHorizonSec = 3600;

afterEach(() => abortAllDurableObjects());

test("the clients and topics of the scenarios are spread over all shards", () => {
  expect(homes).toEqual({ clients: [0, 1, 2, 3], topics: [0, 3] });
});

function newRun(scenario: Scenario): ScenarioRun {
  return new ScenarioRun(scenario, version, shardCount);
}

interface SleepCase {
  readonly step: number;
  /** All, if undefined. */
  readonly shard?: number;
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

/** Numbers of the calls that the shards make in the scenario, from the step on whose title begins so. */
async function callsOf(scenario: Scenario, title = ""): Promise<number[]> {
  const run = newRun(scenario);
  await run.runTo(scenario.steps.findIndex((step) => step.title.startsWith(title)));
  const { sent } = run.namespace.calls;
  await run.finish();
  return Array.from({ length: run.namespace.calls.sent - sent }, (_, index) => sent + index + 1);
}

describe("clients notice nothing when all shards, or one of them, sleep before any step", () => {
  test.each(peerScenarios)("$title", { timeout: timeoutMs }, async (scenario) => {
    const undisturbed = newRun(scenario);
    await undisturbed.finish();
    const cases = stepsOf(scenario).flatMap((step) => [{ step }, { step, shard: step % shardCount }]);
    const failures = await tryAll(cases, scenario, async (run, { step, shard }: SleepCase) => {
      await run.runTo(step);
      await run.namespace.evict("kept", shard === undefined ? undefined : [run.namespace.shard(shard)]);
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
      const cases = (["lost", "answer lost"] as const).flatMap((fate) =>
        calls.map((call) => ({ call, fate })),
      );
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
      const failures = await tryAll(stepsOf(scenario), scenario, async (run, index) => {
        await run.runTo(index);
        await crash(run);
        await run.finish();
      });
      expect(failures).toEqual([]);
    },
  );

  const published = peerScenarios.filter(({ clients }) => clients["carol"] !== undefined);
  test.each(published)(
    "when a shard crashes before or after any call of a publish: $title",
    { timeout: timeoutMs },
    async (scenario) => {
      const calls = await callsOf(scenario, "alice publishes");
      const fates = ["crash before", "crash after"] as const;
      const cases = fates.flatMap((fate) => calls.map((call) => ({ call, fate })));
      const failures = await tryAll(cases, scenario, async (run, { call, fate }) => {
        const { calls: watch, shards } = run.namespace;
        watch.fateOf = (number) => (number === call ? fate : "delivered");
        watch.onCrash = (name) => run.loseSockets(shards.filter((shard) => shard.name === name));
        await run.runTo(scenario.steps.length);
        expect(run.isAutomatic).toBe(true);
        await run.comeBack();
        await run.finish();
      });
      expect(failures).toEqual([]);
    },
  );
});

async function crash(run: ScenarioRun): Promise<void> {
  run.loseSockets();
  await run.namespace.crash();
  await run.comeBack();
  // A shard that no client comes back to learns by its alarm that its clients are gone.
  await run.namespace.advance(alarmHorizonSec);
}
