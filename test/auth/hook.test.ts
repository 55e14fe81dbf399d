import { createHmac } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import { HookProvider, type HookQuestion, signatureHeader, timestampHeader } from "../../src/auth/hook.ts";
import type { Fetch } from "../../src/auth/key-set.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { hookConfigOf, secret } from "./settings.ts";

const startMs = 1_900_000_000_500;
const password = "a password that nobody may see";
const question: HookQuestion = {
  clientId: "device-1",
  username: "ann",
  password: new TextEncoder().encode(password),
};

let nowMs = startMs;

afterEach(() => {
  vi.restoreAllMocks();
  nowMs = startMs;
});

function hook(fetch: Fetch, variables: Readonly<Record<string, string>> = {}): HookProvider {
  const config = hookConfigOf({ HOOK_URL: "https://hook.example/mqtt", HOOK_SECRET: secret, ...variables });
  return new HookProvider("plant", config, { fetch, nowMs: () => nowMs });
}

function answering(answer: unknown) {
  return vi.fn<Fetch>(async () => Response.json(answer));
}

describe("The hook", () => {
  test("is asked with what the client has given, signed", async () => {
    const fetch = answering({ result: "deny" });
    await hook(fetch).verify(question);
    const [address, { method, headers, body, redirect }] = fetch.mock.calls[0] as Parameters<Fetch>;
    expect(address).toBe("https://hook.example/mqtt");
    expect(method).toBe("POST");
    expect(redirect).toBe("manual");
    expect(JSON.parse(String(body))).toEqual({
      namespace: "plant",
      clientId: "device-1",
      username: "ann",
      password,
    });
    const signature = createHmac("sha256", secret).update(`1900000000.${body}`).digest("hex");
    expect(headers).toEqual({
      "content-type": "application/json",
      [timestampHeader]: "1900000000",
      [signatureHeader]: `v1=${signature}`,
    });
  });

  test("gets a password that is no text in Base64, and none when there is none", async () => {
    const fetch = answering({ result: "deny" });
    await hook(fetch).verify({ clientId: "c", password: Uint8Array.of(0xff, 0x00) });
    await hook(fetch).verify({ clientId: "c" });
    const bodies = fetch.mock.calls.map(([, { body }]) => JSON.parse(String(body)));
    expect(bodies).toEqual([
      { namespace: "plant", clientId: "c", passwordBase64: "/wA=" },
      { namespace: "plant", clientId: "c" },
    ]);
  });

  test("allows with the identity that it answers", async () => {
    const rules = [{ effect: "allow", action: "all", topicFilter: "a/#" }];
    const identity = {
      username: "Ann",
      clientId: "device-1",
      roles: ["r"],
      claims: { team: "red" },
      rules,
      expiresAtMs: startMs + 1,
    };
    expect(await hook(answering({ result: "allow", ...identity })).verify(question)).toEqual({
      type: "allow",
      identity: { method: "hook", ...identity },
    });
  });

  test("allows with the client's own name when it answers none", async () => {
    expect(await hook(answering({ result: "allow" })).verify(question)).toEqual({
      type: "allow",
      identity: { method: "hook", username: "ann", roles: [], claims: {}, rules: [] },
    });
  });

  test("denies, also by an authorization that is over", async () => {
    for (const answer of [{ result: "deny" }, { result: "allow", expiresAtMs: startMs }]) {
      const verdict = await hook(answering(answer)).verify(question);
      expect(verdict).toMatchObject({ type: "deny", refusal: { reasonCode: ReasonCode.NotAuthorized } });
    }
  });

  test.each([
    ["answers another status", async () => Response.json({ result: "allow" }, { status: 201 })],
    ["leads elsewhere", async () => new Response(null, { status: 307, headers: { location: "https://x" } })],
    ["fails", async () => Response.json({ result: "allow" }, { status: 500 })],
    ["cannot be reached", () => Promise.reject(new Error(`refused: ${password}`))],
    ["answers no JSON", async () => new Response(password)],
    ["answers nothing", async () => new Response()],
    ["answers neither allow nor deny", async () => Response.json({ result: "maybe" })],
    ["answers allow as another type", async () => Response.json({ result: true })],
    ["answers roles that are none", async () => Response.json({ result: "allow", roles: "admin" })],
    ["answers rules that are none", async () => Response.json({ result: "allow", rules: [{}] })],
    ["wants to be believed for too long", async () => Response.json({ result: "allow", cacheSec: 301 })],
    ["answers too much", async () => Response.json({ result: "allow", padding: "x".repeat(70_000) })],
  ] as [string, Fetch][])("that %s lets nobody in, and tells the log no secret", async (_, fetch) => {
    const log = vi.spyOn(console, "error").mockImplementation(() => {});
    const verdict = await hook(fetch).verify(question);
    expect(verdict).toMatchObject({ type: "deny", refusal: { reasonCode: ReasonCode.ServerUnavailable } });
    expect(log).toHaveBeenCalledTimes(1);
    expect(JSON.stringify([log.mock.calls, verdict])).not.toContain(password);
  });

  test("that does not answer in time lets nobody in", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const never: Fetch = (_, { signal }) =>
      new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const verdict = await hook(never, { HOOK_TIMEOUT_MS: "1" }).verify(question);
    expect(verdict).toMatchObject({ refusal: { reasonCode: ReasonCode.ServerUnavailable } });
  });
});

describe("An answer of the hook", () => {
  test.each(["allow", "deny"])("%s holds as long as it says, for that question", async (result) => {
    const fetch = answering({ result, cacheSec: 10 });
    const provider = hook(fetch);
    await provider.verify(question);
    nowMs += 9_999;
    await provider.verify(question);
    expect(fetch).toHaveBeenCalledTimes(1);
    await provider.verify({ ...question, password: new TextEncoder().encode("another") });
    await provider.verify({ ...question, clientId: "device-2" });
    expect(fetch).toHaveBeenCalledTimes(3);
    nowMs += 1;
    await provider.verify(question);
    expect(fetch).toHaveBeenCalledTimes(4);
  });

  test("is not kept unless it says so, nor is a failure", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const fetch = answering({ result: "allow" });
    const provider = hook(fetch);
    await provider.verify(question);
    fetch.mockImplementation(async () => new Response(null, { status: 500 }));
    expect(await provider.verify(question)).toMatchObject({ type: "deny" });
    fetch.mockImplementation(async () => Response.json({ result: "allow" }));
    expect(await provider.verify(question)).toMatchObject({ type: "allow" });
  });

  test("does not outlast the authorization", async () => {
    const provider = hook(answering({ result: "allow", cacheSec: 300, expiresAtMs: startMs + 1000 }));
    expect(await provider.verify(question)).toMatchObject({ type: "allow" });
    nowMs += 1000;
    expect(await provider.verify(question)).toMatchObject({ type: "deny" });
  });
});
