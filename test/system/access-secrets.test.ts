/** What does not get out: secrets into logs and answers, one namespace's identities into another, headers of clients inside. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IdentityService } from "../support/identity-service.ts";
import { admitted, type AccessOptions, connectPacket, refused } from "../support/raw-access.ts";
import { RawClient } from "../support/raw-client.ts";
import { pingRaw, publishRaw } from "../support/raw-session.ts";
import { unique } from "../support/unique.ts";
import { upgrade } from "../support/upgrade.ts";
import { type Broker, startBroker } from "./broker.ts";

const operator = { method: "token", username: "forger", roles: ["operator"], claims: {}, rules: [] };
const forgedIdentity = Buffer.from(
  JSON.stringify({ ...operator, rules: [{ effect: "allow", action: "all", topicFilter: "#" }] }),
).toString("base64url");

const otherSecret = "the-other-namespace-has-this-secret";
const otherAudience = "other-broker";
const passwordText = "a-password-that-nobody-may-read";
const payloadText = "a-payload-that-nobody-may-read";
const cookieText = "a-cookie-that-nobody-may-read";

describe.each([1, 4])("With %i shards", (shards) => {
  let service: IdentityService;
  let broker: Broker;

  beforeAll(async () => {
    service = await IdentityService.start();
    const environment = {
      ...service.settings,
      HOOK_TIMEOUT_MS: "300",
      COOKIE_NAME: "session",
      ALLOWED_ORIGINS: "https://app.example",
      PERMISSIONS: '[{"effect": "allow", "action": "all", "topicFilter": "${username}/#"}]',
      NAMESPACES: JSON.stringify({
        secret: { JWT_SECRET: otherSecret },
        audience: { JWT_AUDIENCE: otherAudience },
      }),
    };
    broker = await startBroker({ dataDir: ":memory:", shards, environment });
  });
  afterAll(async () => {
    await broker?.kill();
    service?.stop();
  });

  const namespace = (name: string): string => broker.url.replace(/\/mqtt$/, `/mqtt/${name}`);

  describe("a header that only the Worker may set", () => {
    const headers = { "Duramq-Identity": forgedIdentity, "duramq-assigned-client-id": "stolen" };

    test("makes nobody known", async () => {
      const urls = [broker.url, `${broker.url}?clientId=hinted`];
      for (const url of urls) {
        const { code } = await refused(url, { clientId: "hinted", webSocket: { headers } });
        expect(code).toBe(0x87);
      }
    });

    test("adds nothing to a token, and gives nobody an identifier", async () => {
      const token = await service.token();
      for (const url of [`${broker.url}?token=${token}`, `${broker.url}?token=${token}&clientId=hinted-2`]) {
        const client = await RawClient.open(url, { webSocket: { headers } });
        client.send(connectPacket(client, { clientId: "" }));
        const { reasonCode, properties } = await client.expectNext("connack");
        expect(reasonCode).toBe(0);
        expect(properties?.assignedClientIdentifier).toMatch(
          url.includes("hinted-2") ? /^hinted-2$/ : /^duramq-/,
        );
        const subscriptions = ["$SYS/#", "#", "ann/#"].map((topic) => ({ topic, qos: 0 as const }));
        client.send({ cmd: "subscribe", messageId: 1, subscriptions });
        expect((await client.next("suback")).granted).toEqual([0x87, 0x87, 0]);
      }
    });
  });

  describe("a namespace", () => {
    test("with a secret of its own has tokens of its own", async () => {
      const password = await service.token();
      await admitted(broker.url, { username: "ann", password });
      expect((await refused(namespace("secret"), { username: "ann", password })).code).toBe(0x87);
      expect((await upgrade(`${namespace("secret")}?token=${password}`)).status).toBe(401);
    });

    test("with an audience of its own does not take a token for another", async () => {
      const theirs = await service.token({ aud: otherAudience });
      await admitted(namespace("audience"), { username: "ann", password: theirs });
      expect((await refused(broker.url, { username: "ann", password: theirs })).code).toBe(0x87);
      const ours = await service.token();
      expect((await refused(namespace("audience"), { username: "ann", password: ours })).code).toBe(0x87);
    });

    test("does not see what is retained in another for the same user", async () => {
      const topic = `ann/${unique("kept")}`;
      const credentials = { username: "ann", password: await service.token() };
      const here = await admitted(broker.url, credentials);
      publishRaw(here, { topic, payload: "here", qos: 1, messageId: 1, retain: true });
      await here.next("puback");
      const password = await service.token({ aud: otherAudience });
      const there = await admitted(namespace("audience"), { username: "ann", password });
      there.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] });
      await there.next("suback");
      publishRaw(there, { topic, payload: "there", qos: 0 });
      expect((await there.next("publish")).payload.toString()).toBe("there");
    });
  });

  /** Everything that is refused, with secrets in all places that have room for one. */
  async function refuseAll(): Promise<{ secrets: string[]; answers: string[] }> {
    service.hook.set("hanging", "hang");
    service.hook.set("garbled", { text: `${passwordText} is no JSON` });
    service.hook.set("broken", { text: passwordText, status: 500 });
    const tokens = {
      good: await service.token({ more: "claims" }),
      late: await service.token({ exp: 1 }),
      unsigned: service.unsignedToken(),
      confused: await service.confusedToken("RS256"),
    };
    const will = { topic: "elsewhere", payload: Buffer.from(payloadText), qos: 0, retain: false } as const;
    const attempts: AccessOptions[] = [
      {},
      ...["hanging", "garbled", "broken", "stranger"].map((username) => ({
        username,
        password: passwordText,
      })),
      ...[tokens.late, tokens.unsigned, tokens.confused].map((password) => ({ username: "ann", password })),
      { username: "ann", password: tokens.good, will },
      { properties: { authenticationMethod: "PLAIN", authenticationData: Buffer.from(passwordText) } },
    ];
    const answers: string[] = [];
    for (const attempt of attempts) {
      for (const protocolVersion of [4, 5] as const) {
        if (protocolVersion === 4 && attempt.properties !== undefined) continue;
        const { bytes, closed } = await refused(broker.url, { protocolVersion, ...attempt });
        answers.push(bytes.toString("latin1"), closed.reason);
      }
    }
    for (const token of [tokens.late, tokens.unsigned, tokens.confused, passwordText]) {
      const origin = "https://app.example";
      const cookie = `session=${token}; other=${cookieText}`;
      for (const [url, headers] of [
        [`${broker.url}?token=${token}`, {}],
        [broker.url, { authorization: `Bearer ${token}` }],
        [broker.url, { cookie, origin }],
        [broker.url, { cookie, origin: "https://evil.example" }],
      ] as const) {
        const { body, headers: answered } = await upgrade(url, ["mqtt"], { headers });
        answers.push(body, JSON.stringify(answered));
      }
    }
    const secrets = [service.secret, service.hookSecret, otherSecret, passwordText, payloadText, cookieText];
    return { secrets: [...secrets, ...Object.values(tokens)], answers };
  }

  test("Refusals tell no secret and no inner matter, neither to the client nor to the log", async () => {
    const { secrets, answers } = await refuseAll();
    const client = await admitted(broker.url, {
      protocolVersion: 4,
      username: "ann",
      password: await service.token(),
    });
    publishRaw(client, { topic: "elsewhere", payload: payloadText, qos: 0 });
    answers.push((await client.closed()).reason);
    const next = await admitted(broker.url, { username: "ann", password: await service.token() });
    await pingRaw(next);
    const { stdout, stderr } = broker.output();
    // The log is not empty for want of anybody writing it.
    expect(stderr).toContain("duramq: the authentication hook failed: TimeoutError");
    for (const secret of secrets) {
      expect(stdout + stderr).not.toContain(secret);
      for (const answer of answers) expect(answer).not.toContain(secret);
    }
    for (const answer of answers) expect(answer).not.toMatch(/ at \S+[:(]|\.[jt]s\b|Error\b|127\.0\.0\.1/);
  });

  test("Whoever is not let in is answered with the same bytes, whatever the name", async () => {
    const answers = await Promise.all(
      ["ann", "nobody", "operator"].map(
        async (username) => (await refused(broker.url, { username, password: "1" })).bytes,
      ),
    );
    expect(new Set(answers.map((bytes) => bytes.toString("hex"))).size).toBe(1);
  });
});
