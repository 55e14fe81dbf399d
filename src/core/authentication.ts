import type { ReasonCode } from "./reason-code.ts";

/** What an exchange answers to the client's latest data. */
export type AuthenticationStep =
  | { readonly type: "continue"; readonly data: Uint8Array }
  | { readonly type: "success"; readonly data?: Uint8Array }
  | { readonly type: "failure"; readonly reasonCode: ReasonCode; readonly reasonString: string };

/** One enhanced authentication (section 4.12), step by step. */
export interface AuthenticationExchange {
  /** `data`: Authentication Data of CONNECT or AUTH, as the method defines it. */
  next(data: Uint8Array | undefined): AuthenticationStep;
}

/** A method that clients may name in CONNECT. */
export interface AuthenticationMethod {
  begin(clientId: string): AuthenticationExchange;
}
