import type { Identity } from "../core/access/identity.ts";
import type { Refusal } from "../core/refusal.ts";
import { ReasonCode } from "../core/reason-code.ts";

/**
 * What a provider says of a credential. "unknown": it is not its own to judge, so the next one is asked. The first that
 * answers anything else has decided.
 */
export type Verdict =
  | { readonly type: "allow"; readonly identity: Identity }
  | { readonly type: "deny"; readonly refusal: Refusal }
  | { readonly type: "unknown" };

export const unknown: Verdict = { type: "unknown" };

export function allow(identity: Identity): Verdict {
  return { type: "allow", identity };
}

export function deny(reasonCode: Refusal["reasonCode"], reasonString: string): Verdict {
  return { type: "deny", refusal: { reasonCode, reasonString } };
}

/** One text for a wrong password and for a user that does not exist. */
export const wrongPassword = deny(ReasonCode.BadUserNameOrPassword, "Wrong user name or password");

/** The provider could not judge: nobody gets in by that. */
export const unavailable = deny(ReasonCode.ServerUnavailable, "Authentication is unavailable");
