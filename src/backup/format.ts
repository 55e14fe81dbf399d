/**
 * The format of a backup: NDJSON, one record a line. The first line is a header; the last one is an end mark, without
 * which something is missing. Bytes are base64, times are milliseconds since 1970.
 */
import { z } from "zod";
import type { BackupRecord } from "../core/backup/record.ts";
import { toBase64 } from "./base64.ts";
import { type Line, LineError } from "./lines.ts";
import { recordSchema } from "./record-schema.ts";

/** Of this release; another one is refused. */
export const formatVersion = 1;

export const backupContentType = "application/x-ndjson";

const headerSchema = z.object({
  type: z.literal("header", { error: "is not the header of a backup" }),
  format: z.literal(formatVersion, {
    error: ({ input }) => `is ${JSON.stringify(input)}; this release reads ${formatVersion}`,
  }),
  /** Names the backup. */
  id: z.string().min(1).max(64),
  namespace: z.string(),
  exportedAt: z.string(),
});

const endSchema = z.object({
  type: z.literal("end"),
  /** Lines between the header and this one. */
  records: z.int().min(0),
  /** Where the next part begins; absent when all is told. */
  next: z.string().optional(),
});

export type Header = z.infer<typeof headerSchema>;
export type End = z.infer<typeof endSchema>;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

export function headerLine(header: Omit<Header, "type" | "format">): string {
  return `${JSON.stringify({ type: "header", format: formatVersion, ...header })}\n`;
}

export function endLine(records: number, next?: string): string {
  return `${JSON.stringify({ type: "end", records, next })}\n`;
}

export function recordLine(record: BackupRecord): string {
  const asText = (_: string, value: unknown): unknown =>
    value instanceof Uint8Array ? toBase64(value) : value;
  return `${JSON.stringify(record, asText)}\n`;
}

/** Throws {@link LineError} for a line that is no header, or that of a format which this release does not read. */
export function readHeader(line: Line): Header {
  return parse(headerSchema, parseJson(line), line);
}

export function isEnd({ bytes }: Line): boolean {
  // The end mark is short, and begins as it is written.
  const start = '{"type":"end"';
  return bytes.length < 4096 && decoder.decode(bytes).startsWith(start);
}

export function readEnd(line: Line): End {
  return parse(endSchema, parseJson(line), line);
}

/** Throws {@link LineError} for a line that is no record. */
export function readRecord(line: Line): BackupRecord {
  return parse(recordSchema, parseJson(line), line) as BackupRecord;
}

function parseJson(line: Line): unknown {
  try {
    return JSON.parse(decoder.decode(line.bytes));
  } catch {
    throw new LineError(line.number, "is not JSON");
  }
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown, { number }: Line): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join(".") ?? "";
  throw new LineError(number, `is wrong: ${path}${path === "" ? "" : " "}${issue?.message ?? ""}`);
}
