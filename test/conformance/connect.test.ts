import { describe, expect, test } from "vitest";
import { Harness } from "../core/harness.ts";
import { SimulatedClient, textOf, willMessage } from "../core/simulated-client.ts";
import { field, packet } from "../support/bytes.ts";
import { bothVersions, lasting, WireClient } from "./wire.ts";

describe.each(bothVersions)("A session at version %i", (protocolVersion) => {
  test("[MQTT-3.1.2-5] [MQTT-3.2.2-3] [MQTT-3.1.2-4 (3.1.1)] [MQTT-3.2.2-2 (3.1.1)] goes on for a client that returns", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, lasting(protocolVersion, "c"));
    client.subscribe("a", 1);
    client.lose().connect();
    expect(client.connack).toMatchObject({ reasonCode: 0, sessionPresent: true });
    SimulatedClient.connected(shard).publish("a", "1", { qos: 1 });
    expect(client.payloads).toEqual(["1"]);
  });

  test("[MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT-3.2.2-3 (3.1.1)] is made where there is none", () => {
    const client = SimulatedClient.connected(new Harness(), lasting(protocolVersion, "c"));
    expect(client.connack).toMatchObject({ reasonCode: 0, sessionPresent: false });
    expect(client.subscribe("a", 1).reasonCodes).toEqual([1]);
  });

  test("[MQTT-3.1.2-5 (3.1.1)] [MQTT-3.1.2-23] [MQTT-4.5.0-1] [MQTT-4.5.0-1 (3.1.1)] keeps what is published while its client is away", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, lasting(protocolVersion, "c"));
    client.subscribe("a", 2);
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1 });
    publisher.publish("a", "2", { qos: 2 });
    shard.reset();
    client.connect();
    expect(client.payloads).toEqual(["1", "2"]);
  });

  test("[MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT-3.1.2-6 (3.1.1)] [MQTT-3.1.4-3 (3.1.1)] [MQTT-3.2.2-1 (3.1.1)] ends with a clean start, queue and subscriptions included", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, lasting(protocolVersion, "c"));
    client.subscribe("a", 1);
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1 });
    client.connect({ cleanStart: true, sessionExpiryIntervalSec: 0 });
    expect(client.connack).toMatchObject({ reasonCode: 0, sessionPresent: false });
    publisher.publish("a", "2", { qos: 1 });
    expect(client.payloads).toEqual([]);
    client.lose().connect();
    expect(client.connack.sessionPresent).toBe(false);
  });

  test("[MQTT-3.1.3-2] [MQTT-3.1.3-2 (3.1.1)] is found by its Client Identifier alone", () => {
    const shard = new Harness();
    SimulatedClient.connected(shard, lasting(protocolVersion, "c")).disconnect();
    const other = SimulatedClient.connected(shard, lasting(protocolVersion, "C"));
    expect(other.connack.sessionPresent).toBe(false);
    const same = SimulatedClient.connected(shard, { ...lasting(protocolVersion, "c"), keepAliveSec: 60 });
    expect(same.connack.sessionPresent).toBe(true);
  });

  test("[MQTT-4.1.0-1] [MQTT-4.1.0-1 (3.1.1)] [MQTT-4.1.0-2 (3.1.1)] lasts as long as its connection, however long that is", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { protocolVersion });
    client.subscribe("a", 1);
    shard.advance(30 * 24 * 3600_000);
    SimulatedClient.connected(shard).publish("a", "1", { qos: 1 });
    expect(client.payloads).toEqual(["1"]);
  });

  test("[MQTT-3.1.4-3] [MQTT-3.1.4-2 (3.1.1)] is taken over: the older connection is closed", () => {
    const shard = new Harness();
    const older = WireClient.connected(shard, lasting(protocolVersion, "c"));
    const newer = WireClient.connected(shard, lasting(protocolVersion, "c"));
    expect(older.closeCode).toBe(1008);
    expect(older.all("disconnect").map(({ reasonCode }) => reasonCode)).toEqual(
      protocolVersion === 5 ? [0x8e] : [],
    );
    expect(newer.only("connack").reasonCode).toBe(0);
    expect(newer.closeCode).toBeUndefined();
  });
});

describe.each(bothVersions)("CONNACK at version %i", (protocolVersion) => {
  const refused = { protocolVersion, clientId: "x".repeat(257), cleanStart: false } as const;

  test("[MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.2.0-1 (3.1.1)] comes first and once, before what waits for the client", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, lasting(protocolVersion, "c"));
    client.subscribe("a", 1);
    client.lose();
    SimulatedClient.connected(shard).publish("a", "1", { qos: 1 });
    client.connect().ping();
    expect(client.inbox.map(({ type }) => type)).toEqual(["connack", "publish", "pingresp"]);
  });

  test("[MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-4 (3.1.1)] [MQTT-3.2.2-5 (3.1.1)] that refuses has no session present, and the connection is closed behind it", () => {
    const shard = new Harness({ limits: { connectionsMax: 1 } });
    WireClient.connected(shard, lasting(protocolVersion, "c")).lose();
    WireClient.connected(shard, { clientId: "other" });
    const client = WireClient.connected(shard, lasting(protocolVersion, "c"));
    expect(client.received).toMatchObject([{ type: "connack", sessionPresent: false }]);
    expect(client.only("connack").reasonCode).toBe(protocolVersion === 5 ? 0x89 : 3);
    expect(client.closeCode).toBe(1008);
  });

  test("[MQTT-3.1.4-6] [MQTT-3.1.4-5 (3.1.1)] that refuses ends it: what came behind CONNECT is not looked at", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("a");
    const optional = protocolVersion === 5 ? [0] : [];
    const client = new WireClient(shard, protocolVersion);
    client.connect(refused).sendBytes(packet(0x30, field("a"), optional, "x"), packet(0xc0));
    expect(client.types).toEqual(["connack"]);
    expect(listener.payloads).toEqual([]);
  });

  test("[MQTT-3.2.2-1] has no acknowledge flags but Session Present", () => {
    const shard = new Harness();
    const flags = [1, 2].map(() => {
      const client = WireClient.connected(shard, lasting(protocolVersion, "c"));
      return client.sent[0]?.[2];
    });
    expect(flags).toEqual([0, 1]);
  });

  test("[MQTT-3.1.4-2] is refused for a Will Topic of the server's own", () => {
    const will = willMessage("$SYS/broker/uptime");
    const client = WireClient.connected(new Harness(), { protocolVersion, will });
    expect(client.only("connack").reasonCode).toBe(protocolVersion === 5 ? 0x87 : 5);
    expect(client.closeCode).toBe(1008);
  });
});

describe("CONNACK of 3.1.1", () => {
  test("[MQTT-3.2.2-6 (3.1.1)] is left out where no return code fits", () => {
    const will = willMessage("a/#");
    const client = WireClient.connected(new Harness(), { protocolVersion: 4, will });
    expect(client.received).toEqual([]);
    expect(client.closeCode).toBe(1002);
  });
});

describe.each(bothVersions)("A Will at version %i", (protocolVersion) => {
  const retainedFlags = (shard: Harness): boolean[] => {
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("w");
    return listener.all("publish").map(({ retain }) => retain);
  };

  test("[MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-8 (3.1.1)] is stored: it is published though the server was reset meanwhile", () => {
    const shard = new Harness();
    const options = { ...lasting(protocolVersion, "c"), will: willMessage("w", { retain: true }) };
    SimulatedClient.connected(shard, options);
    expect(retainedFlags(shard)).toEqual([]);
    shard.reset();
    shard.advance(2 * 3600_000);
    expect(retainedFlags(shard)).toEqual([true]);
  });

  test("[MQTT-3.1.2-10] [MQTT-3.1.2-10 (3.1.1)] is published once, though the client comes and goes again", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("w");
    const client = SimulatedClient.connected(shard, lasting(protocolVersion, "c"));
    client.disconnect();
    client.connect({ will: willMessage("w") });
    client.lose();
    client.open().connect();
    client.lose();
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.2-12 (3.1.1)] is not published when CONNECT gave none", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("#");
    SimulatedClient.connected(shard, { protocolVersion }).lose();
    expect(listener.payloads).toEqual([]);
  });

  test("[MQTT-3.1.2-14] [MQTT-3.1.2-16 (3.1.1)] is not retained without Will Retain", () => {
    const shard = new Harness();
    SimulatedClient.connected(shard, { protocolVersion, will: willMessage("w", { qos: 1 }) }).lose();
    expect(retainedFlags(shard)).toEqual([]);
  });

  test("[MQTT-3.1.2-15] [MQTT-3.1.2-17 (3.1.1)] is retained with it", () => {
    const shard = new Harness();
    SimulatedClient.connected(shard, { protocolVersion, will: willMessage("w", { retain: true }) }).lose();
    expect(retainedFlags(shard)).toEqual([true]);
  });

  test("[MQTT-3.14.4-3] [MQTT-3.14.4-3 (3.1.1)] is discarded by DISCONNECT", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("w");
    SimulatedClient.connected(shard, { protocolVersion, will: willMessage("w") }).disconnect();
    shard.advance(120_000);
    expect(listener.payloads).toEqual([]);
  });
});

test("[MQTT-3.1.3-10] A Will keeps its User Properties in order, duplicates included", () => {
  const shard = new Harness();
  const listener = SimulatedClient.connected(shard);
  listener.subscribe("w");
  const userProperties = [
    ["b", "1"],
    ["a", "2"],
    ["b", "1"],
    ["a", ""],
  ] as const;
  WireClient.connected(shard, { will: willMessage("w", { userProperties }) }).lose();
  expect(listener.only("publish").message.userProperties).toEqual(userProperties);
  expect(textOf(listener.only("publish").message.payload)).toBe("will");
});

describe.each(bothVersions)("Keep Alive at version %i", (protocolVersion) => {
  test("[MQTT-3.2.2-22] [MQTT-3.1.2-22] [MQTT-3.1.2-24 (3.1.1)] is the client's own: silence for half as long again closes the connection as a lost one", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("w");
    const options = { protocolVersion, keepAliveSec: 60, will: willMessage("w") };
    const client = SimulatedClient.connected(shard, options);
    if (protocolVersion === 5) expect(client.connack).not.toHaveProperty("serverKeepAliveSec");
    shard.advance(89_000);
    expect(client.closed).toBeUndefined();
    shard.advance(6000);
    expect(client.closed).toBeDefined();
    expect(listener.payloads).toEqual(["will"]);
  });

  test("[MQTT-3.1.2-20] [MQTT-3.1.2-23 (3.1.1)] is kept by PINGREQ", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { protocolVersion, keepAliveSec: 60 });
    for (let minute = 0; minute < 5; minute += 1) {
      shard.advance(60_000);
      client.ping();
    }
    expect(client.closed).toBeUndefined();
  });

  test("[MQTT-3.12.4-1] [MQTT-3.12.4-1 (3.1.1)] PINGREQ is answered with PINGRESP", () => {
    const client = WireClient.connected(new Harness(), { protocolVersion }).sendBytes(
      packet(0xc0),
      packet(0xc0),
    );
    expect(client.types).toEqual(["connack", "pingresp", "pingresp"]);
  });
});
