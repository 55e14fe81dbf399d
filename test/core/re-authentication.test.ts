import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/core/access/identity.ts";
import type { AuthenticationStep } from "../../src/core/authentication.ts";
import type { AuthPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { bytesOf, SimulatedClient, willMessage } from "./simulated-client.ts";

const { BadUserNameOrPassword, ContinueAuthentication, NotAuthorized, ReAuthenticate, Success } = ReasonCode;

function may(topicFilter: string, more: Partial<Identity> = {}): AuthenticationStep {
  const rules = [{ effect: "allow", action: "all", topicFilter } as const];
  return {
    type: "success",
    identity: { method: "scram", username: "ann", roles: [], claims: {}, rules, ...more },
  };
}

const question: AuthenticationStep = { type: "continue", data: bytesOf("?"), state: "asked" };

function auth(reasonCode: AuthPacket["reasonCode"]): AuthPacket {
  return { type: "auth", reasonCode, authenticationMethod: "slow", authenticationData: bytesOf("data") };
}

const anew = auth(ReAuthenticate);
const next = auth(ContinueAuthentication);

/** A host that answers when the test wants it to. */
function setUp(): Harness {
  const shard = new Harness({ authenticationMethods: ["slow"] });
  shard.questions = [];
  return shard;
}

function authenticated(shard: Harness, step = may("#"), options: ClientOptions = {}): SimulatedClient {
  const client = SimulatedClient.connected(shard, { authenticationMethod: "slow", ...options });
  shard.answer(step);
  return client;
}

describe("while the host is asked about an established connection", () => {
  test("the client's messages go on, and its next AUTH waits", () => {
    const shard = setUp();
    const client = authenticated(shard);
    client.subscribe("a");
    client.take();
    client.send(anew, next).publish("a", "1");
    client.ping();
    expect(client.take().map(({ type }) => type)).toEqual(["publish", "pingresp"]);
    shard.answer(question);
    expect(client.take()).toMatchObject([{ type: "auth", reasonCode: ContinueAuthentication }]);
    expect(shard.questions).toMatchObject([{ request: { state: "asked", clientId: client.clientId } }]);
    shard.answer(may("#"));
    expect(client.take()).toMatchObject([
      { type: "auth", reasonCode: Success, authenticationMethod: "slow" },
    ]);
  });

  test("bytes that are no packet end the connection at once", () => {
    const shard = setUp();
    const client = authenticated(shard).send(anew);
    const fault = { reasonCode: ReasonCode.MalformedPacket, reasonString: "Malformed" };
    shard.receive(client.connectionId, [], { fault });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.MalformedPacket);
    shard.answer(may("#"));
    expect(client.all("auth")).toEqual([]);
  });

  test("a client that leaves is gone, and its Will goes out", () => {
    const shard = setUp();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    authenticated(shard, may("#"), { will: willMessage("will") })
      .send(anew)
      .lose();
    expect(listener.payloads).toEqual(["will"]);
    shard.answer(may("#"));
    expect(shard.sessionCount).toBe(1);
  });

  test("10 s may pass; then the connection ends with a code that DISCONNECT has", () => {
    const shard = setUp();
    const client = authenticated(shard).send(anew);
    shard.advance(10_000);
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.ServerBusy);
  });

  test("bytes that trickle in give no more time", () => {
    const shard = setUp();
    const client = authenticated(shard).send(anew);
    shard.advance(9_000);
    shard.receive(client.connectionId, [], { unfinishedBytes: 64 });
    shard.advance(1_000);
    expect(client.isConnected).toBe(false);
  });
});

describe("a new identity", () => {
  test("is judged by at once: what it may not have ends the connection", () => {
    const shard = setUp();
    const client = authenticated(shard, may("a/#"), { sessionExpiryIntervalSec: 3600 });
    client.subscribe("a/b", 1);
    client.send(anew);
    shard.answer(may("b/#"));
    expect(client.last("disconnect").reasonCode).toBe(NotAuthorized);
    expect(client.all("auth")).toEqual([]);
    expect(shard.sessionRecord(client.clientId)?.subscriptions).toEqual([]);
  });

  test("holds for what comes after it", () => {
    const shard = setUp();
    const client = authenticated(shard, may("a"));
    client.send(anew);
    shard.answer(may("b"));
    expect(client.last("auth").reasonCode).toBe(Success);
    expect(client.subscribe("a").reasonCodes).toEqual([NotAuthorized]);
    expect(client.subscribe("b").reasonCodes).toEqual([0]);
    shard.evict();
    expect(client.subscribe("a").reasonCodes).toEqual([NotAuthorized]);
  });

  test("moves the end of the connection", () => {
    const shard = setUp();
    const expiring = (ms: number): AuthenticationStep => may("#", { expiresAtMs: shard.nowMs + ms });
    const [renewed, other] = [authenticated(shard, expiring(60_000)), authenticated(shard, expiring(60_000))];
    shard.advance(50_000);
    renewed.send(anew);
    shard.answer(expiring(60_000));
    shard.advance(20_000);
    expect([renewed.isConnected, other.isConnected]).toEqual([true, false]);
    shard.advance(60_000);
    expect(renewed.last("disconnect").reasonCode).toBe(ReasonCode.MaximumConnectTime);
  });

  test("so large that the attachment has no room for the subscriptions sends them to a row, and back", () => {
    const shard = setUp();
    const client = authenticated(shard);
    for (let index = 0; index < 25; index += 1) client.subscribe(`${"x".repeat(50)}/${index}`);
    const large = may("#", { claims: { note: "x".repeat(3_000) } });
    for (const [step, rows] of [
      [large, 1],
      [may("#"), 0],
    ] as const) {
      client.send(anew);
      shard.answer(step);
      expect(shard.sessionRecords).toHaveLength(rows);
      shard.evict();
      client.take();
      SimulatedClient.connected(shard).publish(`${"x".repeat(50)}/24`);
      expect(client.take()).toHaveLength(1);
    }
  });

  test("that ends is told of by a User Property, at CONNACK and again, where it fits", () => {
    const shard = setUp();
    const ending = (ms: number): AuthenticationStep => may("#", { expiresAtMs: ms });
    const told = (sec: string) => ({ userProperties: [["credential-expires-at", sec]] });
    const client = authenticated(shard, ending(shard.nowMs + 60_999));
    const sec = Math.floor(shard.nowMs / 1000);
    expect(client.last("connack")).toMatchObject(told(String(Math.floor((shard.nowMs + 60_999) / 1000))));
    client.send(anew);
    shard.answer(ending((sec + 90) * 1000));
    expect(client.last("auth")).toMatchObject(told(String(sec + 90)));
    const narrow = authenticated(shard, ending(shard.nowMs + 60_000), { maximumPacketSizeBytes: 40 });
    expect(narrow.last("connack").reasonCode).toBe(Success);
    expect(narrow.last("connack").userProperties).toBeUndefined();
    const quiet = authenticated(shard, ending(shard.nowMs + 60_000), { requestProblemInformation: false });
    quiet.send(anew);
    shard.answer(ending(shard.nowMs + 60_000));
    expect(quiet.last("auth").userProperties).toBeUndefined();
  });

  test.each([
    [{ clientId: "another" }, NotAuthorized],
    [{ username: "bob" }, NotAuthorized],
    [{ expiresAtMs: 1 }, NotAuthorized],
  ])("that does not fit the connection (%o) ends it", (more, reasonCode) => {
    const shard = setUp();
    const client = authenticated(shard).send(anew);
    shard.answer(may("#", more));
    expect(client.last("disconnect").reasonCode).toBe(reasonCode);
  });

  test("that fails is told with a code that DISCONNECT has", () => {
    const shard = setUp();
    const client = authenticated(shard).send(anew);
    shard.answer({ type: "failure", reasonCode: BadUserNameOrPassword, reasonString: "Wrong" });
    expect(client.last("disconnect")).toMatchObject({ reasonCode: NotAuthorized, reasonString: "Wrong" });
  });
});
