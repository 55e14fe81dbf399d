import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { SimulatedClient } from "../simulated-client.ts";
import { Publisher } from "./actors.ts";
import type { Passage, Verdict } from "./network.ts";
import { isAtRest, Network } from "./network.ts";

const { NoMatchingSubscribers, Success } = ReasonCode;
const slow = 2;

/** The shard gets nothing. */
function isFor(shard: number): (passage: Passage) => Verdict {
  return ({ batch }) => (batch.to === shard ? "hold" : "pass");
}

function setUp(): { network: Network; publisher: Publisher; slowTopic: string; fastTopic: string } {
  const network = new Network();
  const publisher = new Publisher(network, network.clientOn(1, "publisher")).comeBack();
  const listener = SimulatedClient.connected(network, { clientId: network.clientOn(0, "listener") });
  listener.subscribe("#", 2);
  return { network, publisher, slowTopic: network.topicOn(slow), fastTopic: network.topicOn(3) };
}

describe("While one owner is slow", () => {
  test.each([1, 2] as const)("acknowledgements of QoS %i leave in the order of the PUBLISHes", (qos) => {
    const { network, publisher, slowTopic, fastTopic } = setUp();
    network.rule = isFor(slow);
    publisher
      .say(slowTopic, "1", qos)
      .say(fastTopic, "2", qos)
      .say(slowTopic, "3", qos)
      .say(fastTopic, "4", qos);
    expect(publisher.acknowledged).toEqual([]);
    network.rule = () => "pass";
    network.release();
    expect(publisher.acknowledged).toEqual(["1", "2", "3", "4"]);
    expect(isAtRest(network)).toBe(true);
  });

  test("QoS 1 and 2 share the order", () => {
    const { network, publisher, slowTopic, fastTopic } = setUp();
    network.rule = isFor(slow);
    publisher.say(slowTopic, "1", 2).say(fastTopic, "2", 1).say(slowTopic, "3", 1).say(fastTopic, "4", 2);
    network.rule = () => "pass";
    network.release();
    expect(publisher.acknowledged).toEqual(["1", "2", "3", "4"]);
  });

  test("PINGREQ, SUBSCRIBE, UNSUBSCRIBE and QoS 0 are not held up", () => {
    const { network, publisher, slowTopic, fastTopic } = setUp();
    network.rule = isFor(slow);
    publisher.say(slowTopic, "1", 1);
    publisher.ping();
    publisher.last("pingresp");
    expect(publisher.subscribe(fastTopic, 1).reasonCodes).toEqual([1]);
    publisher.say(fastTopic, "now", 0);
    expect(publisher.payloads).toEqual(["now"]);
    expect(publisher.unsubscribe(fastTopic).reasonCodes).toEqual([Success]);
  });

  test("other clients of the same shard are acknowledged at once", () => {
    const { network, publisher, slowTopic, fastTopic } = setUp();
    const other = new Publisher(network, network.clientOn(1, "other")).comeBack();
    network.rule = isFor(slow);
    publisher.say(slowTopic, "1", 1);
    other.say(fastTopic, "2", 1);
    expect(other.acknowledged).toEqual(["2"]);
  });

  test("a DISCONNECT is handled at once, and the message still comes", () => {
    const { network, publisher, slowTopic } = setUp();
    network.rule = isFor(slow);
    publisher.say(slowTopic, "1", 1);
    publisher.disconnect();
    expect(publisher.closed?.code).toBe(1000);
    network.rule = () => "pass";
    network.release();
    publisher.comeBack();
    expect(publisher.acknowledged).toEqual(["1"]);
  });
});

describe("PUBACK and PUBREC say that nobody is subscribed", () => {
  test.each([
    ["owner here", 1],
    ["owner elsewhere", 2],
  ] as const)("when no shard has a match, with the %s", (_, owner) => {
    const network = new Network();
    const publisher = new Publisher(network, network.clientOn(1, "publisher")).comeBack();
    const topicName = network.topicOn(owner);
    publisher.say(topicName, "1", 1).say(topicName, "2", 2);
    expect([...publisher.reasonCodes.values()]).toEqual([NoMatchingSubscribers, NoMatchingSubscribers]);
    SimulatedClient.connected(network, { clientId: network.clientOn(3) }).subscribe(topicName);
    publisher.say(topicName, "3", 1).say(topicName, "4", 2);
    expect([...publisher.reasonCodes.values()].slice(2)).toEqual([Success, Success]);
  });

  test("and not when one shard of several has one", () => {
    const network = new Network();
    const publisher = new Publisher(network, network.clientOn(1, "publisher")).comeBack();
    const topicName = network.topicOn(2);
    for (const shard of [0, 3]) {
      SimulatedClient.connected(network, { clientId: network.clientOn(shard) }).subscribe(topicName, 1);
    }
    network.resetShard(3);
    publisher.say(topicName, "1", 1);
    expect(publisher.reasonCodes.get("1")).toBe(Success);
  });
});

describe("No Local", () => {
  test.each([1, 2])("keeps a client's own message from it when shard %i owns the topic", (owner) => {
    const network = new Network();
    const publisher = new Publisher(network, network.clientOn(1, "publisher")).comeBack();
    const topicName = network.topicOn(owner);
    publisher.subscribe(topicName, 1, { noLocal: true });
    publisher.say(topicName, "own", 1);
    expect(publisher.payloads).toEqual([]);
    expect(publisher.reasonCodes.get("own")).toBe(NoMatchingSubscribers);
    new Publisher(network, network.clientOn(3, "other")).comeBack().say(topicName, "other's", 1);
    expect(publisher.payloads).toEqual(["other's"]);
  });
});

describe("Order per publisher, topic and QoS", () => {
  test.each(["reversed", "as they came"])("holds when independent lanes are %s", (order) => {
    const network = new Network();
    const publishers = [0, 1, 2, 3].map((shard) =>
      new Publisher(network, network.clientOn(shard, "publisher")).comeBack(),
    );
    const subscribers = [0, 1, 2, 3].map((shard) =>
      SimulatedClient.connected(network, { clientId: network.clientOn(shard, "subscriber") }),
    );
    for (const subscriber of subscribers) subscriber.subscribe("#", 2);
    const topicNames = [0, 1, 2, 3].map((shard) => network.topicOn(shard));
    network.rule = () => "hold";
    for (let round = 0; round < 3; round += 1) {
      for (const publisher of publishers) {
        for (const topicName of topicNames) {
          for (const qos of [0, 1, 2] as const) {
            publisher.say(topicName, `${publisher.clientId} ${topicName} ${qos} ${round}`, qos);
          }
        }
      }
    }
    for (let step = 0; step < 200 && network.held.length > 0; step += 1) {
      const count = network.held.length;
      const which = order === "reversed" ? count - 1 : (step * 7) % count;
      const chosen = network.held[which];
      network.release((held) => held === chosen);
    }
    network.rule = () => "pass";
    network.release();
    network.advance(60_000);
    for (const subscriber of subscribers) {
      for (const publisher of publishers) {
        for (const topicName of topicNames) {
          for (const qos of [0, 1, 2]) {
            const line = `${publisher.clientId} ${topicName} ${qos} `;
            const rounds = subscriber.payloads.filter((payload) => payload.startsWith(line));
            expect(rounds).toEqual([0, 1, 2].map((round) => line + round));
          }
        }
      }
    }
    expect(isAtRest(network)).toBe(true);
  });
});
