import { describe, expect, test } from "vitest";
import type { Limits } from "../../src/core/limits.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import type { HarnessOptions } from "./harness.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
/** Where it is about the connections or the rows of one shard. */
const alone = { shards: 1 } as const;

function connected(limits: Partial<Limits>, options: ClientOptions = {}, { shards }: HarnessOptions = {}) {
  const shard = new Harness({ limits, ...(shards !== undefined && { shards }) });
  return { shard, client: SimulatedClient.connected(shard, options) };
}

/** A client that hears of everything, apart from the one that the limits are tried on. */
function listening(shard: Harness): SimulatedClient {
  const listener = SimulatedClient.connected(shard);
  listener.subscribe("a", 2);
  return listener;
}

describe("CONNACK", () => {
  test("says nothing of what is available without limits", () => {
    const { client } = connected({}, { sessionExpiryIntervalSec: 0xffff_ffff });
    expect(Object.keys(client.connack).toSorted()).toEqual([
      "maximumPacketSizeBytes",
      "reasonCode",
      "receiveMaximum",
      "sessionPresent",
      "topicAliasMaximum",
      "type",
    ]);
  });

  test.each([
    [{ maximumQos: 0 as const }, { maximumQos: 0 }],
    [{ maximumQos: 1 as const }, { maximumQos: 1 }],
    [{ retainAvailable: false }, { retainAvailable: false }],
    [{ wildcardSubscriptionAvailable: false }, { wildcardSubscriptionAvailable: false }],
    [{ sharedSubscriptionAvailable: false }, { sharedSubscriptionAvailable: false }],
    [{ subscriptionIdentifiersAvailable: false }, { subscriptionIdentifiersAvailable: false }],
    [{ receiveMaximum: 7 }, { receiveMaximum: 7 }],
    [{ maximumPacketSizeBytes: 4711 }, { maximumPacketSizeBytes: 4711 }],
    [{ topicAliasMaximum: 3 }, { topicAliasMaximum: 3 }],
    [{ sessionExpiryIntervalSecMax: 60 }, { sessionExpiryIntervalSec: 60 }],
    [{ keepAliveSecMax: 30 }, { serverKeepAliveSec: 30 }],
  ])("announces the limit %o, and no other", (limits, announced) => {
    const options = { clientId: "one", keepAliveSec: 100, sessionExpiryIntervalSec: week };
    const { connack } = connected({}, options).client;
    expect(connected(limits, options).client.connack).toEqual({ ...connack, ...announced });
  });
});

describe.each([0, 1] as const)("with Maximum QoS %i", (maximumQos) => {
  const limits = { maximumQos };
  const above = (maximumQos + 1) as 1 | 2;

  test("[MQTT-3.2.2-11] a PUBLISH above it ends the connection with 0x9B and reaches nobody", () => {
    const { shard, client } = connected(limits);
    const listener = listening(shard);
    client.publish("a", "1", { qos: maximumQos });
    client.publish("a", "2", { qos: above });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.QoSNotSupported);
    expect(client.last("disconnect").reasonString).toContain(`${maximumQos}`);
    expect(client.isConnected).toBe(false);
    expect(listener.payloads).toEqual(["1"]);
  });

  test("[MQTT-3.2.2-12] a Will above it is refused with 0x9B, whatever it was published with before", () => {
    const { shard } = connected(limits);
    const client = SimulatedClient.connected(shard, { will: willMessage("a", { qos: above }) });
    expect(client.connack).toMatchObject({ reasonCode: ReasonCode.QoSNotSupported, sessionPresent: false });
    expect(client.connack.reasonString).toContain(`${maximumQos}`);
    expect(client.isConnected).toBe(false);
    const accepted = SimulatedClient.connected(shard, { will: willMessage("a", { qos: maximumQos }) });
    expect(accepted.isConnected).toBe(true);
  });

  test.each([3, 4, 5] as const)("[MQTT-3.2.2-10] SUBACK grants no more, at version %i", (protocolVersion) => {
    const { client } = connected(limits, { protocolVersion });
    const granted = [0, 1, 2].map((qos) => Math.min(qos, maximumQos));
    for (const qos of [0, 1, 2] as const) {
      expect(client.subscribe(`a/${qos}`, qos).reasonCodes).toEqual([granted[qos]]);
    }
  });
});

describe("without retained messages", () => {
  const limits = { retainAvailable: false };

  test("[MQTT-3.2.2-14] a PUBLISH with RETAIN ends the connection with 0x9A and reaches nobody", () => {
    for (const [payload, qos] of [
      ["1", 0],
      ["", 0],
      ["1", 2],
    ] as const) {
      const { shard, client } = connected(limits);
      const listener = listening(shard);
      const rows = shard.rowsWritten;
      client.publish("a", payload, { qos, retain: true });
      expect(client.last("disconnect").reasonCode).toBe(ReasonCode.RetainNotSupported);
      expect(listener.messages).toEqual([]);
      expect(shard.rowsWritten).toBe(rows);
    }
  });

  test("[MQTT-3.2.2-13] a Will with RETAIN is refused with 0x9A", () => {
    const { client } = connected(limits, { will: willMessage("a", { retain: true }) });
    expect(client.connack.reasonCode).toBe(ReasonCode.RetainNotSupported);
    expect(client.connack.reasonString).toBeTruthy();
    expect(client.isConnected).toBe(false);
  });

  test("subscriptions with any Retain Handling are welcome, and so is $SYS", () => {
    const { client } = connected(limits);
    for (const retainHandling of [0, 1, 2] as const) {
      expect(client.subscribe("a", 1, { retainHandling, retainAsPublished: true }).reasonCodes).toEqual([1]);
    }
    client.subscribe("$SYS/broker/uptime");
    expect(client.messages).toHaveLength(1);
  });
});

describe("what subscriptions may not have", () => {
  test.each([
    ["a wildcard", { wildcardSubscriptionAvailable: false }, ["#", "a/+", "$share/g/a/#"], 0xa2],
    ["a group", { sharedSubscriptionAvailable: false }, ["$share/g/a", "$share/g/a/#"], 0x9e],
  ] as const)(
    "is %s, where that is off: the others of the SUBSCRIBE are granted",
    (_, limits, filters, code) => {
      const { shard, client } = connected(limits);
      for (const topicFilter of filters) {
        expect(client.subscribe(topicFilter, 1).reasonCodes).toEqual([code]);
        expect(client.last("suback").reasonString).toContain("not available");
      }
      expect(client.subscribe("a/b", 1).reasonCodes).toEqual([1]);
      SimulatedClient.connected(shard).publish("a/b", "1");
      SimulatedClient.connected(shard).publish("a", "2");
      expect(client.payloads).toEqual(["1"]);
      expect(shard.counters.refusals).toEqual(new Map([[code, filters.length]]));
    },
  );

  test("is a Subscription Identifier, where that is off: it ends the connection with 0xA1", () => {
    const { shard, client } = connected({ subscriptionIdentifiersAvailable: false });
    client.subscribe("a", 1);
    client.send({
      type: "subscribe",
      packetIdentifier: 9,
      subscriptionIdentifier: 1,
      requests: [
        { topicFilter: "b", maximumQos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
    });
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.SubscriptionIdentifiersNotSupported);
    expect(client.last("disconnect").reasonString).toContain("not available");
    expect(client.all("suback")).toHaveLength(1);
    expect(shard.counters.refusedCount).toBe(1);
  });
});

describe("the Session Expiry Interval", () => {
  const limits = { sessionExpiryIntervalSecMax: 60 };

  test("is announced when it is shorter than asked, and kept", () => {
    const { shard, client } = connected(limits, { sessionExpiryIntervalSec: 0xffff_ffff });
    expect(client.connack.sessionExpiryIntervalSec).toBe(60);
    client.lose();
    shard.advance(59_000);
    expect(client.connect({ cleanStart: false }).connack.sessionPresent).toBe(true);
    client.lose();
    shard.advance(70_000);
    expect(client.connect({ cleanStart: false }).connack.sessionPresent).toBe(false);
  });

  test.each([0, 1, 60])("is not announced when %i s are asked for", (sessionExpiryIntervalSec) => {
    const { client } = connected(limits, { sessionExpiryIntervalSec });
    expect(client.connack).not.toHaveProperty("sessionExpiryIntervalSec");
  });

  test("of DISCONNECT is limited as well", () => {
    const { shard, client } = connected(limits, { sessionExpiryIntervalSec: 30 });
    client.disconnect(0, { sessionExpiryIntervalSec: week });
    shard.advance(70_000);
    expect(client.connect({ cleanStart: false }).connack.sessionPresent).toBe(false);
  });

  test("limited to 0 makes sessions that end with their connection, without a row", () => {
    const { shard, client } = connected(
      { sessionExpiryIntervalSecMax: 0 },
      { sessionExpiryIntervalSec: week },
      alone,
    );
    expect(client.connack.sessionExpiryIntervalSec).toBe(0);
    client.subscribe("a", 1);
    SimulatedClient.connected(shard).publish("a", "1", { qos: 1 });
    expect(client.payloads).toEqual(["1"]);
    client.lose();
    expect(client.connect({ cleanStart: false }).connack.sessionPresent).toBe(false);
    expect(shard.rowsWritten).toBe(0);
  });
});

describe("when there is no room for one more connection", () => {
  const serverReference = "other.example";

  test("0x9C tells where else there is a server, where one is known", () => {
    const { shard } = connected({ connectionsMax: 1, serverReference }, {}, alone);
    const client = SimulatedClient.connected(shard);
    expect(client.connack).toMatchObject({ reasonCode: ReasonCode.UseAnotherServer, serverReference });
    expect(client.connack.reasonString).toContain("1 connections");
    expect(client.closed?.code).toBe(1008);
    expect(shard.counters.refusals).toEqual(new Map([[ReasonCode.UseAnotherServer, 1]]));
  });

  test("0x89 says so, where none is known", () => {
    const { shard } = connected({ connectionsMax: 1 }, {}, alone);
    const client = SimulatedClient.connected(shard);
    expect(client.connack.reasonCode).toBe(ReasonCode.ServerBusy);
    expect(client.connack).not.toHaveProperty("serverReference");
  });

  test("a client that takes its session over is let in, and so is one after another has left", () => {
    const { shard, client } = connected({ connectionsMax: 1 }, {}, alone);
    client.open().connect();
    expect(client.connack.reasonCode).toBe(ReasonCode.Success);
    client.lose();
    expect(SimulatedClient.connected(shard).isConnected).toBe(true);
  });

  test("it is known after an eviction", () => {
    const { shard } = connected({ connectionsMax: 1 }, {}, alone);
    shard.evict();
    expect(SimulatedClient.connected(shard).connack.reasonCode).toBe(ReasonCode.ServerBusy);
  });

  test("a Server Reference is in no other refusal", () => {
    const { client } = connected({ serverReference }, { clientId: "x".repeat(300) });
    expect(client.connack.reasonCode).toBe(ReasonCode.ClientIdentifierNotValid);
    expect(client.connack).not.toHaveProperty("serverReference");
  });
});
