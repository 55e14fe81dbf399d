import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressKeyOf } from "../../../src/core/abuse/address-key.ts";
import { addressesMax, AddressRates } from "../../../src/core/abuse/address-rates.ts";
import { dayOf, laterOf } from "../../../src/core/abuse/daily-count.ts";
import { RateBucket } from "../../../src/core/abuse/rate-bucket.ts";
import { RecentMap } from "../../../src/core/abuse/recent-map.ts";
import { Strikes } from "../../../src/core/abuse/strikes.ts";

const startMs = 1_800_000_000_000;

describe("a rate bucket", () => {
  const takes = fc.array(fc.record({ waitMs: fc.nat(3000), amount: fc.integer({ min: 1, max: 40 }) }), {
    maxLength: 60,
  });
  const rate = fc.double({ min: 0.01, max: 1000, noNaN: true });
  const burst = fc.integer({ min: 1, max: 100 });

  test("never gives more than burst + rate × t, whatever is asked of it and when", () => {
    fc.assert(
      fc.property(takes, rate, burst, (asked, ratePerSec, burstMax) => {
        const bucket = new RateBucket(ratePerSec, burstMax);
        const given: { atMs: number; amount: number }[] = [];
        let nowMs = startMs;
        for (const { waitMs, amount } of asked) {
          nowMs += waitMs;
          if (bucket.take(amount, nowMs)) given.push({ atMs: nowMs, amount });
        }
        for (const [from, { atMs: sinceMs }] of given.entries()) {
          let sum = 0;
          for (const { atMs, amount } of given.slice(from)) {
            sum += amount;
            expect(sum).toBeLessThanOrEqual(burstMax + (ratePerSec * (atMs - sinceMs)) / 1000 + 1e-6);
          }
        }
      }),
    );
  });

  test("gives its rate to who asks for no more", () => {
    const bucket = new RateBucket(10, 1);
    for (let count = 0; count < 100; count += 1) {
      expect(bucket.take(1, startMs + count * 100)).toBe(true);
    }
  });

  test("takes nothing from who asks for more than there is", () => {
    const bucket = new RateBucket(1, 10);
    expect(bucket.take(11, startMs)).toBe(false);
    expect(bucket.take(10, startMs)).toBe(true);
    expect(bucket.take(1, startMs + 999)).toBe(false);
    expect(bucket.take(1, startMs + 1000)).toBe(true);
  });

  test("fills again after its clock has gone back", () => {
    const bucket = new RateBucket(1, 1);
    bucket.take(1, startMs);
    expect(bucket.take(1, startMs - 3_600_000)).toBe(false);
    expect(bucket.take(1, startMs - 3_599_000)).toBe(true);
  });
});

describe("a map of what was set last", () => {
  test("never has more entries than it may, and forgets the oldest first", () => {
    const map = new RecentMap<number>(3);
    for (const [index, key] of ["a", "b", "c", "a", "d", "e"].entries()) {
      map.set(key, index);
      expect(map.size).toBeLessThanOrEqual(3);
    }
    expect(["a", "b", "c", "d", "e"].map((key) => map.get(key))).toEqual([3, undefined, undefined, 4, 5]);
  });
});

describe("rates of addresses", () => {
  test("are each its own, and allow a minute's worth at once", () => {
    const rates = new AddressRates(2);
    expect(["a", "a", "a", "b"].map((key) => rates.take(key, startMs))).toEqual([true, true, false, true]);
    expect(rates.take("a", startMs + 29_999)).toBe(false);
    expect(rates.take("a", startMs + 30_000)).toBe(true);
  });

  test("are forgotten after so many others only", () => {
    const rates = new AddressRates(1);
    rates.take("a", startMs);
    for (let other = 1; other < addressesMax; other += 1) rates.take(`other-${other}`, startMs);
    expect(rates.take("a", startMs)).toBe(false);
    for (let other = 0; other < addressesMax; other += 1) rates.take(`another-${other}`, startMs);
    expect(rates.take("a", startMs)).toBe(true);
  });
});

describe("strikes", () => {
  const limits = { max: 2, windowSec: 10, banSec: 100 };

  test("ban who has one more than allowed within the window, for the time of the ban", () => {
    const strikes = new Strikes(limits);
    expect([0, 1, 9999].map((ms) => strikes.strike("a", startMs + ms))).toEqual([false, false, true]);
    expect(strikes.isBanned("a", startMs + 109_998)).toBe(true);
    expect(strikes.isBanned("a", startMs + 109_999)).toBe(false);
    expect(strikes.strike("a", startMs + 109_999)).toBe(false);
  });

  test("that come while there is a ban do not lift it", () => {
    const strikes = new Strikes(limits);
    for (let count = 0; count < 5; count += 1) strikes.strike("a", startMs);
    expect(strikes.isBanned("a", startMs)).toBe(true);
  });

  test("begin anew with each window", () => {
    const strikes = new Strikes(limits);
    const times = [0, 1, 10_000, 10_001, 20_000];
    expect(times.some((ms) => strikes.strike("a", startMs + ms))).toBe(false);
  });

  test("are nobody else's", () => {
    const strikes = new Strikes(limits);
    for (let count = 0; count < 5; count += 1) strikes.strike("a", startMs);
    expect(strikes.isBanned("b", startMs)).toBe(false);
  });

  test("do not exist without a limit", () => {
    const strikes = new Strikes({ ...limits, max: 0 });
    for (let count = 0; count < 5; count += 1) expect(strikes.strike("a", startMs)).toBe(false);
  });
});

describe("what limits by address go by", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["::FFFF:c000:207", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:0001:2::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8::/64"],
    ["::1", "::/64"],
    ["nowhere", "nowhere"],
  ])("is %s: %s", (address, key) => {
    expect(addressKeyOf(address)).toBe(key);
  });

  test("is the same for every address of an IPv6 network", () => {
    expect(addressKeyOf("2001:db8::ffff:1")).toBe(addressKeyOf("2001:db8:0:0:8::"));
  });
});

describe("a count of a day", () => {
  test("belongs to a UTC day", () => {
    const midnightMs = Date.UTC(2027, 0, 2);
    expect(dayOf(midnightMs) - dayOf(midnightMs - 1)).toBe(1);
    expect(dayOf(midnightMs + 86_399_999)).toBe(dayOf(midnightMs));
  });

  test("is older than that of a later day, and than a greater one of the same", () => {
    const [first, second, next] = [
      { day: 1, count: 8 },
      { day: 1, count: 9 },
      { day: 2, count: 1 },
    ];
    expect(laterOf(first, second)).toBe(second);
    expect(laterOf(next, second)).toBe(next);
    expect(laterOf(undefined, first)).toBe(first);
    expect(laterOf(first, undefined)).toBe(first);
  });
});
