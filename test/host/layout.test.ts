import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseCommand } from "../../src/host/config.ts";
import { checkLayouts, recordLayouts } from "../../src/host/layout.ts";

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "duramq-layout-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** As a start with these settings does. */
function start(environment: Record<string, string> = {}): void {
  const command = parseCommand([], environment);
  if (command.kind !== "start") return;
  checkLayouts(root, command.config.namespaces);
  recordLayouts(root, command.config.namespaces);
}

function write(contents: string): void {
  writeFileSync(join(root, "layout.json"), contents);
}

function recorded(): unknown {
  return JSON.parse(readFileSync(join(root, "layout.json"), "utf8"));
}

const PLAIN = { SHARDS: 1, TOPIC_KEY_LEVELS: 2, LAYOUT_EPOCH: 1, LOCATION_HINT: null };

function madeWith(before: string | number, now: string | number): string {
  return `: the data in ${root} was made with ${before}, it cannot be opened with ${now}`;
}

describe("The layout of a data directory", () => {
  test("is recorded at the first start, and found at the next", () => {
    start();
    expect(recorded()).toEqual({ format: 2, namespaces: { default: PLAIN } });
    start();
  });

  test.each([
    [{}, { SHARDS: "2" }, "--shards (SHARDS)", 1, 2],
    [{ SHARDS: "4" }, {}, "--shards (SHARDS)", 4, 1],
    [{}, { TOPIC_KEY_LEVELS: "3" }, "TOPIC_KEY_LEVELS", 2, 3],
    [{}, { LAYOUT_EPOCH: "2" }, "LAYOUT_EPOCH", 1, 2],
    [{}, { LOCATION_HINT: "weur" }, "LOCATION_HINT", "none", "weur"],
    [
      { NAMESPACES: '{"a": {"SHARDS": "4"}}' },
      { NAMESPACES: '{"a": {"SHARDS": "8"}}' },
      "NAMESPACES.a.SHARDS",
      4,
      8,
    ],
    [{ NAMESPACES: '{"a": {}}' }, { NAMESPACES: '{"a": {"SHARDS": "2"}}' }, "NAMESPACES.a.SHARDS", 1, 2],
  ])("made with %j is refused to %j", (before, now, setting, had, wants) => {
    start(before as Record<string, string>);
    expect(() => start(now as Record<string, string>)).toThrow(`${setting}${madeWith(had, wants)}`);
    start(before as Record<string, string>);
  });

  test("takes in the namespaces that come later, and keeps those that are left out", () => {
    start();
    start({ NAMESPACES: '{"a": {"SHARDS": "4"}}' });
    expect(recorded()).toEqual({ format: 2, namespaces: { default: PLAIN, a: { ...PLAIN, SHARDS: 4 } } });
    start();
    expect(() => start({ NAMESPACES: '{"a": {"SHARDS": "2"}}' })).toThrow(
      `NAMESPACES.a.SHARDS${madeWith(4, 2)}`,
    );
  });

  test("of an earlier release, which recorded the shards alone, is understood", () => {
    write('{"format":1,"shards":2}\n');
    expect(() => start()).toThrow(`--shards (SHARDS)${madeWith(2, 1)}`);
    expect(() => start({ SHARDS: "2", TOPIC_KEY_LEVELS: "1" })).toThrow("TOPIC_KEY_LEVELS");
    start({ SHARDS: "2" });
    expect(recorded()).toEqual({ format: 2, namespaces: { default: { ...PLAIN, SHARDS: 2 } } });
  });

  test.each([
    ["{", "is damaged"],
    ["null", "is of another version"],
    ['{"format":1}', "is damaged"],
    ['{"format":2,"namespaces":{"default":{"SHARDS":1}}}', "is damaged"],
    ['{"format":3}', "is of another version"],
  ])("of %s %s, and nothing is overwritten", (contents, complaint) => {
    write(contents);
    expect(() => start()).toThrow(`--data (DATA_DIR): ${join(root, "layout.json")} ${complaint}`);
    expect(readFileSync(join(root, "layout.json"), "utf8")).toBe(contents);
  });
});
