import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TopicTree } from "../../src/core/topics/topic-tree.ts";

// Few different levels, so that matches are common; empty ones and `$` ones among them.
const nameLevel = fc.constantFrom("", "a", "b", "$a", "long");
const topicName = fc.array(nameLevel, { minLength: 1, maxLength: 5 }).map((levels) => levels.join("/"));
const topicFilter = fc
  .tuple(
    fc.array(fc.oneof(nameLevel, fc.constant("+")), { maxLength: 4 }),
    fc.constantFrom<"#" | undefined>("#", undefined),
  )
  .map(([levels, rest]) => [...levels, ...(rest === undefined ? [] : [rest])])
  .filter((levels) => levels.length > 0)
  .map((levels) => levels.join("/"));
const runs = { numRuns: 1000 };

/** Section 4.7, as literally as can be. */
function matches(filter: string, name: string): boolean {
  // [MQTT-4.7.2-1]
  if (name.startsWith("$") && /^[+#]/.test(filter)) return false;
  return levelsMatch(filter.split("/"), name.split("/"));
}

function levelsMatch(filter: readonly string[], name: readonly string[]): boolean {
  const [first, ...filterRest] = filter;
  const [level, ...nameRest] = name;
  if (first === undefined) return level === undefined;
  if (first === "#") return true;
  if (level === undefined) return false;
  return (first === "+" || first === level) && levelsMatch(filterRest, nameRest);
}

function treeOf(topics: Iterable<string>): TopicTree<string> {
  const tree = new TopicTree<string>();
  for (const topic of topics) tree.set(topic, topic);
  return tree;
}

function filtersFor(tree: TopicTree<string>, name: string): string[] {
  const found: string[] = [];
  tree.matchFilters(name, (filter) => found.push(filter));
  return found.toSorted();
}

function namesFor(tree: TopicTree<string>, filter: string): string[] {
  const found: string[] = [];
  tree.matchNames(filter, (name) => found.push(name));
  return found.toSorted();
}

describe("matching", () => {
  test("finds for a Topic Name each filter that matches, once", () => {
    fc.assert(
      fc.property(fc.uniqueArray(topicFilter, { maxLength: 30 }), topicName, (filters, name) => {
        const expected = filters.filter((filter) => matches(filter, name)).toSorted();
        expect(filtersFor(treeOf(filters), name)).toEqual(expected);
      }),
      runs,
    );
  });

  test("finds for a Topic Filter each name that it matches, once", () => {
    fc.assert(
      fc.property(fc.uniqueArray(topicName, { maxLength: 30 }), topicFilter, (names, filter) => {
        const expected = names.filter((name) => matches(filter, name)).toSorted();
        expect(namesFor(treeOf(names), filter)).toEqual(expected);
      }),
      runs,
    );
  });

  test.each([
    ["sport/#", "sport", true],
    ["sport/#", "sport/tennis/player1", true],
    ["sport/tennis/+", "sport/tennis/player1", true],
    ["sport/tennis/+", "sport/tennis/player1/ranking", false],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["sport/+/#", "sport/tennis", true],
    ["sport/+/#", "sport", false],
    ["#", "/", true],
    ["a//b", "a/b", false],
    ["A", "a", false],
  ])("section 4.7.1: %s against %s is %s", (filter, name, expected) => {
    expect(filtersFor(treeOf([filter]), name)).toHaveLength(expected ? 1 : 0);
    expect(namesFor(treeOf([name]), filter)).toHaveLength(expected ? 1 : 0);
  });

  test.each([
    ["#", false],
    ["+/monitor/Clients", false],
    ["$SYS/#", true],
    ["$SYS/monitor/+", true],
  ])("[MQTT-4.7.2-1] %s against $SYS/monitor/Clients is %s", (filter, expected) => {
    expect(filtersFor(treeOf([filter]), "$SYS/monitor/Clients")).toHaveLength(expected ? 1 : 0);
    expect(namesFor(treeOf(["$SYS/monitor/Clients"]), filter)).toHaveLength(expected ? 1 : 0);
  });
});

describe("the tree", () => {
  const change = fc.tuple(fc.constantFrom("set", "delete"), topicFilter);

  test("behaves as a map does", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const tree = new TopicTree<number>();
        const map = new Map<string, number>();
        for (const [index, [action, topic]] of changes.entries()) {
          if (action === "set") {
            tree.set(topic, index);
            map.set(topic, index);
          } else {
            expect(tree.delete(topic)).toBe(map.delete(topic));
          }
          expect(tree.size).toBe(map.size);
          expect(tree.get(topic)).toBe(map.get(topic));
        }
        for (const [topic, value] of map) expect(tree.get(topic)).toBe(value);
      }),
      runs,
    );
  });

  test("matches after deletions as one that never had the deleted filters", () => {
    const filters = fc.uniqueArray(topicFilter, { maxLength: 20 });
    fc.assert(
      fc.property(filters, filters, topicName, (kept, deleted, name) => {
        const tree = treeOf([...kept, ...deleted]);
        for (const filter of deleted) if (!kept.includes(filter)) tree.delete(filter);
        expect(filtersFor(tree, name)).toEqual(filtersFor(treeOf(kept), name));
        expect(namesFor(tree, "#")).toEqual(namesFor(treeOf(kept), "#"));
      }),
      runs,
    );
  });

  test("keeps no branch that nothing needs any more", () => {
    const tree = treeOf(["a", "a/b/c", "a/b/c/d"]);
    // A branch that is left behind would still be walked.
    tree.delete("a/b/c/d");
    tree.delete("a/b/c");
    expect(tree.delete("a/b")).toBe(false);
    expect(namesFor(tree, "a/#")).toEqual(["a"]);
    tree.delete("a");
    expect(tree.size).toBe(0);
    expect(namesFor(tree, "#")).toEqual([]);
  });
});
