/** The shards of a namespace, as the administration asks them. */
import { fromBase64Url, fromUtf8, toBase64Url, utf8 } from "../../auth/bytes.ts";
import type { Config } from "../../config.ts";
import type { Page, PageRequest } from "../../core/administration/page.ts";
import type { Env } from "../../env.ts";
import { inTime } from "../../in-time.ts";
import { shardStub, type ShardStub } from "../../shard-address.ts";
import { failure, wrongCursor } from "./problem-error.ts";

/** A page of what lies on several shards. */
export interface ShardsPage<Item> {
  readonly items: readonly Item[];
  /** Where the next page begins; absent after the last. A page with a cursor may be empty. */
  readonly cursor?: string;
}

interface Place {
  readonly shard: number;
  readonly after: string;
}

/** Of one request: also the free plan allows so many. */
const callsMax = 32;
/** One that takes longer is as good as lost to who waits for it. */
const answerMsMax = 10_000;

export class Shards {
  readonly #env: Env;
  readonly #config: Config;

  constructor(env: Env, config: Config) {
    this.#env = env;
    this.#config = config;
  }

  get all(): readonly number[] {
    return Array.from({ length: this.#config.core.placement.layout.shards }, (_, index) => index);
  }

  /** One call to the shard, of which nobody knows what came of it when there is no answer in time. */
  async ask<Answer>(index: number, call: (shard: ShardStub) => Promise<Answer>): Promise<Answer> {
    try {
      return await inTime(call(shardStub(this.#env, this.#config, index)), answerMsMax);
    } catch (error) {
      console.error(`duramq: shard ${index} did not answer the administration`, error);
      throw failure(503, "Service unavailable", `Shard ${index} did not answer`);
    }
  }

  askAbout<Answer>(clientId: string, call: (shard: ShardStub) => Promise<Answer>): Promise<Answer> {
    return this.ask(this.#config.core.placement.sessionShard(clientId), call);
  }

  /** Shard after shard, from where the cursor says. */
  async page<Item>(
    indexes: readonly number[],
    { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
    read: (stub: ShardStub, request: PageRequest, shard: number) => Promise<Page<Item>>,
  ): Promise<ShardsPage<Item>> {
    const begin = cursor === undefined ? undefined : placeOf(cursor);
    // Also a cursor of before, when there were more shards.
    if (begin !== undefined && !indexes.includes(begin.shard)) throw wrongCursor();
    const items: Item[] = [];
    let calls = 0;
    for (const shard of indexes) {
      if (begin !== undefined && shard < begin.shard) continue;
      if (items.length >= limit || calls >= callsMax)
        return { items, cursor: cursorOf({ shard, after: "" }) };
      const after = shard === begin?.shard ? begin.after : "";
      const request = { countMax: limit - items.length, ...(after !== "" && { after }) };
      const page = await this.ask(shard, (stub) => read(stub, request, shard));
      calls += 1;
      items.push(...page.items);
      if (page.after !== undefined) return { items, cursor: cursorOf({ shard, after: page.after }) };
    }
    return { items };
  }
}

function cursorOf({ shard, after }: Place): string {
  return toBase64Url(utf8(`${shard}/${after}`));
}

function placeOf(cursor: string): Place {
  const bytes = fromBase64Url(cursor);
  const [, shard, after] = /^(\d{1,4})\/(.*)$/s.exec((bytes && fromUtf8(bytes)) ?? "") ?? [];
  if (shard === undefined || after === undefined) throw wrongCursor();
  return { shard: Number(shard), after };
}
