import { normalPolicy } from "../core/access/normal-form.ts";
import { emptyPolicy, type Policy } from "../core/access/policy.ts";
import type { LazyDatabase } from "../storage/lazy-database.ts";
import { decodePolicy, encodePolicy } from "../storage/policy-codec.ts";
import { policyBytesMax, type PolicyContent } from "./schemas.ts";
import type { ShardNews } from "./shard-news.ts";

export type PutPolicyAnswer =
  | { readonly type: "done"; readonly version: number }
  /** Somebody else has changed it meanwhile. */
  | { readonly type: "conflict"; readonly version: number }
  | { readonly type: "refused"; readonly reason: string };

/** The policy of a namespace, in one row. */
export class PolicyStore {
  readonly #database: LazyDatabase;
  readonly #news: ShardNews;

  constructor(database: LazyDatabase, news: ShardNews) {
    this.#database = database;
    this.#news = news;
  }

  get policy(): Policy {
    const row = this.#database.first("SELECT * FROM policy");
    if (row === undefined) return emptyPolicy;
    return normalPolicy(decodePolicy(Number(row["version"]), row["record"] as Uint8Array));
  }

  /** `expectedVersion`: of the policy that the change was made from. */
  put(content: PolicyContent, expectedVersion: number): PutPolicyAnswer {
    const { version } = this.policy;
    if (expectedVersion !== version) return { type: "conflict", version };
    const policy: Policy = { ...content, version: version + 1 };
    const record = encodePolicy(policy);
    if (record.length > policyBytesMax) {
      return { type: "refused", reason: `A policy has ${policyBytesMax} bytes at most` };
    }
    this.#database.write((database) => {
      database.run("INSERT OR REPLACE INTO policy VALUES (1, ?, ?)", policy.version, record);
      this.#news.add(database, "policy");
    });
    return { type: "done", version: policy.version };
  }
}
