/** The settings about who may connect, and what they come to. */
import { z } from "zod";
import { scramMethod } from "./scram.ts";
import { choice, ConfigError, json, oneOf, wholeNumber } from "../setting.ts";

const providerNames = ["certificate", "token", "password", "hook"] as const;
export type ProviderName = (typeof providerNames)[number];

/** RFC 7518, section 3.2, asks for a key as long as the hash; so do we of every shared secret. */
const secretLengthMin = 32;

const keySetError = "must be a JSON Web Key Set of public keys";
const publicKey = z.looseObject(
  {
    kty: z.enum(["RSA", "EC", "OKP"], { error: keySetError }),
    d: z.undefined({ error: keySetError }).optional(),
  },
  { error: keySetError },
);
const publicKeySet = z.object(
  { keys: z.array(publicKey, { error: keySetError }).min(1, { error: keySetError }) },
  { error: keySetError },
);

/** RFC 7517, section 5. */
export type PublicKeySet = z.output<typeof publicKeySet>;

export interface TokenConfig {
  /** For HS256. */
  readonly secret?: string;
  /** For RS256, ES256 and EdDSA. */
  readonly keys?: URL | PublicKeySet;
  readonly issuer?: string;
  readonly audience?: string;
  readonly leewaySec: number;
  readonly usernameClaim: string;
  readonly clientIdClaim?: string;
  readonly rolesClaim: string;
  readonly rulesClaim: string;
}

export interface HookConfig {
  readonly url: URL;
  readonly secret: string;
  readonly timeoutMs: number;
}

/** Authentication Method whose data are a token, in CONNECT as in AUTH: one step. */
export const tokenMethod = "JWT";

export type CertificateUsername = "cn" | "fingerprint" | "subject";

/** Whether, and how, a namespace lets clients in. */
export interface AuthenticationConfig {
  readonly allowsAnonymous: boolean;
  /** Who has a user name may use no other Client Identifier, unless its credential names one. */
  readonly clientIdIsUsername: boolean;
  /** In the order in which they are asked. */
  readonly providers: readonly ProviderName[];
  readonly token?: TokenConfig;
  readonly hook?: HookConfig;
  readonly certificateUsername?: CertificateUsername;
  readonly cookieName?: string;
  /** Exact origins of browsers' pages. */
  readonly allowedOrigins: "any" | ReadonlySet<string>;
}

const secret = z.string().min(secretLengthMin, { error: `must have ${secretLengthMin} characters or more` });

const name = z.string().min(1, { error: "must not be empty" });

const url = z
  .string()
  .refine(isSafeUrl, { error: "must be an https: URL; http: is for this machine only" })
  .transform((text) => new URL(text));

const providerList = z
  .string()
  .transform(listOf)
  .refine((names) => names.every(isProvider) && new Set(names).size === names.length, {
    error: `must list some of ${providerNames.join(", ")}, each once`,
  })
  .transform((names) => names as ProviderName[]);

const origins = z
  .string()
  .transform(listOf)
  .refine((list) => list.every(isOrigin), {
    error: 'must list origins such as https://app.example, or be "*"',
  })
  .default(["*"]);

/** By the names of the variables. */
export const authenticationSettings = {
  ANONYMOUS: choice(false),
  CLIENT_ID_IS_USERNAME: choice(false),
  AUTHENTICATION: providerList.optional(),
  JWT_SECRET: secret.optional(),
  JWT_JWKS_URL: url.optional(),
  JWT_JWKS: json(keySetError).pipe(publicKeySet).optional(),
  JWT_ISSUER: name.optional(),
  JWT_AUDIENCE: name.optional(),
  JWT_LEEWAY_SEC: wholeNumber(0, 300, 30),
  JWT_USERNAME_CLAIM: name.default("sub"),
  JWT_CLIENT_ID_CLAIM: name.optional(),
  JWT_ROLES_CLAIM: name.default("roles"),
  JWT_RULES_CLAIM: name.default("permissions"),
  HOOK_URL: url.optional(),
  HOOK_SECRET: secret.optional(),
  HOOK_TIMEOUT_MS: wholeNumber(1, 10_000, 2_000),
  CERTIFICATE_USERNAME: oneOf(["cn", "fingerprint", "subject"]).optional(),
  COOKIE_NAME: z
    .string()
    .regex(/^[\w!#$%&'*.^`|~+-]+$/, { error: "must be a name of a cookie" })
    .optional(),
  ALLOWED_ORIGINS: origins,
  OPERATOR_TOKEN: secret.optional(),
};

type Values = z.output<z.ZodObject<typeof authenticationSettings>>;

/** Throws {@link ConfigError} for settings that do not go together. */
export function toAuthenticationConfig(values: Values, prefix: string): AuthenticationConfig {
  const token = tokenConfigOf(values, prefix);
  const hook = hookConfigOf(values, prefix);
  const { CERTIFICATE_USERNAME, COOKIE_NAME } = values;
  const isConfigured: Record<ProviderName, boolean> = {
    certificate: CERTIFICATE_USERNAME !== undefined,
    token: token !== undefined,
    // Its users are in the Registry, where only an operator can have put them.
    password: values.OPERATOR_TOKEN !== undefined,
    hook: hook !== undefined,
  };
  const chosen = values.AUTHENTICATION ?? providerNames.filter((provider) => isConfigured[provider]);
  const missing = chosen.find((provider) => !isConfigured[provider]);
  if (missing !== undefined) {
    throw new ConfigError(`${prefix}AUTHENTICATION names "${missing}", which needs ${needs[missing]}`);
  }
  const isOpen = values.ALLOWED_ORIGINS.includes("*");
  if (COOKIE_NAME !== undefined && isOpen) {
    // Browsers send cookies with the requests of any page.
    throw new ConfigError(`${prefix}COOKIE_NAME needs ALLOWED_ORIGINS without "*"`);
  }
  return Object.freeze({
    allowsAnonymous: values.ANONYMOUS,
    clientIdIsUsername: values.CLIENT_ID_IS_USERNAME,
    providers: chosen,
    allowedOrigins: isOpen ? "any" : new Set(values.ALLOWED_ORIGINS),
    ...(token !== undefined && { token }),
    ...(hook !== undefined && { hook }),
    ...(CERTIFICATE_USERNAME !== undefined && { certificateUsername: CERTIFICATE_USERNAME }),
    ...(COOKIE_NAME !== undefined && { cookieName: COOKIE_NAME }),
  });
}

const needs: Record<ProviderName, string> = {
  certificate: "CERTIFICATE_USERNAME",
  token: "JWT_SECRET, JWT_JWKS_URL or JWT_JWKS",
  password: "OPERATOR_TOKEN",
  hook: "HOOK_URL",
};

function tokenConfigOf(values: Values, prefix: string): TokenConfig | undefined {
  const { JWT_SECRET, JWT_JWKS_URL, JWT_JWKS, JWT_ISSUER, JWT_AUDIENCE, JWT_CLIENT_ID_CLAIM } = values;
  if (JWT_JWKS_URL !== undefined && JWT_JWKS !== undefined) {
    throw new ConfigError(`${prefix}JWT_JWKS must not be set beside JWT_JWKS_URL`);
  }
  const keys = JWT_JWKS_URL ?? JWT_JWKS;
  if (JWT_SECRET === undefined && keys === undefined) return undefined;
  return {
    leewaySec: values.JWT_LEEWAY_SEC,
    usernameClaim: values.JWT_USERNAME_CLAIM,
    rolesClaim: values.JWT_ROLES_CLAIM,
    rulesClaim: values.JWT_RULES_CLAIM,
    ...(JWT_SECRET !== undefined && { secret: JWT_SECRET }),
    ...(keys !== undefined && { keys }),
    ...(JWT_ISSUER !== undefined && { issuer: JWT_ISSUER }),
    ...(JWT_AUDIENCE !== undefined && { audience: JWT_AUDIENCE }),
    ...(JWT_CLIENT_ID_CLAIM !== undefined && { clientIdClaim: JWT_CLIENT_ID_CLAIM }),
  };
}

function hookConfigOf(values: Values, prefix: string): HookConfig | undefined {
  const { HOOK_URL, HOOK_SECRET, HOOK_TIMEOUT_MS } = values;
  if (HOOK_URL === undefined) return undefined;
  if (HOOK_SECRET === undefined) throw new ConfigError(`${prefix}HOOK_URL needs HOOK_SECRET`);
  return { url: HOOK_URL, secret: HOOK_SECRET, timeoutMs: HOOK_TIMEOUT_MS };
}

function listOf(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

function isProvider(text: string): boolean {
  return (providerNames as readonly string[]).includes(text);
}

function isOrigin(text: string): boolean {
  return text === "*" || (/^https?:[^*]*$/.test(text) && URL.canParse(text) && new URL(text).origin === text);
}

/** Passwords and keys go over it. */
function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  const isHere = hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
  return protocol === "https:" || (protocol === "http:" && isHere);
}

/** The Authentication Methods that clients may name in CONNECT. */
export function authenticationMethodsOf({ providers }: AuthenticationConfig): readonly string[] {
  return [
    ...(providers.includes("password") ? [scramMethod] : []),
    ...(providers.includes("token") ? [tokenMethod] : []),
  ];
}
