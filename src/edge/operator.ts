import { equalInConstantTime, sha256, utf8 } from "../auth/bytes.ts";
import type { Config } from "../config.ts";
import { problem } from "../problem.ts";

/** Why the request is not one of the operator, as an answer; undefined when it is. */
export async function operatorRefusalOf(request: Request, config: Config): Promise<Response | undefined> {
  const { operatorToken } = config;
  if (operatorToken === undefined) {
    const detail = "There is no operator: set OPERATOR_TOKEN to a secret of 32 characters or more";
    return problem(404, "Not found", detail);
  }
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  if (token !== undefined && (await isSame(token, operatorToken))) return undefined;
  const detail = "The request needs the header Authorization: Bearer, with the value of OPERATOR_TOKEN";
  return problem(401, "Unauthorized", detail, { "www-authenticate": 'Bearer realm="duramq"' });
}

/** By digests, so that not even the length is told by the time that it takes. */
async function isSame(left: string, right: string): Promise<boolean> {
  return equalInConstantTime(await sha256(utf8(left)), await sha256(utf8(right)));
}
