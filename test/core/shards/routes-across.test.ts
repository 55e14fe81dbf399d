import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { SimulatedClient } from "../simulated-client.ts";
import { Publisher, Returning, week } from "./actors.ts";
import type { Passage, Verdict } from "./network.ts";
import { isAtRest, Network, routesOf } from "./network.ts";

const { NoMatchingSubscribers, Success, UnspecifiedError } = ReasonCode;

const subscriberShard = 1;
const owner = 2;

/** A namespace whose calls of one kind do something else than pass. */
function networkOf(rule: (passage: Passage) => Verdict = () => "pass"): Network {
  const network = new Network();
  network.rule = rule;
  return network;
}

function subscriberOn(network: Network, shard = subscriberShard, options: object = {}): SimulatedClient {
  return SimulatedClient.connected(network, {
    clientId: network.clientOn(shard, "subscriber"),
    ...options,
  });
}

function publisherOn(network: Network, shard = 0): Publisher {
  return new Publisher(network, network.clientOn(shard, "publisher")).comeBack();
}

/** An addRoute, or what else has that name, is on its way. */
function carries({ kind, batch }: Passage, type: string): boolean {
  return kind === "call" && batch.items.some((item) => item.type === type);
}

/** How often something has been told, so far. */
function countOf(network: Network, type: string): number {
  return network.sent.flatMap(({ items }) => items).filter((item) => item.type === type).length;
}

describe("The owner of a topic knows a subscription of another shard", () => {
  test("before SUBACK", () => {
    const network = networkOf((passage) => (passage.kind === "answer" ? "hold" : "pass"));
    const subscriber = subscriberOn(network);
    const topicName = network.topicOn(owner);
    expect(() => subscriber.subscribe(topicName)).toThrow("got no suback");
    expect(network.at(owner).core.routes()).toEqual([{ filter: topicName, shard: subscriberShard }]);
    network.release();
    expect(subscriber.last("suback").reasonCodes).toEqual([Success]);
  });

  test("with every other owner, when the filter begins with a wildcard", () => {
    const network = networkOf();
    const subscriber = subscriberOn(network);
    subscriber.subscribe("#");
    for (const shard of [0, 2, 3]) {
      expect(network.at(shard).core.routes()).toEqual([{ filter: "#", shard: subscriberShard }]);
    }
    expect(network.at(subscriberShard).core.routes()).toEqual([]);
  });

  test("once for all the sessions of the shard", () => {
    const network = networkOf();
    const topicName = network.topicOn(owner);
    const subscribers = ["a", "b", "c"].map((prefix) =>
      SimulatedClient.connected(network, { clientId: network.clientOn(subscriberShard, prefix) }),
    );
    for (const subscriber of subscribers) subscriber.subscribe(topicName);
    expect(countOf(network, "addRoute")).toBe(1);
    for (const subscriber of subscribers.slice(1)) subscriber.unsubscribe(topicName);
    expect(countOf(network, "removeRoute")).toBe(0);
    subscribers[0]?.unsubscribe(topicName);
    expect(countOf(network, "removeRoute")).toBe(1);
    expect(routesOf(network).actual).toEqual([]);
  });

  test("for two who subscribe at the same time, and both are answered when it does", () => {
    const network = networkOf((passage) => (carries(passage, "addRoute") ? "hold" : "pass"));
    const topicName = network.topicOn(owner);
    const [one, other] = ["a", "b"].map((prefix) =>
      SimulatedClient.connected(network, { clientId: network.clientOn(subscriberShard, prefix) }),
    ) as [SimulatedClient, SimulatedClient];
    for (const subscriber of [one, other])
      expect(() => subscriber.subscribe(topicName)).toThrow("got no suback");
    network.release();
    expect([one, other].map((subscriber) => subscriber.last("suback").reasonCodes)).toEqual([[0], [0]]);
  });
});

describe("While the owner has not answered", () => {
  test("a message that comes is delivered already", () => {
    const network = networkOf((passage) => (passage.kind === "answer" ? "hold" : "pass"));
    const subscriber = subscriberOn(network);
    const topicName = network.topicOn(owner);
    expect(() => subscriber.subscribe(topicName, 1)).toThrow("got no suback");
    network.rule = () => "pass";
    publisherOn(network).say(topicName, "1", 1);
    expect(subscriber.payloads).toEqual(["1"]);
  });

  test("PINGREQ is answered, and a QoS 1 message to elsewhere acknowledged", () => {
    const network = networkOf((passage) => (carries(passage, "addRoute") ? "hold" : "pass"));
    const subscriber = subscriberOn(network);
    expect(() => subscriber.subscribe(network.topicOn(owner))).toThrow("got no suback");
    subscriber.ping();
    subscriber.last("pingresp");
    subscriber.publish(network.topicOn(3), "1", { qos: 1 });
    subscriber.last("puback");
  });
});

describe("An owner that does not answer for 5 s", () => {
  const isDead = ({ batch }: Passage): Verdict => (batch.to === owner ? "vanish" : "pass");

  function refused(network: Network, subscriber: SimulatedClient, topicFilters: string[]): void {
    const options = { maximumQos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const requests = topicFilters.map((topicFilter) => ({ topicFilter, ...options }));
    subscriber.send({ type: "subscribe", packetIdentifier: subscriber.nextIdentifier(), requests });
    network.advance(4_999);
    expect(subscriber.all("suback")).toEqual([]);
    network.advance(1);
  }

  test("has its Topic Filter refused, and no other of the same SUBSCRIBE", () => {
    const network = networkOf(isDead);
    const subscriber = subscriberOn(network);
    refused(network, subscriber, [
      network.topicOn(3),
      network.topicOn(owner),
      network.topicOn(subscriberShard),
    ]);
    expect(subscriber.last("suback").reasonCodes).toEqual([1, UnspecifiedError, 1]);
  });

  test("has no part in what is left: no message comes, and the routes of other owners go", () => {
    const network = networkOf(isDead);
    const subscriber = subscriberOn(network, subscriberShard, { sessionExpiryIntervalSec: week });
    refused(network, subscriber, ["#"]);
    expect(subscriber.last("suback").reasonCodes).toEqual([UnspecifiedError]);
    network.rule = () => "pass";
    network.advance(600_000);
    expect(routesOf(network).actual).toEqual([]);
    for (const shard of [0, 1, 2, 3]) publisherOn(network).say(network.topicOn(shard), "1", 1);
    expect(subscriber.payloads).toEqual([]);
    expect(isAtRest(network)).toBe(true);
  });

  test("is asked again by the next SUBSCRIBE", () => {
    const network = networkOf(isDead);
    const subscriber = subscriberOn(network);
    refused(network, subscriber, [network.topicOn(owner)]);
    network.rule = () => "pass";
    subscriber.send({
      type: "subscribe",
      packetIdentifier: 77,
      requests: [
        {
          topicFilter: network.topicOn(owner),
          maximumQos: 1,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
        },
      ],
    });
    network.advance(1_000);
    expect(subscriber.last("suback")).toMatchObject({ packetIdentifier: 77, reasonCodes: [1] });
    publisherOn(network).say(network.topicOn(owner), "1", 1);
    expect(subscriber.payloads).toEqual(["1"]);
    network.advance(600_000);
    expect(routesOf(network).actual).toEqual(routesOf(network).expected);
  });
});

describe("A route is removed", () => {
  function subscribed(options: object = {}): { network: Network; subscriber: SimulatedClient } {
    const network = networkOf();
    const subscriber = subscriberOn(network, subscriberShard, options);
    subscriber.subscribe(network.topicOn(owner), 1);
    subscriber.subscribe("+/x", 1);
    expect(routesOf(network).actual).toHaveLength(4);
    return { network, subscriber };
  }

  test("at UNSUBSCRIBE", () => {
    const { network, subscriber } = subscribed();
    subscriber.unsubscribe(network.topicOn(owner), "+/x");
    expect(routesOf(network).actual).toEqual([]);
  });

  test.each(["disconnect", "lose"] as const)("when the session ends with its connection, by %s", (manner) => {
    const { network, subscriber } = subscribed();
    subscriber[manner]();
    expect(routesOf(network).actual).toEqual([]);
  });

  test("at Clean Start", () => {
    const { network, subscriber } = subscribed({ sessionExpiryIntervalSec: week });
    subscriber.lose().connect({ cleanStart: true });
    expect(routesOf(network).actual).toEqual([]);
  });

  test("when the session expires, and not before", () => {
    const { network, subscriber } = subscribed({ sessionExpiryIntervalSec: 60 });
    subscriber.lose();
    network.advance(50_000);
    expect(routesOf(network).actual).toHaveLength(4);
    network.advance(30_000);
    expect(routesOf(network).actual).toEqual([]);
  });

  test("though the shard is reset as soon as the expired session's row is gone", () => {
    const { network, subscriber } = subscribed({ sessionExpiryIntervalSec: 60 });
    subscriber.lose();
    network.rule = (passage) => (carries(passage, "removeRoute") ? "vanish" : "pass");
    network.advance(65_000);
    network.resetShard(subscriberShard);
    network.rule = () => "pass";
    network.advance(120_000);
    expect(routesOf(network).actual).toEqual([]);
    expect(isAtRest(network)).toBe(true);
  });

  test("though the owner was away for an hour", () => {
    const { network, subscriber } = subscribed();
    network.rule = ({ batch }) => (batch.to === owner ? "vanish" : "pass");
    subscriber.disconnect();
    network.advance(3_600_000);
    network.rule = () => "pass";
    network.advance(600_000);
    expect(routesOf(network).actual).toEqual([]);
    expect(isAtRest(network)).toBe(true);
  });
});

describe("What is told of a route late", () => {
  const add = (serial: number) => ({ type: "addRoute", filter: "f", version: { boot: 1, serial } }) as const;
  const remove = (serial: number) =>
    ({ type: "removeRoute", filter: "f", version: { boot: 1, serial } }) as const;

  test("changes nothing when something newer is known", () => {
    const network = networkOf();
    let callId = 0;
    const tell = (item: ReturnType<typeof add | typeof remove>): string[] => {
      callId += 1;
      const head = { lane: "publish", from: 1, to: 2, layout: network.placement.layout, stream: 1 } as const;
      const batch = { ...head, sequence: callId, items: [item] };
      network.at(2).handle({ type: "called", callId, batch });
      network.settle();
      return network
        .at(2)
        .core.routes()
        .map(({ filter }) => filter);
    };
    expect(tell(add(5))).toEqual(["f"]);
    expect(tell(remove(4))).toEqual(["f"]);
    expect(tell(remove(5))).toEqual([]);
    expect(tell(add(9))).toEqual(["f"]);
    expect(tell(add(7))).toEqual(["f"]);
    expect(tell(remove(8))).toEqual(["f"]);
  });

  test("does not lose a subscription made while the shard's answer that it has none is under way", () => {
    const network = networkOf();
    const topicName = network.topicOn(owner);
    const publisher = publisherOn(network);
    subscriberOn(network).subscribe(topicName, 1);
    network.resetShard(subscriberShard);
    network.rule = ({ kind, batch }) => (kind === "answer" && batch.lane === "deliver" ? "hold" : "pass");
    publisher.say(topicName, "1", 1);
    expect(network.held).toHaveLength(1);
    const subscriber = subscriberOn(network);
    expect(subscriber.subscribe(topicName, 1).reasonCodes).toEqual([1]);
    network.rule = () => "pass";
    network.release();
    publisher.say(topicName, "2", 1);
    expect(subscriber.payloads).toEqual(["2"]);
    expect(routesOf(network).actual).toEqual(routesOf(network).expected);
  });

  test("does not lose a subscription whose route arrives after the answer that there is none", () => {
    const network = networkOf();
    const topicName = network.topicOn(owner);
    const publisher = publisherOn(network);
    subscriberOn(network).subscribe(topicName, 1);
    network.resetShard(subscriberShard);
    network.rule = (passage) => {
      const isLate = passage.kind === "answer" && passage.batch.lane === "deliver";
      return isLate || carries(passage, "addRoute") ? "hold" : "pass";
    };
    publisher.say(topicName, "1", 1);
    const subscriber = subscriberOn(network);
    expect(() => subscriber.subscribe(topicName, 1)).toThrow("got no suback");
    network.rule = () => "pass";
    network.release(({ kind }) => kind === "answer");
    network.release();
    publisher.say(topicName, "2", 1);
    expect(subscriber.payloads).toEqual(["2"]);
    expect(routesOf(network).actual).toEqual(routesOf(network).expected);
  });

  test("does not bring back a route whose removal went through the outbox of a slow lane", () => {
    const network = networkOf(({ batch }) => (batch.to === owner ? "vanish" : "pass"));
    const topicName = network.topicOn(owner);
    const subscriber = subscriberOn(network, subscriberShard, { acks: "manual" });
    // From then on what must not be lost goes through the outbox.
    subscriber.publish(topicName, "1", { qos: 1 });
    network.advance(3_000);
    subscriber.last("puback");
    expect(() => subscriber.subscribe(topicName, 1)).toThrow("got no suback");
    subscriber.unsubscribe(topicName);
    network.rule = () => "pass";
    network.advance(600_000);
    expect(routesOf(network).actual).toEqual([]);
  });
});

describe("After a reset of all shards", () => {
  test("nothing is announced again, and messages come to sessions that last", () => {
    const network = networkOf();
    const subscriber = new Returning(network, network.clientOn(subscriberShard, "subscriber")).comeBack();
    const topicName = network.topicOn(owner);
    subscriber.subscribe(topicName, 1);
    subscriber.subscribe("+/x/#", 1);
    network.advance(120_000);
    network.reset();
    network.sent.length = 0;
    const publisher = publisherOn(network);
    publisher.say(topicName, "away", 1);
    subscriber.comeBack();
    publisher.say(topicName, "back", 1);
    publisher.say("a/x/b", "wild", 1);
    expect(subscriber.payloads).toEqual(["away", "back", "wild"]);
    network.advance(600_000);
    expect(countOf(network, "addRoute") + countOf(network, "removeRoute")).toBe(0);
    expect(routesOf(network).actual).toEqual(routesOf(network).expected);
  });

  test("a session that ended with it is found out by the first message, and its route goes", () => {
    const network = networkOf();
    const topicName = network.topicOn(owner);
    subscriberOn(network).subscribe(topicName, 1);
    network.reset();
    expect(network.at(owner).core.routes()).toHaveLength(1);
    const publisher = publisherOn(network);
    publisher.say(topicName, "1", 1);
    expect(publisher.reasonCodes.get("1")).toBe(NoMatchingSubscribers);
    expect(network.at(owner).core.routes()).toEqual([]);
    expect([...network.at(owner).storage.readRoutes()]).toEqual([]);
  });
});
