/** User names and passwords of the Registry, plain or by SCRAM. */
import type { Identity, Usernames } from "../core/access/identity.ts";
import type { AuthenticationStep } from "../core/authentication.ts";
import type { Refusal } from "../core/refusal.ts";
import { fromUtf8 } from "./bytes.ts";
import { ExpiringCache } from "./expiring-cache.ts";
import { ForgottenUsers } from "./forgotten-users.ts";
import { KeyedDigest } from "./keyed-digest.ts";
import { allow, deny, refusals, unknown, type Verdict } from "./provider.ts";
import { passwordBytesMax, prepared, usernameBytesMax } from "./sasl-prep.ts";
import { challenge, parseClientFirst, prove, type ScramState } from "./scram.ts";
import type { PasswordAnswer, UserRights, Users } from "./users.ts";

/** How long a password that was right is taken for right: the Registry is not asked at every reconnect. */
const cacheMsMax = 60_000;
const cachedLoginsMax = 10_000;

interface Login {
  readonly username: string;
  readonly rights: UserRights;
}

/** Of the host; the core keeps it from one message to the next, as something it cannot look into. */
interface ExchangeState extends ScramState {
  /** When it began, as {@link ForgottenUsers} count. */
  readonly sinceCount: number;
  readonly rights?: UserRights;
}

export class PasswordProvider {
  readonly #users: Users;
  readonly #nowMs: () => number;
  readonly #logins = new ExpiringCache<Login>(cachedLoginsMax);
  readonly #digest = new KeyedDigest();
  /** Questions under way. Devices that share a login reconnect all at once: that is one question, and no guessing. */
  readonly #asked = new Map<string, Promise<PasswordAnswer>>();
  /** An answer about a user that was on its way then does not count. */
  readonly #forgotten = new ForgottenUsers();

  constructor(users: Users, nowMs: () => number) {
    this.#users = users;
    this.#nowMs = nowMs;
  }

  /** A user who is not there is "unknown"; a password that is no text is nobody's. */
  async verify(username: string | undefined, password: Uint8Array | undefined): Promise<Verdict> {
    if (username === undefined || password === undefined) return unknown;
    const name = prepared(username, usernameBytesMax);
    const text = password.length > passwordBytesMax ? undefined : fromUtf8(password);
    if (name === undefined || text === undefined) return unknown;
    const cacheKey = await this.#digest.of(`${name}\0${text}`);
    const known = this.#logins.get(cacheKey, this.#nowMs());
    if (known !== undefined) return allow(identityOf("password", known));
    const sinceCount = this.#forgotten.count;
    const answer = await this.#ask(cacheKey, name, text);
    switch (answer.type) {
      case "verified":
        // What was true when it was asked may not be any more.
        if (this.#forgotten.hasSince(name, sinceCount)) return deny(refusals.busy);
        this.#logins.set(cacheKey, answer, this.#nowMs() + cacheMsMax);
        return allow(identityOf("password", answer));
      case "wrong":
        return deny(refusals.wrongPassword);
      case "unknown":
        return unknown;
      case "busy":
        return deny(refusals.busy);
    }
  }

  /** A step of SCRAM-SHA-256; without `state` the first. */
  exchange(data: Uint8Array | undefined, state: unknown): Promise<AuthenticationStep> {
    const bytes = data ?? new Uint8Array();
    return state === undefined ? this.#begin(bytes) : this.#finish(bytes, state as ExchangeState);
  }

  /** What is known of the users may have changed. */
  forget(usernames: Usernames): void {
    this.#forgotten.note(usernames);
    this.#asked.clear();
    const names = usernames === "all" ? undefined : new Set(usernames);
    this.#logins.deleteWhere((login) => names?.has(login.username) !== false);
  }

  #ask(cacheKey: string, name: string, text: string): Promise<PasswordAnswer> {
    const known = this.#asked.get(cacheKey);
    if (known !== undefined) return known;
    const answer = this.#users.verifyPassword(name, text).finally(() => {
      if (this.#asked.get(cacheKey) === answer) this.#asked.delete(cacheKey);
    });
    this.#asked.set(cacheKey, answer);
    return answer;
  }

  async #begin(data: Uint8Array): Promise<AuthenticationStep> {
    const first = parseClientFirst(data);
    if (first === undefined) return failure(refusals.notScram);
    const sinceCount = this.#forgotten.count;
    const answer = await this.#users.scramVerifier(first.username);
    if (answer.type === "busy") return failure(refusals.busy);
    const { data: serverFirst, state } = challenge(first, answer.verifier);
    const { rights } = answer;
    return {
      type: "continue",
      data: serverFirst,
      state: { ...state, sinceCount, ...(rights !== undefined && { rights }) } satisfies ExchangeState,
    };
  }

  async #finish(data: Uint8Array, state: ExchangeState): Promise<AuthenticationStep> {
    const { username, rights, sinceCount } = state;
    const serverFinal = await prove(data, state);
    if (serverFinal === undefined || rights === undefined) return failure(refusals.wrongPassword);
    // Who has shown the password gets in, whether or not that could be noted.
    await this.#users.loginSucceeded(username).catch(() => {});
    // Rights are those of the first step; a user who has changed meanwhile begins anew.
    if (this.#forgotten.hasSince(username, sinceCount)) return failure(refusals.busy);
    return { type: "success", identity: identityOf("scram", { username, rights }), data: serverFinal };
  }
}

function identityOf(method: "password" | "scram", { username, rights }: Login): Identity {
  const { clientId, roles, rules } = rights;
  return { method, username, ...(clientId !== undefined && { clientId }), roles, claims: {}, rules };
}

function failure(refusal: Refusal): AuthenticationStep {
  return { type: "failure", ...refusal };
}
