/** JSON Web Tokens (RFC 7519), by jose. */
import {
  createLocalJWKSet,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWSAlgorithm,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
} from "jose";
import { utf8 } from "./bytes.ts";
import { type Fetch, KeysUnavailable, remoteKeys } from "./key-set.ts";
import { deny, denyAs, refusals, type Verdict } from "./provider.ts";
import type { TokenConfig } from "./settings.ts";
import { identityOfClaims } from "./token-claims.ts";

/** Longer tokens are not looked at. */
const tokenLengthMax = 8 * 1024;

/** Which algorithms go with which key is not for the token to say (RFC 8725, section 3.1). */
const secretAlgorithms: readonly JWSAlgorithm[] = ["HS256"];
const publicKeyAlgorithms: readonly JWSAlgorithm[] = ["RS256", "ES256", "EdDSA", "Ed25519"];

/** Whether the text is meant as a token, good or bad. */
export function looksLikeToken(text: string): boolean {
  if (text.length > tokenLengthMax || !/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) return false;
  try {
    return typeof decodeProtectedHeader(text).alg === "string";
  } catch {
    return false;
  }
}

/** Verifies tokens by the keys of a namespace. */
export class TokenProvider {
  readonly #config: TokenConfig;
  readonly #algorithms: JWSAlgorithm[];
  readonly #key: JWTVerifyGetKey;
  readonly #nowMs: () => number;

  constructor(config: TokenConfig, ports: { readonly nowMs: () => number; readonly fetch: Fetch }) {
    this.#config = config;
    this.#nowMs = ports.nowMs;
    this.#algorithms = [
      ...(config.secret === undefined ? [] : secretAlgorithms),
      ...(config.keys === undefined ? [] : publicKeyAlgorithms),
    ];
    this.#key = keyOf(config, ports);
  }

  async verify(token: string): Promise<Verdict> {
    if (token.length > tokenLengthMax) return denyAs("The token is too long");
    const { issuer, audience, leewaySec } = this.#config;
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: this.#algorithms,
        clockTolerance: leewaySec,
        currentDate: new Date(this.#nowMs()),
        requiredClaims: ["exp"],
        ...(issuer !== undefined && { issuer }),
        ...(audience !== undefined && { audience }),
      });
      return identityOfClaims(payload as JWTPayload & { readonly exp: number }, this.#config);
    } catch (error) {
      return verdictOf(error);
    }
  }
}

/** The key for a token's algorithm; jose has checked that it is one of those allowed. */
function keyOf(
  { secret, keys }: TokenConfig,
  { fetch, nowMs }: { readonly fetch: Fetch; readonly nowMs: () => number },
): JWTVerifyGetKey {
  const secretKey = secret === undefined ? undefined : utf8(secret);
  const publicKey =
    keys instanceof URL
      ? remoteKeys(keys, fetch, nowMs)
      : keys && createLocalJWKSet(keys as object as JSONWebKeySet);
  return async (header, token) => {
    const isForSecret = secretAlgorithms.includes(header.alg as JWSAlgorithm);
    const key = isForSecret ? secretKey : await publicKey?.(header, token);
    if (key === undefined) throw new errors.JWKSNoMatchingKey();
    return key;
  };
}

/** Tells nothing of the token's content, which nobody has vouched for. */
function verdictOf(error: unknown): Verdict {
  if (error instanceof errors.JWTExpired) return denyAs("The token has expired");
  if (error instanceof errors.JWTClaimValidationFailed) {
    return denyAs(`The token's claim "${error.claim}" is missing or not accepted`);
  }
  // Whatever else is wrong with the token; a failure of the keys is none of these.
  if (error instanceof errors.JOSEError) return denyAs("The token is not valid");
  if (!(error instanceof KeysUnavailable))
    console.error(`duramq: tokens cannot be verified: ${String(error)}`);
  return deny(refusals.unavailable);
}
