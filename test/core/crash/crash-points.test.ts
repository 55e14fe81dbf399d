import { afterAll, describe, expect, test } from "vitest";
import type { Death } from "../simulated-shard.ts";
import type { Flow } from "./flows.ts";
import { flows, offlineQueues } from "./flows.ts";
import type { CrashPoint } from "./stage.ts";
import { Stage } from "./stage.ts";

const deaths = ["unwritten", "written", "heard"] as const;

/** Every write of the flow, as it goes when nothing fails. */
function rehearse(flow: Flow): Stage {
  const stage = new Stage(flow.shards);
  flow.play(stage);
  return stage;
}

/** What is wrong when a shard dies there; undefined: nothing. */
function complaintAt(flow: Flow, point: CrashPoint): string | undefined {
  try {
    flow.play(new Stage(flow.shards, point));
    return undefined;
  } catch (error) {
    const { commit, death, times } = point;
    return `${death} at write ${commit}, ${times} ×: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function pointsOf(
  commits: number,
  kinds: readonly Death[],
  times: readonly (1 | 2)[] = [1, 2],
): CrashPoint[] {
  return Array.from({ length: commits }, (_, index) => index + 1).flatMap((commit) =>
    kinds.flatMap((death) => times.map((count) => ({ commit, death, times: count }))),
  );
}

function complaintsOf(flow: Flow, points: readonly CrashPoint[]): string[] {
  return points.flatMap((point) => complaintAt(flow, point) ?? []);
}

describe("Whatever write a shard dies at, before it, after it, or when its answers have left, once or twice on end", () => {
  let pointCount = 0;

  afterAll(() => console.info(`${pointCount} crash points in ${flows.length} flows`));

  test.each(flows.map((flow) => [flow.name, flow] as const))("%s: what was promised holds", (_, flow) => {
    const points = pointsOf(rehearse(flow).commitCount, deaths);
    expect(points.length).toBeGreaterThan(0);
    pointCount += points.length;
    expect(complaintsOf(flow, points)).toEqual([]);
  });
});

describe("A broker that is wrong is found out", () => {
  test.each(flows.map((flow) => [flow.name, flow] as const))(
    "%s: answers that leave without a write break a promise somewhere",
    (_, flow) => {
      const points = pointsOf(rehearse(flow).commitCount, ["forgotten", "dropped"], [1]);
      expect(complaintsOf(flow, points)).not.toEqual([]);
    },
  );

  // With several shards the one that still has the message sends it again.
  test.each(offlineQueues.filter(({ shards }) => shards === 1).map((flow) => [flow.name, flow] as const))(
    "%s: so does each message that is acknowledged before it is written",
    (_, flow) => {
      const carriers = rehearse(flow).carrierCommits;
      expect(carriers.length).toBeGreaterThan(0);
      const points = carriers.map((commit) => ({ commit, death: "forgotten", times: 1 }) as const);
      expect(complaintsOf(flow, points)).toHaveLength(points.length);
    },
  );
});
