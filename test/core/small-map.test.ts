import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SmallMap } from "../../src/core/small-map.ts";

type Operation =
  | readonly ["set", key: string, value: number]
  | readonly ["delete", key: string]
  | readonly ["clear"];

const keys = fc.constantFrom("a", "b", "c");
const operations: fc.Arbitrary<readonly Operation[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.constant("set" as const), keys, fc.nat()),
    fc.tuple(fc.constant("delete" as const), keys),
    fc.tuple(fc.constant("clear" as const)),
  ),
);

describe("a small map", () => {
  test("does what a Map does, whatever is done to it", () => {
    fc.assert(
      fc.property(operations, (all) => {
        const [small, map] = [new SmallMap<string, number>(), new Map<string, number>()];
        for (const operation of all) expect(apply(small, operation)).toBe(apply(map, operation));
        expect([...small]).toEqual([...map]);
        expect([...small.keys()]).toEqual([...map.keys()]);
        expect([...small.values()]).toEqual([...map.values()]);
        expect(small.size).toBe(map.size);
        for (const key of ["a", "b", "c"]) {
          expect(small.get(key)).toBe(map.get(key));
          expect(small.has(key)).toBe(map.has(key));
        }
      }),
    );
  });

  test("may lose entries while they are gone through", () => {
    const small = new SmallMap<string, number>();
    for (const key of ["a", "b", "c"]) small.set(key, 1);
    for (const [key] of small) small.delete(key);
    expect(small.size).toBe(0);
  });
});

function apply(
  map: SmallMap<string, number> | Map<string, number>,
  operation: Operation,
): boolean | undefined {
  const [type, key] = operation;
  if (type === "delete") return map.delete(key);
  if (type === "set") map.set(key, operation[2]);
  else map.clear();
  return undefined;
}
