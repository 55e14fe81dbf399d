/** Tokens that open parts of the administration. Only their digests are kept. */
import { type Bytes, randomBytes, sha256, toBase64Url, toHex, utf8 } from "../auth/bytes.ts";
import type { LazyDatabase, Row } from "../storage/lazy-database.ts";
import type { TokenRequest } from "./schemas.ts";

export interface ApiToken {
  /** Names the token, and does not open anything. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** In ms since 1970, as the next. */
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

export type IssueAnswer =
  /** `secret` is told this once. */
  | { readonly type: "done"; readonly secret: string; readonly token: ApiToken }
  | { readonly type: "refused"; readonly reason: string };

export const apiTokensMax = 1_000;

/** So that a token that has got lost somewhere can be told for what it is. */
const prefix = "duramq_";
const secretBytes = 32;
const idBytes = 8;

export class ApiTokens {
  readonly #database: LazyDatabase;
  readonly #nowMs: () => number;

  constructor(database: LazyDatabase, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
  }

  async issue({ name, scopes, expiresAtMs }: TokenRequest): Promise<IssueAnswer> {
    const secret = prefix + toBase64Url(randomBytes(secretBytes));
    const digest = await sha256(utf8(secret));
    const createdAtMs = this.#nowMs();
    if (expiresAtMs <= createdAtMs) return { type: "refused", reason: "The token would have expired" };
    if (this.list().length >= apiTokensMax) return { type: "refused", reason: "There are too many tokens" };
    const token = { id: toHex(randomBytes(idBytes)), name, scopes, createdAtMs, expiresAtMs };
    this.#database.write((database) => {
      database.run("DELETE FROM api_token WHERE expires_at_ms <= ?", createdAtMs);
      database.run(
        "INSERT INTO api_token VALUES (?, ?, ?, ?, ?, ?)",
        digest,
        token.id,
        name,
        JSON.stringify(scopes),
        createdAtMs,
        expiresAtMs,
      );
    });
    return { type: "done", secret, token };
  }

  /** What the secret is good for; undefined when that is nothing. Found by its digest, so no time tells how near it was. */
  async verify(secret: string): Promise<ApiToken | undefined> {
    if (!secret.startsWith(prefix)) return undefined;
    const digest: Bytes = await sha256(utf8(secret));
    const row = this.#database.first("SELECT * FROM api_token WHERE digest = ?", digest);
    const token = row && toToken(row);
    return token !== undefined && this.#nowMs() < token.expiresAtMs ? token : undefined;
  }

  /** Those that have not expired. */
  list(): ApiToken[] {
    const rows = this.#database.rows("SELECT * FROM api_token WHERE expires_at_ms > ?", this.#nowMs());
    return rows.map(toToken).toSorted((left, right) => left.createdAtMs - right.createdAtMs);
  }

  /** Whether there was the token. */
  revoke(id: string): boolean {
    const isThere = this.list().some((token) => token.id === id);
    if (isThere) this.#database.write((database) => database.run("DELETE FROM api_token WHERE id = ?", id));
    return isThere;
  }
}

function toToken(row: Row): ApiToken {
  return {
    id: row["id"] as string,
    name: row["name"] as string,
    scopes: JSON.parse(row["scopes"] as string),
    createdAtMs: Number(row["created_at_ms"]),
    expiresAtMs: Number(row["expires_at_ms"]),
  };
}
