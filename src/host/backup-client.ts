/** Parts of a backup between a file and a broker: one after another, and none of them whole in memory. */
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename } from "node:fs/promises";
import { once } from "node:events";
import { backupContentType, endLine, headerLine, isEnd, readEnd, readHeader } from "../backup/format.ts";
import { type Line, lineBytesMax, LineError, linesOf } from "../backup/lines.ts";
import type { ImportResult } from "../backup/import-result.ts";
import type { BackupCommand } from "./backup-command.ts";
import { errorMessage, StartError } from "./start-error.ts";

/** Of an import, so that every request is over soon. */
const PART_BYTES = 1024 * 1024;
const PART_RECORDS = 2_000;
const REQUEST_MAX_MS = 120_000;

type Write = (bytes: string | Uint8Array) => Promise<void>;

/** Writes the backup beside the file, and puts it in its place when it is whole. Returns the number of records. */
export async function exportTo({ endpoint, token, path }: BackupCommand): Promise<number> {
  const partialPath = `${path}.partial`;
  const stream = createWriteStream(partialPath, { mode: 0o600 });
  const failed = once(stream, "error").then(([error]) => Promise.reject(error as Error));
  failed.catch(() => {});
  const write: Write = async (bytes) => {
    if (!stream.write(bytes)) await Promise.race([once(stream, "drain"), failed]);
  };
  let records = 0;
  for (let cursor: string | undefined, part = 0; part === 0 || cursor !== undefined; part += 1) {
    const end = await exportPart(endpoint, token, cursor, part === 0, write);
    records += end.records;
    cursor = end.next;
  }
  await write(endLine(records));
  stream.end();
  await Promise.race([once(stream, "close"), failed]);
  await rename(partialPath, path);
  return records;
}

async function exportPart(
  endpoint: URL,
  token: string,
  cursor: string | undefined,
  isFirst: boolean,
  write: Write,
) {
  const address = new URL(endpoint);
  if (cursor !== undefined) address.searchParams.set("cursor", cursor);
  const { body } = await ask(address, token, { method: "GET" });
  if (body === null) throw new StartError("the broker sent nothing");
  let hasHeader = false;
  for await (const line of linesOf(body)) {
    if (isEnd(line)) return readEnd(line);
    if (!hasHeader) readHeader(line);
    if (hasHeader || isFirst) await write(Buffer.concat([line.bytes, Buffer.from("\n")]));
    hasHeader = true;
  }
  throw new StartError("the broker broke off before the end");
}

/** Sends the file in parts. `report`: what became of each. */
export async function importFrom(
  { endpoint, token, path, replaces }: BackupCommand,
  report: (result: ImportResult) => void,
): Promise<void> {
  await assertWhole(path);
  let header = "";
  let part = new Part();
  const send = async (): Promise<void> => {
    if (part.count === 0) return;
    const address = new URL(endpoint);
    address.searchParams.set("firstLine", String(part.firstLine));
    if (replaces) address.searchParams.set("replace", "true");
    const body = Buffer.concat([Buffer.from(header), ...part.lines, Buffer.from(endLine(part.count))]);
    part = new Part();
    const headers = { "content-type": backupContentType };
    const response = await ask(address, token, { method: "POST", headers, body });
    report((await response.json()) as ImportResult);
  };
  let count = 0;
  for await (const line of linesOf(createReadStream(path))) {
    if (header === "") {
      header = headerLine(readHeader(line));
    } else if (isEnd(line)) {
      await send();
      assertCount(line, count);
      return;
    } else {
      part.add(line);
      count += 1;
      if (part.isFull) await send();
    }
  }
}

class Part {
  readonly lines: Uint8Array[] = [];
  firstLine = 2;
  #sizeBytes = 0;

  get count(): number {
    return this.lines.length / 2;
  }

  get isFull(): boolean {
    return this.#sizeBytes >= PART_BYTES || this.count >= PART_RECORDS;
  }

  add({ number, bytes }: Line): void {
    if (this.count === 0) this.firstLine = number;
    this.lines.push(bytes, Buffer.from("\n"));
    this.#sizeBytes += bytes.length;
  }
}

function assertCount(line: Line, count: number): void {
  const { records } = readEnd(line);
  if (records !== count) throw new LineError(line.number, `tells of ${records} records; there are ${count}`);
}

/** Nothing of a file that has been cut off is sent. */
async function assertWhole(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(Math.min(size, 4096));
    await file.read(tail, 0, tail.length, size - tail.length);
    const last = tail.toString("utf8").trimEnd().split("\n").at(-1) ?? "";
    const line = { number: 0, bytes: Buffer.from(last) };
    if (!isEnd(line) || tail.at(-1) !== 10) {
      throw new StartError(`${path} has no end mark: it was cut off, or is no backup`);
    }
    if (readEnd(line).next !== undefined) throw new StartError(`${path} is only a part of a backup`);
  } finally {
    await file.close();
  }
}

async function ask(address: URL, token: string, options: RequestInit): Promise<Response> {
  const headers = { ...options.headers, authorization: `Bearer ${token}` };
  const signal = AbortSignal.timeout(REQUEST_MAX_MS);
  const response = await fetch(address, { ...options, headers, signal }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new StartError(`${address.origin} does not answer: ${errorMessage(cause)}`);
  });
  if (response.ok) return response;
  throw new StartError(`the broker answered ${response.status}: ${await detailOf(response)}`);
}

async function detailOf(response: Response): Promise<string> {
  const text = (await response.text()).slice(0, lineBytesMax);
  try {
    return (JSON.parse(text) as { detail?: string }).detail ?? text;
  } catch {
    return text;
  }
}
