/** Changes of the policy, made from the version that the caller or the registry has seen last. */
import type { Policy } from "../../core/access/policy.ts";
import type { PolicyContent } from "../../registry/schemas.ts";
import { failure } from "./problem-error.ts";
import type { AdminRequest } from "./route.ts";

export interface PolicyChanged {
  readonly version: number;
  /** Shards that do not know it yet; they are told again and again. */
  readonly pendingShards: number;
}

export interface PolicyEdit {
  /** For the audit log, such as "role.put". */
  readonly action: string;
  readonly target: string;
  readonly edit: (policy: Policy) => PolicyContent;
}

const triesMax = 3;

export function etagOf(version: number): string {
  return `"${version}"`;
}

/** If-Match says of which version the caller thinks. Without it the change is made to whatever there is. */
export async function changePolicy(
  request: AdminRequest<unknown, unknown, unknown>,
  { action, target, edit }: PolicyEdit,
): Promise<PolicyChanged> {
  const { actor, ifMatch, registry } = request;
  for (let tries = 1; tries <= triesMax; tries += 1) {
    const policy = await registry.policies.policy();
    const { version } = policy;
    if (ifMatch !== undefined && !matches(ifMatch, version)) throw changedMeanwhile(version);
    const { version: _, ...content } = edit(policy) as Policy;
    const answer = await registry.policies.putPolicy(actor, content, version, { action, target });
    if (answer.type === "refused") throw failure(422, "Not possible", answer.reason);
    if (answer.type === "done") {
      request.setHeader("etag", etagOf(answer.version));
      return { version: answer.version, pendingShards: answer.pendingShards };
    }
  }
  throw failure(409, "Conflict", "Others are changing the policy; try again");
}

function matches(ifMatch: string, version: number): boolean {
  return ifMatch.split(",").some((tag) => ["*", etagOf(version)].includes(tag.trim().replace(/^W\//, "")));
}

function changedMeanwhile(version: number) {
  return failure(412, "Precondition failed", `The policy is of version ${version} by now`);
}
