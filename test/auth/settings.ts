import type { AuthenticationConfig, HookConfig, TokenConfig } from "../../src/auth/settings.ts";
import { configOf } from "../../src/config.ts";

export const secret = "a secret of thirty-two characters";

/** By the variables of the Worker, as they are in use. */
export function authenticationOf(variables: Readonly<Record<string, string>>): AuthenticationConfig {
  const config = configOf(variables, "default");
  if (config === undefined) throw new Error("there is always a default namespace");
  return config.authentication;
}

export function tokenConfigOf(variables: Readonly<Record<string, string>>): TokenConfig {
  const { token } = authenticationOf(variables);
  if (token === undefined) throw new Error("tokens are not set up");
  return token;
}

export function hookConfigOf(variables: Readonly<Record<string, string>>): HookConfig {
  const { hook } = authenticationOf(variables);
  if (hook === undefined) throw new Error("the hook is not set up");
  return hook;
}
