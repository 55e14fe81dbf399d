/** The count itself, by lives of an object that has sockets and rows. */
import { describe, expect, test } from "vitest";
import type { CostShare } from "../../src/core/cost/cost-meter.ts";
import { CostMeter } from "../../src/core/cost/cost-meter.ts";
import { noCounts } from "../../src/core/cost/counts.ts";
import { listPriceUsd } from "../../src/core/cost/prices.ts";

const startMs = 1_800_000_000_000;

/** An object whose lives follow each other; what is attached stays. */
class Lives {
  meter = new CostMeter(noRows());
  readonly attached = new Map<string, CostShare>();
  #count = 0;
  readonly #atMs: number;

  constructor(atMs = startMs) {
    this.#atMs = atMs;
    this.sleep();
  }

  /** Nothing is known of the next life but what is attached. */
  sleep(): void {
    this.#count += 1;
    this.meter = new CostMeter(noRows());
    this.meter.start(this.#count, this.#atMs + this.#count * 1000);
  }

  wake(connectionId: string): void {
    this.meter.noteWoken(connectionId, this.attached.get(connectionId));
  }

  wakeAll(): void {
    for (const connectionId of this.attached.keys()) this.wake(connectionId);
  }

  frames(count: number): void {
    this.meter.framesReceived += count;
  }

  keepWith(connectionId: string): void {
    this.meter.shareWith(connectionId);
    this.attached.set(connectionId, this.meter.shareOf(connectionId));
  }

  close(connectionId: string): void {
    this.meter.release(connectionId);
    this.attached.delete(connectionId);
  }

  get framesInAll(): number {
    return this.meter.figures().framesReceived;
  }
}

function noRows() {
  return { rowsRead: 0, rowsWritten: 0, storedBytes: 0 };
}

describe("What sockets keep through a sleep", () => {
  test("is all that was counted, when it was kept with one of them", () => {
    const object = new Lives();
    object.frames(3);
    object.keepWith("a");
    object.sleep();
    object.wakeAll();
    object.frames(4);
    expect(object.framesInAll).toBe(7);
  });

  test("adds up, though in most lives only one of them wakes", () => {
    const object = new Lives();
    for (const connectionId of ["a", "b", "c"]) object.keepWith(connectionId);
    for (const connectionId of ["a", "b", "a", "c", "b", "b", "a"]) {
      object.sleep();
      object.wake(connectionId);
      object.frames(10);
      object.keepWith(connectionId);
    }
    object.sleep();
    object.wakeAll();
    expect(object.framesInAll).toBe(70);
  });

  test("is counted once, however often it is kept and read", () => {
    const object = new Lives();
    object.frames(1);
    for (let count = 0; count < 3; count += 1) {
      object.keepWith("a");
      object.keepWith("b");
      object.wakeAll();
    }
    object.sleep();
    object.wakeAll();
    object.wakeAll();
    expect(object.framesInAll).toBe(1);
    expect(object.meter.hasUnshared).toBe(false);
  });

  test("goes over to another one when a socket closes", () => {
    const object = new Lives();
    object.frames(5);
    object.keepWith("a");
    object.frames(6);
    object.keepWith("b");
    object.sleep();
    object.wake("a");
    object.close("a");
    expect(object.meter.hasUnshared).toBe(true);
    object.wake("b");
    object.keepWith("b");
    object.sleep();
    object.wakeAll();
    expect(object.framesInAll).toBe(11);
  });

  test("is there for the last one, whose close wakes the object", () => {
    const object = new Lives();
    object.frames(5);
    const row = object.meter.record();
    object.frames(6);
    object.keepWith("a");
    object.sleep();
    object.meter.noteRow(row);
    object.wake("a");
    object.close("a");
    expect(object.framesInAll).toBe(11);
  });

  test("is left out when it is of a run that has ended: rows have what is left of it", () => {
    const object = new Lives();
    object.frames(5);
    object.keepWith("a");
    const row = object.meter.record();
    object.sleep();
    object.keepWith("b");
    object.meter.noteRow(row);
    object.wake("a");
    expect(object.framesInAll).toBe(5);
  });

  test("tells since when", () => {
    const object = new Lives();
    object.keepWith("a");
    const { sinceSec } = object.meter;
    expect(sinceSec).toBe(startMs / 1000 + 1);
    object.sleep();
    object.wake("a");
    expect(object.meter.figures().sinceSec).toBe(sinceSec);
  });
});

describe("What rows keep through a reset", () => {
  test("is all that was counted before the newest of them", () => {
    const object = new Lives();
    object.frames(3);
    const older = object.meter.record();
    object.frames(4);
    const newer = object.meter.record();
    object.frames(100);
    for (const rows of [
      [older, newer],
      [newer, older],
    ]) {
      object.sleep();
      for (const row of rows) object.meter.noteRow(row);
      object.frames(1);
      expect(object.framesInAll).toBe(8);
    }
    expect(object.meter.sinceSec).toBe(startMs / 1000 + 1);
  });

  test("goes on from reset to reset", () => {
    const object = new Lives();
    for (let count = 1; count <= 4; count += 1) {
      object.frames(10);
      const row = object.meter.record();
      object.sleep();
      object.meter.noteRow(row);
      expect(object.framesInAll).toBe(10 * count);
    }
  });

  test("is not counted twice with what sockets keep of the same run", () => {
    const object = new Lives();
    object.frames(3);
    const before = object.meter.record();
    object.sleep();
    object.meter.noteRow(before);
    object.frames(4);
    object.keepWith("a");
    const within = object.meter.record();
    object.frames(5);
    object.keepWith("a");
    object.sleep();
    object.meter.noteRow(before);
    object.meter.noteRow(within);
    object.wakeAll();
    expect(object.framesInAll).toBe(12);
    expect(object.meter.record().base.framesReceived).toBe(3);
  });
});

describe("Awake time", () => {
  test("is that in which something held the object awake", () => {
    const { meter } = new Lives();
    const awakeMs = (): number => meter.figures().awakeMs;
    meter.noteTime(true, startMs + 10_000);
    meter.noteTime(false, startMs + 10_005);
    expect(awakeMs()).toBe(5);
    meter.noteTime(true, startMs + 60_000);
    expect(awakeMs()).toBe(5);
    meter.noteTime(true, startMs + 61_000);
    expect(awakeMs()).toBe(1005);
  });

  test("does not shrink when the clock is put back", () => {
    const { meter } = new Lives();
    meter.noteTime(true, startMs);
    meter.noteTime(true, startMs - 1000);
    meter.noteTime(false, startMs - 400);
    expect(meter.figures().awakeMs).toBe(600);
  });
});

test.each([
  ["a million upgrades", { requests: 1e6 }, 0.15],
  ["twenty million frames", { framesReceived: 20e6 }, 0.15],
  ["a million calls that are billed", { callsBilled: 1e6 }, 0.15],
  ["a million calls that another shard is billed for", { callsMade: 1e6 }, 0],
  ["a million alarms", { alarms: 1e6 }, 0.15],
  ["a million rows written", { rowsWritten: 1e6 }, 1],
  ["a billion rows read", { rowsRead: 1e9 }, 1],
  ["a month of 30 days awake", { awakeMs: 30 * 86_400_000 }, 4.1472],
])("The list price has %s", (_, counts, usd) => {
  expect(listPriceUsd({ ...noCounts, ...counts })).toBeCloseTo(usd, 9);
});
