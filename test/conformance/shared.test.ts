import { describe, expect, test } from "vitest";
import { Harness } from "../core/harness.ts";
import type { ClientOptions } from "../core/simulated-client.ts";
import { SimulatedClient } from "../core/simulated-client.ts";
import { field, packet, uint16 } from "../support/bytes.ts";
import { afterConnect, lasting } from "./wire.ts";

const filter = "$share/group/a/#";

interface Group {
  readonly shard: Harness;
  readonly publisher: SimulatedClient;
  readonly members: readonly SimulatedClient[];
}

/** Members of one group with those maximum QoS, whose sessions stay; the test lets them answer. */
function groupOf(qos: readonly (0 | 1 | 2)[], options: ClientOptions = {}): Group {
  const shard = new Harness();
  const members = qos.map((maximum, index) => {
    const member = SimulatedClient.connected(shard, {
      ...lasting(5, `m${index}`),
      acks: "manual",
      ...options,
    });
    member.subscribe(filter, maximum);
    return member;
  });
  return { shard, members, publisher: SimulatedClient.connected(shard) };
}

describe("The Topic Filter of a shared subscription", () => {
  test.each(["$share//a", "$share/", "$share/group", "$share/group/", "$share/a+/b", "$share/#/b"])(
    "[MQTT-4.8.2-1] [MQTT-4.8.2-2] has a ShareName and a Topic Filter, or is refused: %s",
    (wrong) => {
      const client = afterConnect(5, packet(0x82, uint16(1), 0, field(wrong), 0));
      expect(client.only("disconnect").reasonCode).toBe(0x8f);
    },
  );

  test("[MQTT-4.8.2-1] [MQTT-4.8.2-2] is not a topic of its own: who publishes to its end reaches one member", () => {
    const { publisher, members } = groupOf([0, 0]);
    publisher.publish("$share/group/a/1", "no");
    publisher.publish("a/1", "yes");
    expect(members.flatMap(({ payloads }) => payloads)).toEqual(["yes"]);
  });
});

describe("The members of a group", () => {
  test("[MQTT-4.8.2-3] get each message once, with the QoS granted to its receiver at most", () => {
    const { publisher, members } = groupOf([0, 1, 2]);
    for (let index = 0; index < 30; index += 1) publisher.publish("a/1", `${index}`, { qos: 2 });
    for (const member of members) while (member.unanswered.length > 0) member.answer(1);
    expect(members.flatMap(({ payloads }) => payloads).toSorted()).toEqual(
      Array.from({ length: 30 }, (_, index) => `${index}`).toSorted(),
    );
    const granted = members.map((member) => [...new Set(member.all("publish").map(({ qos }) => qos))]);
    expect(granted).toEqual([[0], [1], [2]]);
  });

  test("take turns, and leave out who is away while others are there", () => {
    const { publisher, members } = groupOf([1, 1, 1], { acks: "auto" });
    members[1]?.lose();
    for (let index = 0; index < 10; index += 1) publisher.publish("a/1", `${index}`, { qos: 1 });
    expect(members.map(({ payloads }) => payloads.length)).toEqual([5, 0, 5]);
  });

  test("are queued for when all are away", () => {
    const { publisher, members } = groupOf([1, 1], { acks: "auto" });
    for (const member of members) member.lose();
    for (let index = 0; index < 4; index += 1) publisher.publish("a/1", `${index}`, { qos: 1 });
    for (const member of members) member.connect();
    expect(members.flatMap(({ payloads }) => payloads).toSorted()).toEqual(["0", "1", "2", "3"]);
  });

  test("get no retained messages when they subscribe", () => {
    const { publisher, members } = groupOf([1]);
    publisher.publish("a/1", "1", { retain: true });
    members[0]?.take();
    members[0]?.subscribe(filter, 1);
    expect(members[0]?.all("publish")).toEqual([]);
  });

  test("get what another group and other subscriptions get as well", () => {
    const { shard, publisher, members } = groupOf([0]);
    const other = SimulatedClient.connected(shard);
    other.subscribe("$share/other/a/#");
    const plain = SimulatedClient.connected(shard);
    plain.subscribe("a/#");
    publisher.publish("a/1", "1");
    expect([...members, other, plain].map(({ payloads }) => payloads)).toEqual([["1"], ["1"], ["1"]]);
  });
});

describe("A message in flight to a member that goes away", () => {
  test("[MQTT-4.8.2-4] waits for that member at QoS 2, and is completed when it returns", () => {
    const { publisher, members } = groupOf([2, 2]);
    publisher.publish("a/1", "1", { qos: 2 });
    const [receiver, other] = members[0]?.messages.length === 1 ? members : members.toReversed();
    const identifier = receiver?.only("publish").packetIdentifier;
    receiver?.lose();
    expect(other?.payloads).toEqual([]);
    receiver?.connect();
    expect(receiver?.only("publish")).toMatchObject({ packetIdentifier: identifier, dup: true });
    expect(other?.payloads).toEqual([]);
  });

  test("[MQTT-4.8.2-5] ends with that member's session at QoS 2", () => {
    const { shard, publisher, members } = groupOf([2, 2]);
    publisher.publish("a/1", "1", { qos: 2 });
    const [receiver, other] = members[0]?.messages.length === 1 ? members : members.toReversed();
    receiver?.lose();
    shard.advance(2 * 3600_000);
    receiver?.connect();
    expect(receiver?.connack.sessionPresent).toBe(false);
    expect(receiver?.all("publish")).toEqual([]);
    expect(other?.payloads).toEqual([]);
  });

  test("goes to another member at QoS 1 when the session ends", () => {
    const { shard, publisher, members } = groupOf([1, 1]);
    publisher.publish("a/1", "1", { qos: 1 });
    const [receiver, other] = members[0]?.messages.length === 1 ? members : members.toReversed();
    receiver?.lose();
    expect(other?.payloads).toEqual([]);
    shard.advance(2 * 3600_000);
    expect(other?.payloads).toEqual(["1"]);
  });
});

describe("A message that a member refuses", () => {
  test.each(["puback", "pubrec"] as const)(
    "[MQTT-4.8.2-6] with %s is discarded, and not offered to others",
    (type) => {
      const { publisher, members } = groupOf([2, 2]);
      publisher.publish("a/1", "1", { qos: type === "puback" ? 1 : 2 });
      const [receiver, other] = members[0]?.messages.length === 1 ? members : members.toReversed();
      receiver?.respond(type, receiver.only("publish").packetIdentifier ?? 0, 0x80);
      receiver?.lose().connect();
      expect(receiver?.all("publish")).toEqual([]);
      expect(other?.payloads).toEqual([]);
      receiver?.disconnect(0, { sessionExpiryIntervalSec: 0 });
      expect(other?.payloads).toEqual([]);
    },
  );
});
