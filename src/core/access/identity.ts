import type { Rule } from "./rule.ts";

/** Who a client is, once its credential has been verified. Kept in the attachment of its socket. */
export interface Identity {
  readonly method: "anonymous" | "password" | "token" | "certificate" | "scram" | "hook";
  /** In the form in which user names are compared. */
  readonly username?: string;
  /** The only Client Identifier that the client may use. */
  readonly clientId?: string;
  /** Names of roles, in the order in which their rules are asked. */
  readonly roles: readonly string[];
  /** What `${claim.NAME}` in a rule stands for. */
  readonly claims: Readonly<Record<string, string>>;
  /** Brought by the credential itself. */
  readonly rules: readonly Rule[];
  /** The connection ends then, in ms since 1970. */
  readonly expiresAtMs?: number;
}

/** Users by their names, or everybody who has one. */
export type Usernames = readonly string[] | "all";

/** Whom a session belongs to: the identity of whoever connected last, which outlasts its credential. */
export type Owner = Omit<Identity, "expiresAtMs">;

/** Largest encoded identity: it shares a socket's attachment with the rest of the connection. */
export const identityBytesMax = 4 * 1024;

/** Of every client that shows no credential: it is known by being this one. */
export const anonymousIdentity: Identity = {
  method: "anonymous",
  roles: ["anonymous"],
  claims: {},
  rules: [],
};

/** What an identity takes at most in an attachment. The anonymous one is not kept. */
export function identitySizeBytes(identity: Identity): number {
  if (identity === anonymousIdentity) return 0;
  const { username = "", clientId = "", roles, claims, rules } = identity;
  let sizeBytes = 32 + textBytes(username) + textBytes(clientId);
  for (const role of roles) sizeBytes += textBytes(role);
  for (const [name, value] of Object.entries(claims)) sizeBytes += 1 + textBytes(name) + textBytes(value);
  for (const { topicFilter } of rules) sizeBytes += 5 + textBytes(topicFilter);
  return sizeBytes;
}

export function ownerOf(identity: Identity): Owner {
  if (identity.expiresAtMs === undefined) return identity;
  const { expiresAtMs: _, ...owner } = identity;
  return owner;
}

export function isSameOwner(left: Owner, right: Owner): boolean {
  return left === right || textOf(left) === textOf(right);
}

/** The same for owners that are the same, in whatever order their claims came. */
function textOf({ method, username, clientId, roles, claims, rules }: Owner): string {
  const ruleTexts = rules.map(({ effect, action, topicFilter, qosMax, retain }) => [
    effect,
    action,
    topicFilter,
    qosMax,
    retain,
  ]);
  const claimEntries = Object.entries(claims).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify([method, username, clientId, roles, claimEntries, ruleTexts]);
}

/** UTF-8 and a length in front of it; of a surrogate pair a little more. */
function textBytes(text: string): number {
  let sizeBytes = 5;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    sizeBytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
  }
  return sizeBytes;
}
