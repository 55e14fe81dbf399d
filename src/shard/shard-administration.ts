import type { Administration, Order, RetainedQuery } from "../core/administration/administration.ts";
import type { Page } from "../core/administration/page.ts";
import type { Input } from "../core/input.ts";

/** Questions and orders of operators to a shard. What a sleep has made the shard forget is read before. */
export class ShardAdministration {
  readonly #administration: () => Administration;
  readonly #handle: (input: Input) => void;

  constructor(administration: () => Administration, handle: (input: Input) => void) {
    this.#administration = administration;
    this.#handle = handle;
  }

  get questions(): Administration {
    this.#handle({ type: "load" });
    return this.#administration();
  }

  /** Whether the client was connected. */
  disconnect(clientId: string): boolean {
    if (this.questions.client(clientId) === undefined) return false;
    this.#carryOut({ type: "disconnect", clientId });
    return true;
  }

  /** Whether there was the session. */
  endSession(clientId: string): boolean {
    if (this.questions.session(clientId) === undefined) return false;
    this.#carryOut({ type: "endSession", clientId });
    return true;
  }

  /** Deletes a page of messages. Returns their Topic Names. */
  deleteRetained(query: RetainedQuery): Page<string> {
    const page = this.questions.retainedNames(query);
    if (page.items.length > 0) this.#carryOut({ type: "deleteRetained", topicNames: page.items });
    return page;
  }

  #carryOut(order: Order): void {
    this.#handle({ type: "administer", order });
  }
}
