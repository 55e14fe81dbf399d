import { type End, isEnd, readEnd, readHeader, readRecord } from "../backup/format.ts";
import type { ImportResult } from "../backup/import-result.ts";
import { type Line, LineError, linesOf } from "../backup/lines.ts";
import type { Config } from "../config.ts";
import type { BackupRecord, ImportOutcome } from "../core/backup/record.ts";
import type { Env } from "../env.ts";
import { RegistryClient } from "../registry-client.ts";
import { shardStub } from "../shard-address.ts";
import { problem } from "../problem.ts";

/** Records are handed to their shards when there is so much of them. */
const pageLimits = { count: 500, bytes: 512 * 1024 };
/** Refusals that are told one by one. */
const refusalsMax = 100;

interface Numbered {
  readonly line: number;
  readonly record: BackupRecord;
}

/** Somebody else is to blame than who asks. */
class UnavailableError extends Error {}

/**
 * Takes in a backup, or a part of one with a header and an end mark of its own. `firstLine` in the address: the number
 * of its first record's line in the file that it is a part of. `replace`: what exists already gives way.
 */
export async function importPart(request: Request, env: Env, config: Config): Promise<Response> {
  const { searchParams } = new URL(request.url);
  const firstLine = Number(searchParams.get("firstLine") ?? "2");
  if (!Number.isSafeInteger(firstLine) || firstLine < 2) {
    return problem(400, "Bad line number", "firstLine must be a whole number from 2");
  }
  const { policies } = new RegistryClient(env, config);
  // Known before it is done, as every change of the administration.
  await policies.recordChange("operator", "backup.import", `from line ${firstLine}`);
  try {
    const importing = new Importing(env, config, searchParams.get("replace") === "true");
    return Response.json(await importing.run(linesFrom(request, firstLine)));
  } catch (error) {
    if (error instanceof LineError) return problem(400, "Bad backup", error.message);
    if (error instanceof UnavailableError) return problem(503, "Service unavailable", error.message);
    throw error;
  }
}

class Importing {
  readonly #env: Env;
  readonly #config: Config;
  readonly #replaces: boolean;
  readonly #result: ImportResult = {
    retained: 0,
    sessions: 0,
    messages: 0,
    unchanged: 0,
    expired: 0,
    refused: 0,
    refusals: [],
  };
  #backupId = "";
  #page: Numbered[] = [];
  #pageBytes = 0;

  constructor(env: Env, config: Config, replaces: boolean) {
    this.#env = env;
    this.#config = config;
    this.#replaces = replaces;
  }

  async run(lines: AsyncIterable<Line>): Promise<ImportResult> {
    let count = 0;
    let lastLine = 0;
    let end: End | undefined;
    for await (const line of lines) {
      if (end !== undefined) throw new LineError(line.number, "comes after the end mark");
      if (lastLine === 0) this.#backupId = readHeader(line).id;
      else if (isEnd(line)) end = readEnd(line);
      else {
        await this.#take(line);
        count += 1;
      }
      lastLine = line.number;
    }
    await this.#flush();
    if (end === undefined)
      throw new LineError(lastLine, "is the last one, and no end mark: the rest is missing");
    if (end.records !== count)
      throw new LineError(lastLine, `tells of ${end.records} records; ${count} came`);
    return this.#result;
  }

  async #take(line: Line): Promise<void> {
    this.#page.push({ line: line.number, record: readRecord(line) });
    this.#pageBytes += line.bytes.length;
    if (this.#page.length >= pageLimits.count || this.#pageBytes >= pageLimits.bytes) await this.#flush();
  }

  /** All shards at the same time; the records of each in their order. */
  async #flush(): Promise<void> {
    const byShard = new Map<number, Numbered[]>();
    for (const numbered of this.#page) {
      const shard = this.#shardOf(numbered.record);
      const known = byShard.get(shard);
      if (known === undefined) byShard.set(shard, [numbered]);
      else known.push(numbered);
    }
    this.#page = [];
    this.#pageBytes = 0;
    await Promise.all([...byShard].map(([shard, numbered]) => this.#send(shard, numbered)));
  }

  async #send(shard: number, numbered: readonly Numbered[]): Promise<void> {
    const records = numbered.map(({ record }) => record);
    const request = { backupId: this.#backupId, replaces: this.#replaces, records };
    const answer = await shardStub(this.#env, this.#config, shard).importRecords(request);
    if (answer.type === "unavailable") throw new UnavailableError(answer.reason);
    for (const [index, outcome] of answer.outcomes.entries()) {
      const { line, record } = numbered[index] as Numbered;
      this.#note(line, record, outcome);
    }
  }

  #note(line: number, record: BackupRecord, outcome: ImportOutcome): void {
    const result = this.#result;
    switch (outcome.type) {
      case "imported":
        if (record.type === "retained") result.retained += 1;
        else result.sessions += 1;
        result.messages += outcome.messageCount;
        return;
      case "unchanged":
      case "expired":
        result[outcome.type] += 1;
        return;
      case "refused":
        result.refused += 1;
        if (result.refusals.length >= refusalsMax) return;
        result.refusals.push({ line, what: nameOf(record), reason: outcome.reason });
        return;
      case "taken":
    }
  }

  #shardOf(record: BackupRecord): number {
    const { placement } = this.#config.core;
    if (record.type !== "retained") return placement.sessionShard(record.clientId);
    return placement.topicShard(record.publication.message.topicName);
  }
}

async function* linesFrom({ body }: Request, firstLine: number): AsyncGenerator<Line> {
  if (body === null) throw new LineError(1, "is missing: the request has no body");
  for await (const { number, bytes } of linesOf(body)) {
    yield { number: number === 1 ? 1 : number - 2 + firstLine, bytes };
  }
}

function nameOf(record: BackupRecord): string {
  if (record.type === "retained") return `retained message of ${record.publication.message.topicName}`;
  return `${record.type} of ${record.clientId}`;
}
