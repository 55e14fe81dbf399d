import { beforeEach, describe, expect, test } from "vitest";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { Bench, sent, startMs, success } from "./lane-bench.ts";

const { NoMatchingSubscribers, QuotaExceeded, UnspecifiedError } = ReasonCode;

let bench: Bench;

beforeEach(() => {
  bench = new Bench();
});

describe("A lane", () => {
  test("has one batch under way; what comes meanwhile makes the next one, in order", () => {
    bench.post("1", "kept");
    const first = sent(bench);
    for (const name of ["2", "3", "4"]) bench.post(name, "kept");
    expect(bench.send()).toBeUndefined();
    bench.answer(first);
    expect(bench.settled).toEqual(["1 0"]);
    expect(sent(bench)).toMatchObject({ items: ["2", "3", "4"], sequence: first.sequence + 1 });
  });

  test("tells each item its own outcome", () => {
    bench.post("1", "kept");
    bench.post("2", "kept");
    const { stream, sequence } = sent(bench);
    const outcomes = [success, { reasonCode: NoMatchingSubscribers }];
    bench.reply({ stream, sequence }, { type: "applied", outcomes });
    expect(bench.settled).toEqual(["1 0", `2 ${NoMatchingSubscribers}`]);
    expect(bench.lane.isIdle).toBe(true);
  });

  test("sends a failed batch again under the same number, and nothing else before it", () => {
    bench.post("1", "kept");
    const first = sent(bench);
    bench.post("2", "kept");
    bench.fail(first);
    expect(bench.send()).toBeUndefined();
    bench.advance(100);
    expect(sent(bench)).toEqual(first);
  });

  test("takes a call that is not answered within 5 s for failed", () => {
    bench.post("1", "failed");
    const first = sent(bench);
    expect(bench.lane.timerDueAtMs).toBe(startMs + 5_000);
    bench.advance(5_100);
    expect(sent(bench)).toEqual(first);
    expect(bench.counters.peerFailures).toBe(1);
  });

  test("does not listen to answers of earlier calls, nor to the same one twice", () => {
    bench.post("1", "kept");
    const first = sent(bench);
    bench.answer(first);
    bench.post("2", "kept");
    const second = sent(bench);
    bench.answer(first);
    bench.fail(first);
    expect(bench.settled).toEqual(["1 0"]);
    bench.answer(second);
    bench.answer(second);
    expect(bench.settled).toEqual(["1 0", "2 0"]);
  });

  test("does not believe an answer with another number of outcomes", () => {
    bench.post("1", "kept");
    const { stream, sequence } = sent(bench);
    bench.reply({ stream, sequence }, { type: "applied", outcomes: [] });
    expect(bench.settled).toEqual([]);
    bench.advance(100);
    expect(sent(bench)).toMatchObject({ stream, sequence });
  });

  test("puts at most 500 items into a batch, and at most 1 MiB", () => {
    for (let index = 0; index < 700; index += 1) bench.post(`${index}`, "kept");
    const first = sent(bench);
    expect(first.items).toHaveLength(500);
    bench.answer(first);
    expect(sent(bench).items).toHaveLength(200);
  });
});

describe("A batch that the other shard refuses", () => {
  test.each(["stream", "sequence"] as const)(
    "for its %s goes out in a newer stream than both know",
    (refusal) => {
      bench.post("1", "kept");
      const first = sent(bench);
      const known = first.stream + 1000;
      bench.reply(first, { type: "refused", refusal, stream: known });
      bench.advance(100);
      const again = sent(bench);
      expect(again).toMatchObject({ items: ["1"], sequence: 1 });
      expect(again.stream).toBeGreaterThan(known);
      bench.answer(again);
      expect(bench.settled).toEqual(["1 0"]);
    },
  );

  test.each(["layout", "address", "size", "format"] as const)(
    "for its %s is sent again, not lost",
    (refusal) => {
      bench.post("1", "kept");
      for (let tries = 0; tries < 20; tries += 1) {
        const batch = sent(bench);
        bench.reply(batch, { type: "refused", refusal });
        bench.commit();
        bench.advance(400_000);
      }
      const batch = sent(bench);
      expect(batch.items).toEqual(["1"]);
      bench.answer(batch);
      expect(bench.outbox.isEmpty).toBe(true);
    },
  );
});

describe("When the other shard is slow", () => {
  test("what must not be lost moves to the outbox after the patience, and whoever waits goes on", () => {
    bench.post("1", "kept");
    sent(bench);
    bench.post("2", "kept");
    bench.advance(2_999);
    expect(bench.settled).toEqual([]);
    bench.advance(1);
    expect(bench.settled).toEqual(["1 0", "2 0"]);
    expect(bench.outbox.count).toBe(2);
  });

  test("nobody waits longer than the patience, whatever stands in front", () => {
    bench.post("1", "kept");
    const first = sent(bench);
    bench.advance(100);
    bench.post("2", "kept");
    bench.advance(2_500);
    bench.postDurable("3");
    bench.commit();
    bench.advance(300);
    bench.answer(first);
    sent(bench);
    bench.advance(3_100 - 2_900);
    expect(bench.settled).toContain("2 0");
  });

  test("everything that must not be lost goes through the outbox until that is empty, in order", () => {
    bench.post("1", "kept");
    const first = sent(bench);
    bench.advance(3_000);
    bench.post("2", "kept");
    bench.post("zero", "dropped");
    bench.commit();
    bench.answer(first);
    expect(bench.outbox.count).toBe(1);
    const second = sent(bench);
    expect(second.items[0]).toBe("2");
    bench.post("3", "kept");
    bench.commit();
    bench.answer(second);
    const third = sent(bench);
    expect(third.items).toEqual(["3"]);
    bench.answer(third);
    bench.post("4", "kept");
    expect(bench.outbox.isEmpty).toBe(true);
    expect(sent(bench).items).toEqual(["4"]);
    expect(bench.outcomes).toEqual(["1", "2", "zero", "3"].filter((name) => bench.outcomes.includes(name)));
  });

  test("what is in the outbox is sent before what is in memory, and not before it is written", () => {
    bench.postDurable("1");
    expect(bench.send()).toBeUndefined();
    bench.post("2", "dropped");
    bench.commit();
    expect(sent(bench).items).toEqual(["1", "2"]);
  });

  test("tries come at growing intervals, never in step, of at most five minutes", () => {
    bench.postDurable("1");
    bench.commit();
    const waits: number[] = [];
    let batch = sent(bench);
    for (let tries = 0; tries < 20; tries += 1) {
      bench.fail(batch);
      const failedAtMs = bench.nowMs;
      let next = bench.send();
      while (next === undefined) {
        bench.nowMs += 10;
        next = bench.send();
      }
      waits.push(bench.nowMs - failedAtMs);
      batch = next;
    }
    expect(waits[0]).toBeLessThanOrEqual(110);
    expect(waits[7]).toBeGreaterThan(5_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(300_010);
    expect(Math.min(...waits.slice(-5))).toBeGreaterThanOrEqual(150_000);
    expect(new Set(waits.slice(-5)).size).toBe(5);
  });
});

describe("After five failures in a row", () => {
  function exhausted(): void {
    for (let failures = 0; failures < 5; failures += 1) {
      const batch = sent(bench);
      bench.fail(batch);
      bench.commit();
      if (failures < 4) bench.advance(2_000);
    }
  }

  test("who asks is told that there is no answer; QoS 0 is dropped and counted; the rest is kept", () => {
    bench.post("asked", "failed");
    bench.post("zero", "dropped");
    bench.post("kept", "kept");
    exhausted();
    expect(bench.settled).toContain(`asked ${UnspecifiedError}`);
    expect(bench.settled).toContain("kept 0");
    expect(bench.counters.droppedPeerBusy).toBe(1);
    expect(bench.outbox.count).toBe(1);
  });

  test("the lane has no timer, and an alarm not before half a minute", () => {
    bench.post("kept", "kept");
    exhausted();
    bench.lane.next(bench.nowMs);
    expect(bench.lane.timerDueAtMs).toBe(Infinity);
    expect(bench.lane.alarmDueAtMs(bench.nowMs)).toBeGreaterThanOrEqual(bench.nowMs + 30_000);
  });

  test("QoS 0 is dropped at once", () => {
    bench.post("kept", "kept");
    exhausted();
    bench.post("zero", "dropped");
    expect(bench.counters.droppedPeerBusy).toBe(1);
  });

  test("a call of the other shard brings the next try within twenty seconds, in a new stream", () => {
    bench.post("kept", "kept");
    const { stream } = sent(bench);
    bench.fail({ stream, sequence: 1 });
    for (let failures = 1; failures < 12; failures += 1) {
      bench.advance(300_000);
      bench.fail(sent(bench));
      bench.commit();
    }
    bench.lane.noteHeard();
    bench.nowMs += 19_999;
    expect(bench.lane.next(bench.nowMs)).toBeUndefined();
    bench.nowMs += 1;
    const batch = sent(bench);
    expect(batch).toMatchObject({ items: ["kept"], sequence: 1 });
    expect(batch.stream).toBeGreaterThan(stream);
  });

  test("who asks need not wait longer than half a second for the next try", () => {
    bench.post("kept", "kept");
    exhausted();
    bench.post("asked", "failed");
    bench.lane.next(bench.nowMs);
    bench.nowMs += 500;
    expect(sent(bench).items).toEqual(["kept", "asked"]);
  });
});

describe("When too much waits", () => {
  test("in memory, QoS 0 is dropped and counted, who asks is told, and the rest goes to the outbox", () => {
    bench = new Bench({ messagesMax: 2, bytesMax: 1_000_000 });
    bench.post("under way", "dropped");
    sent(bench);
    for (const name of ["1", "2", "3"]) bench.post(name, "dropped");
    expect(bench.counters.droppedPeerBusy).toBe(1);
    bench.post("asked", "failed");
    expect(bench.settled).toContain(`asked ${QuotaExceeded}`);
    bench.post("kept", "kept");
    expect(bench.outbox.count).toBe(1);
  });

  test("in memory by size, too", () => {
    bench = new Bench({ messagesMax: 1000, bytesMax: 250 });
    bench.post("1", "dropped");
    bench.post("2", "dropped");
    bench.post("3", "dropped");
    expect(bench.counters.droppedPeerBusy).toBe(1);
  });

  test("in the outbox too, the sender is told, and it is counted", () => {
    bench = new Bench({ messagesMax: 1, bytesMax: 1_000_000 }, { messagesMax: 3, bytesMax: 1_000_000 });
    bench.post("under way", "kept");
    sent(bench);
    bench.post("1", "kept");
    bench.post("2", "kept");
    expect(bench.settled).not.toContain(`2 ${QuotaExceeded}`);
    bench.post("3", "kept");
    expect(bench.settled).toContain(`3 ${QuotaExceeded}`);
    expect(bench.counters.droppedPeerBusy).toBe(1);
  });

  test("what is kept stays in order when memory ran full in between", () => {
    bench = new Bench({ messagesMax: 2, bytesMax: 1_000_000 });
    bench.post("0", "kept");
    let batch: ReturnType<Bench["send"]> = sent(bench);
    for (const name of ["1", "2", "3", "4"]) bench.post(name, "kept");
    bench.commit();
    for (; batch !== undefined; batch = bench.send()) bench.answer(batch);
    expect(bench.outcomes).toEqual(["0", "1", "2", "3", "4"]);
  });
});
