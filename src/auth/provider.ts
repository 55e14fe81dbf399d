import type { Identity } from "../core/access/identity.ts";
import type { Refusal } from "../core/refusal.ts";
import { ReasonCode } from "../core/reason-code.ts";

export type Decision =
  | { readonly type: "allow"; readonly identity: Identity }
  | { readonly type: "deny"; readonly refusal: Refusal };

/**
 * What a provider says of a credential. "unknown": it is not its own to judge, so the next one is asked. The first that
 * answers anything else has decided.
 */
export type Verdict = Decision | { readonly type: "unknown" };

export const unknown: Verdict = { type: "unknown" };

export function allow(identity: Identity): Decision {
  return { type: "allow", identity };
}

export function deny(refusal: Refusal): Decision {
  return { type: "deny", refusal };
}

export function denyAs(reasonString: string): Decision {
  return deny({ reasonCode: ReasonCode.NotAuthorized, reasonString });
}

export const refusals = {
  /** One text for a wrong password and for a user who does not exist. */
  wrongPassword: {
    reasonCode: ReasonCode.BadUserNameOrPassword,
    reasonString: "Wrong user name or password",
  },
  busy: { reasonCode: ReasonCode.ServerBusy, reasonString: "Too many attempts, try again later" },
  /** Nobody could judge, so nobody gets in. */
  unavailable: { reasonCode: ReasonCode.ServerUnavailable, reasonString: "Authentication is unavailable" },
  notScram: { reasonCode: ReasonCode.ProtocolError, reasonString: "Not a message of SCRAM-SHA-256" },
  unknownMethod: {
    reasonCode: ReasonCode.BadAuthenticationMethod,
    reasonString: "No such Authentication Method",
  },
  unusableName: {
    reasonCode: ReasonCode.NotAuthorized,
    reasonString: "The credential's user name is too long, has a control character, or is not in normal form",
  },
  longClientId: {
    reasonCode: ReasonCode.ClientIdentifierNotValid,
    reasonString: "The user name is too long for a Client Identifier",
  },
  tooLarge: { reasonCode: ReasonCode.NotAuthorized, reasonString: "The identity is too large" },
} as const satisfies Record<string, Refusal>;
