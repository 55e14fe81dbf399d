import { exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from "jose";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Fetch } from "../../src/auth/key-set.ts";
import { failureCoolDownMs } from "../../src/auth/key-set.ts";
import type { Verdict } from "../../src/auth/provider.ts";
import { looksLikeToken, TokenProvider } from "../../src/auth/token.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { secret, tokenConfigOf } from "./settings.ts";

const nowSec = 1_900_000_000;
const nowMs = nowSec * 1000;
const keysUrl = "https://issuer.example/keys";

type Algorithm = "RS256" | "ES256" | "EdDSA";
type Claims = Readonly<Record<string, unknown>>;
interface Pair {
  readonly privateKey: Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];
  readonly publicJwk: JWK;
}

const pairs = new Map<Algorithm, Pair>();

beforeAll(async () => {
  for (const algorithm of ["RS256", "ES256", "EdDSA"] as const) {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    pairs.set(algorithm, { privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid: algorithm } });
  }
});

afterEach(() => {
  vi.restoreAllMocks();
});

function pairOf(algorithm: Algorithm): Pair {
  return pairs.get(algorithm) as Pair;
}

const good: Claims = { sub: "ann", exp: nowSec + 60 };

function sign(claims: Claims, key: string | Uint8Array = secret): Promise<string> {
  const bytes = typeof key === "string" ? new TextEncoder().encode(key) : key;
  return new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(bytes);
}

function signBy(algorithm: Algorithm, claims: Claims = good, kid: string = algorithm): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: algorithm, kid }).sign(pairOf(algorithm).privateKey);
}

const noFetch: Fetch = () => Promise.reject(new Error("nothing is fetched here"));

function provider(variables: Readonly<Record<string, string>>, fetch = noFetch): TokenProvider {
  return new TokenProvider(tokenConfigOf(variables), { nowMs: () => nowMs, fetch });
}

function keySet(...algorithms: Algorithm[]): string {
  return JSON.stringify({ keys: algorithms.map((algorithm) => pairOf(algorithm).publicJwk) });
}

function reasonOf(verdict: Verdict): number | undefined {
  return verdict.type === "deny" ? verdict.refusal.reasonCode : undefined;
}

describe("A token by a shared secret", () => {
  test("gives the identity of its claims", async () => {
    const rules = [{ effect: "allow", action: "publish", topicFilter: "${username}/#", qosMax: 1 }];
    const claims = {
      ...good,
      roles: ["a", "b"],
      permissions: rules,
      team: "red",
      iss: "x",
      jti: "y",
      age: 7,
    };
    expect(await provider({ JWT_SECRET: secret }).verify(await sign(claims))).toEqual({
      type: "allow",
      identity: {
        method: "token",
        username: "ann",
        roles: ["a", "b"],
        claims: { team: "red" },
        rules,
        expiresAtMs: (nowSec + 60 + 30) * 1000,
      },
    });
  });

  test("leaves out a claim under whose name an object keeps nothing", async () => {
    const claims = JSON.parse(`{"sub": "ann", "exp": ${good["exp"]}, "team": "red", "__proto__": "blue"}`);
    const verdict = await provider({ JWT_SECRET: secret }).verify(await sign(claims));
    expect(verdict).toMatchObject({ type: "allow" });
    expect("identity" in verdict && Object.entries(verdict.identity.claims)).toEqual([["team", "red"]]);
  });

  test("takes the claims that the settings name", async () => {
    const tokens = provider({
      JWT_SECRET: secret,
      JWT_USERNAME_CLAIM: "email",
      JWT_CLIENT_ID_CLAIM: "device",
      JWT_ROLES_CLAIM: "scope",
      JWT_RULES_CLAIM: "may",
    });
    const may = [{ effect: "deny", action: "all", topicFilter: "#" }];
    const claims = {
      exp: nowSec + 1,
      email: "a@b",
      device: "d1",
      scope: "read write",
      may,
      permissions: "text",
    };
    const verdict = await tokens.verify(await sign(claims));
    expect(verdict).toMatchObject({
      identity: {
        username: "a@b",
        clientId: "d1",
        roles: ["read", "write"],
        rules: may,
        claims: { permissions: "text" },
      },
    });
  });

  test.each([
    ["has another key", good, "another secret of 32 characters!!"],
    ["has expired", { ...good, exp: nowSec - 31 }],
    ["never expires", { sub: "ann" }],
    ["is not good yet", { ...good, nbf: nowSec + 31 }],
    ["has an expiry that is no number", { ...good, exp: "tomorrow" }],
    ["has no user name", { exp: nowSec + 60 }],
    ["has an empty user name", { ...good, sub: "" }],
    ["has a user name that is no text", { ...good, email: 7 }, secret, { JWT_USERNAME_CLAIM: "email" }],
    ["has no Client Identifier, where one is asked for", good, secret, { JWT_CLIENT_ID_CLAIM: "device" }],
    ["has roles that are no texts", { ...good, roles: [1] }],
    ["has too many roles", { ...good, roles: Array.from({ length: 33 }, String) }],
    ["has rules that are none", { ...good, permissions: [{ effect: "allow" }] }],
    ["has a rule with more than a rule has", { ...good, permissions: [{ ...anyRule(), not: 1 }] }],
    ["has a rule for no Topic Filter", { ...good, permissions: [{ ...anyRule(), topicFilter: "a/#/b" }] }],
    [
      "has a rule for a shared subscription",
      { ...good, permissions: [{ ...anyRule(), topicFilter: "$share/g/a" }] },
    ],
    ["is of another issuer", { ...good, iss: "you" }, secret, { JWT_ISSUER: "me" }],
    ["names no issuer", good, secret, { JWT_ISSUER: "me" }],
    ["is for others", { ...good, aud: ["you"] }, secret, { JWT_AUDIENCE: "me" }],
    ["is for nobody", good, secret, { JWT_AUDIENCE: "me" }],
  ] as [string, Claims, string?, Record<string, string>?][])(
    "that %s is refused",
    async (_, claims, key = secret, variables = {}) => {
      const verdict = await provider({ JWT_SECRET: secret, ...variables }).verify(await sign(claims, key));
      expect(reasonOf(verdict)).toBe(ReasonCode.NotAuthorized);
    },
  );

  test("is good within the leeway, and then not over at once", async () => {
    const verdict = await provider({ JWT_SECRET: secret }).verify(await sign({ ...good, exp: nowSec - 29 }));
    expect(verdict).toMatchObject({ type: "allow", identity: { expiresAtMs: nowMs + 1000 } });
  });

  test("has issuer and audience as they are asked for", async () => {
    const tokens = provider({ JWT_SECRET: secret, JWT_ISSUER: "me", JWT_AUDIENCE: "here" });
    const token = await sign({ ...good, iss: "me", aud: ["there", "here"] });
    expect(await tokens.verify(token)).toMatchObject({ type: "allow" });
  });

  test.each(["", "x", "a.b.c", "é.é.é", `${"x".repeat(9_000)}.y.z`])("is none of %#", async (text) => {
    expect(reasonOf(await provider({ JWT_SECRET: secret }).verify(text))).toBe(ReasonCode.NotAuthorized);
  });

  test("whose members are of an object's prototype has none of them", async () => {
    const tokens = provider({
      JWT_SECRET: secret,
      JWT_ROLES_CLAIM: "constructor",
      JWT_RULES_CLAIM: "__proto__",
    });
    expect(await tokens.verify(await sign(good))).toMatchObject({ identity: { roles: [], rules: [] } });
  });
});

describe("An algorithm", () => {
  test("none is refused", async () => {
    const token = new UnsecuredJWT(good).encode();
    expect(reasonOf(await provider({ JWT_SECRET: secret }).verify(token))).toBe(ReasonCode.NotAuthorized);
    const byKeys = provider({ JWT_JWKS: keySet("RS256") });
    expect(reasonOf(await byKeys.verify(token))).toBe(ReasonCode.NotAuthorized);
  });

  test.each(["RS256", "ES256", "EdDSA"] as const)("%s goes by the public keys", async (algorithm) => {
    const tokens = provider({ JWT_JWKS: keySet("RS256", "ES256", "EdDSA") });
    expect(await tokens.verify(await signBy(algorithm))).toMatchObject({ type: "allow" });
  });

  test("of a shared secret does not take a public key for one", async () => {
    const keys = keySet("RS256");
    const { n = "" } = pairOf("RS256").publicJwk;
    for (const confused of [keys, n, JSON.stringify(pairOf("RS256").publicJwk)]) {
      const verdict = await provider({ JWT_JWKS: keys }).verify(await sign(good, confused));
      expect(reasonOf(verdict)).toBe(ReasonCode.NotAuthorized);
    }
  });

  test("that needs public keys is refused where there is only a secret", async () => {
    const verdict = await provider({ JWT_SECRET: secret }).verify(await signBy("ES256"));
    expect(reasonOf(verdict)).toBe(ReasonCode.NotAuthorized);
  });

  test("goes by its own kind of key where there are both", async () => {
    const tokens = provider({ JWT_SECRET: secret, JWT_JWKS: keySet("ES256") });
    expect(await tokens.verify(await sign(good))).toMatchObject({ type: "allow" });
    expect(await tokens.verify(await signBy("ES256"))).toMatchObject({ type: "allow" });
    expect(reasonOf(await tokens.verify(await signBy("RS256")))).toBe(ReasonCode.NotAuthorized);
  });

  test.each(["HS384", "HS512"])("%s is not offered", async (alg) => {
    const long = new TextEncoder().encode(secret.repeat(3));
    const token = await new SignJWT(good).setProtectedHeader({ alg: alg as "HS384" }).sign(long);
    const verdict = await provider({ JWT_SECRET: secret.repeat(3) }).verify(token);
    expect(reasonOf(verdict)).toBe(ReasonCode.NotAuthorized);
  });
});

describe("Keys at an address", () => {
  const variables = { JWT_JWKS_URL: keysUrl };

  test("are fetched once for many tokens", async () => {
    const fetch = vi.fn<Fetch>(async () => new Response(keySet("ES256")));
    const tokens = provider(variables, fetch);
    for (let count = 0; count < 3; count += 1) {
      expect(await tokens.verify(await signBy("ES256"))).toMatchObject({ type: "allow" });
    }
    expect(fetch.mock.calls.map(([address]) => address)).toEqual([keysUrl]);
  });

  test("are not fetched again for each token with an unknown key", async () => {
    const fetch = vi.fn<Fetch>(async () => new Response(keySet("ES256")));
    const tokens = provider(variables, fetch);
    for (let count = 0; count < 3; count += 1) {
      const verdict = await tokens.verify(await signBy("ES256", good, `unknown-${count}`));
      expect(reasonOf(verdict)).toBe(ReasonCode.NotAuthorized);
    }
    expect(fetch).toHaveBeenCalledTimes(1);
  });

  test.each([
    ["that cannot be reached", () => Promise.reject(new Error("unreachable"))],
    ["that answers an error", async () => new Response("", { status: 500 })],
    ["that leads elsewhere", async () => new Response(null, { status: 302, headers: { location: "/x" } })],
    ["that is no JSON", async () => new Response("<html>")],
    ["that has no keys", async () => new Response("{}")],
    ["that is too large", async () => new Response(" ".repeat(300_000) + keySet("ES256"))],
  ] as [string, Fetch][])("%s let nobody in, and are left alone for a while", async (_, answer) => {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    let timeMs = nowMs;
    const fetch = vi.fn<Fetch>(answer);
    const tokens = new TokenProvider(tokenConfigOf(variables), { nowMs: () => timeMs, fetch });
    const token = await signBy("ES256");
    for (let count = 0; count < 3; count += 1) {
      expect(reasonOf(await tokens.verify(token))).toBe(ReasonCode.ServerUnavailable);
    }
    expect(fetch).toHaveBeenCalledTimes(1);
    expect(JSON.stringify(log.mock.calls)).not.toContain(token);
    fetch.mockImplementation(async () => new Response(keySet("ES256")));
    timeMs += failureCoolDownMs;
    expect(await tokens.verify(token)).toMatchObject({ type: "allow" });
  });
});

describe("A text", () => {
  test("looks like a token when it has a header with an algorithm, be it good or not", async () => {
    expect(looksLikeToken(await sign(good, "another secret of 32 characters!!"))).toBe(true);
    expect(looksLikeToken(new UnsecuredJWT(good).encode())).toBe(true);
  });

  test.each(["", "password", "a.b.c", "eyJ.eyJ.x", "1.2.3", "e30.e30.x"])("%j does not", (text) => {
    expect(looksLikeToken(text)).toBe(false);
  });
});

function anyRule() {
  return { effect: "allow", action: "all", topicFilter: "#" };
}
