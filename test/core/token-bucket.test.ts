import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TokenBucket } from "../../src/core/token-bucket.ts";

describe("a token bucket", () => {
  test("gives its burst at once, and then its rate", () => {
    const bucket = new TokenBucket(20, 3);
    for (let spent = 0; spent < 3; spent += 1) {
      expect(bucket.availableAtMs(1000)).toBe(1000);
      bucket.spend(1000);
    }
    expect(bucket.availableAtMs(1000)).toBe(1050);
    expect(bucket.availableAtMs(1050)).toBe(1050);
  });

  test("may be overdrawn, and then waits for one token more, however far", () => {
    const bucket = new TokenBucket(10, 1);
    for (let spent = 0; spent < 4; spent += 1) bucket.spend(0);
    expect(bucket.availableAtMs(0)).toBe(200);
  });

  test("saves up no more than its burst", () => {
    const bucket = new TokenBucket(10, 2);
    bucket.spend(0);
    for (let spent = 0; spent < 2; spent += 1) {
      expect(bucket.availableAtMs(3_600_000)).toBe(3_600_000);
      bucket.spend(3_600_000);
    }
    expect(bucket.availableAtMs(3_600_000)).toBe(3_600_100);
  });

  test("without a rate limit always has one", () => {
    const bucket = new TokenBucket(Infinity, 1);
    for (let spent = 0; spent < 1000; spent += 1) bucket.spend(5);
    expect(bucket.availableAtMs(5)).toBe(5);
  });

  test("is not confused by a clock that goes back", () => {
    const bucket = new TokenBucket(10, 1);
    bucket.spend(1000);
    expect(bucket.availableAtMs(500)).toBeGreaterThan(500);
    expect(bucket.availableAtMs(600)).toBe(600);
  });

  test("lets through no more than burst and rate in any time, when those that may wait do", () => {
    const scenario = fc.record({
      ratePerSec: fc.integer({ min: 1, max: 100 }),
      burst: fc.integer({ min: 1, max: 20 }),
      waits: fc.array(fc.nat(300), { minLength: 1, maxLength: 100 }),
    });
    fc.assert(
      fc.property(scenario, ({ ratePerSec, burst, waits }) => {
        const bucket = new TokenBucket(ratePerSec, burst);
        const spentAt: number[] = [];
        let nowMs = 0;
        for (const waitMs of waits) {
          nowMs = Math.max(nowMs + waitMs, bucket.availableAtMs(nowMs + waitMs));
          bucket.spend(nowMs);
          spentAt.push(nowMs);
        }
        for (const [index, startMs] of spentAt.entries()) {
          for (const [later, endMs] of spentAt.entries()) {
            if (later < index) continue;
            const allowed = burst + ((endMs - startMs) * ratePerSec) / 1000;
            expect(later - index + 1).toBeLessThanOrEqual(allowed + 1e-6);
          }
        }
      }),
    );
  });
});
