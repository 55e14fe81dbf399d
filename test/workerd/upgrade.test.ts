import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { identityHeader, identityOf } from "../../src/auth/identity-header.ts";
import { configOf } from "../../src/config.ts";
import { handleUpgrade } from "../../src/edge/upgrade.ts";
import type { Env } from "../../src/env.ts";
import { problem } from "../../src/problem.ts";
import { assignedClientIdHeader, clientAddressHeader } from "../../src/shard-address.ts";
import { encodeClientPacket } from "../codec/client-encode.ts";
import { connectPacket } from "./packets.ts";

const secret = "a secret of thirty-two characters";
const page = "https://app.example";

/** Takes the shards' part, and notes what comes to it. */
class Edge {
  readonly requests: { readonly name: string; readonly request: Request }[] = [];
  readonly #variables: Readonly<Record<string, string>>;
  readonly #bindings: Partial<Env>;
  /** What shards answer instead of opening a WebSocket. */
  refusal: Response | undefined;

  constructor(variables: Readonly<Record<string, string>> = {}, bindings: Partial<Env> = {}) {
    this.#variables = variables;
    this.#bindings = bindings;
  }

  async upgrade(
    query = "",
    headers: Record<string, string> = {},
    cf: object = { colo: "CDG" },
  ): Promise<Response> {
    const config = configOf(this.#variables, "default");
    if (config === undefined) throw new Error("there is always a default namespace");
    const request = new Request(`https://broker.example/mqtt${query}`, {
      headers: { upgrade: "websocket", "sec-websocket-protocol": "mqtt", ...headers },
    });
    Object.defineProperty(request, "cf", { value: cf });
    const SHARD = { getByName: (name: string) => ({ fetch: (seen: Request) => this.#shard(name, seen) }) };
    const context = { waitUntil: () => {} };
    return handleUpgrade(request, { SHARD, ...this.#bindings } as unknown as Env, config, context);
  }

  /** The one request that has come to a shard. */
  get passed(): { readonly name: string; readonly request: Request } {
    const [first, ...others] = this.requests;
    if (first === undefined || others.length > 0)
      throw new Error(`${this.requests.length} requests have come`);
    return first;
  }

  async #shard(name: string, request: Request): Promise<Response> {
    this.requests.push({ name, request });
    if (this.refusal !== undefined) return this.refusal;
    const { 0: webSocket, 1: server } = new WebSocketPair();
    server.accept();
    return new Response(null, { status: 101, webSocket });
  }
}

function token(claims: Record<string, unknown> = {}, key = secret): Promise<string> {
  return new SignJWT({ sub: "tom", exp: Math.floor(Date.now() / 1000) + 60, ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(key));
}

async function detailOf(response: Response): Promise<unknown> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return ((await response.json()) as { detail: unknown }).detail;
}

describe("An upgrade with a good token", () => {
  test("hands the identity to the shard, and the token to nobody", async () => {
    const edge = new Edge({ JWT_SECRET: secret, COOKIE_NAME: "session", ALLOWED_ORIGINS: page });
    const shown = await token({ roles: ["reader"] });
    const headers = { authorization: `Bearer ${shown}`, cookie: `session=${shown}`, origin: page };
    expect((await edge.upgrade(`?token=${shown}&clientId=device-1`, headers)).status).toBe(101);
    const { request } = edge.passed;
    expect(identityOf(request.headers)).toMatchObject({
      method: "token",
      username: "tom",
      roles: ["reader"],
    });
    expect(new URL(request.url).searchParams.get("clientId")).toBe("device-1");
    expect(JSON.stringify([request.url, [...request.headers]])).not.toContain(shown);
  });

  test.each([
    ["in the address", async () => ({ query: `?token=${await token()}`, headers: {} })],
    [
      "in a cookie",
      async () => ({ query: "", headers: { origin: page, cookie: `session=${await token()}` } }),
    ],
  ])("%s is let in", async (_, make) => {
    const edge = new Edge({ JWT_SECRET: secret, COOKIE_NAME: "session", ALLOWED_ORIGINS: page });
    const { query, headers } = await make();
    expect((await edge.upgrade(query, headers as Record<string, string>)).status).toBe(101);
    expect(identityOf(edge.passed.request.headers)?.username).toBe("tom");
  });

  test("goes straight to the shard of the only Client Identifier that it is good for", async () => {
    const edge = new Edge({ JWT_SECRET: secret, JWT_CLIENT_ID_CLAIM: "device", SHARDS: "8" });
    const byToken = `?token=${await token({ device: "device-1" })}`;
    await edge.upgrade(byToken);
    const { name, request } = edge.passed;
    const hinted = new Edge({ SHARDS: "8" });
    await hinted.upgrade("?clientId=device-1");
    expect(name).toBe(hinted.passed.name);
    expect(new URL(request.url).searchParams.get("clientId")).toBe("device-1");
  });

  test("hands the identity through the relay, too", async () => {
    const edge = new Edge({ JWT_SECRET: secret, SHARDS: "8" });
    const { status, webSocket } = await edge.upgrade(`?token=${await token()}`);
    expect(status).toBe(101);
    webSocket?.accept();
    webSocket?.send(encodeClientPacket(connectPacket("device-2"), 5));
    await expect.poll(() => edge.requests.length).toBe(1);
    const { request } = edge.passed;
    expect(identityOf(request.headers)?.username).toBe("tom");
    expect(request.url).not.toContain("token");
  });
});

describe("An upgrade to a shard that takes no more sockets", () => {
  const detail = "Too many clients are waiting to be admitted";

  function busyEdge(shards: string): Edge {
    const edge = new Edge({ SHARDS: shards });
    edge.refusal = problem(503, "Unavailable", detail, { "retry-after": "10" });
    return edge;
  }

  test("is answered with 503, and when to come again", async () => {
    for (const edge of [busyEdge("1"), busyEdge("8")]) {
      const response = await edge.upgrade("?clientId=device-1");
      expect([response.status, response.headers.get("retry-after")]).toEqual([503, "10"]);
      expect(await detailOf(response)).toBe(detail);
    }
  });

  test("has a relayed connection closed with 1013", async () => {
    const { webSocket } = await busyEdge("8").upgrade();
    const closed = new Promise<CloseEvent>((resolve) => webSocket?.addEventListener("close", resolve));
    webSocket?.accept();
    webSocket?.send(encodeClientPacket(connectPacket("device-2"), 5));
    expect(await closed).toMatchObject({ code: 1013, reason: detail });
  });
});

describe("An upgrade that is refused", () => {
  test.each([
    ["by another key", () => token({}, "another secret of 32 characters!!")],
    ["that has expired", () => token({ exp: 1 })],
    ["that is none", async () => "x"],
    ["that is empty", async () => ""],
  ])("for a token %s gets 401, and wakes no shard", async (_, make) => {
    const edge = new Edge({ JWT_SECRET: secret, ANONYMOUS: "true" });
    const shown = await make();
    const response = await edge.upgrade(`?token=${shown}`);
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    const detail = await detailOf(response);
    expect(detail).toMatch(/token/);
    if (shown.length > 1) expect(detail).not.toContain(shown);
    expect(edge.requests).toEqual([]);
  });

  test("for a page of another origin gets 403, whatever it shows", async () => {
    const edge = new Edge({ JWT_SECRET: secret, ALLOWED_ORIGINS: page });
    const response = await edge.upgrade(`?token=${await token()}`, { origin: "https://evil.example" });
    expect(response.status).toBe(403);
    expect(await detailOf(response)).toMatch(/origin/);
    expect(edge.requests).toEqual([]);
  });

  test("for a certificate that is not valid gets 401", async () => {
    const edge = new Edge({ CERTIFICATE_USERNAME: "cn" });
    const tlsClientAuth = {
      certPresented: "1",
      certVerified: "FAILED:self signed certificate",
      certRevoked: "0",
    };
    expect((await edge.upgrade("", {}, { tlsClientAuth })).status).toBe(401);
    expect(edge.requests).toEqual([]);
  });
});

describe("An upgrade without credentials", () => {
  test("goes to the shard, where CONNECT may bring some, and with no identity of its own making", async () => {
    const edge = new Edge({ JWT_SECRET: secret });
    const headers = { [identityHeader]: "e30", [assignedClientIdHeader]: "stolen", cookie: "session=x" };
    expect((await edge.upgrade("", headers)).status).toBe(101);
    const { request } = edge.passed;
    expect(identityOf(request.headers)).toBeUndefined();
    expect(request.headers.has(assignedClientIdHeader)).toBe(false);
    expect(request.headers.has("cookie")).toBe(false);
  });

  test("that no provider is set up for is as good as without", async () => {
    const edge = new Edge();
    expect((await edge.upgrade("?token=x", { authorization: "Bearer y" })).status).toBe(101);
    expect(identityOf(edge.passed.request.headers)).toBeUndefined();
    expect(edge.passed.request.url).not.toContain("token");
  });

  test("takes a good certificate for one", async () => {
    const edge = new Edge({ CERTIFICATE_USERNAME: "cn" });
    const tlsClientAuth = {
      certPresented: "1",
      certVerified: "SUCCESS",
      certRevoked: "0",
      certSubjectDNRFC2253: "CN=Lučić,O=Example",
      certNotAfter: "Dec 22 19:39:00 2128 GMT",
    };
    expect((await edge.upgrade("", {}, { tlsClientAuth })).status).toBe(101);
    expect(identityOf(edge.passed.request.headers)).toMatchObject({
      method: "certificate",
      username: "Lučić",
    });
  });
});

describe("The client's address", () => {
  const forged = { "cf-connecting-ip": "192.0.2.1", [clientAddressHeader]: "192.0.2.2" };

  async function addressSeen(
    variables: Record<string, string>,
    headers: Record<string, string>,
    cf: object,
  ): Promise<string | null> {
    const edge = new Edge(variables);
    expect((await edge.upgrade("", headers, cf)).status).toBe(101);
    return edge.passed.request.headers.get(clientAddressHeader);
  }

  test("is what Cloudflare says", async () => {
    expect(await addressSeen({}, forged, { colo: "CDG" })).toBe("192.0.2.1");
  });

  test("is not what a client says elsewhere", async () => {
    expect(await addressSeen({}, forged, {})).toBeNull();
  });

  test.each([
    ["192.0.2.9", "192.0.2.9"],
    ["192.0.2.8, 192.0.2.9", "192.0.2.9"],
    ["192.0.2.9:4711", "192.0.2.9"],
    ["[2001:db8::9]:4711", "2001:db8::9"],
    ["2001:db8::9", "2001:db8::9"],
    ["unknown", null],
    ["", null],
  ])("is what the header of a trusted proxy says last: %s", async (text, address) => {
    const headers = { ...forged, "x-forwarded-for": text };
    expect(await addressSeen({ CLIENT_ADDRESS_HEADER: "X-Forwarded-For" }, headers, {})).toBe(address);
  });
});

describe("An upgrade beyond the rate that Cloudflare counts", () => {
  function setUp(success: boolean): { edge: Edge; keys: string[] } {
    const keys: string[] = [];
    const limit = async ({ key }: { key: string }) => {
      keys.push(key);
      return { success };
    };
    return { edge: new Edge({ ANONYMOUS: "true" }, { CONNECT_RATE: { limit } as RateLimit }), keys };
  }

  test("gets 429, and wakes no shard", async () => {
    const { edge, keys } = setUp(false);
    const response = await edge.upgrade("", { "cf-connecting-ip": "2001:db8::1" });
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("60");
    expect(await detailOf(response)).toMatch(/address/);
    expect(keys).toEqual(["default 2001:db8::/64"]);
    expect(edge.requests).toEqual([]);
  });

  test("is not one within it, nor one of whose address nothing is known", async () => {
    const within = setUp(true);
    expect((await within.edge.upgrade("", { "cf-connecting-ip": "192.0.2.1" })).status).toBe(101);
    const unknown = setUp(false);
    expect((await unknown.edge.upgrade()).status).toBe(101);
    expect(unknown.keys).toEqual([]);
  });
});
