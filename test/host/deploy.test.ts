import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const directory = mkdtempSync(join(tmpdir(), "duramq-deploy-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("wrangler bundles the deployed worker, without anything of the tests or the launcher", () => {
  const wrangler = join(ROOT, "node_modules/.bin/wrangler");
  const { status, stdout, stderr } = spawnSync(wrangler, ["deploy", "--dry-run", "--outdir", directory], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: directory, NO_COLOR: "1" },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain("env.SHARD (Shard)");
  expect(stdout).toContain("env.REGISTRY (Registry)");
  expect(stdout).not.toMatch(/warning/i);

  // esbuild heads each module with a comment that holds its path
  const modulePaths = [...readFileSync(join(directory, "worker.js"), "utf8").matchAll(/^\/\/ (\S+\.ts)$/gm)];
  const paths = modulePaths.map((match) => match[1] ?? "");
  expect(paths).toContain("src/worker.ts");
  expect(paths.filter((path) => /(^|\/)(test|bench|host)\//.test(path))).toEqual([]);
}, 60_000);
