/** Who has a password, as the Registry knows them. */
import type { Rule } from "../core/access/rule.ts";
import type { ScramVerifier } from "./scram-verifier.ts";

/** What a user may do beside what everybody may. */
export interface UserRights {
  /** The only Client Identifier that the user may use. */
  readonly clientId?: string;
  readonly roles: readonly string[];
  readonly rules: readonly Rule[];
}

/** "busy": too many attempts, by that name or in all. */
export type PasswordAnswer =
  | { readonly type: "verified"; readonly username: string; readonly rights: UserRights }
  | { readonly type: "wrong" }
  | { readonly type: "unknown" }
  | { readonly type: "busy" };

/** Who does not exist has a verifier too, but one that goes with no password; `rights` tells, and is for the end. */
export type ScramAnswer =
  | { readonly type: "verifier"; readonly verifier: ScramVerifier; readonly rights?: UserRights }
  | { readonly type: "busy" };

/** The users of a namespace. Every method may reject: then nobody gets in. */
export interface Users {
  /** Takes the same work whether or not there is the user. Counts as an attempt. */
  verifyPassword(username: string, password: string): Promise<PasswordAnswer>;
  /** Counts as an attempt that failed, until {@link Users.loginSucceeded} takes it back. */
  scramVerifier(username: string): Promise<ScramAnswer>;
  loginSucceeded(username: string): Promise<void>;
}
