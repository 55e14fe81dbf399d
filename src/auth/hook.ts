/** A service of the operator that is asked about user names and passwords. */
import { z } from "zod";
import { boundedText } from "./bounded-text.ts";
import { fromUtf8, hmacSha256, toBase64, toHex, utf8 } from "./bytes.ts";
import { ExpiringCache } from "./expiring-cache.ts";
import type { Fetch } from "./key-set.ts";
import { KeyedDigest } from "./keyed-digest.ts";
import { allow, deny, denyAs, refusals, type Verdict } from "./provider.ts";
import { identifierLengthMax, ownRulesSchema, rolesSchema } from "./rule-schema.ts";
import type { HookConfig } from "./settings.ts";

/** When the request was signed, in seconds since 1970. */
export const timestampHeader = "duramq-timestamp";

/** "v1=" and, in hex, HMAC-SHA-256 under HOOK_SECRET of the timestamp, a full stop, and the body. */
export const signatureHeader = "duramq-signature";

const answerBytesMax = 64 * 1024;
const cachedAnswersMax = 10_000;
const cacheSecMax = 300;

const identifier = z.string().min(1).max(identifierLengthMax);
const cacheSec = z.number().int().min(0).max(cacheSecMax).default(0);

/** What the service answers, with status 200. */
const answerSchema = z.discriminatedUnion("result", [
  z.object({
    result: z.literal("allow"),
    /** Another name than the client has given. */
    username: identifier.exactOptional(),
    clientId: identifier.exactOptional(),
    roles: rolesSchema.default([]),
    claims: z.record(z.string(), z.string()).default({}),
    rules: ownRulesSchema.default([]),
    expiresAtMs: z.number().int().positive().exactOptional(),
    cacheSec,
  }),
  z.object({ result: z.literal("deny"), cacheSec }),
]);

type Answer = z.output<typeof answerSchema>;

export interface HookQuestion {
  readonly clientId: string;
  readonly username?: string;
  readonly password?: Uint8Array;
}

export class HookProvider {
  readonly #namespace: string;
  readonly #config: HookConfig;
  readonly #fetch: Fetch;
  readonly #nowMs: () => number;
  readonly #answers = new ExpiringCache<Answer>(cachedAnswersMax);
  readonly #digest = new KeyedDigest();

  constructor(
    namespace: string,
    config: HookConfig,
    ports: { readonly fetch: Fetch; readonly nowMs: () => number },
  ) {
    this.#namespace = namespace;
    this.#config = config;
    this.#fetch = ports.fetch;
    this.#nowMs = ports.nowMs;
  }

  async verify(question: HookQuestion): Promise<Verdict> {
    const body = bodyOf(this.#namespace, question);
    const cacheKey = await this.#digest.of(body);
    const known = this.#answers.get(cacheKey, this.#nowMs());
    if (known !== undefined) return this.#verdictOf(known, question);
    const answer = await this.#ask(body);
    if (answer === undefined) return deny(refusals.unavailable);
    if (answer.cacheSec > 0) {
      this.#answers.set(cacheKey, answer, this.#nowMs() + answer.cacheSec * 1000);
    }
    return this.#verdictOf(answer, question);
  }

  /** Undefined when there is no answer that can be used, and why is logged. */
  async #ask(body: string): Promise<Answer | undefined> {
    try {
      const response = await this.#fetch(this.#config.url.href, {
        method: "POST",
        headers: { "content-type": "application/json", ...(await this.#signed(body)) },
        body,
        redirect: "manual",
        signal: AbortSignal.timeout(this.#config.timeoutMs),
      });
      if (response.status !== 200) return complain(`status ${response.status}`);
      const parsed = answerSchema.safeParse(jsonOf(await boundedText(response, answerBytesMax)));
      return parsed.success ? parsed.data : complain("an answer of another form");
    } catch (error) {
      return complain(error instanceof Error ? error.name : "no answer");
    }
  }

  async #signed(body: string): Promise<Record<string, string>> {
    const timestamp = String(Math.floor(this.#nowMs() / 1000));
    const signature = await hmacSha256(utf8(this.#config.secret), utf8(`${timestamp}.${body}`));
    return { [timestampHeader]: timestamp, [signatureHeader]: `v1=${toHex(signature)}` };
  }

  #verdictOf(answer: Answer, question: HookQuestion): Verdict {
    if (answer.result === "deny") return denyAs("Not authorized");
    const { clientId, roles, claims, rules, expiresAtMs } = answer;
    if (expiresAtMs !== undefined && expiresAtMs <= this.#nowMs()) {
      return denyAs("The authorization has expired");
    }
    // Who sends an empty user name has none.
    const username = answer.username ?? (question.username || undefined);
    return allow({
      method: "hook",
      ...(username !== undefined && { username }),
      ...(clientId !== undefined && { clientId }),
      roles,
      claims,
      rules,
      ...(expiresAtMs !== undefined && { expiresAtMs }),
    });
  }
}

/** A password that is no UTF-8 is given in Base64. */
function bodyOf(namespace: string, { clientId, username, password }: HookQuestion): string {
  const text = password === undefined ? undefined : fromUtf8(password);
  return JSON.stringify({
    namespace,
    clientId,
    username,
    password: text,
    ...(password !== undefined && text === undefined && { passwordBase64: toBase64(password) }),
  });
}

function jsonOf(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}

/** Without anything of the question or the answer: they hold secrets. */
function complain(problem: string): undefined {
  console.error(`duramq: the authentication hook failed: ${problem}`);
}
