/** Who is let in, as clients see it: the same on one shard and through the relay to several. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { closeAllClients, connectClient } from "../support/clients.ts";
import { type HookBehaviour, IdentityService } from "../support/identity-service.ts";
import { closeAllPahoClients, PahoClient } from "../support/paho-client.ts";
import { admitted, connectPacket, refused } from "../support/raw-access.ts";
import { RawClient } from "../support/raw-client.ts";
import { pingRaw } from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { upgrade } from "../support/upgrade.ts";
import { type Broker, startBroker } from "./broker.ts";

const page = "https://app.example";
const versions = [3, 4, 5] as const;

/** CONNACK of version 3.x is two bytes, without a word of why. */
function connackOf(returnCode: number): Buffer {
  return Buffer.from([0x20, 2, 0, returnCode]);
}

describe.each([1, 4])("With %i shards", (shards) => {
  let service: IdentityService;
  let broker: Broker;

  beforeAll(async () => {
    service = await IdentityService.start();
    const environment = {
      ...service.settings,
      HOOK_TIMEOUT_MS: "300",
      COOKIE_NAME: "session",
      ALLOWED_ORIGINS: page,
      PERMISSIONS: '[{"effect": "allow", "action": "all", "topicFilter": "open/#"}]',
      NAMESPACES:
        '{"bound": {"JWT_CLIENT_ID_CLAIM": "client_id"}, "named": {"CLIENT_ID_IS_USERNAME": "true"}}',
    };
    broker = await startBroker({ dataDir: ":memory:", shards, environment });
  });
  afterEach(async () => {
    await closeAllClients();
    await closeAllPahoClients();
  });
  afterAll(async () => {
    await broker?.kill();
    service?.stop();
  });

  describe("a client without credentials", () => {
    test.each([3, 4] as const)("of version %i gets return code 5", async (protocolVersion) => {
      const { bytes, closed } = await refused(broker.url, { protocolVersion });
      expect(bytes).toEqual(connackOf(5));
      expect(closed.code).toBe(1008);
    });

    test("of version 5 gets 0x87 and a reason", async () => {
      const { code, reasonString, bytes } = await refused(broker.url);
      expect(code).toBe(0x87);
      expect(bytes.subarray(2, 4)).toEqual(Buffer.from([0, 0x87]));
      expect(reasonString).toBe("Anonymous access is off, and there are no credentials");
    });

    test("by Paho is told so", async () => {
      await expect(new PahoClient(broker.url, unique("paho")).connect(4)).rejects.toThrow(/code:5/);
    });
  });

  describe("a token", () => {
    test.each(["HS256", "RS256", "ES256", "EdDSA"] as const)("of %s opens as a password", async (alg) => {
      for (const protocolVersion of versions) {
        const client = await admitted(broker.url, {
          protocolVersion,
          username: "anybody",
          password: await service.token({}, alg),
        });
        await pingRaw(client);
      }
    });

    test.each([4, 5] as const)("opens for MQTT.js in version %i, and for Paho", async (protocolVersion) => {
      const password = await service.token();
      const clientId = unique("js");
      const client = await connectClient(broker.url, {
        protocolVersion,
        clientId,
        username: "ann",
        password,
      });
      expect(await client.subscribe("open/a")).toEqual([0]);
      const paho = await new PahoClient(`${broker.url}?token=${password}`, unique("paho")).connect(4);
      await paho.subscribe("open/a", 0);
    });

    test("opens at the upgrade by header, address or cookie", async () => {
      const token = await service.token();
      const ways = [
        [broker.url, { authorization: `Bearer ${token}` }],
        [`${broker.url}?token=${token}`, {}],
        [broker.url, { cookie: `a=b; session=${token}`, origin: page }],
      ] as const;
      for (const [url, headers] of ways) await admitted(url, { webSocket: { headers } });
    });

    test("in a cookie counts for nothing without an Origin", async () => {
      const headers = { cookie: `session=${await service.token()}` };
      expect((await refused(broker.url, { webSocket: { headers } })).code).toBe(0x87);
    });

    test("of a page of another origin is not looked at", async () => {
      const token = await service.token();
      for (const origin of ["https://evil.example", `${page}.evil.example`, "null"]) {
        const answer = await upgrade(broker.url, ["mqtt"], {
          headers: { cookie: `session=${token}`, origin },
        });
        expect(answer.status).toBe(403);
        expect(answer.body).not.toContain(token);
      }
    });

    const bad = {
      "is over": () => service.token({ exp: 1 }),
      "is not valid yet": () => service.token({ nbf: Math.floor(Date.now() / 1000) + 500 }),
      "has no end": () => service.token({ exp: undefined }),
      "is of another issuer": () => service.token({ iss: "https://evil.example" }),
      "is for another audience": () => service.token({ aud: "elsewhere" }),
      "names nobody": () => service.token({ sub: "" }),
      "has rules that are none": () => service.token({ permissions: [{ effect: "allow" }] }),
      "is of algorithm none": () => Promise.resolve(service.unsignedToken()),
      "is signed by the public RSA key as if it were a secret": () => service.confusedToken("RS256"),
      "is signed by the public Ed25519 key as if it were a secret": () => service.confusedToken("EdDSA"),
      "has a changed claim": async () => {
        const [header, , signature] = (await service.token()).split(".");
        return `${header}.${service.unsignedToken({ roles: ["operator"] }).split(".")[1]}.${signature}`;
      },
    };
    test.each(Object.keys(bad) as (keyof typeof bad)[])(
      "that %s is refused, wherever it is shown",
      async (what) => {
        const password = await bad[what]();
        expect(await refused(broker.url, { username: "ann", password })).toMatchObject({ code: 0x87 });
        const { bytes } = await refused(broker.url, { protocolVersion: 4, username: "ann", password });
        expect(bytes).toEqual(connackOf(5));
        for (const [url, headers] of [
          [broker.url, { authorization: `Bearer ${password}` }],
          [`${broker.url}?token=${password}`, {}],
          [broker.url, { cookie: `session=${password}`, origin: page }],
        ] as const) {
          const { status, body } = await upgrade(url, ["mqtt"], { headers });
          expect(status).toBe(401);
          expect(body).not.toContain(password);
        }
      },
    );

    test.each([4, 5] as const)(
      "that ends while a client of version %i is connected ends the connection",
      async (protocolVersion) => {
        const exp = Math.floor(Date.now() / 1000) + 2;
        const password = await service.token({ exp });
        const client = await admitted(broker.url, { protocolVersion, username: "ann", password });
        const { code } = await client.closed();
        expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
        expect(code).toBe(1008);
        const last = client.untaken.map(({ cmd }) => cmd);
        if (protocolVersion === 4) expect(last).toEqual([]);
        else expect((await client.next("disconnect")).reasonCode).toBe(0xa0);
      },
    );

    test.each([253_402_300_800, 1e13, Number.MAX_SAFE_INTEGER, 1e300, 4e9 + 0.5])(
      "whose end is as far as %d is good, and the end is all that the shard waits for",
      async (exp) => {
        const credentials = { username: "ann", password: await service.token({ exp }) };
        const client = await admitted(broker.url, { keepAliveSec: 0, ...credentials });
        await pingRaw(client);
        const other = await admitted(broker.url, { keepAliveSec: 0, ...credentials });
        await pingRaw(client);
        await pingRaw(other);
        expect(broker.output().stderr).not.toMatch(/commit|handling/);
      },
    );

    test("for one Client Identifier is for no other", async () => {
      const url = broker.url.replace(/\/mqtt$/, "/mqtt/bound");
      const clientId = unique("bound");
      const password = await service.token({ client_id: clientId });
      await admitted(url, { clientId, username: "ann", password });
      expect((await refused(url, { username: "ann", password })).code).toBe(0x85);
      const version4 = await refused(url, { protocolVersion: 4, username: "ann", password });
      expect(version4.bytes).toEqual(connackOf(2));
      // At the upgrade it has the connection go to the shard of that client, where another is refused all the same.
      await admitted(`${url}?token=${password}`, { clientId });
      expect((await refused(`${url}?token=${password}`)).code).toBe(0x85);
      expect((await refused(url, { username: "ann", password: await service.token() })).code).toBe(0x87);
    });
  });

  describe("with CLIENT_ID_IS_USERNAME a user", () => {
    const url = () => broker.url.replace(/\/mqtt$/, "/mqtt/named");
    const reasonString = "The credential is for another Client Identifier";

    test("gets in by its own name only, whatever the credential", async () => {
      const name = unique("name");
      service.hook.set(name, { json: { result: "allow" } });
      const password = await service.token({ sub: name });
      for (const credentials of [
        { username: name, password: "1" },
        { username: "x", password },
      ]) {
        await admitted(url(), { clientId: name, ...credentials });
        for (const clientId of [unique("other"), ""]) {
          expect(await refused(url(), { clientId, ...credentials })).toMatchObject({
            code: 0x85,
            reasonString,
          });
        }
        const version4 = await refused(url(), { protocolVersion: 4, ...credentials });
        expect(version4.bytes).toEqual(connackOf(2));
      }
    });

    test("whose credential came with the upgrade need not say its name again, but may not have another", async () => {
      const name = unique("name");
      const withToken = `${url()}?token=${await service.token({ sub: name })}`;
      await admitted(withToken, { clientId: name });
      const nameless = await admitted(withToken, { clientId: "" });
      nameless.send({
        cmd: "publish",
        topic: "open/a",
        payload: "1",
        qos: 1,
        messageId: 1,
        dup: false,
        retain: false,
      });
      expect((await nameless.next("puback")).messageId).toBe(1);
      expect((await refused(withToken, { clientId: unique("other") })).code).toBe(0x85);
    });
  });

  describe("the hook", () => {
    test("lets in whom it allows", async () => {
      service.hook.set("welcome", { json: { result: "allow" } });
      await admitted(broker.url, { username: "welcome", password: "1" });
    });

    test("keeps out whom it denies, with 0x87 or 5", async () => {
      expect((await refused(broker.url, { username: "stranger", password: "1" })).code).toBe(0x87);
      const version4 = await refused(broker.url, { protocolVersion: 4, username: "stranger", password: "1" });
      expect(version4.bytes).toEqual(connackOf(5));
    });

    const failures: Record<string, HookBehaviour> = {
      "does not answer in time": "hang",
      "answers something else": { json: { result: "perhaps" } },
      "answers no JSON": { text: "allow" },
      "answers with another status": { text: '{"result": "allow"}', status: 201 },
      "answers with rules that are none": { json: { result: "allow", rules: [{ effect: "allow" }] } },
      "answers more than it may": { text: `{"result": "allow", "more": "${"x".repeat(70_000)}"}` },
    };
    test.each(Object.keys(failures))("that %s lets nobody in: 0x88 or 3", async (what) => {
      const username = unique("failing");
      service.hook.set(username, failures[what] as HookBehaviour);
      const { code, reasonString } = await refused(broker.url, { username, password: "1" });
      expect(code).toBe(0x88);
      expect(reasonString).toBe("Authentication is unavailable");
      const version4 = await refused(broker.url, { protocolVersion: 4, username, password: "1" });
      expect(version4.bytes).toEqual(connackOf(3));
    });

    test("may bind a client to its identifier", async () => {
      service.hook.set("tied", { json: { result: "allow", clientId: "tied-client" } });
      await admitted(broker.url, { clientId: "tied-client", username: "tied", password: "1" });
      const { code } = await refused(broker.url, {
        clientId: "free-client",
        username: "tied",
        password: "1",
      });
      expect(code).toBe(0x85);
    });

    test("may say when it is over", async () => {
      service.hook.set("past", { json: { result: "allow", expiresAtMs: 1 } });
      expect((await refused(broker.url, { username: "past", password: "1" })).code).toBe(0x87);
    });
  });

  describe("who is connected", () => {
    test.each([4, 5] as const)(
      "stays when somebody else fails to be its client in version %i",
      async (protocolVersion) => {
        const clientId = unique("rightful");
        const rightful = await admitted(broker.url, {
          clientId,
          username: "ann",
          password: await service.token(),
        });
        const attempts = [
          {},
          { username: "stranger", password: "1" },
          { username: "ann", password: service.unsignedToken() },
        ];
        for (const credentials of attempts)
          await refused(broker.url, { protocolVersion, clientId, ...credentials });
        await pingRaw(rightful);
        const successor = await admitted(broker.url, {
          clientId,
          username: "ann",
          password: await service.token(),
        });
        expect((await rightful.next("disconnect")).reasonCode).toBe(0x8e);
        await pingRaw(successor);
      },
    );
  });

  describe("an Authentication Method", () => {
    test("that is not offered gets 0x8C", async () => {
      for (const authenticationMethod of ["GSSAPI", "SCRAM-SHA-256"]) {
        const { code } = await refused(broker.url, { properties: { authenticationMethod } });
        expect(code).toBe(0x8c);
      }
    });

    test("JWT takes a token, and another one by AUTH before the first ends", async () => {
      const clientId = unique("renewing");
      const nowSec = Math.floor(Date.now() / 1000);
      const method = async (exp: number) => ({
        authenticationMethod: "JWT",
        authenticationData: Buffer.from(await service.token({ sub: "ann", exp })),
      });
      const properties = await method(nowSec + 60);
      const byLibrary = await connectClient(broker.url, { clientId, protocolVersion: 5, properties });
      expect(byLibrary.connack.properties).toMatchObject({
        authenticationMethod: "JWT",
        userProperties: { "credential-expires-at": String(nowSec + 60) },
      });
      const client = await admitted(broker.url, { clientId, properties });
      client.send({ cmd: "auth", reasonCode: 0x19, properties: await method(nowSec + 600) });
      expect(await client.next("auth")).toMatchObject({
        reasonCode: 0,
        properties: { userProperties: { "credential-expires-at": String(nowSec + 600) } },
      });
      await pingRaw(client);
      client.send({
        cmd: "auth",
        reasonCode: 0x19,
        properties: { authenticationMethod: "JWT", authenticationData: Buffer.from("pencil") },
      });
      expect((await client.next("disconnect")).reasonCode).toBe(0x87);
    });

    test("is not to be followed by AUTH where there was none", async () => {
      const client = await admitted(broker.url, { username: "ann", password: await service.token() });
      client.send({ cmd: "auth", reasonCode: 0x19, properties: { authenticationMethod: "SCRAM-SHA-256" } });
      expect((await client.next("disconnect")).reasonCode).toBe(0x82);
      await client.closed();
    });
  });

  test("What is sent after CONNECT waits for the answer, and is dropped with a refusal", async () => {
    service.hook.set("slow", "hang");
    const listener = await admitted(broker.url, { username: "ann", password: await service.token() });
    listener.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "open/#", qos: 0 }] });
    await listener.next("suback");
    const client = await RawClient.open(broker.url);
    client.sendBytes(
      Buffer.concat([
        client.encode(connectPacket(client, { username: "slow", password: "1" })),
        client.encode({ cmd: "publish", topic: "open/x", payload: "no", qos: 0, dup: false, retain: false }),
      ]),
    );
    expect((await client.next("connack")).reasonCode).toBe(0x88);
    await client.closed();
    listener.send({ cmd: "publish", topic: "open/y", payload: "yes", qos: 0, dup: false, retain: false });
    expect((await listener.next("publish")).payload.toString()).toBe("yes");
  });
});
