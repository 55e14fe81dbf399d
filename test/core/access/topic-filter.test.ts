import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { covers, filterLevelsOf, matches, overlaps } from "../../../src/core/access/topic-filter.ts";
import { filterMatches } from "../../support/filter-oracle.ts";
import { allFilters, allTopics, topicFilter, topicName } from "./arbitraries.ts";

const runs = { numRuns: 3000 };

describe("matches", () => {
  test("says what the definition of section 4.7 says, for every name and filter of up to three levels", () => {
    const topics = allTopics(3);
    for (const filter of allFilters(3)) {
      const levels = filterLevelsOf(filter);
      const wrong = topics.filter((topic) => matches(levels, topic) !== filterMatches(filter, topic));
      expect([filter, wrong]).toEqual([filter, []]);
    }
  });

  test("does so for longer ones", () => {
    fc.assert(
      fc.property(topicFilter, topicName, (filter, topic) => {
        expect(matches(filterLevelsOf(filter), topic)).toBe(filterMatches(filter, topic));
      }),
      runs,
    );
  });
});

describe("covers and overlaps", () => {
  test("are exact for all pairs of filters of up to two levels", () => {
    const topics = allTopics(4);
    const matched = allFilters(2).map(
      (filter) => [filter, new Set(topics.filter((topic) => filterMatches(filter, topic)))] as const,
    );
    for (const [permitted, allowed] of matched) {
      for (const [requested, asked] of matched) {
        const [one, other] = [filterLevelsOf(permitted), filterLevelsOf(requested)];
        const common = [...asked].filter((topic) => allowed.has(topic)).length;
        const found = [permitted, requested, covers(one, other), overlaps(one, other)];
        expect(found).toEqual([permitted, requested, common === asked.size, common > 0]);
      }
    }
  });

  const topics = allTopics(5, ["a", "b", "", "$x", "other"]);

  test("are exact for filters of up to four levels", () => {
    fc.assert(
      fc.property(topicFilter, topicFilter, (permitted, requested) => {
        const asked = topics.filter((topic) => filterMatches(requested, topic));
        const [one, other] = [filterLevelsOf(permitted), filterLevelsOf(requested)];
        expect(covers(one, other)).toBe(asked.every((topic) => filterMatches(permitted, topic)));
        expect(overlaps(one, other)).toBe(asked.some((topic) => filterMatches(permitted, topic)));
        expect(overlaps(other, one)).toBe(overlaps(one, other));
      }),
      { numRuns: 400 },
    );
  });

  test.each([
    ["#", "+/#", true, true],
    ["+/#", "#", true, true],
    ["#", "$x/#", false, false],
    ["+/a", "$x/a", false, false],
    ["a/#", "a", true, true],
    ["a/+/#", "a/#", false, true],
    ["/+/#", "/#", true, true],
    ["/#", "+", false, false],
    ["+", "/#", false, false],
    ["$x/#", "$x/+", true, true],
    ["a/+/c", "+/b/#", false, true],
  ])("%s and %s", (permitted, requested, isCovered, isMet) => {
    const [one, other] = [filterLevelsOf(permitted), filterLevelsOf(requested)];
    expect([covers(one, other), overlaps(one, other)]).toEqual([isCovered, isMet]);
  });
});
