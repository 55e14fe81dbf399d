import { describe, expect, test } from "vitest";
import type { Limits } from "../../src/core/limits.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { PublishOptions } from "./simulated-client.ts";
import { bytesOf, SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const levels = (count: number): string => Array.from({ length: count }, () => "x").join("/");

/** A way to be refused: what is done, with which code it is answered, and what the reason names. */
interface Case {
  readonly what: string;
  readonly limits?: Partial<Limits>;
  readonly act: (client: SimulatedClient, shard: Harness) => unknown;
  readonly code: ReasonCode;
  readonly names: string;
}

const invalidText = Uint8Array.of(0xc3, 0x28);

function publishing(topicName: string, options: PublishOptions & { readonly payload?: Uint8Array }) {
  return (client: SimulatedClient): void => {
    const { payload = bytesOf("1"), ...rest } = options;
    const packet = client.publishPacket(topicName, "", rest);
    client.send({ ...packet, message: { ...packet.message, payload } });
  };
}

/** PUBLISHes that are answered with a refusal. */
const messages: readonly (Omit<Case, "act"> & {
  topicName: string;
  options: Parameters<typeof publishing>[1];
})[] = [
  {
    what: "a payload that is not the UTF-8 it is said to be",
    topicName: "a",
    options: { payloadFormatIndicator: 1, payload: invalidText },
    code: ReasonCode.PayloadFormatInvalid,
    names: "Payload Format Indicator",
  },
  {
    what: "a Topic Name of too many levels",
    limits: { topicLevelsMax: 3 },
    topicName: levels(4),
    options: {},
    code: ReasonCode.TopicNameInvalid,
    names: "3 levels",
  },
  {
    what: "one retained message too many",
    limits: { retainedMessagesMax: 0 },
    topicName: "a",
    options: { retain: true },
    code: ReasonCode.QuotaExceeded,
    names: "0 messages",
  },
  {
    what: "a message in the server's name",
    topicName: "$SYS/broker/uptime",
    options: {},
    code: ReasonCode.NotAuthorized,
    names: "$SYS",
  },
];

/** SUBSCRIBEs that are answered with a refusal. */
const filters: readonly Case[] = [
  {
    what: "a Topic Filter of too many levels",
    limits: { topicLevelsMax: 3 },
    act: (client) => client.subscribe(levels(4)),
    code: ReasonCode.TopicFilterInvalid,
    names: "3 levels",
  },
  {
    what: "one subscription too many",
    limits: { subscriptionsPerSessionMax: 0 },
    act: (client) => client.subscribe("a"),
    code: ReasonCode.QuotaExceeded,
    names: "0 subscriptions",
  },
];

/** What ends the connection. */
const faults: readonly Case[] = [
  {
    what: "a Topic Alias that is too high",
    limits: { topicAliasMaximum: 2 },
    act: (client) => client.publish("a", "1", { topicAlias: 3 }),
    code: ReasonCode.TopicAliasInvalid,
    names: "2",
  },
  {
    what: "Topic Names behind aliases that are too long",
    limits: { topicAliasBytesMax: 30 },
    act: (client) => client.publish("x".repeat(11), "1", { topicAlias: 1 }),
    code: ReasonCode.QuotaExceeded,
    names: "30 bytes",
  },
  {
    what: "one unacknowledged message too many",
    limits: { receiveMaximum: 1 },
    act: (client) => [1, 2].map((packetIdentifier) => client.publish("a", "1", { qos: 2, packetIdentifier })),
    code: ReasonCode.ReceiveMaximumExceeded,
    names: "1 messages",
  },
  {
    what: "AUTH without an Authentication Method",
    act: (client) =>
      client.send({ type: "auth", reasonCode: ReasonCode.ReAuthenticate, authenticationMethod: "any" }),
    code: ReasonCode.ProtocolError,
    names: "AUTH",
  },
  {
    what: "a Session Expiry Interval that comes with DISCONNECT only",
    act: (client) => client.disconnect(0, { sessionExpiryIntervalSec: 1 }),
    code: ReasonCode.ProtocolError,
    names: "Session Expiry Interval",
  },
];

function countsOf(shard: Harness): [number, number][] {
  return [...shard.counters.refusals];
}

function setUp(limits: Partial<Limits> = {}, requestProblemInformation?: boolean) {
  const shard = new Harness({ limits });
  const asked = requestProblemInformation !== undefined && { requestProblemInformation };
  return { shard, client: SimulatedClient.connected(shard, { acks: "manual", ...asked }) };
}

describe("a refused PUBLISH", () => {
  test.each(messages)(
    "with $what is answered with its code and the reason, counted and passed on to nobody",
    ({ limits, topicName, options, code, names }) => {
      const { shard, client } = setUp(limits);
      publishing(topicName, { ...options, qos: 1 })(client);
      expect(client.last("puback").reasonCode).toBe(code);
      expect(client.last("puback").reasonString).toContain(names);
      expect(countsOf(shard)).toEqual([[code, 1]]);
      publishing(topicName, { ...options, qos: 2, packetIdentifier: 9 })(client);
      expect(client.last("pubrec").reasonCode).toBe(code);
      expect(client.last("pubrec").reasonString).toContain(names);
      client.respond("pubrel", 9);
      expect(client.last("pubcomp").reasonCode).toBe(ReasonCode.PacketIdentifierNotFound);
      expect(countsOf(shard)).toEqual([[code, 2]]);
      publishing(topicName, options)(client);
      expect(countsOf(shard)).toEqual([[code, 3]]);
      expect(client.isConnected).toBe(true);
      expect(shard.counters.messagesSent).toBe(0);
    },
  );

  test.each(messages)("[MQTT-3.1.2-29] with $what has no reason for those who want none", (each) => {
    const { client } = setUp(each.limits, false);
    publishing(each.topicName, { ...each.options, qos: 1 })(client);
    publishing(each.topicName, { ...each.options, qos: 2 })(client);
    expect(client.last("puback")).not.toHaveProperty("reasonString");
    expect(client.last("pubrec")).not.toHaveProperty("reasonString");
  });

  test("leaves what was retained before, and a topic that has a message may change it", () => {
    const { client } = setUp({ retainedMessagesMax: 1 });
    // Each shard has its own limit, and these topics are on one.
    client.publish("a/a/1", "1", { retain: true, qos: 1 });
    client.publish("a/a/2", "2", { retain: true, qos: 1 });
    client.publish("a/a/1", "3", { retain: true, qos: 1 });
    const codes = client.all("puback").map(({ reasonCode }) => reasonCode);
    expect(codes.map((code) => code === ReasonCode.QuotaExceeded)).toEqual([false, true, false]);
    client.subscribe("#");
    expect(client.payloads).toEqual(["3"]);
    client.publish("a/a/1", "", { retain: true });
    client.publish("a/a/2", "4", { retain: true, qos: 1 });
    expect(client.last("puback").reasonCode).not.toBe(ReasonCode.QuotaExceeded);
  });

  test("is none for a payload that need not be checked, or need not be UTF-8", () => {
    const lenient = setUp({ validatesPayloadFormat: false });
    publishing("a", { payloadFormatIndicator: 1, payload: invalidText, qos: 1 })(lenient.client);
    expect(lenient.client.last("puback").reasonCode).toBe(ReasonCode.NoMatchingSubscribers);
    const { client } = setUp();
    publishing("a", { payloadFormatIndicator: 0, payload: invalidText, qos: 1 })(client);
    publishing("a", { payload: invalidText, qos: 1 })(client);
    publishing("a", { payloadFormatIndicator: 1, payload: bytesOf("ö\u0000"), qos: 1 })(client);
    expect(client.all("puback").map(({ reasonCode }) => reasonCode)).toEqual([0x10, 0x10, 0x10]);
  });
});

describe("a refused SUBSCRIBE", () => {
  test.each(filters)("with $what is answered with its code and the reason, and counted", (each) => {
    const { shard, client } = setUp(each.limits);
    each.act(client, shard);
    expect(client.last("suback").reasonCodes).toEqual([each.code]);
    expect(client.last("suback").reasonString).toContain(each.names);
    expect(countsOf(shard)).toEqual([[each.code, 1]]);
    expect(client.isConnected).toBe(true);
  });

  test.each(filters)("[MQTT-3.1.2-29] with $what has no reason for those who want none", (each) => {
    const { shard, client } = setUp(each.limits, false);
    each.act(client, shard);
    expect(client.last("suback")).not.toHaveProperty("reasonString");
  });

  test("that is granted has no reason", () => {
    const { client } = setUp();
    expect(client.subscribe("a")).not.toHaveProperty("reasonString");
  });

  test("does not keep a subscription that is there from being changed", () => {
    const { client } = setUp({ subscriptionsPerSessionMax: 1 });
    expect(client.subscribe("a", 0).reasonCodes).toEqual([0]);
    expect(client.subscribe("b", 0).reasonCodes).toEqual([ReasonCode.QuotaExceeded]);
    expect(client.subscribe("a", 2).reasonCodes).toEqual([2]);
    client.unsubscribe("a");
    expect(client.subscribe("b", 0).reasonCodes).toEqual([0]);
  });
});

describe("a fault", () => {
  test.each(faults)(
    "such as $what ends the connection with its code and the reason, and is counted",
    (each) => {
      for (const problemInformation of [undefined, true, false]) {
        const { shard, client } = setUp(each.limits, problemInformation);
        const bystander = SimulatedClient.connected(shard);
        each.act(client, shard);
        expect(client.last("disconnect").reasonCode).toBe(each.code);
        expect(client.last("disconnect").reasonString).toContain(each.names);
        expect(client.isConnected).toBe(false);
        expect(countsOf(shard)).toEqual([[each.code, 1]]);
        expect(bystander.ping().take().at(-1)).toEqual({ type: "pingresp" });
      }
    },
  );
});

describe("a refused CONNECT", () => {
  const cases: readonly (readonly [string, Partial<Limits>, object, ReasonCode, string])[] = [
    [
      "a long Client Identifier",
      { clientIdentifierLengthMax: 3 },
      { clientId: "four" },
      0x85,
      "3 characters",
    ],
    ["another Client Identifier than the upgrade", {}, { clientId: "a", clientIdHint: "b" }, 0x85, "upgrade"],
    ["a Will on too many levels", { topicLevelsMax: 3 }, { will: willMessage(levels(4)) }, 0x90, "3 levels"],
    ["a Will in the server's name", {}, { will: willMessage("$SYS/x") }, 0x87, "$SYS"],
    [
      "a Will that is not the UTF-8 it is said to be",
      {},
      { will: willMessage("a", { payloadFormatIndicator: 1, payload: invalidText }) },
      0x99,
      "Payload Format Indicator",
    ],
    ["no room", { connectionsMax: 0 }, {}, 0x89, "0 connections"],
  ];

  test.each(cases)(
    "for %s has its code and the reason in CONNACK, and is counted",
    (_, limits, options, code, names) => {
      for (const requestProblemInformation of [true, false]) {
        const shard = new Harness({ limits });
        const client = SimulatedClient.connected(shard, { requestProblemInformation, ...options });
        expect(client.connack).toMatchObject({ reasonCode: code, sessionPresent: false });
        expect(client.connack.reasonString).toContain(names);
        expect(client.closed?.code).toBe(1008);
        expect(countsOf(shard)).toEqual([[code, 1]]);
        expect(shard.sessionCount).toBe(0);
        expect(shard.rowsWritten).toBe(0);
      }
    },
  );
});

describe("the Packet Identifier of a QoS 2 message that is not released", () => {
  const inUse = ReasonCode.PacketIdentifierInUse;

  test.each([0, week])(
    "is in use: 0x91, and nothing else happens (expiry %i)",
    (sessionExpiryIntervalSec) => {
      for (const isWanted of [true, false]) {
        const shard = new Harness();
        const client = SimulatedClient.connected(shard, {
          acks: "manual",
          sessionExpiryIntervalSec,
          requestProblemInformation: isWanted,
        });
        client.subscribe("a", 1);
        client.publish("x", "1", { qos: 2, packetIdentifier: 5 });
        client.publish("a", "2", { qos: 1, packetIdentifier: 5 });
        const request = {
          maximumQos: 0,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
        } as const;
        client.send({
          type: "subscribe",
          packetIdentifier: 5,
          requests: ["a", "b"].map((topicFilter) => ({ topicFilter, ...request })),
        });
        client.send({ type: "unsubscribe", packetIdentifier: 5, topicFilters: ["a"] });
        expect(client.last("puback").reasonCode).toBe(inUse);
        expect(client.last("suback").reasonCodes).toEqual([inUse, inUse]);
        expect(client.last("unsuback").reasonCodes).toEqual([inUse]);
        for (const type of ["puback", "suback", "unsuback"] as const) {
          expect(client.last(type).reasonString !== undefined).toBe(isWanted);
        }
        expect(client.payloads).toEqual([]);
        expect(client.isConnected).toBe(true);
        client.respond("pubrel", 5);
        client.publish("a", "3", { qos: 1, packetIdentifier: 5 });
        expect(client.last("puback").reasonCode).toBe(ReasonCode.Success);
        expect(client.messages).toMatchObject([{ qos: 1 }]);
      }
    },
  );

  test("of an UNSUBSCRIBE and a SUBSCRIBE is counted once for each Topic Filter", () => {
    const { shard, client } = setUp();
    client.publish("x", "1", { qos: 2, packetIdentifier: 5 });
    client.send({ type: "unsubscribe", packetIdentifier: 5, topicFilters: ["a", "b"] });
    expect(countsOf(shard)).toEqual([[inUse, 2]]);
  });

  test("[MQTT-4.3.3-11] that was never used is not found: 0x92 to PUBREL and PUBREC", () => {
    const { client } = setUp();
    client.respond("pubrel", 7);
    expect(client.last("pubcomp")).toMatchObject({ packetIdentifier: 7, reasonCode: 0x92 });
    client.respond("pubrec", 8);
    expect(client.last("pubrel")).toMatchObject({ packetIdentifier: 8, reasonCode: 0x92 });
    expect(client.isConnected).toBe(true);
  });
});
