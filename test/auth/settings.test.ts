import { describe, expect, test } from "vitest";
import { ConfigError, configOf, parseConfig } from "../../src/config.ts";
import { authenticationOf, hookConfigOf, secret, tokenConfigOf } from "./settings.ts";

const publicKey = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
const privateKey = { ...publicKey, d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" };

describe("The settings of tokens", () => {
  test("have defaults, and are absent without a key", () => {
    expect(authenticationOf({ JWT_ISSUER: "x" }).token).toBeUndefined();
    expect(tokenConfigOf({ JWT_SECRET: secret })).toEqual({
      secret,
      leewaySec: 30,
      usernameClaim: "sub",
      rolesClaim: "roles",
      rulesClaim: "permissions",
    });
  });

  test("set what they say", () => {
    const variables = {
      JWT_JWKS: JSON.stringify({ keys: [publicKey] }),
      JWT_ISSUER: "me",
      JWT_AUDIENCE: "here",
      JWT_LEEWAY_SEC: "0",
      JWT_USERNAME_CLAIM: "email",
      JWT_CLIENT_ID_CLAIM: "device",
      JWT_ROLES_CLAIM: "groups",
      JWT_RULES_CLAIM: "may",
    };
    expect(tokenConfigOf(variables)).toEqual({
      keys: { keys: [publicKey] },
      issuer: "me",
      audience: "here",
      leewaySec: 0,
      usernameClaim: "email",
      clientIdClaim: "device",
      rolesClaim: "groups",
      rulesClaim: "may",
    });
  });
});

describe("The settings of the hook", () => {
  test("have a default for the time it may take", () => {
    expect(hookConfigOf({ HOOK_URL: "http://127.0.0.1:9000/x", HOOK_SECRET: secret })).toEqual({
      url: new URL("http://127.0.0.1:9000/x"),
      secret,
      timeoutMs: 2000,
    });
  });
});

describe("Settings of authentication", () => {
  test("may differ between namespaces", () => {
    const NAMESPACES = JSON.stringify({ b: { OPERATOR_TOKEN: `${secret} of b`, ANONYMOUS: "true" } });
    const variables = { NAMESPACES, OPERATOR_TOKEN: secret, JWT_SECRET: secret };
    expect(configOf(variables, "default")?.operatorToken).toBe(secret);
    const other = configOf(variables, "b");
    expect(other?.operatorToken).toBe(`${secret} of b`);
    expect(other?.authentication).toMatchObject({ allowsAnonymous: true, providers: ["token", "password"] });
  });

  test.each([
    [{ JWT_SECRET: "short" }, "JWT_SECRET must have 32 characters"],
    [{ OPERATOR_TOKEN: "short" }, "OPERATOR_TOKEN must have 32 characters"],
    [{ HOOK_SECRET: "short" }, "HOOK_SECRET must have 32 characters"],
    [{ HOOK_URL: "https://hook.example" }, "HOOK_URL needs HOOK_SECRET"],
    [{ HOOK_URL: "http://hook.example", HOOK_SECRET: secret }, "HOOK_URL must be an https: URL"],
    [{ HOOK_TIMEOUT_MS: "10001" }, "HOOK_TIMEOUT_MS must be a whole number from 1 to 10000"],
    [{ JWT_JWKS_URL: "nowhere" }, "JWT_JWKS_URL must be an https: URL"],
    [{ JWT_JWKS_URL: "http://127.0.0.1.evil.example/" }, "JWT_JWKS_URL must be an https: URL"],
    [{ JWT_JWKS: "[" }, "JWT_JWKS must be a JSON Web Key Set"],
    [{ JWT_JWKS: '{"keys": []}' }, "JWT_JWKS.keys must be a JSON Web Key Set"],
    [
      { JWT_JWKS: JSON.stringify({ keys: [privateKey] }) },
      "JWT_JWKS.keys.0.d must be a JSON Web Key Set of public",
    ],
    [
      { JWT_JWKS: '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}' },
      "JWT_JWKS.keys.0.kty must be a JSON Web Key Set",
    ],
    [
      { JWT_JWKS: JSON.stringify({ keys: [publicKey] }), JWT_JWKS_URL: "https://x" },
      "JWT_JWKS must not be set beside",
    ],
    [{ JWT_LEEWAY_SEC: "301" }, "JWT_LEEWAY_SEC must be a whole number from 0 to 300"],
    [{ JWT_ISSUER: "" }, "JWT_ISSUER must not be empty"],
    [
      { AUTHENTICATION: "password,magic" },
      "AUTHENTICATION must list some of certificate, token, password, hook",
    ],
    [{ AUTHENTICATION: "password,password" }, "AUTHENTICATION must list"],
    [
      { AUTHENTICATION: "token" },
      'AUTHENTICATION names "token", which needs JWT_SECRET, JWT_JWKS_URL or JWT_JWKS',
    ],
    [{ AUTHENTICATION: "hook" }, 'AUTHENTICATION names "hook", which needs HOOK_URL'],
    [
      { AUTHENTICATION: "certificate" },
      'AUTHENTICATION names "certificate", which needs CERTIFICATE_USERNAME',
    ],
    [{ CERTIFICATE_USERNAME: "email" }, "CERTIFICATE_USERNAME must be one of cn, fingerprint, subject"],
    [{ COOKIE_NAME: "a b" }, "COOKIE_NAME must be a name of a cookie"],
    [{ COOKIE_NAME: "session" }, 'COOKIE_NAME needs ALLOWED_ORIGINS without "*"'],
    [{ COOKIE_NAME: "session", ALLOWED_ORIGINS: "*,https://a.example" }, "COOKIE_NAME needs ALLOWED_ORIGINS"],
    [{ ALLOWED_ORIGINS: "app.example" }, "ALLOWED_ORIGINS must list origins"],
    [{ ALLOWED_ORIGINS: "https://app.example/" }, "ALLOWED_ORIGINS must list origins"],
    [{ ALLOWED_ORIGINS: "https://*.example" }, "ALLOWED_ORIGINS must list origins"],
  ] as [Record<string, string>, string][])("%j is refused by name", (variables, message) => {
    expect(() => parseConfig(variables)).toThrow(ConfigError);
    expect(() => parseConfig(variables)).toThrow(message);
  });

  test("that are secret are in no message about a setting that is wrong", () => {
    const hidden = "kept-to-itself";
    const wrong: Record<string, string>[] = [
      { JWT_SECRET: hidden },
      { OPERATOR_TOKEN: hidden },
      { HOOK_SECRET: hidden },
      { HOOK_URL: `http://user:${hidden}@hook.example` },
      { HOOK_URL: `https://user:${hidden}@hook.example` },
      { JWT_JWKS: `{"keys": [${hidden}` },
      { JWT_JWKS: JSON.stringify({ keys: [{ kty: "oct", k: hidden }] }) },
      { JWT_JWKS: JSON.stringify({ keys: [{ ...privateKey, d: hidden }] }) },
      { NAMESPACES: `{"a": {"JWT_SECRET": ${hidden}` },
      { NAMESPACES: JSON.stringify({ a: { JWT_SECRET: hidden } }) },
      { NAMESPACES: JSON.stringify({ a: { JWT_SECRET: [hidden] } }) },
    ];
    for (const variables of wrong) {
      let message = "nothing was wrong";
      try {
        parseConfig(variables);
      } catch (error) {
        message = String((error as Error).stack);
      }
      expect(message).not.toContain(hidden);
      expect(message).not.toBe("nothing was wrong");
    }
  });
});
