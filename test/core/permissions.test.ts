import { describe, expect, test } from "vitest";
import type { Identity } from "../../src/core/access/identity.ts";
import type { Rule } from "../../src/core/access/rule.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import type { HarnessOptions } from "./harness.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const { NotAuthorized, Success } = ReasonCode;
const week = 7 * 24 * 3600;

function allow(topicFilter: string, options: Partial<Rule> = {}): Rule {
  return { effect: "allow", action: "all", topicFilter, ...options };
}

function deny(topicFilter: string, options: Partial<Rule> = {}): Rule {
  return { effect: "deny", action: "all", topicFilter, ...options };
}

function identityOf(rules: readonly Rule[], more: Partial<Identity> = {}): Identity {
  return { method: "token", username: "ann", roles: [], claims: {}, rules, ...more };
}

/** Connected with no rules but these. */
function client(shard: Harness, rules: readonly Rule[], options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, { identity: identityOf(rules), ...options });
}

function everything(shard: Harness): SimulatedClient {
  const listener = client(shard, [allow("#")]);
  listener.subscribe("#", 2);
  return listener;
}

describe("a PUBLISH that is not permitted", () => {
  test.each([
    [1, "puback"],
    [2, "pubrec"],
  ] as const)("of QoS %i is answered with 0x87 and a reason, and goes nowhere", (qos, type) => {
    const shard = new Harness();
    const listener = everything(shard);
    const publisher = client(shard, [allow("open")], { sessionExpiryIntervalSec: week });
    publisher.publish("closed", "1", { qos });
    expect(publisher.only(type)).toMatchObject({ reasonCode: NotAuthorized });
    expect(publisher.only(type).reasonString).toContain("permission");
    expect(publisher.isConnected).toBe(true);
    publisher.publish("open", "2", { qos });
    expect(listener.payloads).toEqual(["2"]);
    expect(shard.counters.refusals).toEqual(new Map([[NotAuthorized, 1]]));
  });

  test("of QoS 0 is dropped and counted", () => {
    const shard = new Harness();
    const listener = everything(shard);
    const publisher = client(shard, [allow("open")]);
    publisher.publish("closed", "1");
    publisher.publish("open", "2");
    expect(publisher.isConnected).toBe(true);
    expect(listener.payloads).toEqual(["2"]);
    expect(shard.counters.refusals.get(NotAuthorized)).toBe(1);
  });

  test.each([0, 1, 2] as const)("of QoS %i closes the connection of a 3.1.1 client", (qos) => {
    const shard = new Harness();
    const listener = everything(shard);
    const publisher = client(shard, [allow("open")], { protocolVersion: 4 });
    publisher.publish("closed", "1", { qos });
    expect(publisher.closed?.code).toBe(1008);
    expect(listener.payloads).toEqual([]);
  });

  test("by its QoS, its RETAIN or the topic behind its alias is refused like that", () => {
    const shard = new Harness();
    const rules = [allow("low", { qosMax: 0 }), allow("live", { retain: false }), allow("open")];
    const publisher = client(shard, rules);
    publisher.publish("low", "", { qos: 1 });
    publisher.publish("live", "", { qos: 1, retain: true });
    publisher.publish("closed", "", { qos: 1, topicAlias: 1 });
    publisher.publish("", "", { qos: 1, topicAlias: 1 });
    expect(publisher.all("puback").map(({ reasonCode }) => reasonCode)).toEqual([
      NotAuthorized,
      NotAuthorized,
      NotAuthorized,
      NotAuthorized,
    ]);
    expect(shard.retainedNames).toEqual([]);
  });

  test("to $SYS is refused whatever the rules say", () => {
    const operator = identityOf([allow("$SYS/#"), allow("#")], { roles: ["operator"] });
    const publisher = SimulatedClient.connected(new Harness(), { identity: operator });
    publisher.publish("$SYS/broker/version", "", { qos: 1 });
    expect(publisher.only("puback").reasonCode).toBe(NotAuthorized);
  });

  test("leaves its QoS 2 identifier free", () => {
    const publisher = client(new Harness(), [allow("open")]);
    publisher.publish("closed", "", { qos: 2, packetIdentifier: 7 });
    publisher.publish("open", "", { qos: 2, packetIdentifier: 7 });
    expect(publisher.all("pubrec").map(({ reasonCode }) => reasonCode)).toEqual([
      NotAuthorized,
      ReasonCode.NoMatchingSubscribers,
    ]);
  });
});

describe("a SUBSCRIBE", () => {
  test("is answered for each Topic Filter by itself", () => {
    const shard = new Harness();
    const subscriber = client(shard, [deny("a/secret"), allow("a/+"), allow("b", { qosMax: 1 })]);
    const options = { maximumQos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const topicFilters = ["a/+", "a/b", "b", "c", "$share/group/a/b", "$share/group/c"];
    subscriber.send({
      type: "subscribe",
      packetIdentifier: 1,
      requests: topicFilters.map((topicFilter) => ({ topicFilter, ...options })),
    });
    expect(subscriber.only("suback").reasonCodes).toEqual([
      NotAuthorized,
      ReasonCode.GrantedQoS2,
      ReasonCode.GrantedQoS1,
      NotAuthorized,
      ReasonCode.GrantedQoS2,
      NotAuthorized,
    ]);
    expect(subscriber.only("suback").reasonString).toContain("permission");
    expect(shard.counters.refusals.get(NotAuthorized)).toBe(3);
  });

  test("that is refused gets neither messages nor retained ones", () => {
    const shard = new Harness();
    const publisher = client(shard, [allow("#")]);
    publisher.publish("closed", "kept", { retain: true });
    const subscriber = client(shard, [allow("open")]);
    subscriber.subscribe("closed");
    subscriber.subscribe("#");
    publisher.publish("closed", "live");
    expect(subscriber.payloads).toEqual([]);
  });

  test("with a limited QoS gets messages with that QoS", () => {
    const shard = new Harness();
    const subscriber = client(shard, [allow("a", { qosMax: 1 })]);
    subscriber.subscribe("a", 2);
    client(shard, [allow("#")]).publish("a", "1", { qos: 2 });
    expect(subscriber.messages).toMatchObject([{ qos: 1 }]);
  });
});

describe("a Will that is not permitted", () => {
  test.each([4, 5] as const)("refuses the CONNECT of version %i", (protocolVersion) => {
    const shard = new Harness();
    const owner = client(shard, [allow("#")], { clientId: "owner" });
    const rules = [allow("open"), allow("low", { qosMax: 0 })];
    for (const will of [willMessage("closed"), willMessage("low", { qos: 1 })]) {
      const refused = client(shard, rules, { protocolVersion, will, clientId: "owner" });
      expect(refused.connack.reasonCode).toBe(NotAuthorized);
      expect(refused.isConnected).toBe(false);
    }
    expect(owner.isConnected).toBe(true);
    expect(client(shard, rules, { will: willMessage("open") }).connack.reasonCode).toBe(Success);
  });
});

describe("$SYS", () => {
  function subscribing(options: HarnessOptions, identity?: Identity): readonly number[] {
    const subscriber = SimulatedClient.connected(new Harness(options), identity && { identity });
    const topicFilters = ["$SYS/#", "$SYS/broker/version", "$share/group/$SYS/#"];
    return topicFilters.map((topicFilter) => subscriber.subscribe(topicFilter).reasonCodes[0] as number);
  }

  const operators = { serverTopicsFor: "operators" } as const;
  const none = [NotAuthorized, NotAuthorized, NotAuthorized];

  test("is for operators only, whatever the rules say", () => {
    expect(subscribing(operators)).toEqual(none);
    expect(subscribing(operators, identityOf([allow("$SYS/#")]))).toEqual(none);
    expect(subscribing(operators, identityOf([], { roles: ["operator"] }))).toEqual([0, 0, 0]);
  });

  test("is for everybody where the settings say so", () => {
    const everybody = { serverTopicsFor: "everybody" } as const;
    expect(subscribing(everybody)).toEqual([0, 0, 0]);
    expect(subscribing(everybody, identityOf([deny("#")]))).toEqual([0, 0, 0]);
  });
});

describe("rules of the settings", () => {
  test("hold for everybody, anonymous clients too", () => {
    const shard = new Harness({ permissions: [allow("open/#")] });
    for (const identity of [undefined, identityOf([])]) {
      const subscriber = SimulatedClient.connected(shard, identity && { identity });
      expect(subscriber.subscribe("open/+").reasonCodes).toEqual([0]);
      expect(subscriber.subscribe("closed").reasonCodes).toEqual([NotAuthorized]);
    }
  });
});

describe("what permissions cost", () => {
  test("is no row and no call between shards", () => {
    const measure = (rules: readonly Rule[] | undefined): { rows: number; calls: number; read: number } => {
      const shard = new Harness();
      const options = { clientId: "measured", ...(rules && { identity: identityOf(rules) }) };
      const one = SimulatedClient.connected(shard, options);
      one.subscribe("a/b");
      for (let count = 0; count < 20; count += 1) one.publish("a/b", String(count), { qos: 1 });
      expect(one.payloads).toHaveLength(20);
      return { rows: shard.rowsWritten, calls: shard.callCount, read: shard.rowsRead };
    };
    const plain = measure(undefined);
    expect(measure([deny("x"), allow("${username}/#"), allow("a/+")])).toEqual(plain);
    expect(plain.rows).toBe(0);
  });
});
