import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/core/access/identity.ts";
import type { AuthenticationRequest, AuthenticationStep } from "../../src/core/authentication.ts";
import type { AuthPacket, ClientPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import type { HarnessOptions } from "./harness.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { bytesOf, SimulatedClient, textOf, willMessage } from "./simulated-client.ts";

type MethodRequest = AuthenticationRequest & { readonly type: "method" };

const week = 7 * 24 * 3600;
const { ContinueAuthentication, NotAuthorized, ProtocolError, ReAuthenticate, Success } = ReasonCode;

/** The Client Identifiers that exchanges were begun for. */
const begun: string[] = [];
const ann: Identity = {
  method: "scram",
  username: "ann",
  roles: [],
  claims: {},
  rules: [{ effect: "allow", action: "all", topicFilter: "#" }],
};

/** Asks "1?", "2?" … for as many answers as it is long; the answer to "1?" is "1!". */
function questions(count: number, { clientId, data, state }: MethodRequest): AuthenticationStep {
  const asked = (state as number | undefined) ?? 0;
  if (asked === 0) begun.push(clientId);
  const answer = data === undefined ? "" : textOf(data);
  if (asked > 0 && answer !== `${asked}!`) {
    return { type: "failure", reasonCode: NotAuthorized, reasonString: `The answer was ${answer}` };
  }
  if (asked === count) return { type: "success", identity: ann, data: bytesOf("welcome") };
  return { type: "continue", data: bytesOf(`${asked + 1}?`), state: asked + 1 };
}

const methods: Record<string, (request: MethodRequest) => AuthenticationStep> = {
  two: (request) => questions(2, request),
  none: (request) => questions(0, request),
  banning: () => ({ type: "failure", reasonCode: ReasonCode.Banned, reasonString: "Banned for good" }),
  silent: () => ({ type: "success", identity: ann }),
};

function authenticate(request: AuthenticationRequest): AuthenticationStep {
  const method = request.type === "method" ? methods[request.method] : undefined;
  if (request.type !== "method" || method === undefined) throw new Error("nobody asked for that");
  return method(request);
}

function setUp(limits: object = {}, options: HarnessOptions = {}): Harness {
  return new Harness({ limits, authenticationMethods: Object.keys(methods), authenticate, ...options });
}

function starting(shard: Harness, options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, { authenticationMethod: "two", ...options });
}

function auth(data: string, options: Partial<AuthPacket> = {}): AuthPacket {
  return {
    type: "auth",
    reasonCode: ContinueAuthentication,
    authenticationMethod: "two",
    authenticationData: bytesOf(data),
    ...options,
  };
}

const anew = auth("", { reasonCode: ReAuthenticate });

/** Connected, after two questions. */
function authenticated(shard: Harness, options: ClientOptions = {}): SimulatedClient {
  return starting(shard, options).send(auth("1!")).send(auth("2!"));
}

describe("CONNECT with an Authentication Method", () => {
  test("[MQTT-4.12.0-2] is answered with AUTH 0x18 until the method is content, then with CONNACK", () => {
    const client = starting(setUp());
    const question = { type: "auth", reasonCode: ContinueAuthentication, authenticationMethod: "two" };
    expect(client.take()).toEqual([{ ...question, authenticationData: bytesOf("1?") }]);
    client.send(auth("1!"));
    expect(client.take()).toEqual([{ ...question, authenticationData: bytesOf("2?") }]);
    client.send(auth("2!"));
    expect(client.connack).toMatchObject({ reasonCode: Success, sessionPresent: false, receiveMaximum: 100 });
    client.subscribe("a");
    client.publish("a", "1");
    expect(client.payloads).toEqual(["1"]);
  });

  test("[MQTT-4.12.0-5] has the method, and its last data, in CONNACK", () => {
    const shard = setUp();
    expect(authenticated(shard).connack).toMatchObject({
      authenticationMethod: "two",
      authenticationData: bytesOf("welcome"),
    });
    const client = starting(shard, { authenticationMethod: "silent" });
    expect(client.connack.authenticationMethod).toBe("silent");
    expect(client.connack).not.toHaveProperty("authenticationData");
  });

  test("may be content with the first data", () => {
    const client = starting(setUp(), { authenticationMethod: "none", authenticationData: bytesOf("") });
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack"]);
    expect(client.isConnected).toBe(true);
  });

  test("[MQTT-4.12.0-6] without one gets neither AUTH nor a method", () => {
    const client = SimulatedClient.connected(setUp());
    expect(client.inbox).toHaveLength(1);
    expect(client.connack).not.toHaveProperty("authenticationMethod");
  });

  test("[MQTT-4.12.0-1] of an unknown name is refused with 0x8C", () => {
    const shard = setUp();
    const client = starting(shard, { authenticationMethod: "SCRAM" });
    expect(client.connack).toMatchObject({ reasonCode: ReasonCode.BadAuthenticationMethod });
    expect(client.connack.reasonString).toBeTruthy();
    expect(client.closed?.code).toBe(1008);
    expect(shard.counters.refusals).toEqual(new Map([[ReasonCode.BadAuthenticationMethod, 1]]));
    expect(shard.sessionCount).toBe(0);
  });

  test("[MQTT-4.12.0-4] that fails is refused with the method's code, at the first step or later", () => {
    const shard = setUp();
    const banned = starting(shard, { authenticationMethod: "banning" });
    expect(banned.connack).toMatchObject({ reasonCode: ReasonCode.Banned, reasonString: "Banned for good" });
    const wrong = starting(shard).send(auth("1!")).send(auth("9!"));
    expect(wrong.connack).toMatchObject({ reasonCode: NotAuthorized, reasonString: "The answer was 9!" });
    expect([banned.closed?.code, wrong.closed?.code]).toEqual([1008, 1008]);
    expect(shard.sessionCount).toBe(0);
    expect(shard.openConnectionIds).toEqual([]);
  });

  test("neither takes a session over nor touches it before it has succeeded", () => {
    const shard = setUp();
    const owner = authenticated(shard, { clientId: "owner", sessionExpiryIntervalSec: week });
    owner.subscribe("a", 1);
    const thief = starting(shard, { clientId: "owner" }).send(auth("guess"));
    expect(thief.connack.reasonCode).toBe(NotAuthorized);
    expect(owner.isConnected).toBe(true);
    const second = starting(shard, { clientId: "owner", cleanStart: false }).send(auth("1!"), auth("2!"));
    expect(owner.last("disconnect").reasonCode).toBe(ReasonCode.SessionTakenOver);
    expect(second.connack.sessionPresent).toBe(true);
  });

  test("publishes no Will when it fails", () => {
    const shard = setUp();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    starting(shard, { will: willMessage("will") }).send(auth("wrong"));
    starting(shard, { will: willMessage("will") }).lose();
    expect(listener.payloads).toEqual([]);
  });

  test("is refused for its other faults before anything is asked", () => {
    const client = starting(setUp({ maximumQos: 0 }), { will: willMessage("will", { qos: 1 }) });
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack"]);
    expect(client.connack.reasonCode).toBe(ReasonCode.QoSNotSupported);
  });

  test("does not get past the limit of connections by being asked meanwhile", () => {
    const shard = setUp({ connectionsMax: 1 }, { shards: 1 });
    const clients = [starting(shard), starting(shard)];
    for (const client of clients) client.send(auth("1!"), auth("2!"));
    expect(clients.map(({ connack }) => connack.reasonCode)).toEqual([Success, ReasonCode.ServerBusy]);
  });

  test("begins the exchange for the Client Identifier that the session will have", () => {
    const shard = setUp();
    begun.length = 0;
    const client = authenticated(shard, { clientId: "" });
    client.send(anew);
    expect(begun).toEqual([client.connack.assignedClientIdentifier, client.connack.assignedClientIdentifier]);
  });
});

describe("during the exchange of a CONNECT", () => {
  const subscribe: ClientPacket = {
    type: "subscribe",
    packetIdentifier: 1,
    requests: [
      { topicFilter: "a", maximumQos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ],
  };
  const publish: ClientPacket = {
    type: "publish",
    dup: false,
    message: { topicName: "a", payload: bytesOf("1"), qos: 0, retain: false },
  };
  const connect: ClientPacket = {
    type: "connect",
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSec: 0,
    clientId: "again",
    sessionExpiryIntervalSec: 0,
  };

  test.each([subscribe, publish, connect, { type: "pingreq" } as const])(
    "[MQTT-3.1.2-30] $type closes the connection without effect",
    (packet) => {
      const shard = setUp();
      const listener = SimulatedClient.connected(shard);
      listener.subscribe("a");
      const client = starting(shard);
      client.take();
      client.send(packet);
      expect(client.inbox.filter(({ type }) => type !== "connack")).toEqual([]);
      expect(client.closed?.code).toBe(1002);
      expect(listener.payloads).toEqual([]);
      expect(shard.sessionCount).toBe(1);
    },
  );

  test("a packet out of place is counted as refused", () => {
    const shard = setUp();
    starting(shard).send({ type: "pingreq" });
    expect(shard.counters.refusals).toEqual(new Map([[ProtocolError, 1]]));
  });

  test("DISCONNECT ends it normally", () => {
    const client = starting(setUp());
    client.take();
    client.disconnect();
    expect(client.closed?.code).toBe(1000);
    expect(client.inbox).toEqual([]);
  });

  test.each([
    ["of another method", auth("1!", { authenticationMethod: "none" })],
    ["that begins anew", anew],
  ])("AUTH %s is answered with 0x82", (_, packet) => {
    const client = starting(setUp()).send(packet);
    expect(client.connack.reasonCode).toBe(ProtocolError);
    expect(client.connack.reasonString).toBeTruthy();
    expect(client.isConnected).toBe(false);
  });

  test("a client that goes silent is closed after 10 s, and leaves nothing", () => {
    const shard = setUp();
    const client = starting(shard, { sessionExpiryIntervalSec: week });
    shard.advance(9_999);
    expect(client.isConnected).toBe(true);
    shard.advance(1);
    expect(client.isConnected).toBe(false);
    expect(shard.openConnectionIds).toEqual([]);
    expect(shard.isAwake).toBe(false);
    expect(shard.rowsWritten).toBe(0);
  });
});

describe("AUTH without an exchange", () => {
  test("as the first packet closes the connection", () => {
    const client = new SimulatedClient(setUp()).open().send(auth("1!"));
    expect(client.closed?.code).toBe(1002);
    expect(client.inbox).toEqual([]);
  });

  test("[MQTT-4.12.0-7] is answered with 0x82, whether the connection has a method or none", () => {
    const shard = setUp();
    for (const client of [SimulatedClient.connected(shard), authenticated(shard)]) {
      client.send(auth("1!"));
      expect(client.last("disconnect").reasonCode).toBe(ProtocolError);
      expect(client.isConnected).toBe(false);
    }
  });
});

describe("re-authentication", () => {
  test("asks again and ends with AUTH 0x00, while the session goes on", () => {
    const shard = setUp();
    const client = authenticated(shard);
    client.subscribe("a");
    client.take();
    client.send(anew);
    expect(client.only("auth")).toMatchObject({ reasonCode: ContinueAuthentication });
    client.publish("a", "meanwhile");
    client.ping().send(auth("1!")).send(auth("2!"));
    expect(client.last("auth")).toEqual(
      auth("welcome", { reasonCode: Success, authenticationData: bytesOf("welcome") }),
    );
    expect(client.payloads).toEqual(["meanwhile"]);
    shard.advance(60_000);
    expect(client.isConnected).toBe(true);
    client.send(anew).send(auth("1!"), auth("2!"));
    expect(client.last("auth").reasonCode).toBe(Success);
  });

  test("[MQTT-4.12.1-2] that fails ends the connection with DISCONNECT, as a lost one", () => {
    const shard = setUp();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("will");
    const client = authenticated(shard, { will: willMessage("will") });
    client.send(anew).send(auth("wrong"));
    expect(client.last("disconnect")).toMatchObject({
      reasonCode: NotAuthorized,
      reasonString: "The answer was wrong",
    });
    expect(client.closed?.code).toBe(1008);
    expect(listener.payloads).toEqual(["will"]);
    expect(shard.counters.refusals.get(NotAuthorized)).toBe(1);
  });

  test("[MQTT-4.12.1-1] is for those alone who authenticated, by their own method and one at a time", () => {
    const shard = setUp();
    const plain = SimulatedClient.connected(shard).send(anew);
    const other = authenticated(shard).send({ ...anew, authenticationMethod: "none" });
    const twice = authenticated(shard).send(anew).send(anew);
    const strange = authenticated(shard)
      .send(anew)
      .send(auth("1!", { authenticationMethod: "none" }));
    for (const client of [plain, other, twice, strange]) {
      expect(client.last("disconnect").reasonCode).toBe(ProtocolError);
      expect(client.isConnected).toBe(false);
    }
  });

  test.each([{}, { sessionExpiryIntervalSec: week }])(
    "goes by the same method after an eviction (%o)",
    (options) => {
      const shard = setUp();
      const client = authenticated(shard, options);
      const other = authenticated(shard, options);
      shard.evict();
      client.send(anew).send(auth("1!"), auth("2!"));
      expect(client.last("auth").reasonCode).toBe(Success);
      shard.evict();
      other.send({ ...anew, authenticationMethod: "none" });
      expect(other.last("disconnect").reasonCode).toBe(ProtocolError);
    },
  );

  test("that is abandoned ends the connection after 10 s, and says so", () => {
    const shard = setUp();
    const client = authenticated(shard, { keepAliveSec: 60 });
    shard.advance(30_000);
    client.send(anew);
    expect(shard.isAwake).toBe(true);
    shard.advance(5_000);
    client.ping();
    shard.advance(4_999);
    expect(client.isConnected).toBe(true);
    shard.advance(1);
    expect(client.isConnected).toBe(false);
    expect(client.last("disconnect").reasonString).not.toContain("packet");
    expect([NotAuthorized, ProtocolError]).toContain(client.last("disconnect").reasonCode);
  });
});
