/** Retained messages against a map, through flushes, crashes and expiry; and what they cost in rows and in space. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Counters } from "../../src/core/counters.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import type { Publication } from "../../src/core/publication.ts";
import { isExpired, sizeOf, toPublication } from "../../src/core/publication.ts";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import { clearedBytesOf } from "../../src/core/topics/retained-block.ts";
import { Retained } from "../../src/core/topics/retained.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";

/** What superseded messages may take beside as much as the others do. */
const slackBytes = 512 * 1024;

interface Changes {
  readonly first: number;
  readonly count: number;
  readonly step: number;
  /** 0 clears the topics. */
  readonly payloadBytes: number;
  readonly expirySec?: number;
}

/** A broker's retained messages, and a map that says what they should be. */
class Bench {
  readonly storage = new MemoryShardStorage();
  readonly topicCount: number;
  retained = this.#open();
  nowMs = 1_800_000_000_000;
  flushedCount = 0;
  #model = new Map<string, Publication>();
  #committed = new Map<string, Publication>();
  #changed = new Set<string>();
  #serial = 0;

  constructor(topicCount: number) {
    this.topicCount = topicCount;
  }

  change({ count, expirySec, first, payloadBytes, step }: Changes): void {
    for (let index = 0; index < count; index += 1) {
      const topicName = `topic/${(first + index * step) % this.topicCount}`;
      this.store(topicName, payloadBytes, expirySec);
    }
  }

  store(topicName: string, payloadBytes: number, expirySec?: number): void {
    this.#serial += 1;
    const payload = new Uint8Array(payloadBytes).fill(this.#serial);
    const expiry = expirySec !== undefined && { messageExpiryIntervalSec: expirySec };
    const publication = toPublication({ topicName, payload, qos: 0, retain: true, ...expiry }, this.nowMs);
    this.retained.store(publication, this.nowMs);
    this.#changed.add(topicName);
    if (payloadBytes === 0) this.#model.delete(topicName);
    else this.#model.set(topicName, publication);
  }

  /** Returns the rows that it cost. */
  flush(): number {
    const before = this.storage.rowsWritten;
    this.storage.commit({ ...emptyWriteSet(), retainedBlocks: this.retained.flush() });
    this.#committed = new Map(this.#model);
    this.flushedCount += this.#changed.size;
    this.#changed.clear();
    this.retained.noteCommitted();
    return this.storage.rowsWritten - before;
  }

  crash(): void {
    this.retained = this.#open();
    this.#model = new Map(this.#committed);
    this.#changed.clear();
  }

  crashBeforeCommit(): void {
    this.retained.flush();
    this.crash();
  }

  /** All that a new subscription would get, in any order. */
  found(): Map<string, Publication> {
    const found = new Map<string, Publication>();
    for (const topicName of this.retained.matchingNames("#")) {
      const publication = this.retained.read(topicName, this.nowMs);
      if (publication !== undefined) found.set(topicName, publication);
    }
    return found;
  }

  expected(): Map<string, Publication> {
    return new Map([...this.#model].filter(([, one]) => !isExpired(one, this.nowMs)));
  }

  get liveBytes(): number {
    return [...this.#committed.values()].reduce((sum, one) => sum + sizeOf(one), 0);
  }

  get storedBytes(): number {
    let sizeBytes = 0;
    for (const { names, cleared } of this.storage.readRetainedHeads()) {
      for (const name of names) sizeBytes += name.sizeBytes;
      for (const topicName of cleared) sizeBytes += clearedBytesOf(topicName);
    }
    return sizeBytes;
  }

  #open(): Retained {
    return new Retained(this.storage, defaultLimits, new Counters());
  }
}

function expectRight(bench: Bench): void {
  expect(bench.found()).toEqual(bench.expected());
}

const changes: fc.Arbitrary<Changes> = fc.record(
  {
    first: fc.nat(2000),
    count: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 300 })),
    step: fc.integer({ min: 1, max: 50 }),
    payloadBytes: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 2000 }),
      fc.constantFrom(40_000, 100_000),
    ),
    expirySec: fc.integer({ min: 1, max: 300 }),
  },
  { requiredKeys: ["first", "count", "step", "payloadBytes"] },
);

type Act = (bench: Bench) => void;

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: changes.map((one): Act => (bench) => {
      // Large ones one at a time.
      bench.change(one.payloadBytes > 10_000 ? { ...one, count: 1 } : one);
    }),
  },
  {
    weight: 3,
    arbitrary: fc.array(changes, { minLength: 1, maxLength: 12 }).map((several): Act => (bench) => {
      for (const one of several) {
        bench.change({ ...one, count: 1, first: one.first % 7 });
        bench.flush();
      }
    }),
  },
  { weight: 6, arbitrary: fc.constant<Act>((bench) => void bench.flush()) },
  { weight: 1, arbitrary: fc.constant<Act>((bench) => bench.crash()) },
  { weight: 1, arbitrary: fc.constant<Act>((bench) => bench.crashBeforeCommit()) },
  { weight: 1, arbitrary: fc.constant<Act>((bench) => expectRight(bench)) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 200 }).map(
      (sec): Act =>
        (bench) =>
          void (bench.nowMs += sec * 1000),
    ),
  },
);

describe("Retained messages", () => {
  test("are what was stored last, whatever is flushed, lost and read again", () => {
    const topicCounts = fc.constantFrom(10, 100, 2000);
    fc.assert(
      fc.property(topicCounts, fc.array(act, { maxLength: 150, size: "max" }), (topicCount, acts) => {
        const bench = new Bench(topicCount);
        for (const one of acts) {
          one(bench);
          expect(bench.storedBytes).toBeLessThanOrEqual(2 * bench.liveBytes + slackBytes);
        }
        expectRight(bench);
        bench.flush();
        bench.crash();
        expectRight(bench);
      }),
      { numRuns: 60 },
    );
  });

  test("cost one row when one changes, be it set, replaced or cleared", () => {
    const bench = new Bench(500);
    for (const payloadBytes of [100, 300, 0, 100, 5000, 60_000, 100_000, 0, 1]) {
      for (let first = 0; first < 500; first += 1) {
        bench.store(`topic/${first * 7}`, payloadBytes);
        expect(bench.flush()).toBeLessThanOrEqual(1);
      }
    }
    expectRight(bench);
  });

  test("cost at most 0.15 rows each when eight or more change at a time, whatever their number", () => {
    for (const topicCount of [10, 100, 2000]) {
      const bench = new Bench(topicCount);
      const random = sequence(topicCount);
      for (let turn = 0; turn < 1500; turn += 1) {
        const isCleared = random(3) === 0;
        const payloadBytes = isCleared ? 0 : 1 + random(1000);
        bench.change({
          first: random(topicCount),
          count: 8 + random(100),
          step: 1 + random(9),
          payloadBytes,
        });
        bench.flush();
        expect(bench.storedBytes).toBeLessThanOrEqual(2 * bench.liveBytes + slackBytes);
      }
      expect(bench.storage.rowsWritten / bench.flushedCount).toBeLessThanOrEqual(0.15);
      expectRight(bench);
    }
  });

  test("that were cleared by the thousand give their space back", () => {
    const bench = new Bench(5000);
    const all = { first: 0, count: 5000, step: 1 };
    bench.change({ ...all, payloadBytes: 1000 });
    bench.flush();
    bench.change({ ...all, payloadBytes: 0 });
    expect(bench.flush()).toBeLessThanOrEqual(500);
    expect(bench.storedBytes).toBeLessThanOrEqual(slackBytes);
  });

  test("of topics that come and go leave nothing behind", () => {
    const bench = new Bench(200);
    bench.change({ first: 0, count: 200, step: 1, payloadBytes: 500 });
    bench.flush();
    for (let round = 0; round < 300; round += 1) {
      for (const payloadBytes of [10, 0]) {
        for (let index = 0; index < 100; index += 1) bench.store(`once/${round}/${index}`, payloadBytes);
        bench.flush();
      }
    }
    const clearedCount = [...bench.storage.readRetainedHeads()].flatMap(({ cleared }) => cleared).length;
    expect(clearedCount).toBeLessThan(3000);
    expect(bench.storedBytes).toBeLessThanOrEqual(2 * bench.liveBytes + slackBytes);
    expectRight(bench);
  });

  test("that nothing has changed since the last flush cost nothing", () => {
    const bench = new Bench(10);
    bench.store("topic/1", 5);
    bench.store("topic/1", 0);
    expect(bench.flush()).toBe(0);
    bench.store("topic/2", 5);
    expect([bench.flush(), bench.flush()]).toEqual([1, 0]);
  });
});

/** Numbers that look random, the same each time. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
