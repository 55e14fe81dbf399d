import type { Rule } from "./rule.ts";

/** Who a client is, once its credential has been verified. Kept in the attachment of its socket. */
export interface Identity {
  readonly method: "anonymous" | "password" | "token" | "certificate" | "scram" | "hook";
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

/** Largest encoded identity: it shares a socket's attachment with the rest of the connection. */
export const identityBytesMax = 4 * 1024;

/** Of a client that shows no credential. */
export const anonymousIdentity: Identity = {
  method: "anonymous",
  roles: ["anonymous"],
  claims: {},
  rules: [],
};
