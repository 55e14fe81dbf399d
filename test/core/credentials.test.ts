import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/core/access/identity.ts";
import { identityBytesMax, identitySizeBytes } from "../../src/core/access/identity.ts";
import type { AuthenticationRequest, AuthenticationStep } from "../../src/core/authentication.ts";
import { parkedBytesMax, parkedBytesOfShardMax } from "../../src/core/connection/parked-input.ts";
import type { ClientPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { decodeAttachment, encodeAttachment } from "../../src/shard/attachment-codec.ts";
import { identityRecord } from "../storage/arbitrary-records.ts";
import { Harness } from "./harness.ts";
import type { HarnessOptions } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { bytesOf, SimulatedClient, textOf, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const { BadUserNameOrPassword, NotAuthorized, ServerUnavailable, Success } = ReasonCode;

const ann: Identity = {
  method: "password",
  username: "ann",
  roles: [],
  claims: {},
  rules: [{ effect: "allow", action: "all", topicFilter: "#" }],
};

const success: AuthenticationStep = { type: "success", identity: ann };
const failure: AuthenticationStep = {
  type: "failure",
  reasonCode: BadUserNameOrPassword,
  reasonString: "Wrong password",
};

/** Knows one password. */
function authenticate(request: AuthenticationRequest): AuthenticationStep {
  const isRight = request.type === "password" && request.password && textOf(request.password) === "right";
  return isRight ? success : failure;
}

function setUp(options: HarnessOptions = {}): Harness {
  return new Harness({ authenticates: true, allowsAnonymous: false, authenticate, ...options });
}

/** A shard whose host answers when the test wants it to. */
function setUpSlow(options: HarnessOptions = {}): Harness {
  const shard = setUp(options);
  shard.questions = [];
  return shard;
}

const credentials = { userName: "ann", password: bytesOf("right") };

function connect(shard: Harness, options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, { ...credentials, ...options });
}

const connectPacket: ClientPacket = {
  type: "connect",
  protocolVersion: 5,
  cleanStart: true,
  keepAliveSec: 0,
  clientId: "",
  sessionExpiryIntervalSec: 0,
};

const disconnectPacket: ClientPacket = { type: "disconnect", reasonCode: 0 };

describe("a CONNECT with user name and password", () => {
  test.each([3, 4, 5] as const)("of version %i gets in when the host knows them", (protocolVersion) => {
    const client = connect(setUp(), { protocolVersion });
    expect(client.connack.reasonCode).toBe(Success);
    client.subscribe("a");
    client.publish("a", "1");
    expect(client.payloads).toEqual(["1"]);
  });

  test.each([3, 4, 5] as const)("of version %i is refused with what the host says", (protocolVersion) => {
    const shard = setUp();
    const client = connect(shard, { protocolVersion, password: bytesOf("wrong") });
    expect(client.connack).toMatchObject({
      reasonCode: BadUserNameOrPassword,
      reasonString: "Wrong password",
    });
    expect(client.closed?.code).toBe(1008);
    expect(shard.counters.refusals).toEqual(new Map([[BadUserNameOrPassword, 1]]));
    expect([shard.sessionCount, shard.rowsWritten]).toEqual([0, 0]);
    expect([shard.openConnectionIds, shard.isAwake]).toEqual([[], false]);
  });

  test("asks the host once, with what CONNECT says and the Client Identifier that the session will have", () => {
    const asked: AuthenticationRequest[] = [];
    const shard = setUp({
      authenticate: (request) => {
        asked.push(request);
        return success;
      },
    });
    const client = connect(shard, { clientId: "" });
    SimulatedClient.connected(shard, { clientId: "b", userName: "ann" });
    SimulatedClient.connected(shard, { clientId: "c", password: bytesOf("right") });
    const { assignedClientIdentifier: clientId } = client.connack;
    expect(asked).toEqual([
      { type: "password", clientId, username: "ann", password: bytesOf("right") },
      { type: "password", clientId: "b", username: "ann" },
      { type: "password", clientId: "c", password: bytesOf("right") },
    ]);
  });

  test("without credentials is anonymous where that is allowed, and refused with 0x87 elsewhere", () => {
    const open = SimulatedClient.connected(setUp({ allowsAnonymous: true }));
    expect(open.connack.reasonCode).toBe(Success);
    const closed = SimulatedClient.connected(setUp());
    expect(closed.connack.reasonCode).toBe(NotAuthorized);
    expect(closed.connack.reasonString).toContain("no credentials");
  });

  test("is refused with wrong ones even where anonymous access is allowed", () => {
    const client = connect(setUp({ allowsAnonymous: true }), { password: bytesOf("wrong") });
    expect(client.connack.reasonCode).toBe(BadUserNameOrPassword);
  });

  test("is anonymous where nobody verifies them", () => {
    const shard = setUp({ authenticates: false, allowsAnonymous: true });
    expect(connect(shard).connack.reasonCode).toBe(Success);
    expect(connect(setUp({ authenticates: false })).connack.reasonCode).toBe(NotAuthorized);
  });

  test("is refused for its other faults before anybody is asked", () => {
    const shard = setUpSlow({ limits: { maximumQos: 0 } });
    const client = connect(shard, { will: willMessage("will", { qos: 1 }) });
    expect(client.connack.reasonCode).toBe(ReasonCode.QoSNotSupported);
    expect(shard.questions).toEqual([]);
  });

  test("cannot be answered with a question", () => {
    const shard = setUp({ authenticate: () => ({ type: "continue", data: bytesOf("why?") }) });
    expect(connect(shard).connack.reasonCode).toBe(ReasonCode.ImplementationSpecificError);
  });
});

describe("until the host has answered", () => {
  test("a client gets nothing, and then everything in order", () => {
    const shard = setUpSlow();
    const listener = connect(shard);
    shard.answer();
    listener.subscribe("a");
    const client = connect(shard).ping();
    client.send(client.publishPacket("a", "1"), client.publishPacket("a", "2", { qos: 1 }));
    expect(client.inbox).toEqual([]);
    expect(listener.payloads).toEqual([]);
    shard.answer();
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "pingresp", "puback"]);
    expect(listener.payloads).toEqual(["1", "2"]);
  });

  test("what comes in one message with CONNECT waits, too", () => {
    const shard = setUpSlow();
    const client = new SimulatedClient(shard).open();
    client.send({ ...connectPacket, ...credentials }, { type: "pingreq" });
    expect(client.inbox).toEqual([]);
    shard.answer();
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "pingresp"]);
  });

  test("nothing is taken over; a failure leaves the older connection as it is", () => {
    const shard = setUpSlow();
    const owner = connect(shard, { clientId: "owner", sessionExpiryIntervalSec: week });
    shard.answer();
    owner.subscribe("a", 1);
    const thief = connect(shard, { clientId: "owner" });
    shard.answer(failure);
    expect([thief.isConnected, owner.isConnected]).toEqual([false, true]);
    const second = connect(shard, { clientId: "owner", cleanStart: false });
    expect(owner.isConnected).toBe(true);
    shard.answer();
    expect(owner.last("disconnect").reasonCode).toBe(ReasonCode.SessionTakenOver);
    expect(second.connack.sessionPresent).toBe(true);
  });

  test("several clients wait by themselves, and of two with one identifier the later answer wins", () => {
    const shard = setUpSlow();
    const clients = ["one", "two", "one"].map((clientId) => connect(shard, { clientId }));
    for (const client of clients) expect(client.inbox).toEqual([]);
    shard.answer();
    shard.answer(failure);
    shard.answer();
    expect(clients.map(({ isConnected }) => isConnected)).toEqual([false, false, true]);
    expect(shard.sessionCount).toBe(1);
  });

  test("what cannot be decoded waits for its turn", () => {
    const shard = setUpSlow();
    const listener = connect(shard);
    shard.answer();
    listener.subscribe("a");
    const client = connect(shard);
    const fault = { reasonCode: ReasonCode.MalformedPacket, reasonString: "Malformed" };
    shard.receive(client.connectionId, [client.publishPacket("a", "1")], { fault });
    expect(client.isConnected).toBe(true);
    shard.answer();
    expect(listener.payloads).toEqual(["1"]);
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "disconnect"]);
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.MalformedPacket);
  });

  test("not more than 64 KiB wait", () => {
    const shard = setUpSlow();
    const client = connect(shard);
    client.publish("a", "x".repeat(parkedBytesMax - 400));
    expect(client.isConnected).toBe(true);
    client.publish("a", "x".repeat(400));
    expect(client.connack.reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(client.isConnected).toBe(false);
    shard.answer();
    expect(client.all("connack")).toHaveLength(1);
    expect([shard.openConnectionIds, shard.sessionCount, shard.isAwake]).toEqual([[], 0, false]);
  });

  test("not more than 8 MiB wait in a shard, and those who leave make room", () => {
    const shard = setUpSlow({ shards: 1 });
    const payload = "x".repeat(parkedBytesMax - 400);
    // With what is held of each besides.
    const count = Math.floor(parkedBytesOfShardMax / (parkedBytesMax + 1024));
    const clients = Array.from({ length: count }, () => connect(shard));
    for (const client of clients) client.publish("a", payload);
    expect(clients.every(({ isConnected }) => isConnected)).toBe(true);
    const late = [connect(shard), connect(shard)];
    for (const client of late) client.publish("a", payload);
    expect(late.at(-1)?.connack.reasonCode).toBe(ReasonCode.ServerBusy);
    while (shard.questions?.length !== 0) shard.answer(failure);
    const again = Array.from({ length: count }, () => connect(shard));
    for (const client of again) client.publish("a", payload);
    expect(again.every(({ isConnected }) => isConnected)).toBe(true);
    shard.advance(10_000);
    const last = connect(shard);
    last.publish("a", payload);
    expect(last.isConnected).toBe(true);
    expect(again.some(({ isConnected }) => isConnected)).toBe(false);
  });

  test.each<[string, (shard: Harness, client: SimulatedClient) => void]>([
    ["gets in", (shard) => shard.answer()],
    ["is refused", (shard) => shard.answer(failure)],
    [
      "finds no room",
      (shard) => {
        connect(shard);
        // The other one is first.
        shard.questions?.reverse();
        shard.answer();
        shard.answer();
      },
    ],
    ["waits too long", (shard) => shard.advance(10_000)],
    [
      "leaves",
      (shard, client) => {
        client.lose();
        shard.answer();
      },
    ],
    [
      "does not take what it is sent",
      (shard, { connectionId }) => shard.tell({ type: "stalled", connectionId }),
    ],
  ])("nothing is left of what waited when a client %s", (_, end) => {
    const shard = setUpSlow({ shards: 1, limits: { connectionsMax: 1 } });
    const client = connect(shard);
    client.publish("a", "x".repeat(1000));
    expect(shard.shards[0]?.core.parking.usedBytes).toBeGreaterThan(1000);
    end(shard, client);
    // What the host is asked about is not forgotten before it has answered.
    while (shard.questions?.length !== 0) shard.answer(failure);
    expect(shard.shards[0]?.core.parking.usedBytes).toBe(0);
  });

  test("small packets have their weight", () => {
    const shard = setUpSlow();
    const client = connect(shard);
    for (let count = 0; count < 2_000 && client.isConnected; count += 1) client.ping();
    expect(client.isConnected).toBe(false);
  });

  test.each([4, 5] as const)("10 s may pass; then a client of version %i is told 0x88", (protocolVersion) => {
    const shard = setUpSlow();
    const client = connect(shard, { protocolVersion, sessionExpiryIntervalSec: week });
    expect(shard.isAwake).toBe(true);
    shard.advance(9_999);
    expect(client.isConnected).toBe(true);
    shard.advance(1);
    expect(client.connack.reasonCode).toBe(ServerUnavailable);
    expect(client.isConnected).toBe(false);
    shard.answer();
    expect(client.all("connack")).toHaveLength(1);
    expect([shard.openConnectionIds, shard.sessionCount, shard.isAwake]).toEqual([[], 0, false]);
    expect(shard.rowsWritten).toBe(0);
  });

  test("the time does not count against Keep Alive", () => {
    const shard = setUpSlow();
    const client = connect(shard, { keepAliveSec: 2 });
    shard.advance(9_000);
    shard.answer();
    shard.advance(2_900);
    expect(client.isConnected).toBe(true);
    shard.advance(10_000);
    expect(client.isConnected).toBe(false);
  });

  test("the shard shuts down without waiting", () => {
    const shard = setUpSlow();
    const client = connect(shard);
    shard.drain();
    expect(client.closed?.code).toBe(1001);
    expect(client.inbox).toEqual([]);
  });
});

describe("a client that closes its socket before the host has answered", () => {
  test("with nothing sent after CONNECT has never been there", () => {
    const shard = setUpSlow();
    const listener = connect(shard);
    shard.answer();
    listener.subscribe("will");
    const owner = connect(shard, { clientId: "owner" });
    shard.answer();
    connect(shard, { clientId: "owner", will: willMessage("will") }).lose();
    shard.answer();
    expect(owner.isConnected).toBe(true);
    expect(listener.payloads).toEqual([]);
    expect(shard.openConnectionIds).toHaveLength(2);
  });

  test.each([
    ["and said so", true, ["1"]],
    ["without a word", false, ["1", "will"]],
  ])("%s is served what it sent, and then leaves", (_title, says, expected) => {
    const shard = setUpSlow();
    const listener = connect(shard);
    shard.answer();
    listener.subscribe("#");
    const client = connect(shard, { will: willMessage("will"), sessionExpiryIntervalSec: week });
    client.publish("a", "1");
    if (says) client.send(disconnectPacket);
    client.lose();
    expect(listener.payloads).toEqual([]);
    shard.answer();
    expect(listener.payloads).toEqual(expected);
    expect(shard.sessionRecord(client.clientId)?.detachedAtMs).toBe(shard.nowMs);
  });

  test("leaves nothing when it is refused", () => {
    const shard = setUpSlow();
    const client = connect(shard);
    client.publish("a", "1");
    client.lose();
    shard.answer(failure);
    expect([shard.openConnectionIds, shard.sessionCount, shard.isAwake]).toEqual([[], 0, false]);
  });

  test("leaves nothing when the host never answers", () => {
    const shard = setUpSlow();
    const client = connect(shard);
    client.publish("a", "1");
    client.lose();
    shard.advance(10_000);
    expect([shard.sessionCount, shard.isAwake]).toEqual([0, false]);
  });
});

describe("an answer", () => {
  test("that is not to the latest question is not heard", () => {
    const shard = setUpSlow();
    const client = connect(shard);
    const { connectionId } = client;
    shard.tell({ type: "authenticated", connectionId, attempt: 2, step: success });
    shard.tell({ type: "authenticated", connectionId, attempt: 0, step: success });
    expect(client.inbox).toEqual([]);
    shard.answer();
    shard.tell({ type: "authenticated", connectionId, attempt: 1, step: failure });
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack"]);
    expect(client.isConnected).toBe(true);
  });

  test("to a connection that the shard has forgotten is not heard", () => {
    const shard = setUpSlow();
    const client = connect(shard);
    shard.reset();
    shard.tell({ type: "authenticated", connectionId: "connection-1", attempt: 1, step: success });
    expect(shard.sessionCount).toBe(0);
    expect(client.inbox).toEqual([]);
  });
});

describe("an identity", () => {
  function answering(identity: Partial<Identity>, options: HarnessOptions = {}): Harness {
    return setUp({
      authenticate: () => ({ type: "success", identity: { ...ann, ...identity } }),
      ...options,
    });
  }

  test("for one Client Identifier opens no other session (0x85)", () => {
    const shard = answering({ clientId: "mine" });
    const other = SimulatedClient.connected(setUp({ allowsAnonymous: true }), { clientId: "other" });
    expect(connect(shard, { clientId: "mine" }).connack.reasonCode).toBe(Success);
    const refused = connect(shard, { clientId: "other" });
    expect(refused.connack.reasonCode).toBe(ReasonCode.ClientIdentifierNotValid);
    expect(other.isConnected).toBe(true);
  });

  test("that does not fit the attachment is refused", () => {
    const claims = { note: "x".repeat(identityBytesMax) };
    const client = connect(answering({ claims }));
    expect(client.connack.reasonCode).toBe(NotAuthorized);
    expect(client.connack.reasonString).toContain(String(identityBytesMax));
  });

  test("as large as may be leaves room for all else that an attachment holds", () => {
    const shard = answering({ claims: { note: "x".repeat(identityBytesMax - 400) } });
    const client = connect(shard, { clientId: "ä".repeat(256), receiveMaximum: 100, acks: "manual" });
    for (let alias = 1; alias <= 10; alias += 1) client.publish("x".repeat(120), "", { topicAlias: alias });
    client.subscribe("in", 2);
    for (let index = 0; index < 40; index += 1) client.subscribe(`${"y".repeat(45)}/${index}`);
    expect(shard.sessionRecords).toHaveLength(1);
    for (let index = 0; index < 100; index += 1) client.publish("in", "", { qos: 2 });
    expect(client.isConnected).toBe(true);
  });

  test("goes with the connection through a sleep", () => {
    const shard = answering({ rules: [{ effect: "allow", action: "all", topicFilter: "${username}/#" }] });
    const client = connect(shard);
    shard.evict();
    expect(client.subscribe("ann/#").reasonCodes).toEqual([0]);
    expect(client.subscribe("bob/#").reasonCodes).toEqual([NotAuthorized]);
  });

  test("that has expired does not get in", () => {
    const shard = answering({ expiresAtMs: 1_800_000_000_000 });
    expect(connect(shard).connack.reasonCode).toBe(NotAuthorized);
  });

  test.each([4, 5] as const)("ends the connection of version %i when it expires", (protocolVersion) => {
    const shard = answering({ expiresAtMs: 1_800_000_000_000 + 3_600_000 });
    const client = connect(shard, { protocolVersion });
    shard.evict();
    expect(shard.isAwake).toBe(false);
    shard.advance(3_599_000);
    expect(client.isConnected).toBe(true);
    shard.advance(6_000);
    expect(client.isConnected).toBe(false);
    if (protocolVersion === 5) {
      expect(client.last("disconnect").reasonCode).toBe(ReasonCode.MaximumConnectTime);
    }
    expect(client.closed?.code).toBe(1008);
    expect(shard.counters.refusals.get(ReasonCode.MaximumConnectTime)).toBe(1);
  });
});

describe("an identity from the upgrade request", () => {
  test("needs no credentials in CONNECT, and none are asked for", () => {
    const shard = setUpSlow();
    const client = SimulatedClient.connected(shard, { identity: ann });
    expect(client.connack.reasonCode).toBe(Success);
    expect(connect(shard, { identity: ann }).connack.reasonCode).toBe(Success);
    expect(shard.questions).toEqual([]);
  });

  test("is bound to its Client Identifier, too", () => {
    const client = SimulatedClient.connected(setUp(), {
      clientId: "your",
      identity: { ...ann, clientId: "mine" },
    });
    expect(client.connack.reasonCode).toBe(ReasonCode.ClientIdentifierNotValid);
  });
});

describe("in an attachment", () => {
  test("an identity comes back as it was, and takes no more than it was counted for", () => {
    fc.assert(
      fc.property(identityRecord, fc.option(fc.string(), { nil: undefined }), (identity, address) => {
        const attachment = { boot: 1, openedAtMs: 2, randomClientId: "r", identity };
        const whole = address === undefined ? attachment : { ...attachment, address };
        const bytes = encodeAttachment("c", whole);
        expect(decodeAttachment(bytes)).toStrictEqual({ connectionId: "c", attachment: whole });
        const without = encodeAttachment("c", { boot: 1, openedAtMs: 2, randomClientId: "r" });
        const counted = identitySizeBytes(identity);
        expect(encodeAttachment("c", attachment).length - without.length).toBeLessThanOrEqual(counted);
      }),
    );
  });
});
