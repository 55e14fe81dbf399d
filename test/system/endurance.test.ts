/** `npm run endure` for a few seconds. */
import { expect, test } from "vitest";
import { summarize } from "../../bench/endurance/record.ts";
import { run } from "../../bench/endurance/run.ts";
import { isPeer, type StartOptions, withDefaults } from "../support/system-broker.ts";

const KILLS = 3;
const ACKS_PER_LIFE = 200;

test.skipIf(isPeer)(
  "Under load, killed three times, the broker loses nothing, and keeps QoS 2 and the order",
  async () => {
    const { shards = 1 } = withDefaults<StartOptions>({});
    const summary = summarize(
      await run({
        shards,
        publishers: 3,
        lifeMs: 0,
        acksPerLife: ACKS_PER_LIFE,
        durationMs: 0,
        killsMin: KILLS,
        log: () => undefined,
      }),
    );
    expect(summary.violations).toEqual([]);
    expect(summary.kills).toBe(KILLS);
    expect(summary.published).toBeGreaterThanOrEqual(KILLS * ACKS_PER_LIFE);
  },
);
