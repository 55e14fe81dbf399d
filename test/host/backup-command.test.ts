import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseBackupCommand } from "../../src/host/backup-command.ts";

const environment = { OPERATOR_TOKEN: "from-the-environment" };
const minimal = ["export", "--url", "http://127.0.0.1:8787", "--file", "backup.ndjson"];

test("an export needs to know where from and where to; the token comes from the environment", () => {
  expect(parseBackupCommand(minimal, environment)).toMatchObject({
    action: "export",
    endpoint: new URL("http://127.0.0.1:8787/api/v1/backup"),
    token: "from-the-environment",
    path: "backup.ndjson",
    replaces: false,
  });
});

test("the address may have a path, and a namespace is a part of it", () => {
  const args = [
    "import",
    "--url",
    "https://example.com/broker",
    "--file",
    "f",
    "--namespace",
    "plant-a",
    "--replace",
  ];
  const command = parseBackupCommand(args, environment);
  expect(command).toMatchObject({
    endpoint: new URL("https://example.com/broker/api/v1/backup/plant-a"),
    replaces: true,
  });
});

test("the token may be in a file", () => {
  const path = join(mkdtempSync(join(tmpdir(), "duramq-")), "token");
  writeFileSync(path, "from-the-file\n");
  const command = parseBackupCommand([...minimal, "--token-file", path], environment);
  expect(command).toMatchObject({ token: "from-the-file" });
});

test.each([
  [[], 'say "export" or "import"'],
  [["restore"], 'say "export" or "import"'],
  [["export", "--file", "f"], "--url is missing"],
  [["export", "--url", "http://localhost"], "--file is missing"],
  [["export", "--url", "ws://localhost/mqtt", "--file", "f"], "is no http or https address"],
  [[...minimal, "--replace"], "--replace is for imports"],
  [[...minimal, "--verbose"], "--verbose"],
  [[...minimal, "--token", "secret"], "--token"],
  [[...minimal, "--token-file", "/nowhere"], "--token-file"],
])("%j is refused with what is wrong", (args, words) => {
  expect(() => parseBackupCommand(args, environment)).toThrow(words);
});

test("without a token nothing is tried", () => {
  expect(() => parseBackupCommand(minimal, {})).toThrow("a token is needed: OPERATOR_TOKEN");
});
