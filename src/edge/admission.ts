/** Who may open a WebSocket at all: judged before any Durable Object is touched. */
import { Authenticator } from "../auth/authenticator.ts";
import { credentialsOf, isOriginAllowed } from "../auth/credentials.ts";
import type { Config } from "../config.ts";
import type { Identity } from "../core/access/identity.ts";
import type { Refusal } from "../core/refusal.ts";
import { ReasonCode } from "../core/reason-code.ts";
import type { Env } from "../env.ts";
import { RegistryClient } from "../registry-client.ts";
import { problem } from "../problem.ts";

export type Admission =
  /** Without an identity the client has shown nothing, and may do so in CONNECT. */
  | { readonly type: "admitted"; readonly identity?: Identity }
  | { readonly type: "refused"; readonly response: Response };

/** They keep the keys of tokens, so each namespace has one as long as the isolate lives. */
const authenticators = new WeakMap<Config, Authenticator>();

/** By the origin, and by the credentials that come with the upgrade. */
export async function admit(request: Request, env: Env, config: Config): Promise<Admission> {
  const { authentication } = config;
  if (!isOriginAllowed(request, authentication)) {
    return refused(problem(403, "Forbidden", "Pages of this origin may not connect"));
  }
  const credentials = credentialsOf(request, authentication);
  if (credentials.token === undefined && credentials.certificate === undefined) return { type: "admitted" };
  const verdict = await authenticatorOf(env, config).authenticateUpgrade(credentials);
  switch (verdict.type) {
    case "allow":
      return { type: "admitted", identity: verdict.identity };
    case "deny":
      return refused(problemOf(verdict.refusal));
    case "unknown":
      return { type: "admitted" };
  }
}

function authenticatorOf(env: Env, config: Config): Authenticator {
  const known = authenticators.get(config);
  if (known !== undefined) return known;
  const made = new Authenticator(config.namespace, config.authentication, {
    users: new RegistryClient(env, config),
    fetch: (url, options) => fetch(url, options),
    nowMs: () => Date.now(),
  });
  authenticators.set(config, made);
  return made;
}

function problemOf({ reasonCode, reasonString }: Refusal): Response {
  if (reasonCode === ReasonCode.ServerUnavailable) return problem(503, "Unavailable", reasonString);
  return problem(401, "Unauthorized", reasonString, { "www-authenticate": "Bearer" });
}

function refused(response: Response): Admission {
  return { type: "refused", response };
}
