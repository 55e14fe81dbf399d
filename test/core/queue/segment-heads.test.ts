import { describe, expect, test } from "vitest";
import { SegmentHeads } from "../../../src/core/queue/segment-heads.ts";
import type { SegmentHead } from "../../../src/core/storage-port.ts";

/** Of one message for so many sessions. */
function head(seq: number, sessionCount: number, fromSeq?: number): SegmentHead {
  const targets = Array.from({ length: sessionCount }, (_, index) => ({
    sessionNumber: index + 1,
    ordinal: seq,
    qos: 1 as const,
    retain: false,
  }));
  const messages = [{ sizeBytes: 1, targets }];
  return { slot: seq, seq, messages, deliveryStates: [], ...(fromSeq !== undefined && { fromSeq }) };
}

/** A log, and how often it was read. */
function logOf(...heads: SegmentHead[]) {
  const log = {
    timesRead: 0,
    readSegmentHeads(): Iterable<SegmentHead> {
      log.timesRead += 1;
      return heads;
    },
  };
  return log;
}

describe("The heads of a log", () => {
  test.each([
    [5, 1],
    [4, 2],
  ])(
    "of 5 messages and sessions, of which %i may be kept, are read %i times for two rounds",
    (max, timesRead) => {
      const log = logOf(head(1, 2), head(2, 3));
      const heads = new SegmentHeads(log, max);
      for (const _ of [1, 2]) expect([...heads].map(({ seq }) => seq)).toEqual([1, 2]);
      expect(log.timesRead).toBe(timesRead);
    },
  );

  test.each([100, 0])("know what lies in a later segment, with %i messages kept", (max) => {
    const log = logOf(head(1, 1), head(2, 1), head(4, 1), head(5, 1, 2), head(6, 1));
    const heads = new SegmentHeads(log, max);
    expect([...heads.supersededSeqs]).toEqual([4, 2]);
    expect([...heads]).toHaveLength(5);
    expect([...heads.supersededSeqs]).toEqual([4, 2]);
  });

  test("of an empty log are none", () => {
    const heads = new SegmentHeads(logOf());
    expect([[...heads], [...heads.supersededSeqs]]).toEqual([[], []]);
  });
});
