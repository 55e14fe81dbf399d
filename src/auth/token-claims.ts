/** What a token says about its bearer. */
import type { JWTPayload } from "jose";
import { z } from "zod";
import { allow, denyAs, type Verdict } from "./provider.ts";
import { identifierLengthMax, ownRulesSchema, rolesSchema } from "./rule-schema.ts";
import type { TokenConfig } from "./settings.ts";

/** RFC 7519, section 4.1: claims about the token itself; and a name under which an object keeps nothing. */
const leftOutClaims = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "__proto__"];

const roles = z.union([z.string().transform(wordsOf).pipe(rolesSchema), rolesSchema]).default([]);
const rules = ownRulesSchema.default([]);
const identifier = z.string().min(1).max(identifierLengthMax);

/**
 * The identity of a verified token. A claim that is there and cannot be used refuses the token: to leave out a role or a
 * rule might allow what it denies.
 */
export function identityOfClaims(
  payload: JWTPayload & { readonly exp: number },
  config: TokenConfig,
): Verdict {
  const { usernameClaim, clientIdClaim, rolesClaim, rulesClaim, leewaySec } = config;
  const claim = (name: string): unknown => (Object.hasOwn(payload, name) ? payload[name] : undefined);
  const username = identifier.safeParse(claim(usernameClaim));
  if (!username.success) return unusable(usernameClaim);
  const clientId = clientIdClaim === undefined ? undefined : identifier.safeParse(claim(clientIdClaim));
  if (clientIdClaim !== undefined && !clientId?.success) return unusable(clientIdClaim);
  const roleNames = roles.safeParse(claim(rolesClaim));
  if (!roleNames.success) return unusable(rolesClaim);
  const ownRules = rules.safeParse(claim(rulesClaim));
  if (!ownRules.success) return unusable(rulesClaim);
  const special = new Set([...leftOutClaims, usernameClaim, clientIdClaim, rolesClaim, rulesClaim]);
  return allow({
    method: "token",
    username: username.data,
    ...(clientId?.success && { clientId: clientId.data }),
    roles: roleNames.data,
    claims: textsOf(payload, special),
    rules: ownRules.data,
    // A token within the leeway is not over yet.
    expiresAtMs: (payload.exp + leewaySec) * 1000,
  });
}

function textsOf(payload: JWTPayload, special: ReadonlySet<string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(payload).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string" && !special.has(entry[0]),
    ),
  );
}

function wordsOf(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

function unusable(claim: string): Verdict {
  return denyAs(`The token's claim "${claim}" cannot be used`);
}
