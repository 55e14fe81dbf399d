import type { Input } from "../input.ts";
import type { ShardContext } from "../shard-context.ts";
import type { Retained } from "../topics/retained.ts";
import { Exporting } from "./exporting.ts";
import { Importing } from "./importing.ts";
import type { BackupAnswer } from "./record.ts";

type BackupInput = Input & { readonly type: "export" | "import" };

/** A shard's part in backups of its namespace. */
export class Backup {
  readonly #context: ShardContext;
  readonly #exporting: Exporting;
  readonly #importing: Importing;
  readonly #commit: () => void;

  /** `commit`: writes what there is to write in this turn. */
  constructor(context: ShardContext, retained: Retained, commit: () => void) {
    this.#context = context;
    this.#exporting = new Exporting(context, retained);
    this.#importing = new Importing(context, retained, commit);
    this.#commit = commit;
  }

  handle(input: BackupInput, nowMs: number): void {
    const { callId } = input;
    const { unavailability } = this.#context;
    if (unavailability !== undefined) {
      this.#answer(callId, { type: "unavailable", reason: unavailability.reasonString });
      return;
    }
    this.#context.load(nowMs);
    if (input.type === "export") {
      if (this.#context.mustCommit) this.#commit();
      this.#answer(callId, this.#exporting.page(input.cursor, nowMs));
    } else {
      const settle = (outcomes: BackupAnswer & { type: "outcomes" }): void => this.#answer(callId, outcomes);
      this.#importing.take(input.request, (outcomes) => settle({ type: "outcomes", outcomes }), nowMs);
    }
  }

  /** Nobody hears of what is not written. */
  #answer(callId: number, answer: BackupAnswer): void {
    const { mustCommit, output } = this.#context;
    output.pushWhenSafe({ type: "backup", callId, answer }, mustCommit);
  }
}
