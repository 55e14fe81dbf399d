/** Who a client is, by the providers of a namespace in their order. */
import {
  anonymousIdentity,
  type Identity,
  identityBytesMax,
  identitySizeBytes,
  type Usernames,
} from "../core/access/identity.ts";
import { normalName } from "../core/access/normal-form.ts";
import type { AuthenticationRequest, AuthenticationStep } from "../core/authentication.ts";
import { fromUtf8 } from "./bytes.ts";
import { verifyCertificate } from "./certificate.ts";
import type { UpgradeCredentials } from "./credentials.ts";
import { HookProvider } from "./hook.ts";
import type { Fetch } from "./key-set.ts";
import { PasswordProvider } from "./password.ts";
import { allow, type Decision, deny, refusals, unknown, type Verdict } from "./provider.ts";
import { identifierLengthMax } from "./rule-schema.ts";
import {
  type AuthenticationConfig,
  authenticationMethodsOf,
  type ProviderName,
  tokenMethod,
} from "./settings.ts";
import { looksLikeToken, TokenProvider } from "./token.ts";
import type { Users } from "./users.ts";

/** For all providers together; the client may have given up by then. */
export const patienceMs = 10_000;

export interface AuthenticatorPorts {
  readonly users: Users;
  readonly fetch: Fetch;
  readonly nowMs: () => number;
}

/** What a client shows, by whichever way. */
interface Credentials extends UpgradeCredentials {
  readonly login?: Extract<AuthenticationRequest, { type: "password" }>;
}

/**
 * Asks the providers in the order of the setting AUTHENTICATION. Each allows, denies, or says that the credential is not
 * its own; the first of the former two decides:
 *
 * - certificate: its own is a client certificate.
 * - token: a token shown at the upgrade; or a password that looks like one, whatever the User Name.
 * - password: the name and password of a user it knows. The wrong password of one is denied, not handed on.
 * - hook: every login at CONNECT.
 *
 * What is nobody's is refused; or, where anonymous clients are allowed, worth as much as nothing. A failure of a provider
 * denies, for the next one might allow what it would not.
 */
export class Authenticator {
  readonly #config: AuthenticationConfig;
  readonly #providers: readonly ((credentials: Credentials) => Promise<Verdict> | Verdict)[];
  readonly #passwords: PasswordProvider;
  readonly #tokens: TokenProvider | undefined;

  constructor(namespace: string, config: AuthenticationConfig, ports: AuthenticatorPorts) {
    const { token, hook, certificateUsername } = config;
    this.#config = config;
    this.#passwords = new PasswordProvider(ports.users, ports.nowMs);
    this.#tokens = token && new TokenProvider(token, ports);
    const hooks = hook && new HookProvider(namespace, hook, ports);
    const byName: Record<ProviderName, (credentials: Credentials) => Promise<Verdict> | Verdict> = {
      certificate: ({ certificate }) =>
        certificateUsername === undefined ? unknown : verifyCertificate(certificate, certificateUsername),
      token: (credentials) => verifyToken(credentials, this.#tokens),
      password: ({ login }) => this.#passwords.verify(login?.username, login?.password),
      hook: ({ login }) => (login === undefined ? unknown : (hooks?.verify(login) ?? unknown)),
    };
    this.#providers = config.providers.map((name) => byName[name]);
  }

  /** For what a client shows in CONNECT or AUTH. Never rejects. */
  authenticate(request: AuthenticationRequest): Promise<AuthenticationStep> {
    const step = request.type === "method" ? this.#exchange(request) : this.#login(request);
    return inTime(step, { type: "failure", ...refusals.unavailable });
  }

  /** For what a client shows with its upgrade; "unknown": nothing, so far. Never rejects. */
  authenticateUpgrade(credentials: UpgradeCredentials): Promise<Verdict> {
    return inTime(this.#judge(credentials), deny(refusals.unavailable));
  }

  /** What is known of the users may have changed. */
  forget(usernames: Usernames): void {
    this.#passwords.forget(usernames);
  }

  async #login(login: Extract<AuthenticationRequest, { type: "password" }>): Promise<AuthenticationStep> {
    const verdict = await this.#judge({ login });
    switch (verdict.type) {
      case "allow":
        return { type: "success", identity: verdict.identity };
      case "deny":
        return { type: "failure", ...verdict.refusal };
      case "unknown":
        return this.#config.allowsAnonymous
          ? {
              type: "success",
              identity: anonymousIdentity,
              ...(this.#judgesLogins && { isFailedLogin: true }),
            }
          : { type: "failure", ...refusals.wrongPassword };
    }
  }

  /** A certificate comes with the upgrade: where there is nothing else, a login is not looked at, and so no guess. */
  get #judgesLogins(): boolean {
    return this.#config.providers.some((name) => name !== "certificate");
  }

  async #exchange({
    method,
    data,
    state,
  }: Extract<AuthenticationRequest, { type: "method" }>): Promise<AuthenticationStep> {
    if (!authenticationMethodsOf(this.#config).includes(method)) {
      return { type: "failure", ...refusals.unknownMethod };
    }
    const step =
      method === tokenMethod ? await this.#showToken(data) : await this.#passwords.exchange(data, state);
    if (step.type !== "success") return step;
    const decision = this.#settle(step.identity);
    return decision.type === "deny"
      ? { type: "failure", ...decision.refusal }
      : { ...step, identity: decision.identity };
  }

  async #showToken(data: Uint8Array = new Uint8Array()): Promise<AuthenticationStep> {
    const verdict = await (this.#tokens?.verify(fromUtf8(data) ?? "") ?? unknown);
    if (verdict.type === "allow") return { type: "success", identity: verdict.identity };
    return { type: "failure", ...(verdict.type === "deny" ? verdict.refusal : refusals.unknownMethod) };
  }

  async #judge(credentials: Credentials): Promise<Verdict> {
    for (const verify of this.#providers) {
      const verdict = await verify(credentials);
      if (verdict.type === "allow") return this.#settle(verdict.identity);
      if (verdict.type === "deny") return verdict;
    }
    return unknown;
  }

  /**
   * What holds for every identity, whoever vouches for it: its user name has the one form in which bans and rules know it,
   * and it is bound to a Client Identifier where the settings say so. A name is not brought into that form here: it may
   * be another user's.
   */
  #settle(identity: Identity): Decision {
    const { username } = identity;
    if (username !== undefined && normalName(username) !== username) return deny(refusals.unusableName);
    const clientId = identity.clientId ?? (this.#config.clientIdIsUsername ? username : undefined);
    if (clientId !== undefined && clientId.length > identifierLengthMax) return deny(refusals.longClientId);
    const settled: Identity = {
      ...identity,
      ...(clientId !== undefined && { clientId }),
    };
    return identitySizeBytes(settled) > identityBytesMax ? deny(refusals.tooLarge) : allow(settled);
  }
}

function verifyToken(
  { token, login }: Credentials,
  tokens: TokenProvider | undefined,
): Promise<Verdict> | Verdict {
  const password = login?.password === undefined ? "" : fromUtf8(login.password);
  const shown = token ?? (password !== undefined && looksLikeToken(password) ? password : undefined);
  return shown === undefined || tokens === undefined ? unknown : tokens.verify(shown);
}

/** The answer, or the other one if that takes too long or fails. */
async function inTime<Answer>(answer: Promise<Answer>, otherwise: Answer): Promise<Answer> {
  let timer!: ReturnType<typeof setTimeout>;
  const timeout = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), patienceMs);
  });
  try {
    return await Promise.race([answer, timeout]);
  } catch (error) {
    console.error(`duramq: authentication failed: ${String(error)}`);
    return otherwise;
  } finally {
    clearTimeout(timer);
  }
}
