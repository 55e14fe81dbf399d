import type { Identity } from "./access/identity.ts";
import type { ReasonCode } from "./reason-code.ts";

/** What a client shows of itself, for the host to verify. */
export type AuthenticationRequest =
  | {
      readonly type: "password";
      readonly clientId: string;
      readonly username?: string;
      readonly password?: Uint8Array;
    }
  /** A step of an enhanced authentication (section 4.12). */
  | {
      readonly type: "method";
      readonly method: string;
      readonly clientId: string;
      /** Authentication Data of CONNECT or AUTH, as the method defines it. */
      readonly data?: Uint8Array;
      /** From the "continue" before; absent at the first step. The core only keeps it. */
      readonly state?: unknown;
    };

/** What the host answers. */
export type AuthenticationStep =
  | { readonly type: "continue"; readonly data: Uint8Array; readonly state?: unknown }
  | {
      readonly type: "success";
      readonly identity: Identity;
      readonly data?: Uint8Array;
      /** There were credentials, but they were nobody's: the client is as good as one without, and may be guessing. */
      readonly isFailedLogin?: true;
    }
  | { readonly type: "failure"; readonly reasonCode: ReasonCode; readonly reasonString: string };
