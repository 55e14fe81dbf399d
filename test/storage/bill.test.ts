import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { bill, describeBill } from "./bill.ts";
import { NodeSql } from "./node-sql.ts";

const storagePath = resolve(import.meta.dirname, "../../src/storage");

describeBill("SQLite in Node", () => new NodeSql());

test("every statement of src/storage has its place in the bill", () => {
  const billed = new Set(bill.map(({ sql }) => sql));
  const files = readdirSync(storagePath).filter((name) => name.endsWith(".ts"));
  const found = files.flatMap((name) => statementsIn(readFileSync(join(storagePath, name), "utf8")));
  expect(found.length).toBeGreaterThan(20);
  expect(found.filter((sql) => !billed.has(sql))).toEqual([]);
});

/** Texts that begin as statements do. */
function statementsIn(source: string): string[] {
  const texts = source.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g);
  return Array.from(texts, ([, quoted, template]) => quoted ?? template ?? "").filter((text) =>
    /^(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|CREATE|ALTER|DROP|PRAGMA|WITH|VACUUM)\s/.test(text),
  );
}
