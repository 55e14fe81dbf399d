/** Topic Names, Topic Filters and rules over a small alphabet, so that they meet. */
import fc from "fast-check";
import type { Rule } from "../../../src/core/access/rule.ts";

const levels = ["a", "b", "", "$x"];

/** Every Topic Name of up to so many levels; "other" stands for all names that no filter has. */
export function allTopics(
  depthMax: number,
  names: readonly string[] = [...levels, "other", "$other"],
): string[] {
  return pathsOf(names, depthMax).filter((topic) => topic !== "");
}

/** Every Topic Filter of up to so many levels. */
export function allFilters(depthMax: number): string[] {
  const paths = pathsOf([...levels, "+"], depthMax);
  const open = ["#", ...pathsOf([...levels, "+"], depthMax - 1).map((path) => `${path}/#`)];
  return [...paths.filter((path) => path !== ""), ...open];
}

function pathsOf(names: readonly string[], depthMax: number): string[] {
  let longest: readonly string[] = names;
  const paths = [...names];
  for (let depth = 2; depth <= depthMax; depth += 1) {
    longest = longest.flatMap((path) => names.map((name) => `${path}/${name}`));
    paths.push(...longest);
  }
  return depthMax === 0 ? [] : paths;
}

const path = (names: readonly string[], maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...names), { minLength: 1, maxLength }).map((found) => found.join("/"));

export const topicName: fc.Arbitrary<string> = path([...levels, "other", "$other"], 5).filter(
  (name) => name !== "",
);

export const topicFilter: fc.Arbitrary<string> = fc
  .oneof(
    path([...levels, "+"], 4),
    path([...levels, "+"], 3).map((found) => `${found}/#`),
    fc.constant("#"),
  )
  .filter((filter) => filter !== "");

export const rule: fc.Arbitrary<Rule> = fc.record(
  {
    effect: fc.constantFrom("allow", "deny"),
    action: fc.constantFrom("publish", "subscribe", "all"),
    topicFilter,
    qosMax: fc.constantFrom(0, 1, 2),
    retain: fc.boolean(),
  },
  { requiredKeys: ["effect", "action", "topicFilter"] },
);
