import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/core/access/identity.ts";
import type { AuthenticationStep } from "../../src/core/authentication.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const { ClientIdentifierNotValid, Success } = ReasonCode;
const week = 7 * 24 * 3600;
const lasting = { clientId: "device", cleanStart: false, sessionExpiryIntervalSec: week } as const;
const all = [{ effect: "allow", action: "all", topicFilter: "#" }] as const;

function identityOf(username: string | undefined, more: Partial<Identity> = {}): Identity {
  const named = username !== undefined && { username };
  return { method: "token", ...named, roles: [], claims: {}, rules: all, ...more };
}

function connect(shard: Harness, username: string, options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, { ...lasting, identity: identityOf(username), ...options });
}

/** What a CONNECT with that Client Identifier is answered. */
function answerTo(shard: Harness, identity: Identity | undefined, options: ClientOptions = {}): ReasonCode {
  const who = identity !== undefined && { identity };
  const client = SimulatedClient.connected(shard, { ...lasting, ...who, ...options });
  const { reasonCode } = client.connack;
  if (client.isConnected) client.disconnect();
  return reasonCode;
}

describe("a session of a user", () => {
  test.each([
    ["while its client is connected", (_client: SimulatedClient, _shard: Harness) => {}],
    ["while its client is away", (client: SimulatedClient) => client.disconnect()],
    ["whose connection was lost", (client: SimulatedClient) => client.lose()],
    ["after a sleep", (_: SimulatedClient, shard: Harness) => shard.evict()],
    ["after a reset", (_: SimulatedClient, shard: Harness) => shard.reset()],
  ])("%s is for no other: 0x85 and a reason, Clean Start or not", (_, happen) => {
    const shard = new Harness();
    const client = connect(shard, "ann");
    client.subscribe("a", 1);
    happen(client, shard);
    for (const cleanStart of [false, true]) {
      const stranger = connect(shard, "bob", { cleanStart });
      expect(stranger.connack).toMatchObject({ reasonCode: ClientIdentifierNotValid, sessionPresent: false });
      expect(stranger.connack.reasonString).toContain("another user");
      expect(stranger.closed?.code).toBe(1008);
      expect(answerTo(shard, undefined, { cleanStart })).toBe(ClientIdentifierNotValid);
      expect(answerTo(shard, identityOf(undefined), { cleanStart })).toBe(ClientIdentifierNotValid);
    }
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1 });
    if (!client.isConnected) client.connect();
    expect(client.connack.reasonCode).toBe(Success);
    expect(client.payloads).toEqual(["1"]);
  });

  test("is refused to others before its connection is touched, however they are known", () => {
    const shard = new Harness({ authenticates: true, authenticationMethods: ["slow"] });
    shard.questions = [];
    const client = connect(shard, "ann", { cleanStart: true, sessionExpiryIntervalSec: 0 });
    for (const credential of [{ userName: "bob" }, { authenticationMethod: "slow" }]) {
      const stranger = SimulatedClient.connected(shard, { clientId: "device", ...credential });
      shard.answer({ type: "success", identity: identityOf("bob") });
      expect(stranger.connack.reasonCode).toBe(ClientIdentifierNotValid);
    }
    expect(client.isConnected).toBe(true);
  });

  test("[MQTT-3.1.4-3] gives way to another connection of the same user", () => {
    const shard = new Harness();
    const [older, newer] = [connect(shard, "ann"), connect(shard, "ann")];
    expect(older.last("disconnect").reasonCode).toBe(ReasonCode.SessionTakenOver);
    expect(newer.connack.sessionPresent).toBe(true);
  });

  test("is that user's by any credential", () => {
    const shard = new Harness();
    connect(shard, "ann").disconnect();
    const other = identityOf("ann", { method: "password", roles: ["other"], claims: { site: "north" } });
    expect(connect(shard, "ann", { identity: other }).connack.sessionPresent).toBe(true);
  });

  test("is everybody's when it has expired, before anybody has noticed", () => {
    const shard = new Harness();
    const witness = SimulatedClient.connected(shard);
    witness.subscribe("will");
    const will = willMessage("will", { willDelayIntervalSec: 200 });
    connect(shard, "ann", { will, sessionExpiryIntervalSec: 100 }).lose();
    shard.oversleep(99_000);
    expect(answerTo(shard, identityOf("bob"))).toBe(ClientIdentifierNotValid);
    shard.oversleep(1_000);
    const next = connect(shard, "bob");
    expect(next.connack).toMatchObject({ reasonCode: Success, sessionPresent: false });
    // With the session ends the delay of its Will.
    expect(witness.payloads).toEqual(["will"]);
    expect(answerTo(shard, identityOf("ann"))).toBe(ClientIdentifierNotValid);
  });

  test("is free when an operator has ended it", () => {
    const shard = new Harness();
    connect(shard, "ann");
    shard.administer(shard.shardOfClient("device"), { type: "endSession", clientId: "device" });
    expect(answerTo(shard, identityOf("bob"))).toBe(Success);
  });

  test("that a reset ended is its user's until its Will goes out, and no other keeps that back", () => {
    const shard = new Harness();
    connect(shard, "ann", { cleanStart: true, sessionExpiryIntervalSec: 0, will: willMessage("will") });
    shard.reset();
    const witness = SimulatedClient.connected(shard);
    witness.subscribe("will");
    expect(answerTo(shard, identityOf("bob"))).toBe(ClientIdentifierNotValid);
    shard.advance(20_000);
    expect(answerTo(shard, identityOf("bob"))).toBe(ClientIdentifierNotValid);
    shard.advance(20_000);
    expect(answerTo(shard, identityOf("bob"))).toBe(Success);
    expect(witness.payloads).toEqual(["will"]);
  });
});

describe("a session of nobody in particular", () => {
  const nobody: [string, Identity | undefined][] = [
    ["an anonymous client", undefined],
    ["a credential without a user name", identityOf(undefined)],
  ];

  test.each(nobody)("of %s can be taken, and then belongs to who took it", (_, identity) => {
    const shard = new Harness();
    expect(answerTo(shard, identity)).toBe(Success);
    shard.reset();
    const taker = connect(shard, "ann");
    expect(taker.connack).toMatchObject({ reasonCode: Success, sessionPresent: true });
    shard.reset();
    expect(answerTo(shard, identity)).toBe(ClientIdentifierNotValid);
    expect(answerTo(shard, identityOf("bob"))).toBe(ClientIdentifierNotValid);
    expect(answerTo(shard, identityOf("ann"))).toBe(Success);
  });

  test("of a row that an older release wrote can be taken, too", () => {
    const { shard } = withRowOfOlderRelease();
    const taker = connect(shard, "ann");
    expect(taker.connack.sessionPresent).toBe(true);
    expect(answerTo(shard, identityOf("bob"))).toBe(ClientIdentifierNotValid);
  });
});

describe("a new identity of a connection", () => {
  const anew = { type: "auth", reasonCode: ReasonCode.ReAuthenticate, authenticationMethod: "slow" } as const;

  /** Connected with a session that lasts. */
  function setUp(identity: Identity): { shard: Harness; client: SimulatedClient } {
    const shard = new Harness({ authenticationMethods: ["slow"] });
    shard.questions = [];
    const client = SimulatedClient.connected(shard, { ...lasting, authenticationMethod: "slow" });
    shard.answer({ type: "success", identity });
    return { shard, client };
  }

  function become(shard: Harness, client: SimulatedClient, step: AuthenticationStep): number {
    const rows = shard.rowsWritten;
    client.send(anew);
    shard.answer(step);
    return shard.rowsWritten - rows;
  }

  const first = identityOf("ann", { roles: ["one"], claims: { b: "2", a: "1" }, expiresAtMs: 4e12 });
  const { expiresAtMs: _, ...owner } = first;

  test("is kept without the end of its credential", () => {
    const { shard } = setUp(first);
    expect(shard.sessionRecord("device")?.owner).toStrictEqual(owner);
  });

  test.each<[string, Partial<Identity>]>([
    ["ends at another time", { expiresAtMs: 5e12 }],
    ["names its claims in another order", { claims: { a: "1", b: "2" } }],
  ])("that %s writes no row", (_title, more) => {
    const { shard, client } = setUp(first);
    expect(become(shard, client, { type: "success", identity: { ...first, ...more } })).toBe(0);
    expect(client.last("auth").reasonCode).toBe(Success);
    shard.evict();
    expect(become(shard, client, { type: "success", identity: { ...first, ...more } })).toBe(0);
  });

  test.each<[string, Partial<Identity>]>([
    ["roles", { roles: ["one", "two"] }],
    ["claims", { claims: { a: "1" } }],
    ["rules", { rules: [...all, ...all] }],
    ["method", { method: "password" }],
    ["Client Identifier", { clientId: "device" }],
  ])("with other %s reaches the row of a session that lasts", (_title, more) => {
    const { shard, client } = setUp(first);
    expect(become(shard, client, { type: "success", identity: { ...first, ...more } })).toBe(1);
    expect(shard.sessionRecord("device")?.owner).toStrictEqual({ ...owner, ...more });
  });

  test("of another user ends the connection, and the session stays what it was", () => {
    const { shard, client } = setUp(first);
    become(shard, client, { type: "success", identity: { ...first, username: "bob" } });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.NotAuthorized);
    expect(shard.sessionRecord("device")?.owner).toStrictEqual(owner);
  });
});

/** A session that has no owner, because none was kept then. */
function withRowOfOlderRelease(): { shard: Harness } {
  const storage = new MemoryShardStorage();
  const record = {
    clientId: "device",
    sessionNumber: 1,
    incarnation: 1,
    attachedBoot: 0,
    sessionExpiryIntervalSec: week,
    subscriptions: [],
    deliveryState: { nextOrdinal: 1, sentThrough: 0, inflight: [], receivedQos2: [] },
    deliveryStateSeq: 1,
  };
  storage.commit({ ...emptyWriteSet(), sessions: new Map([["device", record]]) });
  return { shard: new Harness({ storage }) };
}
