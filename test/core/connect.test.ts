import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

describe("CONNACK", () => {
  test("announces the limits of the server", () => {
    const client = SimulatedClient.connected(new Harness());
    expect(client.connack).toEqual({
      type: "connack",
      sessionPresent: false,
      reasonCode: ReasonCode.Success,
      receiveMaximum: 100,
      maximumPacketSizeBytes: 256 * 1024,
      topicAliasMaximum: 10,
    });
  });

  test("[MQTT-3.1.3-7] [MQTT-3.2.2-16] a client without an identifier is assigned one", () => {
    const shard = new Harness();
    const first = SimulatedClient.connected(shard, { clientId: "" });
    const second = SimulatedClient.connected(shard, { clientId: "" });
    const ids = [first, second].map(({ connack }) => connack.assignedClientIdentifier);
    expect(new Set(ids).size).toBe(2);
    expect(ids.every(Boolean)).toBe(true);
  });

  test("an assigned identifier is the one that the upgrade request was given", () => {
    const client = SimulatedClient.connected(new Harness(), { clientId: "", clientIdHint: "hinted" });
    expect(client.connack.assignedClientIdentifier).toBe("hinted");
  });

  test("[MQTT-3.2.2-21] Server Keep Alive is there when the client's is too long", () => {
    const shard = new Harness();
    expect(SimulatedClient.connected(shard, { keepAliveSec: 3601 }).connack.serverKeepAliveSec).toBe(3600);
    expect(SimulatedClient.connected(shard, { keepAliveSec: 3600 }).connack).not.toHaveProperty(
      "serverKeepAliveSec",
    );
    expect(SimulatedClient.connected(shard, { keepAliveSec: 0 }).connack).not.toHaveProperty(
      "serverKeepAliveSec",
    );
  });

  test("[MQTT-3.1.2-24 (3.1.1)] the Keep Alive of a 3.1.1 client holds, for it cannot be told another", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { protocolVersion: 4, keepAliveSec: 20_000 });
    shard.advance(29_000_000);
    expect(client.isConnected).toBe(true);
    shard.advance(1_005_000);
    expect(client.isConnected).toBe(false);
  });

  test("[MQTT-3.2.0-1] is sent before any other packet", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    client.subscribe("a", 1);
    client.lose();
    SimulatedClient.connected(shard).publish("a", "1", { qos: 1 });
    client.connect({ cleanStart: false });
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "publish"]);
  });
});

describe("session present", () => {
  test("[MQTT-3.2.2-2] is 0 for a new session", () => {
    const client = SimulatedClient.connected(new Harness(), {
      cleanStart: false,
      sessionExpiryIntervalSec: week,
    });
    expect(client.connack.sessionPresent).toBe(false);
  });

  test("[MQTT-3.2.2-3] is 1 when the session goes on", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week }).lose();
    expect(client.connect({ cleanStart: false }).connack.sessionPresent).toBe(true);
    client.disconnect();
    expect(client.connect({ cleanStart: false }).connack.sessionPresent).toBe(true);
  });

  test("[MQTT-3.1.2-4] is 0 with Clean Start, and the old session is gone", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    client.subscribe("a", 1);
    client.lose();
    SimulatedClient.connected(shard).publish("a", "queued", { qos: 1 });
    expect(client.connect().connack.sessionPresent).toBe(false);
    SimulatedClient.connected(shard).publish("a", "new", { qos: 1 });
    expect(client.messages).toEqual([]);
    expect(shard.segmentCount).toBe(0);
  });

  test("is 0 for a session that ended with its connection", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard).lose();
    expect(client.connect({ cleanStart: false }).connack.sessionPresent).toBe(false);
  });

  test("with 3.1.1 Clean Session 0 keeps the session for good", () => {
    const shard = new Harness();
    const options = { protocolVersion: 4, cleanStart: false, sessionExpiryIntervalSec: 0xffff_ffff } as const;
    const client = SimulatedClient.connected(shard, options).lose();
    shard.advance(50 * week * 1000);
    expect(client.connect().connack.sessionPresent).toBe(true);
  });
});

describe("takeover", () => {
  test("[MQTT-3.1.4-3] tells the older connection 0x8E and closes it", () => {
    const shard = new Harness();
    const older = SimulatedClient.connected(shard, { clientId: "one" });
    const newer = SimulatedClient.connected(shard, { clientId: "one" });
    expect(older.last("disconnect").reasonCode).toBe(ReasonCode.SessionTakenOver);
    expect(older.isConnected).toBe(false);
    expect(newer.isConnected).toBe(true);
  });

  test("a 3.1.1 client is closed without a DISCONNECT", () => {
    const shard = new Harness();
    const older = SimulatedClient.connected(shard, { clientId: "one", protocolVersion: 4 });
    SimulatedClient.connected(shard, { clientId: "one", protocolVersion: 4 });
    expect(older.all("disconnect")).toEqual([]);
    expect(older.isConnected).toBe(false);
  });

  test("hands the session on, with what was not acknowledged", () => {
    const shard = new Harness();
    const options = {
      clientId: "one",
      cleanStart: false,
      sessionExpiryIntervalSec: week,
      acks: "manual",
    } as const;
    const older = SimulatedClient.connected(shard, options);
    older.subscribe("a", 1);
    SimulatedClient.connected(shard).publish("a", "1", { qos: 1 });
    const newer = SimulatedClient.connected(shard, options);
    expect(newer.connack.sessionPresent).toBe(true);
    expect(newer.last("publish")).toMatchObject({
      dup: true,
      packetIdentifier: older.last("publish").packetIdentifier,
    });
  });

  test("in one turn with a publish leaves no message behind", () => {
    const shard = new Harness();
    const options = { clientId: "one", cleanStart: false, sessionExpiryIntervalSec: week } as const;
    const older = SimulatedClient.connected(shard, options);
    older.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    const newer = new SimulatedClient(shard, options).open();
    shard.joined(() => {
      publisher.publish("a", "1", { qos: 1 });
      newer.connect();
    });
    expect(newer.payloads).toEqual(["1"]);
  });

  test("the close event of the older connection changes nothing", () => {
    const shard = new Harness();
    const older = SimulatedClient.connected(shard, { clientId: "one" });
    const newer = SimulatedClient.connected(shard, { clientId: "one" });
    newer.subscribe("a");
    shard.tell({ type: "closed", connectionId: older.connectionId });
    SimulatedClient.connected(shard).publish("a", "1");
    expect(newer.payloads).toEqual(["1"]);
  });

  test("of a connection whose session has no row, by a session that ends in the same turn, leaves no row", () => {
    const shard = new Harness();
    const first = new SimulatedClient(shard, { clientId: "one", sessionExpiryIntervalSec: week }).open();
    const second = new SimulatedClient(shard, { clientId: "one" }).open();
    shard.joined(() => {
      first.connect();
      second.connect();
    });
    expect(shard.sessionRecords).toEqual([]);
  });
});

describe("a CONNECT that is refused", () => {
  test("gets 0x85 when it contradicts the identifier in the upgrade request", () => {
    const client = SimulatedClient.connected(new Harness(), { clientId: "a", clientIdHint: "b" });
    expect(client.connack.reasonCode).toBe(ReasonCode.ClientIdentifierNotValid);
    expect(client.isConnected).toBe(false);
  });

  test("gets 0x85 when the Client Identifier is too long", () => {
    const shard = new Harness({ limits: { clientIdentifierLengthMax: 8 } });
    expect(SimulatedClient.connected(shard, { clientId: "12345678" }).connack.reasonCode).toBe(0);
    const refused = SimulatedClient.connected(shard, { clientId: "123456789" });
    expect(refused.connack.reasonCode).toBe(ReasonCode.ClientIdentifierNotValid);
  });

  test("[MQTT-4.12.0-1] gets 0x8C when it names an Authentication Method", () => {
    const client = SimulatedClient.connected(new Harness(), { authenticationMethod: "SCRAM-SHA-1" });
    expect(client.connack.reasonCode).toBe(ReasonCode.BadAuthenticationMethod);
  });

  test("[MQTT-3.2.2-6] has no session present, takes nothing over and leaves no row", () => {
    const shard = new Harness({ limits: { connectionsMax: 3 } });
    const one = SimulatedClient.connected(shard, { clientId: "one", sessionExpiryIntervalSec: week });
    const rows = shard.rowsWritten;
    const refused = SimulatedClient.connected(shard, {
      clientId: "one",
      clientIdHint: "other",
      cleanStart: false,
      sessionExpiryIntervalSec: week,
      will: willMessage("will"),
    });
    expect(refused.connack.sessionPresent).toBe(false);
    expect(one.isConnected).toBe(true);
    expect(shard.rowsWritten).toBe(rows);
  });

  test("gets 0x89 when the shard has all the connections that it takes", () => {
    const shard = new Harness({ shards: 1, limits: { connectionsMax: 2 } });
    const clients = [0, 1, 2].map(() => SimulatedClient.connected(shard));
    const { Success, ServerBusy } = ReasonCode;
    expect(clients.map(({ connack }) => connack.reasonCode)).toEqual([Success, Success, ServerBusy]);
    clients[0]?.disconnect();
    expect(SimulatedClient.connected(shard).connack.reasonCode).toBe(Success);
    expect(shard.counters.refusals.get(ServerBusy)).toBe(1);
  });
});

describe("packets out of place", () => {
  test("[MQTT-4.12.0-7] AUTH without an exchange under way is a protocol error", () => {
    const client = SimulatedClient.connected(new Harness());
    client.send({ type: "auth", reasonCode: ReasonCode.ReAuthenticate });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.ProtocolError);
    expect(client.isConnected).toBe(false);
  });

  test("DISCONNECT cannot raise a Session Expiry Interval of 0", () => {
    const client = SimulatedClient.connected(new Harness());
    client.disconnect(0, { sessionExpiryIntervalSec: 10 });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.ProtocolError);
  });

  test("[MQTT-4.13.1-1] bytes that are no packet: DISCONNECT with the reason, then the close", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    const fault = { reasonCode: ReasonCode.MalformedPacket, reasonString: "broken" } as const;
    shard.receive(client.connectionId, [{ type: "pingreq" }], { fault });
    expect(
      client
        .take()
        .slice(1)
        .map(({ type }) => type),
    ).toEqual(["pingresp", "disconnect"]);
    expect(client.closed?.code).toBe(1002);
    expect(shard.counters.refusals.get(ReasonCode.MalformedPacket)).toBe(1);
  });

  test("bytes that are no CONNECT close the connection without a word and without a row", () => {
    const shard = new Harness();
    const client = new SimulatedClient(shard).open();
    const fault = { reasonCode: ReasonCode.MalformedPacket, reasonString: "broken" } as const;
    shard.receive(client.connectionId, [], { fault });
    expect(client.inbox).toEqual([]);
    expect(client.closed?.code).toBe(1002);
    expect(shard.rowsWritten).toBe(0);
  });

  test("[MQTT-3.1.2-2] an unsupported Protocol Version is answered with 0x84", () => {
    const shard = new Harness();
    const client = new SimulatedClient(shard).open();
    const fault = {
      reasonCode: ReasonCode.UnsupportedProtocolVersion,
      reasonString: "9",
      protocolVersion: 5,
    } as const;
    shard.receive(client.connectionId, [], { fault });
    expect(client.connack.reasonCode).toBe(ReasonCode.UnsupportedProtocolVersion);
    expect(client.isConnected).toBe(false);
  });

  test("[MQTT-3.1.2-24] [MQTT-3.14.2-3] DISCONNECT leaves its reason out when it would exceed the Maximum Packet Size", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { clientId: "one", maximumPacketSizeBytes: 20 });
    SimulatedClient.connected(shard, { clientId: "one" });
    expect(client.last("disconnect")).toEqual({
      type: "disconnect",
      reasonCode: ReasonCode.SessionTakenOver,
    });
  });
});

describe("PINGREQ", () => {
  test("[MQTT-3.12.4-1] is answered with PINGRESP and costs nothing", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard);
    client.take();
    client.ping();
    expect(client.take()).toEqual([{ type: "pingresp" }]);
    expect(shard.rowsWritten).toBe(0);
  });
});
