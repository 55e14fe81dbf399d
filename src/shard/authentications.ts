import type { AuthenticationRequest, AuthenticationStep } from "../core/authentication.ts";
import type { Effect } from "../core/effect.ts";
import type { Input } from "../core/input.ts";
import { ReasonCode } from "../core/reason-code.ts";

/** Verifies what a client shows of itself. */
export type Authenticate = (request: AuthenticationRequest) => Promise<AuthenticationStep>;

const failed: AuthenticationStep = {
  type: "failure",
  reasonCode: ReasonCode.ServerUnavailable,
  reasonString: "The credentials could not be checked",
};

/** Carries the core's questions about credentials to those who can answer, and the answers back. */
export class Authentications {
  readonly #authenticate: Authenticate;
  readonly #handle: (input: Input) => void;
  #pendingCount = 0;

  constructor(authenticate: Authenticate, handle: (input: Input) => void) {
    this.#authenticate = authenticate;
    this.#handle = handle;
  }

  get isPending(): boolean {
    return this.#pendingCount > 0;
  }

  /** The core does not wait for ever, and knows an answer that comes too late. */
  ask({ connectionId, attempt, request }: Effect & { type: "authenticate" }): void {
    const answer = (step: AuthenticationStep): void => {
      this.#pendingCount -= 1;
      this.#handle({ type: "authenticated", connectionId, attempt, step });
    };
    this.#pendingCount += 1;
    this.#begin(request).then(answer, (error: unknown) => {
      console.error("duramq: an authentication failed", error);
      answer(failed);
    });
  }

  /** Never throws by itself. */
  async #begin(request: AuthenticationRequest): Promise<AuthenticationStep> {
    return await this.#authenticate(request);
  }
}
