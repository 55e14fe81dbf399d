import { describe, expect, test } from "vitest";
import type { QoS } from "../../../src/core/packet.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { SimulatedClient } from "../simulated-client.ts";
import { Publisher, Returning, week } from "./actors.ts";
import { isAtRest, Network, routesOf } from "./network.ts";

const owner = 2;
const { NoMatchingSubscribers, Success } = ReasonCode;

interface Group {
  readonly network: Network;
  readonly publisher: Publisher;
  readonly members: Returning[];
  readonly topicName: string;
  readonly filter: string;
}

/** A Shared Subscription with a member on each of these shards. */
function groupOn(shards: readonly number[], options: object = {}, qos: QoS = 2, publisherShard = 0): Group {
  const network = new Network();
  const topicName = network.topicOn(owner);
  const filter = `$share/group/${topicName}`;
  const members = shards.map((shard, index) => {
    const clientId = network.clientOn(shard, `member-${index}`);
    return new Returning(network, clientId, { clientId, ...options }).connect();
  });
  for (const member of members) member.subscribe(filter, qos);
  const publisher = new Publisher(network, network.clientOn(publisherShard, "publisher")).comeBack();
  return { network, publisher, members, topicName, filter };
}

function publish({ publisher, topicName }: Group, count: number, qos: QoS, from = 0): string[] {
  const payloads = Array.from({ length: count }, (_, index) => `${from + index}`);
  for (const payload of payloads) publisher.say(topicName, payload, qos);
  return payloads;
}

function all({ members }: Group): string[] {
  return members.flatMap(({ payloads }) => payloads).toSorted((left, right) => Number(left) - Number(right));
}

describe("A message of a Shared Subscription whose members are on several shards", () => {
  test.each([0, 1, 2] as const)("comes with QoS %i to one member in the namespace", (qos) => {
    for (const publisherShard of [0, 1, owner]) {
      const group = groupOn([0, 1, 2, 3], {}, 2, publisherShard);
      const payloads = publish(group, 40, qos);
      group.network.advance(60_000);
      expect(all(group)).toEqual(payloads);
      expect(isAtRest(group.network)).toBe(true);
    }
  });

  test("comes to each group once, and to those who do not share", () => {
    const group = groupOn([1, 3]);
    const { network, topicName } = group;
    const others = [1, 3].map((shard, index) => {
      const other = SimulatedClient.connected(network, {
        clientId: network.clientOn(shard, `other-${index}`),
      });
      other.subscribe(`$share/others/${topicName}`, 1);
      return other;
    });
    const plain = SimulatedClient.connected(network, { clientId: network.clientOn(1, "plain") });
    plain.subscribe(topicName, 1);
    const payloads = publish(group, 10, 1);
    expect(all(group)).toEqual(payloads);
    expect(others.flatMap((other) => other.payloads).toSorted()).toEqual(payloads.toSorted());
    expect(plain.payloads).toEqual(payloads);
  });

  test("comes to a member through a filter that begins with a wildcard", () => {
    const network = new Network();
    const members = [1, 3].map((shard) =>
      SimulatedClient.connected(network, { clientId: network.clientOn(shard) }),
    );
    for (const member of members) member.subscribe("$share/group/#", 1);
    const publisher = new Publisher(network, network.clientOn(0, "publisher")).comeBack();
    for (const shard of [0, 1, 2, 3]) publisher.say(network.topicOn(shard), `${shard}`, 1);
    expect(members.flatMap(({ payloads }) => payloads).toSorted()).toEqual(["0", "1", "2", "3"]);
  });

  test.each([
    [
      [1, 1, 1, 3],
      [1, 1, 1],
    ],
    [[owner, owner, owner, 3], [owner]],
    [[1, 1, 3, 3, owner, owner], [1]],
  ])("comes to every member as often, with members on shards %j", (shards) => {
    const group = groupOn(shards, {}, 1);
    publish(group, 40 * shards.length, 1);
    for (const { payloads } of group.members) {
      expect(payloads.length).toBeGreaterThanOrEqual(38);
      expect(payloads.length).toBeLessThanOrEqual(42);
    }
  });

  test("comes to every member as often when members have come and gone", () => {
    const group = groupOn([1, 1, 1, 3], {}, 1);
    group.members[0]?.lose();
    group.members[1]?.lose();
    publish(group, 20, 1);
    for (const member of group.members) member.comeBack();
    const before = group.members.map(({ payloads }) => payloads.length);
    publish(group, 160, 1, 100);
    for (const [index, { payloads }] of group.members.entries()) {
      expect(payloads.length - (before[index] ?? 0)).toBeGreaterThanOrEqual(36);
      expect(payloads.length - (before[index] ?? 0)).toBeLessThanOrEqual(44);
    }
  });
});

describe("A member without a connection", () => {
  test.each([1, 2] as const)("gets no QoS %i message while another one is online, on any shard", (qos) => {
    const group = groupOn([0, 1, 2, 3]);
    for (const index of [0, 1, 2]) group.members[index]?.lose();
    const payloads = publish(group, 20, qos);
    expect(group.members[3]?.payloads).toEqual(payloads);
  });

  test("is known of after a sleep and after a reset of the owner", () => {
    const group = groupOn([1, 3]);
    group.members[0]?.lose();
    group.network.resetShard(owner);
    const payloads = publish(group, 10, 1);
    expect(group.members[1]?.payloads).toEqual(payloads);
  });

  test.each([1, 2] as const)("gets each QoS %i message, one of them, when nobody is online", (qos) => {
    const group = groupOn([0, 1, 2, 3]);
    for (const member of group.members) member.lose();
    const payloads = publish(group, 20, qos);
    expect([...group.publisher.reasonCodes.values()]).toEqual(payloads.map(() => Success));
    expect(all(group)).toEqual([]);
    for (const member of group.members) member.comeBack();
    expect(all(group)).toEqual(payloads);
    group.network.advance(60_000);
    expect(isAtRest(group.network)).toBe(true);
  });

  test("leaves no trace: the publisher is told when the last member has unsubscribed", () => {
    const group = groupOn([1, 3]);
    for (const member of group.members) member.unsubscribe(group.filter);
    publish(group, 1, 1);
    expect(group.publisher.reasonCodes.get("0")).toBe(NoMatchingSubscribers);
    expect(routesOf(group.network).actual).toEqual([]);
  });

  test("whose session ended with a reset is found out, and another one gets the message", () => {
    const group = groupOn([1, 3], { sessionExpiryIntervalSec: 0 });
    group.network.resetShard(1);
    const payloads = publish(group, 10, 1);
    expect(group.members[1]?.payloads).toEqual(payloads);
    expect(routesOf(group.network).actual).toEqual([`${owner} ${group.filter} 3`]);
  });

  test("whose session ended with a reset is found out when nobody else is a member", () => {
    const group = groupOn([1], { sessionExpiryIntervalSec: 0 });
    group.network.resetShard(1);
    publish(group, 1, 1);
    expect(group.publisher.reasonCodes.get("0")).toBe(NoMatchingSubscribers);
    expect(routesOf(group.network).actual).toEqual([]);
  });
});

describe("When a member's session ends, what it has not acknowledged", () => {
  /** The first member gets a message and keeps silent; the other one is on another shard. */
  function silent(qos: 1 | 2, options: object): Group {
    const group = groupOn([1, 3], { acks: "manual", receiveMaximum: 1, ...options });
    const [first, second] = group.members as [Returning, Returning];
    second.lose();
    publish(group, 3, qos);
    expect(first.payloads).toEqual(["0"]);
    second.acks = "auto";
    second.connect({ cleanStart: false, receiveMaximum: 100 });
    if (!second.connack.sessionPresent) second.subscribe(group.filter, 2);
    return group;
  }

  test.each([
    ["persistent", { sessionExpiryIntervalSec: week }],
    ["not persistent", { sessionExpiryIntervalSec: 0 }],
  ])("with QoS 1 goes to a member on another shard, the session being %s", (_, options) => {
    const group = silent(1, options);
    const [first, second] = group.members as [Returning, Returning];
    first.disconnect(0, options.sessionExpiryIntervalSec > 0 ? { sessionExpiryIntervalSec: 0 } : {});
    group.network.advance(60_000);
    expect(second.payloads.toSorted()).toEqual(["0", "1", "2"]);
    expect(isAtRest(group.network)).toBe(true);
  });

  test("with QoS 2 goes there only if it was never sent", () => {
    const group = silent(2, { sessionExpiryIntervalSec: week });
    const [first, second] = group.members as [Returning, Returning];
    first.disconnect(0, { sessionExpiryIntervalSec: 0 });
    group.network.advance(60_000);
    expect(second.payloads).toEqual(["1", "2"]);
  });

  test("goes there though the shard is reset right after the session ended, and QoS 2 once", () => {
    for (const qos of [1, 2] as const) {
      const group = silent(qos, { sessionExpiryIntervalSec: week });
      const [first, second] = group.members as [Returning, Returning];
      group.network.rule = ({ batch }) => (batch.from === 1 ? "vanish" : "pass");
      first.disconnect(0, { sessionExpiryIntervalSec: 0 });
      group.network.resetShard(1);
      group.network.rule = () => "pass";
      group.network.advance(120_000);
      expect([...new Set(second.payloads)].toSorted()).toEqual(qos === 1 ? ["0", "1", "2"] : ["1", "2"]);
      if (qos === 2) expect(second.payloads).toHaveLength(2);
      expect(isAtRest(group.network)).toBe(true);
    }
  });

  test("waits for a member without a connection when nobody is online", () => {
    const group = silent(1, { sessionExpiryIntervalSec: week });
    const [first, second] = group.members as [Returning, Returning];
    second.lose();
    first.disconnect(0, { sessionExpiryIntervalSec: 0 });
    group.network.advance(60_000);
    second.comeBack();
    expect(second.payloads.toSorted()).toEqual(["0", "1", "2"]);
  });

  test("is not handed over after a negative acknowledgement", () => {
    const group = silent(1, { sessionExpiryIntervalSec: week });
    const [first, second] = group.members as [Returning, Returning];
    const [refused] = first.unanswered.splice(0, 1);
    if (refused !== undefined) first.acknowledge(refused, ReasonCode.UnspecifiedError);
    first.disconnect(0, { sessionExpiryIntervalSec: 0 });
    group.network.advance(60_000);
    expect(second.payloads).not.toContain("0");
  });
});

describe("Whatever call or answer is struck", () => {
  const strikes = ["lose", "vanish", "twice", "reset owner", "reset member", "reset all"] as const;

  test.each(strikes)("a QoS 2 message of a Shared Subscription comes once in all (%s)", (strike) => {
    const shardsOf = { "reset owner": [owner], "reset member": [1], "reset all": [0, 1, 2, 3] } as const;
    for (const isOffline of [false, true]) {
      for (let step = 1; step <= 8; step += 1) {
        const group = groupOn([1, 3]);
        const { network } = group;
        if (isOffline) for (const member of group.members) member.lose();
        network.passages = 0;
        network.rule = ({ number }) => {
          if (number !== step) return "pass";
          if (strike === "lose" || strike === "vanish" || strike === "twice") return strike;
          for (const shard of shardsOf[strike]) network.resetShard(shard);
          return "lose";
        };
        const payloads = publish(group, 3, 2);
        for (const ms of [1_000, 60_000, 600_000]) {
          for (const client of [group.publisher, ...group.members]) client.comeBack();
          network.repeat();
          network.advance(ms);
        }
        expect(all(group), `step ${step}`).toEqual(payloads);
        expect(group.publisher.unacknowledgedCount).toBe(0);
        expect(isAtRest(network)).toBe(true);
      }
    }
  });
});
