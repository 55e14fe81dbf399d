import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose";

const publicAlgorithms = ["RS256", "ES256", "EdDSA"] as const;
export type PublicAlgorithm = (typeof publicAlgorithms)[number];

type Claims = Readonly<Record<string, unknown>>;
type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

/** What the hook does when it is asked about a user name. */
export type HookBehaviour =
  | { readonly json: unknown }
  | { readonly text: string; readonly status?: number }
  | "hang";

/** What an operator has beside a broker: somebody who signs tokens, publishes keys and answers the hook. */
export class IdentityService {
  static readonly issuer = "https://issuer.example";
  static readonly audience = "broker";
  /** Of HS256; no log and no answer may hold it. */
  readonly secret = "the-shared-secret-of-32-characters";
  readonly hookSecret = "the-secret-of-the-hook-32-characters";
  /** By user name; who is not there is denied. */
  readonly hook = new Map<string, HookBehaviour>();
  readonly #keys: ReadonlyMap<PublicAlgorithm, KeyPair>;
  readonly #server: Server;

  private constructor(keys: ReadonlyMap<PublicAlgorithm, KeyPair>, keySet: string) {
    this.#keys = keys;
    this.#server = createServer((request, response) => {
      if (request.url === "/keys") return void response.end(keySet);
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () =>
        this.#answerHook((JSON.parse(body) as { username?: string }).username, response),
      );
    });
  }

  static async start(): Promise<IdentityService> {
    const keys = new Map<PublicAlgorithm, KeyPair>();
    for (const alg of publicAlgorithms) keys.set(alg, await generateKeyPair(alg, { extractable: true }));
    const published = [...keys].map(async ([alg, { publicKey }]) => ({
      ...(await exportJWK(publicKey)),
      kid: alg,
      alg,
    }));
    const service = new IdentityService(keys, JSON.stringify({ keys: await Promise.all(published) }));
    await new Promise<void>((resolve) => service.#server.listen(0, "127.0.0.1", resolve));
    return service;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The settings of a broker that believes all of it. */
  get settings(): Record<string, string> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      ANONYMOUS: "false",
      SYS_TOPICS: "operators",
      JWT_SECRET: this.secret,
      JWT_JWKS_URL: `http://127.0.0.1:${port}/keys`,
      JWT_ISSUER: IdentityService.issuer,
      JWT_AUDIENCE: IdentityService.audience,
      JWT_LEEWAY_SEC: "0",
      HOOK_URL: `http://127.0.0.1:${port}/hook`,
      HOOK_SECRET: this.hookSecret,
    };
  }

  /** A token that is good for ten minutes, unless the claims say otherwise. */
  token(claims: Claims = {}, alg: PublicAlgorithm | "HS256" = "HS256"): Promise<string> {
    const key = alg === "HS256" ? Buffer.from(this.secret) : this.#pair(alg).privateKey;
    return new SignJWT(standard(claims))
      .setProtectedHeader({ alg, ...(alg !== "HS256" && { kid: alg }) })
      .sign(key);
  }

  /** Whole in form, but signed with what everybody knows: the text of the public key. */
  async confusedToken(alg: PublicAlgorithm, claims: Claims = {}): Promise<string> {
    const publicText = await exportSPKI(this.#pair(alg).publicKey);
    return new SignJWT(standard(claims))
      .setProtectedHeader({ alg: "HS256", kid: alg })
      .sign(Buffer.from(publicText));
  }

  /** Of algorithm "none". */
  unsignedToken(claims: Claims = {}): string {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${part({ alg: "none" })}.${part(standard(claims))}.`;
  }

  #pair(alg: PublicAlgorithm): KeyPair {
    return this.#keys.get(alg) as KeyPair;
  }

  #answerHook(username: string | undefined, response: ServerResponse): void {
    const behaviour = this.hook.get(username ?? "") ?? { json: { result: "deny" } };
    if (behaviour === "hang") return;
    if ("json" in behaviour) response.end(JSON.stringify(behaviour.json));
    else response.writeHead(behaviour.status ?? 200).end(behaviour.text);
  }
}

function standard(claims: Claims): Record<string, unknown> {
  return {
    iss: IdentityService.issuer,
    aud: IdentityService.audience,
    sub: "ann",
    exp: Math.floor(Date.now() / 1000) + 600,
    ...claims,
  };
}
