import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { QoS } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions, SubscribeOptions } from "./simulated-client.ts";
import { SimulatedClient, textOf } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const filter = "$share/g/a";

interface MemberOptions extends ClientOptions {
  readonly qos?: QoS;
  readonly subscription?: SubscribeOptions;
}

/** A client in the group. */
function member(shard: Harness, options: MemberOptions = {}): SimulatedClient {
  const { qos = 2, subscription, ...settings } = options;
  const client = SimulatedClient.connected(shard, settings);
  client.subscribe(filter, qos, subscription);
  return client;
}

const persistent: MemberOptions = { sessionExpiryIntervalSec: week };

function setUp(...options: MemberOptions[]): {
  shard: Harness;
  members: SimulatedClient[];
  publisher: SimulatedClient;
} {
  const shard = new Harness();
  const members = options.map((each) => member(shard, each));
  return { shard, members, publisher: SimulatedClient.connected(shard) };
}

function publishAll(publisher: SimulatedClient, qos: QoS, ...payloads: string[]): void {
  for (const payload of payloads) publisher.publish("a", payload, { qos });
}

/** Of each client, in one word. */
function payloadsOf(clients: SimulatedClient[]): string[] {
  return clients.map(({ payloads }) => payloads.join(""));
}

describe("the turns of a Shared Subscription", () => {
  test.each([0, 1, 2] as const)("give every connected member its share, with QoS %i", (qos) => {
    const { members, publisher } = setUp({}, {}, {});
    publishAll(publisher, qos, "1", "2", "3", "4", "5", "6");
    // Whose turn comes first is open between shards.
    expect(payloadsOf(members).toSorted()).toEqual(["14", "25", "36"]);
  });

  test("pass over members that are away while one is connected", () => {
    const { members, publisher } = setUp(persistent, persistent, persistent);
    members[0]?.lose();
    members[2]?.disconnect();
    publishAll(publisher, 1, "1", "2", "3");
    expect(payloadsOf(members)).toEqual(["", "123", ""]);
    members[0]?.connect({ cleanStart: false });
    members[2]?.connect({ cleanStart: false });
    expect(payloadsOf(members)).toEqual(["", "123", ""]);
  });

  test("are among those that are away when none is connected, for whom QoS 1 and 2 wait", () => {
    const { members, publisher } = setUp(persistent, persistent);
    for (const each of members) each.lose();
    publishAll(publisher, 1, "1", "2", "3", "4");
    publishAll(publisher, 0, "lost", "lost");
    for (const each of members) each.connect({ cleanStart: false });
    expect(payloadsOf(members).toSorted()).toEqual(["13", "24"]);
  });

  test("count a member in that has returned or taken its session over", () => {
    const { members, publisher } = setUp(persistent, persistent);
    members[0]?.lose();
    publishAll(publisher, 1, "1");
    members[0]?.connect({ cleanStart: false });
    publishAll(publisher, 1, "2", "3");
    expect(members.map(({ payloads }) => payloads.length)).toEqual([1, 2]);
    members[0]?.open().connect({ cleanStart: false });
    publishAll(publisher, 1, "4", "5");
    expect(members.map(({ payloads }) => payloads.length)).toEqual([2, 3]);
  });

  test("know after an eviction who is connected and who is away", () => {
    const { shard, members, publisher } = setUp({}, persistent, persistent);
    members[2]?.lose();
    shard.evict();
    publishAll(publisher, 1, "1", "2", "3", "4");
    expect(members.map(({ payloads }) => payloads.length)).toEqual([2, 2, 0]);
  });

  test("know after a reset that all are away, and who has come back", () => {
    const { shard, members, publisher } = setUp(persistent, persistent);
    shard.reset();
    members[1]?.connect({ cleanStart: false });
    publisher.connect();
    publishAll(publisher, 1, "1", "2");
    members[0]?.connect({ cleanStart: false });
    expect(payloadsOf(members)).toEqual(["", "12"]);
  });

  test("leave a client out that has unsubscribed", () => {
    const { members, publisher } = setUp({}, {});
    expect(members[0]?.unsubscribe("a").reasonCodes).toEqual([ReasonCode.NoSubscriptionExisted]);
    expect(members[0]?.unsubscribe(filter).reasonCodes).toEqual([ReasonCode.Success]);
    publishAll(publisher, 1, "1", "2");
    expect(payloadsOf(members)).toEqual(["", "12"]);
    members[1]?.unsubscribe(filter);
    publishAll(publisher, 1, "3");
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.NoMatchingSubscribers);
  });
});

describe("a message for a Shared Subscription", () => {
  test("goes to one member of each group, be it the same client", () => {
    const { shard, members, publisher } = setUp({}, {});
    const other = SimulatedClient.connected(shard);
    other.subscribe("$share/h/a", 2);
    publishAll(publisher, 2, "1", "2");
    expect(payloadsOf(members).toSorted()).toEqual(["1", "2"]);
    expect(other.payloads).toEqual(["1", "2"]);
    other.subscribe("$share/i/+", 2);
    publishAll(publisher, 2, "3");
    expect(other.payloads).toEqual(["1", "2", "3", "3"]);
  });

  test("leaves a client that is also subscribed without sharing its own copy", () => {
    const sharing = { subscription: { subscriptionIdentifier: 1 } };
    const { members, publisher } = setUp(sharing, sharing);
    members[0]?.subscribe("a", 1, { subscriptionIdentifier: 2 });
    publishAll(publisher, 2, "1", "2");
    // Which of two copies comes first is open, and between shards whose turn it is.
    const copies = members.map(({ messages }) =>
      [1, 2].map((identifier) =>
        messages
          .filter(({ subscriptionIdentifiers }) => subscriptionIdentifiers?.includes(identifier))
          .map(({ message, qos }) => `${textOf(message.payload)} with QoS ${qos}`),
      ),
    );
    const [[shared = [], own] = [], [sharedToo = [], none] = []] = copies;
    expect(own).toEqual(["1 with QoS 1", "2 with QoS 1"]);
    expect([shared, sharedToo].toSorted()).toEqual([["1 with QoS 2"], ["2 with QoS 2"]]);
    expect(none).toEqual([]);
  });

  test("is also matched by its wildcards, but not at a topic that begins with $", () => {
    const { shard, publisher } = setUp();
    const client = SimulatedClient.connected(shard);
    client.subscribe("$share/g/#", 0);
    publisher.publish("x/y", "1");
    publisher.publish("$x/y", "2");
    publisher.publish("$share/g/x", "3");
    expect(client.payloads).toEqual(["1"]);
  });

  test("[MQTT-4.8.2-3] has the QoS granted to the member that gets it at most", () => {
    const { members, publisher } = setUp({ qos: 0 }, { qos: 1 }, { qos: 2 });
    publishAll(publisher, 2, "1", "2", "3");
    publishAll(publisher, 1, "4", "5", "6");
    const granted = members.map(({ messages }) => messages.map(({ qos }) => qos).join(""));
    expect(granted).toEqual(["00", "11", "21"]);
  });

  test("has the options of the latest SUBSCRIBE of the member that gets it", () => {
    const { members, publisher } = setUp(
      { subscription: { retainAsPublished: true, subscriptionIdentifier: 7 } },
      { subscription: { subscriptionIdentifier: 8 } },
      {},
    );
    for (let index = 0; index < 3; index += 1) publisher.publish("a", "1", { qos: 1, retain: true });
    expect(members[0]?.messages).toMatchObject([{ retain: true, subscriptionIdentifiers: [7] }]);
    expect(members[1]?.messages).toMatchObject([{ retain: false, subscriptionIdentifiers: [8] }]);
    expect(members[2]?.messages[0]).not.toHaveProperty("subscriptionIdentifiers");
    members[0]?.subscribe(filter, 1, { subscriptionIdentifier: 9 });
    for (let index = 0; index < 3; index += 1) publisher.publish("a", "1", { qos: 2 });
    expect(members[0]?.messages.at(-1)).toMatchObject({ qos: 1, subscriptionIdentifiers: [9] });
  });

  test.each([0, 1, 2] as const)("is never a retained one, with Retain Handling %i", (retainHandling) => {
    const { shard, publisher } = setUp();
    publisher.publish("a", "retained", { qos: 1, retain: true });
    const client = member(shard, { subscription: { retainHandling } });
    expect(client.payloads).toEqual([]);
  });

  test("[MQTT-4.8.2-6] that its member refuses goes to nobody else, whatever becomes of the member", () => {
    const { shard, members, publisher } = setUp(
      { acks: "manual", ...persistent },
      { acks: "manual", ...persistent },
    );
    publishAll(publisher, 1, "1");
    publishAll(publisher, 2, "2");
    for (const each of members) each.acknowledge(each.last("publish"), ReasonCode.QuotaExceeded);
    expect(payloadsOf(members).toSorted()).toEqual(["1", "2"]);
    for (const each of members) each.disconnect(0, { sessionExpiryIntervalSec: 0 });
    const heir = member(shard);
    expect(heir.payloads).toEqual([]);
    expect(shard.segmentCount).toBe(0);
  });
});

/** How a session keeps what it has for its client. */
const kinds: readonly (readonly [string, MemberOptions])[] = [
  ["in memory", {}],
  ["in the log", persistent],
];

/** Two members of which the first, with a window of 2, has got messages 1 to 4; then the second joins. */
function handingOver(qos: QoS, first: MemberOptions, second: MemberOptions) {
  const { shard, members, publisher } = setUp({ ...first, acks: "manual", receiveMaximum: 2 });
  publishAll(publisher, qos, "1", "2", "3", "4");
  const heir = member(shard, second);
  return { shard, publisher, ending: members[0] as SimulatedClient, heir };
}

const endings: readonly (readonly [string, (shard: Harness, client: SimulatedClient) => void])[] = [
  ["DISCONNECT", (_, client) => client.disconnect(0, { sessionExpiryIntervalSec: 0 })],
  ["a Clean Start", (_, client) => client.lose().connect({ cleanStart: true, acks: "auto" })],
  ["a takeover", (_, client) => client.open().connect({ cleanStart: true })],
  [
    "its expiry",
    (shard, client) => {
      client.lose();
      shard.advance((week + 60) * 1000);
    },
  ],
];

const ways = kinds.flatMap(([kind, options]) => endings.map(([way, end]) => ({ kind, way, options, end })));

describe("when the session of a member ends", () => {
  test.each(ways)("by $way, QoS 1 $kind goes to another member", ({ options, end }) => {
    for (const [, heirs] of kinds) {
      const { shard, ending, heir } = handingOver(1, options, heirs);
      ending.answer(1);
      end(shard, ending);
      expect(heir.payloads).toEqual(["2", "3", "4"]);
      // Its delivery state moves from the log to its row.
      heir.disconnect();
      expect(shard.segmentCount).toBe(0);
    }
  });

  test.each(ways)(
    "[MQTT-4.8.2-5] by $way, QoS 2 $kind that was sent goes to nobody, and the rest to another member",
    ({ options, end }) => {
      for (const [, heirs] of kinds) {
        const { shard, ending, heir } = handingOver(2, options, heirs);
        ending.acknowledge(ending.last("publish"));
        end(shard, ending);
        expect(heir.payloads).toEqual(["3", "4"]);
        heir.disconnect();
        expect(shard.segmentCount).toBe(0);
      }
    },
  );

  test.each(kinds)("what waited half a minute %s goes to another member too", (_, options) => {
    const { shard, ending, heir } = handingOver(1, options, {});
    shard.advance(31_000);
    ending.disconnect(0, { sessionExpiryIntervalSec: 0 });
    expect(heir.payloads).toEqual(["1", "2", "3", "4"]);
    expect(shard.segmentCount).toBe(0);
  });

  test("what no flush has written yet goes to another member", () => {
    const { shard, members, publisher } = setUp({ ...persistent, acks: "manual" });
    const heir = member(shard, persistent);
    shard.joined(() => {
      publishAll(publisher, 1, "1", "2");
      publishAll(publisher, 2, "3", "4");
      members[0]?.disconnect(0, { sessionExpiryIntervalSec: 0 });
    });
    expect(heir.payloads.toSorted()).toEqual(["1", "2", "3", "4"]);
    expect(publisher.all("puback")).toHaveLength(2);
    heir.disconnect();
    expect(shard.segmentCount).toBe(0);
  });

  test("what is in the log goes to another member after an eviction too", () => {
    const { shard, ending, heir } = handingOver(1, persistent, persistent);
    shard.evict();
    ending.disconnect(0, { sessionExpiryIntervalSec: 0 });
    expect(heir.payloads).toEqual(["1", "2", "3", "4"]);
    expect(shard.segmentCount).toBe(0);
  });

  test("it is taken over with the options of the new member", () => {
    const heirs = { qos: 1, subscription: { subscriptionIdentifier: 5 } } as const;
    const { ending, heir } = handingOver(2, {}, heirs);
    ending.disconnect();
    expect(heir.messages).toMatchObject([3, 4].map(() => ({ qos: 1, subscriptionIdentifiers: [5] })));
  });

  test("members take it in turns, those that are away when nobody is connected", () => {
    const { shard, ending, heir } = handingOver(1, persistent, persistent);
    const other = member(shard, persistent);
    heir.lose();
    other.lose();
    ending.disconnect(0, { sessionExpiryIntervalSec: 0 });
    heir.connect({ cleanStart: false });
    other.connect({ cleanStart: false });
    expect(payloadsOf([heir, other]).map(({ length }) => length)).toEqual([2, 2]);
  });

  test("it is dropped with the last member, and what came without sharing with its own session", () => {
    const { shard, members, publisher } = setUp({ ...persistent, acks: "manual" }, {});
    members[0]?.subscribe("b", 1);
    publisher.publish("b", "1", { qos: 1 });
    members[0]?.disconnect(0, { sessionExpiryIntervalSec: 0 });
    expect(members[1]?.payloads).toEqual([]);
    members[1]?.disconnect();
    expect(shard.segmentCount).toBe(0);
  });
});

describe("QoS 2 that was sent to a member", () => {
  const sent = () => {
    const { shard, members, publisher } = setUp({ ...persistent, acks: "manual" });
    publishAll(publisher, 2, "1");
    const [taker] = members as [SimulatedClient];
    expect(taker.payloads).toEqual(["1"]);
    return { shard, taker, heir: member(shard, persistent) };
  };

  test("[MQTT-4.8.2-4] waits for that member's return", () => {
    const { shard, taker, heir } = sent();
    taker.lose();
    shard.advance(1000);
    expect(heir.payloads).toEqual([]);
    taker.connect({ cleanStart: false });
    expect(taker.last("publish")).toMatchObject({ dup: true, qos: 2 });
    expect(heir.payloads).toEqual([]);
  });

  test.each(endings.slice(1))("[MQTT-4.8.2-5] goes to nobody after a reset and %s", (_, end) => {
    const { shard, taker, heir } = sent();
    shard.reset();
    heir.connect({ cleanStart: false });
    end(shard, taker);
    expect(heir.payloads).toEqual([]);
  });
});

const calmSteps = ["publish", "publish", "join", "leave", "come", "lose", "end", "evict"] as const;
const allSteps = [...calmSteps, "answer", "answer", "reset"] as const;
type Step = readonly [name: (typeof allSteps)[number], who: number];

/** Carries the steps out; returns how often each message should have come, undefined where that is open. */
function play(steps: readonly Step[], { shard, members, publisher }: ReturnType<typeof setUp>) {
  const joined = new Set(members);
  const copies = new Map<string, 0 | 1 | undefined>();
  for (const [index, [name, who]] of steps.entries()) {
    const one = members[who] as SimulatedClient;
    if (name === "publish") {
      copies.set(`${index}`, joined.size === 0 ? 0 : 1);
      if (!publisher.isConnected) publisher.connect();
      publishAll(publisher, 2, `${index}`);
    } else if (name === "evict" || name === "reset") {
      if (name === "reset" || !shard.isAwake) shard[name]();
    } else if (name === "end") {
      // What waits for the last member ends with it.
      const isLast = joined.delete(one) && joined.size === 0;
      const came = new Set(members.flatMap(({ payloads }) => payloads));
      for (const payload of copies.keys()) if (isLast && !came.has(payload)) copies.set(payload, undefined);
      one.connect({ cleanStart: true });
    } else if (!one.isConnected) {
      one.connect({ cleanStart: false });
    } else if (name === "answer") one.answer(1);
    else if (name === "lose") one.lose();
    else if (name === "join" && one.subscribe(filter, 2)) joined.add(one);
    else if (name === "leave" && one.unsubscribe(filter)) joined.delete(one);
  }
  return copies;
}

function explore(
  names: readonly Step[0][],
  options: MemberOptions,
  isRight: (came: number, due?: number) => boolean,
) {
  const steps = fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(2)), { maxLength: 60, size: "max" });
  const property = fc.property(steps, (taken) => {
    const world = setUp(options, options, options);
    const copies = play(taken, world);
    for (const one of world.members) one.connect({ cleanStart: false, acks: "auto" });
    const came = world.members.flatMap(({ payloads }) => payloads);
    for (const [payload, due] of copies) {
      const count = came.filter((each) => each === payload).length;
      if (!isRight(count, due)) throw new Error(`${payload} came ${count} times, not ${due}`);
    }
    for (const one of world.members) one.answer(Infinity).disconnect();
    if (options.acks !== "manual") expect(world.shard.segmentCount).toBe(0);
  });
  fc.assert(property, { numRuns: 500 });
}

describe("whatever members and the shard do", () => {
  test("a QoS 2 message reaches one member, and none when there is none", () => {
    explore(calmSteps, persistent, (came, due) => (due === undefined ? came <= 1 : came === due));
  });

  test("[MQTT-4.8.2-5] no QoS 2 message reaches two members", () => {
    explore(allSteps, { ...persistent, acks: "manual" }, (came) => came <= 1);
  });
});
