import { array, assert, constantFrom, integer, property, uniqueArray } from "fast-check";
import { expect, test } from "vitest";
import { pageOf } from "../../../src/core/administration/page.ts";

const key = (text: string): string => text;

test("pages come to all entries in the order of their keys, none of them twice", () => {
  const keys = uniqueArray(array(constantFrom("a", "b", "/", "\0", "é"), { maxLength: 4 }), {
    selector: (letters) => letters.join(""),
    maxLength: 60,
  });
  assert(
    property(keys, integer({ min: 1, max: 9 }), (lists, countMax) => {
      const entries = lists.map((letters) => letters.join("")).filter((text) => text !== "");
      const found: string[] = [];
      let after: string | undefined;
      do {
        const page = pageOf(entries, key, key, { countMax, ...(after !== undefined && { after }) });
        expect(page.items.length).toBeLessThanOrEqual(countMax);
        found.push(...page.items);
        after = page.after;
      } while (after !== undefined);
      expect(found).toEqual(entries.toSorted((left, right) => (left < right ? -1 : 1)));
    }),
  );
});

test("a page goes on behind a key that is gone", () => {
  expect(pageOf(["a", "c", "d"], key, key, { after: "b", countMax: 1 })).toEqual({
    items: ["c"],
    after: "c",
  });
});
