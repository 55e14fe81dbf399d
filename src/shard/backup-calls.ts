import { recordLine } from "../backup/format.ts";
import type { BackupAnswer, BackupCursor, BackupUnavailable, ImportRequest } from "../core/backup/record.ts";
import type { Input } from "../core/input.ts";

/** A page as it goes into the file. */
export interface PageOfLines {
  readonly type: "page";
  readonly lines: string;
  readonly count: number;
  readonly next?: BackupCursor;
}

export type Outcomes = BackupAnswer & { readonly type: "outcomes" };

interface Waiting {
  resolve(answer: BackupAnswer): void;
  reject(error: Error): void;
}

/** Calls about backups that wait for the core's answer. */
export class BackupCalls {
  readonly #handle: (input: Input) => void;
  readonly #waiting = new Map<number, Waiting>();
  #lastCallId = 0;

  constructor(handle: (input: Input) => void) {
    this.#handle = handle;
  }

  /** The records from the cursor on, as many as make a page. */
  async exportPage(cursor: BackupCursor | undefined): Promise<PageOfLines | BackupUnavailable> {
    const answer = await this.#ask((callId) => ({
      type: "export",
      callId,
      ...(cursor !== undefined && { cursor }),
    }));
    if (answer.type !== "page") return unavailableOf(answer);
    const { records, next } = answer;
    const lines = records.map(recordLine).join("");
    return { type: "page", lines, count: records.length, ...(next !== undefined && { next }) };
  }

  async importRecords(request: ImportRequest): Promise<Outcomes | BackupUnavailable> {
    const answer = await this.#ask((callId) => ({ type: "import", callId, request }));
    return answer.type === "outcomes" ? answer : unavailableOf(answer);
  }

  answer(callId: number, answer: BackupAnswer): void {
    this.#waiting.get(callId)?.resolve(answer);
    this.#waiting.delete(callId);
  }

  /** The shard has lost its memory: who called has to call again. */
  failAll(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error("The call was lost"));
    this.#waiting.clear();
  }

  #ask(inputOf: (callId: number) => Input): Promise<BackupAnswer> {
    this.#lastCallId += 1;
    const callId = this.#lastCallId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(callId, { resolve, reject });
      this.#handle(inputOf(callId));
    });
  }
}

function unavailableOf(answer: BackupAnswer): BackupUnavailable {
  if (answer.type === "unavailable") return answer;
  throw new Error(`A call was answered with ${answer.type}`);
}
