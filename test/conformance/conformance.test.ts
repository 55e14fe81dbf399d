import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { conformanceTable, specifications, TABLE_PATH, unknownCitations, unshown } from "./table.ts";
import { citingTests, inSource, splitTitle } from "./titles.ts";

const tests = citingTests();

describe.each(specifications)("the statements of $name", ({ statements }) => {
  test("have one row each", () => {
    expect(new Set(statements.map(({ id }) => id)).size).toBe(statements.length);
  });

  test("are shown by a test, or have a reason why they do not apply, if they are on the server", () => {
    expect(unshown(statements, tests)).toEqual([]);
  });
});

describe("test titles", () => {
  test("cite statements that exist", () => {
    expect(unknownCitations(tests)).toEqual([]);
  });

  test("begin with what they cite", () => {
    expect(tests.filter(({ title }) => title.includes("[MQTT-")).map(({ title }) => title)).toEqual([]);
  });

  test("are split into statements and sentence", () => {
    const { ids, title } = splitTitle("[MQTT-1.5.4-1] [MQTT-1.5.3-1 (3.1.1)] text is checked");
    expect(ids).toEqual(["MQTT-1.5.4-1", "MQTT-1.5.3-1 (3.1.1)"]);
    expect(title).toBe("text is checked");
  });

  test("are found with the group around them, and not where a test is left out", () => {
    const leftOut = `  test.${"skip"}("[MQTT-1.5.4-1] are skipped", () => {});`;
    const found = inSource(
      "test/x.test.ts",
      ['describe("Strings", () => {', '  test("[MQTT-1.5.4-1] are checked", () => {});', leftOut, "});"].join(
        "\n",
      ),
    );
    expect(found).toEqual([{ ids: ["MQTT-1.5.4-1"], path: "test/x.test.ts", title: "Strings are checked" }]);
  });
});

test("docs/conformance.md is what the statements and the titles give", () => {
  expect(readFileSync(TABLE_PATH, "utf8")).toBe(conformanceTable(tests));
});
