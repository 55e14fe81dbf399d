/** Users of the registry, as clients see them, and what it costs to know them. */
import { env } from "cloudflare:workers";
import { SignJWT } from "jose";
import { describe, expect, test, vi } from "vitest";
import { type Config, configOf } from "../../src/config.ts";
import { emptyPolicy, type Policy } from "../../src/core/access/policy.ts";
import type { ConnectPacket, ProtocolVersion } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import type { Env } from "../../src/env.ts";
import { RegistryClient } from "../../src/registry-client.ts";
import type { UserChange } from "../../src/registry/schemas.ts";
import { ScramClient } from "./scram-client.ts";
import type { Client } from "./client.ts";
import { registryWatchOf, startMs } from "./instruments.ts";
import { binary, connectPacket, persistent, publishPacket, subscribePacket } from "./packets.ts";
import { TestNamespace } from "./test-namespace.ts";

const secret = "a secret of thirty-two characters";
const settings = { ANONYMOUS: "false", OPERATOR_TOKEN: secret, SYS_TOPICS: "operators" };
const change = { password: "pencil", roles: [], rules: [], disabled: false };
const allow = (topicFilter: string) => ({ effect: "allow", action: "all", topicFilter }) as const;

/** A namespace with users. */
class GuardedNamespace extends TestNamespace {
  readonly registry: RegistryClient;
  readonly watch = registryWatchOf(this.name);

  constructor(more: Readonly<Record<string, string>> = {}) {
    super(1, { ...settings, ...more });
    const NAMESPACES = JSON.stringify({ [this.name]: { SHARDS: "1", ...settings, ...more } });
    const testEnv = env as unknown as Env;
    this.registry = new RegistryClient(testEnv, configOf({ ...env, NAMESPACES }, this.name) as Config);
  }

  async withUser(username: string, more: Partial<UserChange> = {}): Promise<this> {
    const answer = await this.registry.putUser("operator", username, { ...change, ...more });
    if (answer.type !== "done") throw new Error(answer.reason);
    return this;
  }

  /** CONNECT, and the packet that answers it. */
  async attempt(options: Partial<ConnectPacket> & { readonly clientId?: string } = {}) {
    const client = await this.shard(0).open(options.protocolVersion ?? 5);
    client.send(connectPacket(options.clientId ?? "client", options));
    return { client, answer: await client.nextAny("an answer to CONNECT") };
  }

  /** The calls to the registry that the work takes. */
  async callsDuring(work: () => Promise<unknown>): Promise<string[]> {
    const before = this.watch.calls.length;
    await work();
    return this.watch.calls.slice(before);
  }
}

function login(userName: string, password: string, protocolVersion: ProtocolVersion = 5) {
  return { userName, password: binary(password), protocolVersion };
}

const method = { authenticationMethod: "SCRAM-SHA-256" } as const;

/** SCRAM-SHA-256 up to the answer to its last message. */
async function scram(namespace: GuardedNamespace, username: string, password: string) {
  const proof = new ScramClient(username, password);
  const { client, answer } = await namespace.attempt({ ...method, authenticationData: proof.first });
  if (answer.type !== "auth") throw new Error(`CONNECT was answered with ${JSON.stringify(answer)}`);
  const authenticationData = await proof.final(answer.authenticationData ?? new Uint8Array());
  client.send({ type: "auth", reasonCode: ReasonCode.ContinueAuthentication, ...method, authenticationData });
  return { client, proof, challenge: answer, answer: await client.nextAny("an answer to AUTH") };
}

/** Authentication anew, up to the answer to its last message. */
async function scramAgain(client: Client, username: string, password: string) {
  const proof = new ScramClient(username, password, "another-nonce");
  client.send({
    type: "auth",
    reasonCode: ReasonCode.ReAuthenticate,
    ...method,
    authenticationData: proof.first,
  });
  const { authenticationData } = await client.next("auth");
  const final = await proof.final(authenticationData ?? new Uint8Array());
  client.send({
    type: "auth",
    reasonCode: ReasonCode.ContinueAuthentication,
    ...method,
    authenticationData: final,
  });
  return { proof, answer: await client.nextAny("an answer to AUTH") };
}

describe("A session", () => {
  const ann = { ...login("ann", "pencil"), ...persistent };
  const bob = { ...login("bob", "pencil"), ...persistent };

  test.each(["kept", "lost"] as const)(
    "is its user's after an eviction with its socket %s, and another user's never",
    async (sockets) => {
      const namespace = await new GuardedNamespace().withUser("ann");
      await namespace.withUser("bob");
      const { client } = await namespace.attempt(ann);
      await namespace.shard(0).evict(sockets);
      for (const cleanStart of [false, true]) {
        const { answer } = await namespace.attempt({ ...bob, cleanStart });
        expect(answer).toMatchObject({ reasonCode: ReasonCode.ClientIdentifierNotValid });
      }
      if (sockets === "kept") await client.ping();
      expect((await namespace.attempt(ann)).answer).toMatchObject({ reasonCode: 0, sessionPresent: true });
    },
  );

  test("that is away loses by a new policy what its user may not have, through evictions on both sides", async () => {
    const namespace = await new GuardedNamespace().withUser("ann", { rules: [allow("#")] });
    const shard = namespace.shard(0);
    const { client } = await namespace.attempt(ann);
    client.send(subscribePacket("a", 1), subscribePacket("b", 1));
    await client.next("suback");
    await client.next("suback");
    client.send({ type: "disconnect", reasonCode: 0 });
    await client.closed;
    const publish = async (): Promise<void> => {
      const { client: publisher } = await namespace.attempt({ ...login("ann", "pencil"), clientId: "other" });
      publisher.send(publishPacket("a", "a", { qos: 1 }), publishPacket("b", "b", { qos: 1 }));
      await publisher.next("puback");
      await publisher.next("puback");
    };
    await publish();
    await shard.evict("lost");
    const deny = { effect: "deny", action: "subscribe", topicFilter: "a" } as const;
    const clients = { client: [deny] };
    await shard.stub.setPolicy({ ...emptyPolicy, version: 1_000, clients });
    await shard.evict("lost");
    await publish();
    const { client: back, answer } = await namespace.attempt(ann);
    expect(answer).toMatchObject({ sessionPresent: true });
    const got = [await back.next("publish"), await back.next("publish")];
    expect(got.map(({ topicName }) => topicName)).toEqual(["b", "b"]);
  });
});

describe("A password", () => {
  test.each([4, 5] as const)(
    "that is right lets a client of version %i in, with the user's rights",
    async (version) => {
      const namespace = await new GuardedNamespace().withUser("ann", { rules: [allow("ann/#")] });
      const { client, answer } = await namespace.attempt(login("ann", "pencil", version));
      expect(answer).toMatchObject({ type: "connack", reasonCode: 0 });
      client.send(subscribePacket("ann/a", 0), subscribePacket("bob/a", 0));
      expect((await client.next("suback")).reasonCodes).toEqual([0]);
      expect((await client.next("suback")).reasonCodes).toEqual([version === 5 ? 0x87 : 0x80]);
    },
  );

  test.each([
    [5, 0x86],
    [4, 4],
    [3, 4],
  ] as const)(
    "that is wrong gets a client of version %i the same %i as one of nobody",
    async (version, code) => {
      const namespace = await (
        await new GuardedNamespace().withUser("ann")
      ).withUser("off", { disabled: true });
      const answers: object[] = [];
      for (const [user, password] of [
        ["ann", "pen"],
        ["nobody", "pen"],
        ["nobody", "pencil"],
        ["off", "pencil"],
        ["ann", ""],
        ["", "pencil"],
        ["a\u0301nn", "pencil"],
        ["ann", "p".repeat(2000)],
      ] as const) {
        const { client, answer } = await namespace.attempt(login(user, password, version));
        answers.push(answer);
        expect((await client.closed).code).toBe(1008);
      }
      expect(answers[0]).toMatchObject({ type: "connack", reasonCode: code });
      expect(answers.filter((answer) => JSON.stringify(answer) !== JSON.stringify(answers[0]))).toEqual([]);
    },
  );

  test("without a user, or none at all, is refused", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const codes: object[] = [];
    for (const options of [{}, { userName: "ann" }, { password: binary("pencil") }]) {
      codes.push((await namespace.attempt(options)).answer);
    }
    expect(codes).toMatchObject([{ reasonCode: 0x87 }, { reasonCode: 0x86 }, { reasonCode: 0x86 }]);
  });

  test("that is wrong disconnects nobody, and one that is right takes over", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const { client: rightful } = await namespace.attempt({ ...login("ann", "pencil"), ...persistent });
    await namespace.attempt(login("ann", "pen"));
    await namespace.attempt();
    await rightful.ping();
    const { answer } = await namespace.attempt({ ...login("ann", "pencil"), cleanStart: false });
    expect(answer).toMatchObject({ type: "connack", reasonCode: 0, sessionPresent: true });
    await rightful.next("pingresp").catch(() => undefined);
    expect((await rightful.next("disconnect")).reasonCode).toBe(ReasonCode.SessionTakenOver);
  });

  test.each([
    [5, 0x89],
    [4, 3],
  ] as const)(
    "that is guessed at too often gets a client of version %i %i, right or wrong",
    async (version, code) => {
      const namespace = await new GuardedNamespace().withUser("ann");
      const guess = async (_: unknown, index: number) => {
        const options = { clientId: `guesser-${index}`, ...login("ann", `pen-${index}`, version) };
        return (await namespace.attempt(options)).answer;
      };
      const answers = await Promise.all(Array.from({ length: 40 }, guess));
      expect(
        answers.filter((answer) => "reasonCode" in answer && answer.reasonCode === code).length,
      ).toBeGreaterThan(0);
      expect(answers.some((answer) => "reasonCode" in answer && answer.reasonCode === 0)).toBe(false);
      await namespace.withUser("bob");
      expect((await namespace.attempt(login("bob", "pencil"))).answer).toMatchObject({ reasonCode: 0 });
    },
  );

  test.each([
    [5, 0x88],
    [4, 3],
  ] as const)("lets no client of version %i in while the registry is down: %i", async (version, code) => {
    const namespace = await new GuardedNamespace().withUser("ann");
    // The policy is known by now.
    await namespace.attempt(login("ann", "pen"));
    namespace.watch.isDown = true;
    const { answer } = await namespace.attempt(login("ann", "pencil", version));
    expect(answer).toMatchObject({ type: "connack", reasonCode: code });
    expect(JSON.stringify(answer)).not.toContain("registry");
    namespace.watch.isDown = false;
    expect((await namespace.attempt(login("ann", "pencil"))).answer).toMatchObject({ reasonCode: 0 });
  });

  test.each([
    [5, 0x85],
    [4, 2],
  ] as const)(
    "of a user with a Client Identifier gets another one of version %i refused with %i",
    async (version, code) => {
      const namespace = await new GuardedNamespace().withUser("ann", { clientId: "ann-1" });
      const codeFor = async (clientId: string) => {
        const { answer } = await namespace.attempt({ clientId, ...login("ann", "pencil", version) });
        return "reasonCode" in answer ? answer.reasonCode : undefined;
      };
      expect([await codeFor("ann-1"), await codeFor("bob-1"), await codeFor("")]).toEqual([0, code, code]);
    },
  );

  test("of one namespace opens no other", async () => {
    const here = await new GuardedNamespace().withUser("ann", { password: "here" });
    const there = await new GuardedNamespace().withUser("ann", { password: "there", rules: [allow("#")] });
    expect((await there.attempt(login("ann", "here"))).answer).toMatchObject({ reasonCode: 0x86 });
    expect((await here.attempt(login("ann", "there"))).answer).toMatchObject({ reasonCode: 0x86 });
    const { client } = await here.attempt(login("ann", "here"));
    client.send(subscribePacket("a", 0));
    expect((await client.next("suback")).reasonCodes).toEqual([0x87]);
    const empty = new GuardedNamespace();
    expect((await empty.attempt(login("ann", "there"))).answer).toMatchObject({ reasonCode: 0x86 });
  });
});

test("A shard that fails at ending the connections of a user says so, and ends them when it is told again", async () => {
  const namespace = await new GuardedNamespace().withUser("ann");
  const { client } = await namespace.attempt(login("ann", "pencil"));
  const shard = namespace.shard(0);
  await shard.evict();
  // PINGREQ needs nothing of what sleeping forgot.
  await client.ping();
  shard.instruments.failNext = "query";
  expect(await shard.stub.forgetUsers(["ann"])).toBe(false);
  await client.ping();
  expect(await shard.stub.forgetUsers(["ann"])).toBe(true);
  expect((await client.next("disconnect")).reasonCode).toBe(ReasonCode.NotAuthorized);
});

describe("A shard that has never been told the policy", () => {
  const ban: Policy = { ...emptyPolicy, bans: [{ by: "client", value: "client" }] };

  test("knows rules and bans although OPERATOR_TOKEN has been taken away since they were made", async () => {
    const namespace = new GuardedNamespace({ ANONYMOUS: "true" });
    const { version: _, ...content } = ban;
    await namespace.registry.policies.putPolicy("operator", content, 0);
    namespace.configure({ SHARDS: "1", ANONYMOUS: "true" });
    expect((await namespace.attempt()).answer).toMatchObject({ reasonCode: ReasonCode.Banned });
    expect((await namespace.attempt({ clientId: "other" })).answer).toMatchObject({ reasonCode: 0 });
    await namespace.evict("lost");
    const again = () => namespace.attempt();
    expect(await namespace.callsDuring(again)).toEqual([]);
  });

  test("asks once also when there is none", async () => {
    const namespace = new GuardedNamespace();
    const connect = () => namespace.attempt();
    expect(await namespace.callsDuring(connect)).toEqual(["policy"]);
    for (const sockets of ["kept", "lost"] as const) {
      await namespace.evict(sockets);
      expect(await namespace.callsDuring(connect)).toEqual([]);
    }
  });

  test("goes by the first one, be it told before the answer that there is none, or after it", async () => {
    const told: number[] = [];
    for (const isBefore of [true, false]) {
      const namespace = new GuardedNamespace({ ANONYMOUS: "true" });
      const tell = async () => {
        told.push(await namespace.shard(0).stub.setPolicy({ ...ban, version: 1 }));
      };
      if (isBefore) {
        namespace.watch.beforeAnswer = tell;
      } else {
        expect((await namespace.attempt()).answer).toMatchObject({ reasonCode: 0 });
        await tell();
      }
      expect((await namespace.attempt()).answer).toMatchObject({ reasonCode: ReasonCode.Banned });
    }
    expect(told).toEqual([1, 1]);
  });

  test("takes no client when there is no answer in time, and asks again", async () => {
    const namespace = new GuardedNamespace({ ANONYMOUS: "true" });
    namespace.watch.beforeAnswer = () => new Promise(() => {});
    const refused = namespace.attempt().catch(String);
    await vi.waitFor(() => expect(namespace.watch.calls).toEqual(["policy"]));
    await namespace.shard(0).stub.fireTimer();
    expect(await refused).toContain("no answer");
    namespace.watch.beforeAnswer = () => Promise.resolve();
    expect((await namespace.attempt()).answer).toMatchObject({ reasonCode: 0 });
  });

  test("takes no client when it cannot learn it, and asks again", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    namespace.watch.isDown = true;
    await expect(namespace.attempt(login("ann", "pencil"))).rejects.toThrow("the registry is down");
    namespace.watch.isDown = false;
    expect((await namespace.attempt(login("ann", "pencil"))).answer).toMatchObject({ reasonCode: 0 });
  });
});

describe("SCRAM-SHA-256", () => {
  test("lets in whoever knows the password, and shows the server", async () => {
    const namespace = await new GuardedNamespace().withUser("ann", { rules: [allow("ann/#")] });
    const { client, proof, answer } = await scram(namespace, "ann", "pencil");
    if (answer.type !== "connack") throw new Error("CONNACK ends it");
    expect(answer).toMatchObject({ reasonCode: 0, ...method });
    expect(proof.isServer(answer.authenticationData)).toBe(true);
    client.send(subscribePacket("ann/a", 0));
    expect((await client.next("suback")).reasonCodes).toEqual([0]);
  });

  test("answers a wrong password and nobody alike, with 0x86", async () => {
    const namespace = await (
      await new GuardedNamespace().withUser("ann")
    ).withUser("off", { disabled: true });
    const shapes: unknown[] = [];
    for (const [username, password] of [
      ["ann", "pen"],
      ["nobody", "pencil"],
      ["off", "pencil"],
    ] as const) {
      const { challenge, answer, client } = await scram(namespace, username, password);
      expect(answer).toMatchObject({ type: "connack", reasonCode: 0x86 });
      shapes.push([answer, challenge.authenticationData?.length]);
      await client.closed;
    }
    expect(new Set(shapes.map((shape) => JSON.stringify(shape))).size).toBe(1);
  });

  test("refuses another Client Identifier than the user's with 0x85", async () => {
    const namespace = await new GuardedNamespace().withUser("ann", { clientId: "client" });
    await namespace.withUser("bob", { clientId: "bob-1" });
    expect((await scram(namespace, "ann", "pencil")).answer).toMatchObject({ reasonCode: 0 });
    const refused = await scram(namespace, "bob", "pencil");
    expect(refused.answer).toMatchObject({ reasonCode: ReasonCode.ClientIdentifierNotValid });
    await refused.client.closed;
  });

  test("again as a user with another Client Identifier ends the connection with 0x87", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const { client } = await scram(namespace, "ann", "pencil");
    await namespace.withUser("ann", { clientId: "ann-1" });
    expect((await scramAgain(client, "ann", "pencil")).answer).toMatchObject({
      type: "disconnect",
      reasonCode: 0x87,
    });
  });

  test("refuses other methods with 0x8C, and what is no message of its own with 0x82", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const other = await namespace.attempt({
      authenticationMethod: "SCRAM-SHA-1",
      authenticationData: binary("n,,n=ann,r=x"),
    });
    expect(other.answer).toMatchObject({ type: "connack", reasonCode: 0x8c });
    for (const data of ["", "n,,", "p=tls-unique,,n=ann,r=x", "n,a=bob,n=ann,r=x"]) {
      const { answer } = await namespace.attempt({ ...method, authenticationData: binary(data) });
      expect(answer).toMatchObject({ type: "connack", reasonCode: 0x82 });
    }
  });

  test("ends with 0x82 when AUTH names another method half-way", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const { first } = new ScramClient("ann", "pencil");
    const { client, answer } = await namespace.attempt({ ...method, authenticationData: first });
    expect(answer.type).toBe("auth");
    client.send({
      type: "auth",
      reasonCode: ReasonCode.ContinueAuthentication,
      authenticationMethod: "PLAIN",
    });
    expect((await client.next("connack")).reasonCode).toBe(ReasonCode.ProtocolError);
    await client.closed;
  });

  test("again keeps the connection, and what is sent meanwhile is handled", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const { client } = await scram(namespace, "ann", "pencil");
    const { proof, answer } = await scramAgain(client, "ann", "pencil");
    if (answer.type !== "auth") throw new Error("AUTH ends it");
    expect(answer.reasonCode).toBe(0);
    expect(proof.isServer(answer.authenticationData)).toBe(true);
    await client.ping();
  });

  test("again with a wrong password ends the connection with 0x87", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const { client } = await scram(namespace, "ann", "pencil");
    const { answer } = await scramAgain(client, "ann", "pen");
    expect(answer).toMatchObject({ type: "disconnect", reasonCode: 0x87 });
    expect((await client.closed).code).toBe(1008);
  });
});

describe("What it costs to know a client", () => {
  test("by a password: a call, and none within a minute, but one for the policy, once and for all", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    const connect = async () => {
      const { answer } = await namespace.attempt(login("ann", "pencil"));
      expect(answer).toMatchObject({ reasonCode: 0 });
    };
    expect(await namespace.callsDuring(connect)).toEqual(["policy", "verifyPassword"]);
    namespace.skip(59);
    expect(await namespace.callsDuring(connect)).toEqual([]);
    namespace.skip(2);
    expect(await namespace.callsDuring(connect)).toEqual(["verifyPassword"]);
    await namespace.evict("lost");
    expect(await namespace.callsDuring(connect)).toEqual(["verifyPassword"]);
    expect(await namespace.shard(0).rowsDuring(connect)).toBe(0);
  });

  test("of a crowd that shows the same at once: as much as for one, and all get in", async () => {
    const namespace = await new GuardedNamespace().withUser("fleet");
    const strangers = () => Promise.all(Array.from({ length: 40 }, () => namespace.attempt()));
    expect(await namespace.callsDuring(strangers)).toEqual(["policy"]);
    const connect = async (_: unknown, index: number) => {
      const { answer } = await namespace.attempt({
        clientId: `device-${index}`,
        ...login("fleet", "pencil"),
      });
      return "reasonCode" in answer ? answer.reasonCode : undefined;
    };
    const calls = await namespace.callsDuring(async () => {
      expect(new Set(await Promise.all(Array.from({ length: 40 }, connect)))).toEqual(new Set([0]));
    });
    expect(calls).toEqual(["verifyPassword"]);
  });

  test("the shard asks for no policy once there is one in its own row", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    await namespace
      .shard(0)
      .stub.setPolicy({ version: 1, rules: [], roles: {}, users: {}, clients: {}, bans: [] });
    await namespace.evict("lost");
    const connect = () => namespace.attempt(login("ann", "pencil"));
    expect(await namespace.callsDuring(connect)).toEqual(["verifyPassword"]);
  });

  test("by SCRAM-SHA-256: two calls, whoever was there before", async () => {
    const namespace = await new GuardedNamespace().withUser("ann");
    await namespace.attempt(login("ann", "pen"));
    const calls = await namespace.callsDuring(() => scram(namespace, "ann", "pencil"));
    expect(calls).toEqual(["scramVerifier", "loginSucceeded"]);
    expect(await namespace.shard(0).rowsDuring(() => scram(namespace, "ann", "pencil"))).toBe(0);
  });

  test("by a token, or as nobody: nothing", async () => {
    const namespace = new GuardedNamespace({ JWT_SECRET: secret });
    const password = await new SignJWT({ sub: "tom", exp: startMs / 1000 + 600 })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret));
    const connect = async () => {
      const { answer } = await namespace.attempt({ ...login("tom", password), keepAliveSec: 60 });
      expect(answer).toMatchObject({ reasonCode: 0 });
    };
    expect(await namespace.callsDuring(connect)).toEqual(["policy"]);
    expect(await namespace.callsDuring(connect)).toEqual([]);
    expect(await namespace.callsDuring(() => namespace.attempt())).toEqual([]);
  });

  test("a decision: no call and no row, be it to allow or to deny", async () => {
    const namespace = await new GuardedNamespace().withUser("ann", { rules: [allow("ann/#")] });
    const { client } = await namespace.attempt(login("ann", "pencil"));
    client.send(subscribePacket("ann/#", 0));
    await client.next("suback");
    const work = async () => {
      for (let count = 0; count < 20; count += 1) {
        client.send(publishPacket("ann/a", "yes"), publishPacket("bob/a", "no"), subscribePacket("bob/#", 0));
        await client.next("publish");
        expect((await client.next("suback")).reasonCodes).toEqual([0x87]);
      }
    };
    let rows = -1;
    const calls = await namespace.callsDuring(async () => (rows = await namespace.shard(0).rowsDuring(work)));
    expect([calls, rows, namespace.calls.sent]).toEqual([[], 0, 0]);
  });
});
