import { normalPolicy } from "../core/access/normal-form.ts";
import { emptyPolicy, type Policy } from "../core/access/policy.ts";
import type { LazyDatabase } from "../storage/lazy-database.ts";
import { decodePolicy, encodePolicy } from "../storage/policy-codec.ts";
import { policyBytesMax, type PolicyContent } from "./schemas.ts";

export type PutPolicyAnswer =
  | { readonly type: "done"; readonly version: number }
  /** Somebody else has changed it meanwhile. */
  | { readonly type: "conflict"; readonly version: number }
  | { readonly type: "refused"; readonly reason: string };

/** A version of the policy, and who does not know it yet. */
export interface Distribution {
  readonly policy: Policy;
  readonly pendingShards: readonly number[];
  /** Rounds of telling them. */
  readonly attempts: number;
}

/** The policy of a namespace, in one row. */
export class PolicyStore {
  readonly #database: LazyDatabase;

  constructor(database: LazyDatabase) {
    this.#database = database;
  }

  get policy(): Policy {
    return this.distribution.policy;
  }

  get distribution(): Distribution {
    const row = this.#database.first("SELECT * FROM policy");
    if (row === undefined) return { policy: emptyPolicy, pendingShards: [], attempts: 0 };
    return {
      policy: normalPolicy(decodePolicy(Number(row["version"]), row["record"] as Uint8Array)),
      pendingShards: JSON.parse(row["pending"] as string),
      attempts: Number(row["attempts"]),
    };
  }

  /** `expectedVersion`: of the policy that the change was made from. */
  put(content: PolicyContent, expectedVersion: number, shards: number): PutPolicyAnswer {
    const { version } = this.policy;
    if (expectedVersion !== version) return { type: "conflict", version };
    const policy: Policy = { ...content, version: version + 1 };
    if (encodePolicy(policy).length > policyBytesMax) {
      return { type: "refused", reason: `A policy has ${policyBytesMax} bytes at most` };
    }
    this.#write({ policy, pendingShards: Array.from({ length: shards }, (_, index) => index), attempts: 0 });
    return { type: "done", version: policy.version };
  }

  /** Notes who is left after another round. */
  leave(pendingShards: readonly number[]): void {
    const { policy, attempts } = this.distribution;
    this.#write({ policy, pendingShards, attempts: pendingShards.length === 0 ? 0 : attempts + 1 });
  }

  #write({ policy, pendingShards, attempts }: Distribution): void {
    this.#database.write((database) =>
      database.run(
        "INSERT OR REPLACE INTO policy VALUES (1, ?, ?, ?, ?)",
        policy.version,
        encodePolicy(policy),
        JSON.stringify(pendingShards),
        attempts,
      ),
    );
  }
}
