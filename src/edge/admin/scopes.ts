/** What API tokens may be good for. */
export const resources = [
  ...(["users", "policy", "clients", "sessions", "subscriptions"] as const),
  ...(["retained", "audit", "cost"] as const),
] as const;

type Resource = (typeof resources)[number];
type Access = "read" | "write";

/** What a request needs. "operator": OPERATOR_TOKEN itself, for no token may make others. */
export type NeededScope = `${Resource}:${Access}` | "operator";

const everyResource = resources.flatMap((resource) => [`${resource}:read`, `${resource}:write`]);

/** Scopes of tokens: of one resource, or of all. */
export const tokenScopes: readonly string[] = ["read", "write", ...everyResource];

export function covers(scopes: readonly string[], needed: NeededScope): boolean {
  if (needed === "operator") return false;
  const access = needed.slice(needed.indexOf(":") + 1);
  return scopes.includes(needed) || scopes.includes(access);
}
