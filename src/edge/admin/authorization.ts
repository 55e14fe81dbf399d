/** Who asks something of the administration, and whether it may. */
import type { Config } from "../../config.ts";
import type { RegistryClient } from "../../registry-client.ts";
import { operatorRefusalOf } from "../operator.ts";
import { failure, ProblemError } from "./problem-error.ts";
import { covers, type NeededScope } from "./scopes.ts";

/** As the registry makes them. Others need not be asked about. */
const apiTokenPattern = /^Bearer +(duramq_[\w-]{43})$/i;

/** The name of the caller for the audit log. Throws {@link ProblemError} for one who may not. */
export async function authorize(
  request: Request,
  config: Config,
  registry: RegistryClient,
  needed: NeededScope,
): Promise<string> {
  const refusal = await operatorRefusalOf(request, config);
  if (refusal === undefined) return "operator";
  const [, secret] = apiTokenPattern.exec(request.headers.get("authorization") ?? "") ?? [];
  // Without an operator there is nobody whose tokens they could be.
  if (config.operatorToken === undefined || secret === undefined) throw new ProblemError(refusal);
  const token = await registry.policies.verifyToken(secret);
  if (token === undefined) throw new ProblemError(refusal);
  if (!covers(token.scopes, needed)) {
    const wanted = needed === "operator" ? "OPERATOR_TOKEN" : `the scope ${needed}`;
    throw failure(403, "Forbidden", `This needs ${wanted}`);
  }
  return `token ${token.id}`;
}
