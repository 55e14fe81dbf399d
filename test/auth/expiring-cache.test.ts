import { expect, test } from "vitest";
import { ExpiringCache } from "../../src/auth/expiring-cache.ts";

test("A value is there until its time, and no longer", () => {
  const cache = new ExpiringCache<string>(2);
  cache.set("a", "1", 10);
  expect(cache.get("a", 9)).toBe("1");
  expect(cache.get("a", 10)).toBeUndefined();
  expect(cache.get("a", 9)).toBeUndefined();
});

test("Of too many values the one that was set first goes", () => {
  const cache = new ExpiringCache<string>(2);
  for (const key of ["a", "b", "a", "c"]) cache.set(key, key, 10);
  expect(["a", "b", "c"].map((key) => cache.get(key, 0))).toEqual(["a", undefined, "c"]);
});

test("Values go by what they are, too", () => {
  const cache = new ExpiringCache<number>(3);
  for (const value of [1, 2, 3]) cache.set(String(value), value, 10);
  cache.deleteWhere((value) => value > 1);
  expect(["1", "2", "3"].map((key) => cache.get(key, 0))).toEqual([1, undefined, undefined]);
});
