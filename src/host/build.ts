import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { build, type OutputFile } from "esbuild";

const PROJECT_DIR = resolve(import.meta.dirname, "../..");

export const BUNDLE_NAME = "worker.js";
export const BUNDLE_PATH = join(PROJECT_DIR, "dist", BUNDLE_NAME);

type Bundle = {
  readonly outputFiles: readonly OutputFile[];
  /** relative to the project */
  readonly inputPaths: readonly string[];
};

/** Bundles the self-hosted worker into dist/. */
export async function buildWorker(): Promise<void> {
  const { outputFiles } = await bundle("src/host/worker.ts");
  await mkdir(dirname(BUNDLE_PATH), { recursive: true });
  for (const file of outputFiles) await replaceFile(file.path, file.contents);
}

/** Bundles in memory, with the settings by which wrangler bundles the deployed worker. */
export async function bundle(entryPoint: string): Promise<Bundle> {
  const result = await build({
    absWorkingDir: PROJECT_DIR,
    entryPoints: [entryPoint],
    outfile: BUNDLE_PATH,
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    define: { "process.env.NODE_ENV": '"production"' },
    sourcemap: "linked",
    metafile: true,
    write: false,
    logLevel: "silent",
  });
  return { outputFiles: result.outputFiles, inputPaths: Object.keys(result.metafile.inputs) };
}

/** Several brokers may start, and so build, at once: none may read a half-written bundle. */
async function replaceFile(path: string, contents: Uint8Array): Promise<void> {
  const temporaryPath = `${path}.${process.pid}.tmp`;
  await writeFile(temporaryPath, contents);
  await rename(temporaryPath, path);
}

if (import.meta.main) await buildWorker();
