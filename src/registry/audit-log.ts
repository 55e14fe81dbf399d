/** Who has changed what, and when. */
import type { LazyDatabase, Row } from "../storage/lazy-database.ts";

export interface AuditEntry {
  readonly seq: number;
  /** In ms since 1970. */
  readonly atMs: number;
  readonly actor: string;
  /** Such as "user.put". */
  readonly action: string;
  /** What was changed, by its name; never what it was changed to, which may be a secret. */
  readonly target: string;
}

/** Older entries make room for newer ones. */
export const auditEntriesMax = 10_000;
export const auditEntriesPerPageMax = 500;

const textLengthMax = 256;

export class AuditLog {
  readonly #database: LazyDatabase;
  readonly #nowMs: () => number;
  #lastSeq: number | undefined;

  constructor(database: LazyDatabase, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
  }

  record(actor: string, action: string, target: string): void {
    const seq = this.#last() + 1;
    this.#database.write((database) =>
      database.run(
        "INSERT OR REPLACE INTO audit VALUES (?, ?, ?, ?, ?, ?)",
        seq % auditEntriesMax,
        seq,
        this.#nowMs(),
        cut(actor),
        cut(action),
        cut(target),
      ),
    );
    this.#lastSeq = seq;
  }

  /** The newest first, before the one given. */
  page(beforeSeq: number = Infinity, count: number = auditEntriesPerPageMax): AuditEntry[] {
    const from = Math.min(beforeSeq - 1, this.#last());
    const entries: AuditEntry[] = [];
    const length = Math.min(count, auditEntriesPerPageMax);
    for (let seq = from; seq > from - length && seq > this.#last() - auditEntriesMax; seq -= 1) {
      const row = this.#database.first("SELECT * FROM audit WHERE slot = ?", seq % auditEntriesMax);
      if (row === undefined) break;
      entries.push(toEntry(row));
    }
    return entries;
  }

  /** Found once in a life, by a look at all entries. */
  #last(): number {
    this.#lastSeq ??= Number(this.#database.first("SELECT MAX(seq) AS seq FROM audit")?.["seq"] ?? 0);
    return this.#lastSeq;
  }
}

function cut(text: string): string {
  return text.length > textLengthMax ? `${text.slice(0, textLengthMax - 1)}…` : text;
}

function toEntry(row: Row): AuditEntry {
  return {
    seq: Number(row["seq"]),
    atMs: Number(row["at_ms"]),
    actor: row["actor"] as string,
    action: row["action"] as string,
    target: row["target"] as string,
  };
}
