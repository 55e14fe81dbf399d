/** Tokens at the upgrade, by keys that the broker fetches from where it is told to. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { withDeadline } from "../support/wait.ts";
import { type Broker, startBroker } from "./broker.ts";

describe("Tokens whose keys are at an address", () => {
  let keys: Server;
  let broker: Broker;
  let sign: (claims: Record<string, unknown>) => Promise<string>;
  let fetches = 0;

  beforeAll(async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
    const keySet = JSON.stringify({ keys: [await exportJWK(publicKey)] });
    sign = (claims) => new SignJWT(claims).setProtectedHeader({ alg: "ES256" }).sign(privateKey);
    keys = createServer((_, response) => {
      fetches += 1;
      response.end(keySet);
    });
    await new Promise<void>((resolve) => keys.listen(0, "127.0.0.1", resolve));
    const { port } = keys.address() as AddressInfo;
    const environment = { JWT_JWKS_URL: `http://127.0.0.1:${port}/keys`, JWT_AUDIENCE: "broker" };
    broker = await startBroker({ dataDir: ":memory:", environment });
  });

  afterAll(async () => {
    await broker?.stop();
    keys?.close();
  });

  /** The status of the answer to an upgrade with that token. */
  async function statusOf(token: string): Promise<number> {
    const socket = new WebSocket(`${broker.url}?token=${token}`, ["mqtt"], { perMessageDeflate: false });
    const status = new Promise<number>((resolve, reject) => {
      socket.once("upgrade", () => resolve(101));
      socket.once("unexpected-response", (_request, { statusCode }) => resolve(statusCode ?? 0));
      socket.once("error", reject);
    });
    try {
      return await withDeadline(status, "an answer to the upgrade");
    } finally {
      socket.on("error", () => undefined);
      socket.terminate();
    }
  }

  test("open the broker when they are good, and the keys are fetched once", async () => {
    const exp = Math.floor(Date.now() / 1000) + 600;
    const good = { sub: "ann", exp, aud: "broker" };
    expect(await statusOf(await sign(good))).toBe(101);
    expect(await statusOf(await sign({ ...good, aud: "elsewhere" }))).toBe(401);
    expect(await statusOf(await sign({ ...good, exp: 1 }))).toBe(401);
    expect(await statusOf(await sign(good))).toBe(101);
    expect(fetches).toBe(1);
  });
});
