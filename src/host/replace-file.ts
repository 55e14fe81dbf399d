import { renameSync, writeFileSync } from "node:fs";

/** Writes JSON; whoever reads the file at any moment finds the old or the new contents whole. */
export function replaceFile(path: string, value: unknown): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(value)}\n`);
  renameSync(`${path}.tmp`, path);
}
