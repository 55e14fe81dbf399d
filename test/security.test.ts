import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { connackReturnCode } from "../src/codec/connack-return-code.ts";
import { ReasonCode } from "../src/core/reason-code.ts";

interface Row {
  readonly version5: string;
  readonly version3: string;
}

/** The table of refusals. */
function rows(): Row[] {
  const page = readFileSync(resolve(import.meta.dirname, "../docs/security.md"), "utf8");
  const [, table = ""] = page.split("<!-- refusals:");
  const lines = table.split("\n").filter((line) => line.startsWith("|"));
  const end = lines.findIndex((line) => line.includes("HTTP"));
  return lines.slice(2, end).map((line) => {
    const [, , version5 = "", version3 = ""] = line.split("|").map((cell) => cell.trim());
    return { version5, version3 };
  });
}

const names = new Map(Object.entries(ReasonCode).map(([name, code]) => [code as number, name]));

/** The name as the specification spells it. */
const plain = (name: string): string => name.replaceAll(/[^a-z]/gi, "").toLowerCase();

describe("The table of what a client sees", () => {
  test("is there", () => {
    expect(rows().length).toBeGreaterThan(15);
  });

  test("has Reason Codes with their names", () => {
    for (const { version5 } of rows()) {
      const [, code, name] = /0x([0-9A-F]{2}) (.+)$/.exec(version5) ?? [];
      if (code === undefined) expect(version5).toBe("nothing; it is dropped");
      else
        expect([version5, plain(names.get(Number.parseInt(code, 16)) ?? "")]).toEqual([
          version5,
          plain(name ?? ""),
        ]);
    }
  });

  test("has the return codes that belong to them", () => {
    for (const { version5, version3 } of rows()) {
      const [, code] = /^CONNACK 0x([0-9A-F]{2})/.exec(version5) ?? [];
      const [, returnCode] = /^CONNACK (\d)$/.exec(version3) ?? [];
      if (code === undefined || returnCode === undefined) continue;
      expect([version5, connackReturnCode(Number.parseInt(code, 16) as ReasonCode)]).toEqual([
        version5,
        Number(returnCode),
      ]);
    }
  });
});
