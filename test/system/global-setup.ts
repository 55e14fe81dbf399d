import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildWorker } from "../../src/host/build.ts";

/** Names the environment variable by which the test processes find their common temporary directory. */
export const TEMPORARY_ROOT_VARIABLE = "DURAMQ_TEST_TEMPORARY_ROOT";

/** A worker that does not build fails here once, not in every test. */
export default async function setup(): Promise<() => void> {
  await buildWorker();
  const root = mkdtempSync(join(tmpdir(), "duramq-tests-"));
  process.env[TEMPORARY_ROOT_VARIABLE] = root;
  return () => rmSync(root, { recursive: true, force: true, maxRetries: 5 });
}
