import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import {
  COMPATIBILITY_DATE,
  COMPATIBILITY_FLAGS,
  formatAddress,
  workerdConfig,
  type WorkerdOptions,
} from "../../src/host/workerd-config.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const OPTIONS: WorkerdOptions = {
  bundleName: "worker.js",
  address: "127.0.0.1:8787",
  controlSocketPath: "/run/control",
  objectsPath: "/data/objects",
  variables: { SHARDS: "2", SOCKETS: "resident" },
};

describe("workerd's configuration", () => {
  test("holds the settings", () => {
    const config = workerdConfig(OPTIONS);
    expect(config).toContain('address = "127.0.0.1:8787", http = (), service = "duramq"');
    expect(config).toContain('address = "unix:/run/control"');
    expect(config).toContain('disk = (path = "/data/objects", writable = true)');
    expect(config).toContain('(name = "SHARDS", text = "2"),');
    expect(config).toContain('(name = "SOCKETS", text = "resident"),');
  });

  test("escapes what a path may hold", () => {
    const config = workerdConfig({ ...OPTIONS, objectsPath: 'a "b" \\c\n\u00e9' });
    expect(config).toContain('path = "a \\"b\\" \\\\c\\x0a\u00e9"');
  });

  test("is accepted by workerd, odd characters included", () => {
    const directory = mkdtempSync(join(tmpdir(), 'duramq "config" \\ '));
    const configPath = join(directory, "workerd.capnp");
    writeFileSync(
      join(directory, "worker.js"),
      "export default {}; export class Shard {}; export class Control {}",
    );
    writeFileSync(configPath, workerdConfig({ ...OPTIONS, objectsPath: directory }));
    const workerd = join(ROOT, "node_modules/.bin/workerd");
    const { status, stderr } = spawnSync(workerd, ["compile", "--config-only", configPath], {
      encoding: "utf8",
    });
    rmSync(directory, { recursive: true });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  test("agrees with the deployed worker's", () => {
    const wrangler = readFileSync(join(ROOT, "wrangler.toml"), "utf8");
    expect(wrangler).toContain(`compatibility_date = "${COMPATIBILITY_DATE}"\n`);
    expect(wrangler).toContain(`compatibility_flags = ${JSON.stringify(COMPATIBILITY_FLAGS)}\n`);
  });

  test("brackets IPv6 addresses", () => {
    expect(formatAddress("::1", 1)).toBe("[::1]:1");
    expect(formatAddress("10.0.0.1", 1)).toBe("10.0.0.1:1");
  });
});
