/** Makes backups of simulated namespaces, through the text that they are kept as. */
import { isEnd, readRecord, recordLine } from "../../../src/backup/format.ts";
import { linesOf } from "../../../src/backup/lines.ts";
import type {
  BackupAnswer,
  BackupCursor,
  BackupRecord,
  ImportOutcome,
} from "../../../src/core/backup/record.ts";
import type { SubscriptionRecord } from "../../../src/core/storage-port.ts";
import type { Harness } from "../harness.ts";
import type { SimulatedShard } from "../simulated-shard.ts";

export interface ImportOptions {
  readonly backupId?: string;
  readonly replaces?: boolean;
  /** Records that a shard gets at a time. */
  readonly pageCount?: number;
}

let callCount = 0;

/** The records of all shards. `between`: what happens between two pages. */
export function exportAll(harness: Harness, between: () => void = () => {}): BackupRecord[] {
  const records: BackupRecord[] = [];
  for (const shard of harness.shards) {
    let cursor: BackupCursor | undefined;
    do {
      const page = exportPage(harness, shard, cursor);
      records.push(...page.records);
      cursor = page.next;
      between();
    } while (cursor !== undefined);
  }
  return records;
}

export function exportPage(harness: Harness, shard: SimulatedShard, cursor: BackupCursor | undefined) {
  callCount += 1;
  const input = { type: "export", callId: callCount } as const;
  shard.handle(cursor === undefined ? input : { ...input, cursor });
  harness.settle();
  const answer = answerOf(shard, callCount);
  if (answer?.type !== "page") throw new Error(`the shard answered ${answer?.type}`);
  return answer;
}

/** Hands the records to their shards; returns what became of each. */
export function importAll(
  harness: Harness,
  records: readonly BackupRecord[],
  options: ImportOptions = {},
): ImportOutcome[] {
  const outcomes: ImportOutcome[] = [];
  for (const shard of harness.shards) {
    const own = records.filter((record) => shardOf(harness, record) === shard);
    const pageCount = options.pageCount ?? 7;
    for (let start = 0; start < own.length; start += pageCount) {
      const page = own.slice(start, start + pageCount);
      for (const [index, outcome] of importPage(harness, shard, page, options).entries()) {
        outcomes[records.indexOf(page[index] as BackupRecord)] = outcome;
      }
    }
  }
  return outcomes;
}

export function importPage(
  harness: Harness,
  shard: SimulatedShard,
  records: readonly BackupRecord[],
  options: ImportOptions = {},
): readonly ImportOutcome[] {
  const callId = beginImport(harness, shard, records, options);
  const answer = answerOf(shard, callId);
  if (answer?.type !== "outcomes") throw new Error(`the shard answered ${answer?.type}`);
  return answer.outcomes;
}

/** The answer may come later. */
export function beginImport(
  harness: Harness,
  shard: SimulatedShard,
  records: readonly BackupRecord[],
  { backupId = "backup", replaces = false }: ImportOptions = {},
): number {
  callCount += 1;
  shard.handle({ type: "import", callId: callCount, request: { backupId, replaces, records } });
  harness.settle();
  return callCount;
}

export function answerOf(shard: SimulatedShard, callId: number): BackupAnswer | undefined {
  return shard.backupAnswers.get(callId);
}

/** The records as they are read from the file that they have been written to. */
export async function throughText(records: readonly BackupRecord[]): Promise<BackupRecord[]> {
  const bytes = new TextEncoder().encode(records.map(recordLine).join(""));
  const read: BackupRecord[] = [];
  for await (const line of linesOf(chunksOf(bytes))) {
    if (isEnd(line)) throw new Error("a record looks like the end mark");
    read.push(readRecord(line));
  }
  return read;
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += 1000) yield bytes.subarray(offset, offset + 1000);
}

/** Records and subscriptions in an order of their own; that of messages counts. */
export function inOrder(records: readonly BackupRecord[]): BackupRecord[] {
  const sorted = records.map((record) =>
    record.type === "session"
      ? { ...record, subscriptions: record.subscriptions.toSorted(byTopicFilter) }
      : record,
  );
  return sorted.toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}

function byTopicFilter(left: SubscriptionRecord, right: SubscriptionRecord): number {
  return left.topicFilter < right.topicFilter ? -1 : 1;
}

function keyOf(record: BackupRecord): string {
  if (record.type === "retained") return `0 ${record.publication.message.topicName}`;
  const ordinal = record.type === "message" ? record.ordinal : 99_999_999;
  return `1 ${record.clientId} ${String(ordinal).padStart(8, "0")}`;
}

function shardOf(harness: Harness, record: BackupRecord): SimulatedShard {
  if (record.type !== "retained") return harness.shardOfClient(record.clientId);
  return harness.shardOfTopic(record.publication.message.topicName);
}
