import { describe, expect, test } from "vitest";
import type { ConnackPacket } from "../../src/core/packet.ts";
import type { Limits } from "../../src/core/limits.ts";
import { Harness } from "../core/harness.ts";
import { SimulatedClient, willMessage } from "../core/simulated-client.ts";
import { field, packet, properties } from "../support/bytes.ts";
import { beginning, bothVersions, WireClient } from "./wire.ts";
import type { WireOptions } from "./wire.ts";

/** What CONNACK says to a CONNECT, from a shard with those limits. */
function connackOf(limits: Partial<Limits>, options: WireOptions = {}): ConnackPacket {
  return WireClient.connected(new Harness({ limits }), options).only("connack");
}

describe("A maximum QoS below 2", () => {
  test.each([0, 1] as const)("[MQTT-3.2.2-9] is announced: %i", (maximumQos) => {
    expect(connackOf({ maximumQos })).toMatchObject({ reasonCode: 0, maximumQos });
  });

  test("[MQTT-3.2.2-9] is not announced where QoS 2 is there", () => {
    expect(connackOf({})).not.toHaveProperty("maximumQos");
  });

  test("[MQTT-3.2.2-10] leaves every requested QoS welcome, and grants what there is", () => {
    const client = SimulatedClient.connected(new Harness({ limits: { maximumQos: 0 } }));
    for (const qos of [0, 1, 2] as const) expect(client.subscribe(`a${qos}`, qos).reasonCodes).toEqual([0]);
  });

  test("[MQTT-3.2.2-11] ends the connection of a client that publishes above it, with 0x9B", () => {
    const client = SimulatedClient.connected(new Harness({ limits: { maximumQos: 1 } }));
    client.publish("a", "1", { qos: 1 });
    expect(client.closed).toBeUndefined();
    client.publish("a", "1", { qos: 2 });
    expect(client.only("disconnect").reasonCode).toBe(0x9b);
    expect(client.closed).toBeDefined();
  });

  test.each(bothVersions)("[MQTT-3.2.2-12] refuses a Will above it, at version %i", (protocolVersion) => {
    const shard = new Harness({ limits: { maximumQos: 1 } });
    const client = WireClient.connected(shard, { protocolVersion, will: willMessage("w", { qos: 2 }) });
    expect(client.only("connack").reasonCode).toBe(protocolVersion === 5 ? 0x9b : 3);
    expect(client.closeCode).toBe(1008);
  });
});

describe("Without retained messages", () => {
  const limits = { retainAvailable: false };

  test("[MQTT-3.2.2-13] a retained Will is refused with 0x9A, and CONNACK of others says so", () => {
    const client = WireClient.connected(new Harness({ limits }), {
      will: willMessage("w", { retain: true }),
    });
    expect(client.only("connack").reasonCode).toBe(0x9a);
    expect(client.closeCode).toBe(1008);
    expect(connackOf(limits).retainAvailable).toBe(false);
  });

  test("[MQTT-3.2.2-14] a retained PUBLISH ends the connection with 0x9A", () => {
    const client = SimulatedClient.connected(new Harness({ limits }));
    client.publish("a", "1", { retain: true });
    expect(client.only("disconnect").reasonCode).toBe(0x9a);
  });
});

describe("Where other features are switched off", () => {
  test("CONNACK says so, and is silent about what is there", () => {
    const names = [
      "wildcardSubscriptionAvailable",
      "sharedSubscriptionAvailable",
      "subscriptionIdentifiersAvailable",
    ] as const;
    for (const name of names) {
      expect(connackOf({ [name]: false })[name]).toBe(false);
      expect(connackOf({})).not.toHaveProperty(name);
    }
  });

  test("[MQTT-3.8.3-2 (3.1.1)] a Topic Filter with a wildcard is refused, others are not", () => {
    const shard = new Harness({ limits: { wildcardSubscriptionAvailable: false } });
    for (const protocolVersion of bothVersions) {
      const client = WireClient.connected(shard, { protocolVersion });
      const optional = protocolVersion === 5 ? [0] : [];
      client.sendBytes(packet(0x82, 0, 1, optional, field("a/+"), 0, field("a"), 0, field("#"), 0));
      const refused = protocolVersion === 5 ? 0xa2 : 0x80;
      expect(client.only("suback").reasonCodes).toEqual([refused, 0, refused]);
    }
  });

  test("a shared subscription is refused with 0x9E, and a Subscription Identifier ends the connection with 0xA1", () => {
    const limits = { sharedSubscriptionAvailable: false, subscriptionIdentifiersAvailable: false };
    const client = SimulatedClient.connected(new Harness({ limits }));
    expect(client.subscribe("$share/g/a").reasonCodes).toEqual([0x9e]);
    client.send({
      type: "subscribe",
      packetIdentifier: 9,
      subscriptionIdentifier: 1,
      requests: [
        { topicFilter: "a", maximumQos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
    });
    expect(client.only("disconnect").reasonCode).toBe(0xa1);
  });

  test("[MQTT-3.2.2-18] any Topic Alias ends the connection with 0x94 where there are none", () => {
    const client = SimulatedClient.connected(new Harness({ limits: { topicAliasMaximum: 0 } }));
    client.publish("a", "1", { topicAlias: 1 });
    expect(client.only("disconnect").reasonCode).toBe(0x94);
  });
});

describe("Topic Aliases to a client", () => {
  /** The aliases of PUBLISHes to topics of that many names, each twice. */
  function aliases(topicAliasMaximum: number | undefined, topicCount: number): WireClient {
    const shard = new Harness();
    const options = topicAliasMaximum === undefined ? {} : { topicAliasMaximum };
    const client = WireClient.connected(shard, options);
    client.sendBytes(packet(0x82, 0, 1, 0, field("topic/#"), 0));
    const publisher = SimulatedClient.connected(shard);
    for (let round = 0; round < 2; round += 1) {
      for (let index = 0; index < topicCount; index += 1) publisher.publish(`topic/${index}`, `${index}`);
    }
    return client;
  }

  test.each([1, 3, 5])(
    "[MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8] stay from 1 to its maximum: %i",
    (maximum) => {
      const used = aliases(maximum, 8)
        .all("publish")
        .map(({ topicAlias }) => topicAlias);
      expect(used).toHaveLength(16);
      const numbers = used.filter((alias) => alias !== undefined);
      expect(numbers).not.toEqual([]);
      expect(Math.min(...numbers)).toBeGreaterThanOrEqual(1);
      expect(Math.max(...numbers)).toBeLessThanOrEqual(maximum);
    },
  );

  test("[MQTT-3.3.2-3] [MQTT-3.3.2-7] stand for the Topic Name that came with them on the same connection", () => {
    const known = new Map<number, string>();
    const client = aliases(3, 6);
    const payloads = client.all("publish").map((publish) => {
      const { topicName, topicAlias, payload } = publish as { topicName: string } & typeof publish;
      if (topicAlias !== undefined && topicName !== "") known.set(topicAlias, topicName);
      const name = topicName === "" ? known.get(topicAlias ?? 0) : topicName;
      expect(name).toBe(`topic/${Buffer.from(payload as Uint8Array).toString()}`);
      return topicName;
    });
    expect(payloads).toHaveLength(12);
  });

  test("[MQTT-3.1.2-26] save the Topic Name from the second message on", () => {
    const names = aliases(2, 2)
      .all("publish")
      .map((publish) => (publish as { topicName?: string }).topicName);
    expect(names).toEqual(["topic/0", "topic/1", "", ""]);
  });

  test.each([undefined, 0])("[MQTT-3.1.2-27] are not sent to one that announced %s", (maximum) => {
    const used = aliases(maximum, 2)
      .all("publish")
      .map(({ topicAlias }) => topicAlias);
    expect(used).toEqual([undefined, undefined, undefined, undefined]);
  });
});

describe("CONNACK", () => {
  test("[MQTT-3.1.2-28] has Response Information for those alone who asked", () => {
    expect(connackOf({}, { requestResponseInformation: true }).responseInformation).toMatch(/./);
    expect(connackOf({}, { requestResponseInformation: false })).not.toHaveProperty("responseInformation");
    expect(connackOf({})).not.toHaveProperty("responseInformation");
  });

  test("[MQTT-3.2.2-8] refuses with codes that are defined for it", () => {
    const will = willMessage("a");
    const limits = { maximumQos: 1, retainAvailable: false } as const;
    const codes = [
      connackOf({}, { clientId: "x".repeat(257) }),
      connackOf({}, { authenticationMethod: "none" }),
      connackOf({ connectionsMax: 0 }),
      connackOf({ connectionsMax: 0, serverReference: "elsewhere" }),
      connackOf({}, { will: { ...will, topicName: "$SYS/a" } }),
      connackOf({}, { will: { ...will, topicName: "a/+" } }),
      connackOf({}, { will: { ...will, payloadFormatIndicator: 1, payload: Uint8Array.of(0xff) } }),
      connackOf(limits, { will: { ...will, qos: 2 } }),
      connackOf(limits, { will: { ...will, retain: true } }),
      connackOf({}, { receiveMaximum: 0 }),
      beginning(5, [packet(0x10, field("MQTT"), 5, 3)]).only("connack"),
      beginning(5, [packet(0x10, field("MQTT"), 7, 2)]).only("connack"),
    ].map(({ reasonCode }) => reasonCode);
    expect(codes).toEqual([0x85, 0x8c, 0x89, 0x9c, 0x87, 0x90, 0x99, 0x9b, 0x9a, 0x82, 0x81, 0x84]);
  });

  test("names the other server only where it sends clients away", () => {
    expect(connackOf({ connectionsMax: 0, serverReference: "elsewhere" }).serverReference).toBe("elsewhere");
    expect(connackOf({ serverReference: "elsewhere" })).not.toHaveProperty("serverReference");
  });

  test("[MQTT-3.2.2-19] leaves its Reason String out where it would exceed the client's Maximum Packet Size", () => {
    const clientId = "x".repeat(257);
    expect(connackOf({}, { clientId }).reasonString).toMatch(/./);
    const client = WireClient.connected(new Harness(), { clientId, maximumPacketSizeBytes: 20 });
    expect(client.only("connack").reasonCode).toBe(0x85);
    expect(client.sent[0]?.length).toBeLessThanOrEqual(20);
    expect(client.only("connack")).not.toHaveProperty("reasonString");
  });

  test("[MQTT-3.2.2-20] holds no User Property, whatever CONNECT holds", () => {
    const userProperties = [["name", "value"]] as const;
    expect(connackOf({}, { userProperties })).not.toHaveProperty("userProperties");
    expect(connackOf({}, { userProperties, clientId: "x".repeat(257) })).not.toHaveProperty("userProperties");
  });

  test("[MQTT-3.1.2-24] does not exceed the client's Maximum Packet Size, be it ever so small", () => {
    for (let maximumPacketSizeBytes = 1; maximumPacketSizeBytes < 40; maximumPacketSizeBytes += 1) {
      const client = WireClient.connected(new Harness(), { maximumPacketSizeBytes });
      for (const sent of client.sent) expect(sent.length).toBeLessThanOrEqual(maximumPacketSizeBytes);
    }
  });
});

describe("Payloads that say they are UTF-8", () => {
  test.each([
    [0, []],
    [1, [0x99]],
    [2, [0x99]],
  ] as const)("are checked at QoS %i, and told to be wrong", (qos, codes) => {
    const shard = new Harness();
    const client = WireClient.connected(shard);
    const identifier = qos === 0 ? [] : [0, 7];
    client.sendBytes(packet(0x30 | (qos << 1), field("a"), identifier, properties(1, 1), 0xff));
    const responses = [...client.all("puback"), ...client.all("pubrec")];
    expect(responses.map(({ reasonCode }) => reasonCode)).toEqual(codes);
    expect(client.closeCode).toBeUndefined();
  });
});
