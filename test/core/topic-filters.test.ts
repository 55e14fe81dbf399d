import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TopicFilters } from "../../src/core/topics/topic-filters.ts";

const names = fc.array(fc.constantFrom("a", "b", "$s"), { minLength: 1, maxLength: 3 });
const filters = fc
  .array(fc.constantFrom("a", "b", "$s", "+"), { minLength: 1, maxLength: 3 })
  .chain((levels) => fc.constantFrom(levels, [...levels, "#"]));

describe("values by Topic Filter", () => {
  test("are found by every Topic Name that the filter matches, and by no other", () => {
    fc.assert(
      fc.property(fc.array(filters), fc.array(filters), names, (kept, removed, nameLevels) => {
        const topics = new TopicFilters<string>();
        for (const levels of [...removed, ...kept])
          topics.getOrMake(levels.join("/"), () => levels.join("/"));
        for (const levels of removed) topics.delete(levels.join("/"));
        const gone = new Set(removed.map((levels) => levels.join("/")));
        const wanted = kept.filter((levels) => !gone.has(levels.join("/")) && isMatch(levels, nameLevels));
        const found: string[] = [];
        topics.match(nameLevels.join("/"), (filter) => found.push(filter));
        expect(found.toSorted()).toEqual([...new Set(wanted.map((levels) => levels.join("/")))].toSorted());
      }),
    );
  });

  test("are made once for each filter", () => {
    const topics = new TopicFilters<object>();
    for (const filter of ["a/b", "a/+"]) {
      const made = topics.getOrMake(filter, () => ({}));
      expect(topics.getOrMake(filter, () => ({}))).toBe(made);
      expect(topics.get(filter)).toBe(made);
    }
  });
});

/** Section 4.7, straight from its words. */
function isMatch(filter: readonly string[], name: readonly string[]): boolean {
  if (name[0]?.startsWith("$") && (filter[0] === "+" || filter[0] === "#")) return false;
  const isOpen = filter.at(-1) === "#";
  const fixed = isOpen ? filter.slice(0, -1) : filter;
  if (isOpen ? name.length < fixed.length : name.length !== fixed.length) return false;
  return fixed.every((level, index) => level === "+" || level === name[index]);
}
