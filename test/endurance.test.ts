/** `npm run endure` is only worth its time if a broker that fails is found out. */
import { describe, expect, test } from "vitest";
import type { Run } from "../bench/endurance/record.ts";
import { summarize } from "../bench/endurance/record.ts";

interface Changes {
  readonly qos?: 1 | 2;
  readonly maximumQos?: 1 | 2;
  readonly received?: readonly number[];
  readonly acknowledgedCount?: number;
  readonly retained?: number;
}

/** Three messages that came as they should, but for the changes. */
function ran({
  qos = 2,
  maximumQos = 2,
  received = [1, 2, 3],
  acknowledgedCount = 3,
  retained = 3,
}: Changes): Run {
  return {
    kills: 1,
    streams: [{ topicName: "load", qos, publishedCount: 3, acknowledgedCount }],
    states: [{ topicName: "state", publishedCount: 3, acknowledgedCount: 3 }],
    listeners: [{ name: "listener", maximumQos, received: new Map([["load", received]]) }],
    retained: new Map([["state", retained]]),
  };
}

describe("The record of a run", () => {
  test("counts what was published, acknowledged and delivered", () => {
    expect(summarize(ran({}))).toEqual({
      kills: 1,
      published: 6,
      acknowledged: 6,
      delivered: 3,
      duplicatesQos1: 0,
      lost: 0,
      violations: [],
    });
  });

  test.each([
    ["a message that is lost", { received: [1, 3] }, "1 lost"],
    ["a message of QoS 2 that comes twice", { received: [1, 2, 2, 3] }, "1 of QoS 2 came again"],
    ["messages in another order", { received: [1, 3, 2] }, "not in order"],
    ["a message that is never acknowledged", { acknowledgedCount: 2 }, "1 not acknowledged"],
    ["a retained message that is not the last", { retained: 2 }, "2 is retained, not 3"],
  ] as const)("names %s", (_, changes, violation) => {
    expect(summarize(ran(changes)).violations).toEqual([expect.stringContaining(violation)]);
  });

  test.each([{ qos: 1 }, { maximumQos: 1 }] as const)("lets %o come again, and counts it", (changes) => {
    const summary = summarize(ran({ ...changes, received: [1, 2, 1, 2, 3] }));
    expect(summary).toMatchObject({ duplicatesQos1: 2, lost: 0, violations: [] });
  });
});
