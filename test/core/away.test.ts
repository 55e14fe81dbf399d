import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Access } from "../../src/core/access/access.ts";
import type { Identity } from "../../src/core/access/identity.ts";
import type { Permissions } from "../../src/core/access/permissions.ts";
import type { Policy } from "../../src/core/access/policy.ts";
import { emptyPolicy } from "../../src/core/access/policy.ts";
import type { Rule } from "../../src/core/access/rule.ts";
import type { QoS } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { emptyWriteSet } from "../../src/core/storage-port.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";
import { filterMatches } from "../support/filter-oracle.ts";
import { rule, topicFilter, topicName } from "./access/arbitraries.ts";
import type { HarnessOptions } from "./harness.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const lasting = { cleanStart: false, sessionExpiryIntervalSec: week } as const;

function allow(filter: string, options: Partial<Rule> = {}): Rule {
  return { effect: "allow", action: "all", topicFilter: filter, ...options };
}

function identityOf(username: string, more: Partial<Identity> = {}): Identity {
  return { method: "token", username, roles: [], claims: {}, rules: [], ...more };
}

const free = identityOf("free", { rules: [allow("#")] });

/** A namespace with a policy. */
function setUp(policy: Partial<Policy>, options: HarnessOptions = {}): Harness {
  const shard = new Harness(options);
  shard.setPolicy(policy);
  return shard;
}

function connect(shard: Harness, username: string, options: ClientOptions = {}): SimulatedClient {
  return SimulatedClient.connected(shard, { ...lasting, identity: identityOf(username), ...options });
}

function publish(shard: Harness, ...topicNames: string[]): void {
  const publisher = SimulatedClient.connected(shard, { identity: free });
  for (const name of topicNames) publisher.publish(name, name, { qos: 1 });
  publisher.disconnect();
}

function filtersOf(shard: Harness, { clientId }: SimulatedClient): string[] | undefined {
  return shard.sessionRecord(clientId)?.subscriptions.map((one) => `${one.topicFilter} ${one.maximumQos}`);
}

const ways: [string, (shard: Harness) => void][] = [
  ["", () => {}],
  [", and the shard slept", (shard) => shard.evict()],
  [", and the shard was reset", (shard) => shard.reset()],
];

describe("a change of the policy while a client is away", () => {
  test.each(ways)("holds for its session when it comes back%s", (_, happen) => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    const client = connect(shard, "ann");
    client.subscribe("a", 1);
    client.subscribe("b", 2);
    client.subscribe("$share/group/c", 1);
    client.disconnect();
    happen(shard);
    shard.setPolicy({ users: { ann: [allow("b", { qosMax: 1 })] } });
    publish(shard, "a", "b", "c");
    client.connect();
    expect(filtersOf(shard, client)).toEqual(["b 1"]);
    expect(client.payloads).toEqual(["b"]);
  });

  test("that is taken back before it returns has taken nothing from it", () => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    const client = connect(shard, "ann");
    client.subscribe("a", 1);
    client.disconnect();
    shard.setPolicy({});
    publish(shard, "a");
    shard.setPolicy({ users: { ann: [allow("#")] } });
    client.connect();
    expect(filtersOf(shard, client)).toEqual(["a 1"]);
    expect(client.payloads).toEqual(["a"]);
  });

  test("writes nothing but itself", () => {
    const shard = setUp({ users: { ann: [allow("#")] } }, { shards: 1 });
    const client = connect(shard, "ann");
    client.subscribe("a", 1);
    client.disconnect();
    const rows = shard.rowsWritten;
    shard.setPolicy({});
    expect(shard.rowsWritten - rows).toBe(1);
  });

  test("holds for a session of which nobody knows whose it is, too", () => {
    const storage = new MemoryShardStorage();
    const deliveryState = { nextOrdinal: 1, sentThrough: 0, inflight: [], receivedQos2: [] };
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const record = {
      clientId: "old",
      sessionNumber: 1,
      incarnation: 1,
      attachedBoot: 0,
      sessionExpiryIntervalSec: week,
      subscriptions: [{ topicFilter: "a", maximumQos: 1, ...options } as const],
      deliveryState,
      deliveryStateSeq: 1,
    };
    storage.commit({ ...emptyWriteSet(), sessions: new Map([["old", record]]) });
    const shard = setUp({ roles: { anonymous: [] } }, { storage });
    const client = new SimulatedClient(shard, {
      ...lasting,
      clientId: "old",
      identity: identityOf("ann"),
    });
    expect(filtersOf(shard, client)).toEqual(["a 1"]);
    publish(shard, "a");
    client.connect();
    expect([filtersOf(shard, client), client.payloads]).toEqual([[], []]);
  });
});

describe("a Will that waits for its delay", () => {
  const will = willMessage("will", { willDelayIntervalSec: 60 });

  /** Somebody who hears of Wills, and a client that is gone and has left one. */
  function leave(shard: Harness, options: ClientOptions = {}): SimulatedClient {
    return connect(shard, "ann", { will, ...options }).lose();
  }

  function listen(shard: Harness): SimulatedClient {
    const witness = SimulatedClient.connected(shard, { identity: free });
    witness.subscribe("will");
    return witness;
  }

  test.each(ways)(
    "does not go out when its topic is forbidden by then, and the session stays%s",
    (_, happen) => {
      const shard = setUp({ users: { ann: [allow("#")] } });
      const client = leave(shard);
      happen(shard);
      shard.setPolicy({ users: { ann: [allow("a")] } });
      const witness = listen(shard);
      shard.advance(70_000);
      expect(witness.payloads).toEqual([]);
      expect(shard.sessionRecord(client.clientId)).not.toHaveProperty("will");
      shard.setPolicy({ users: { ann: [allow("#")] } });
      shard.advance(week * 1000);
      expect(witness.payloads).toEqual([]);
      expect(shard.sessionRecord(client.clientId)).toBeUndefined();
    },
  );

  test("is judged by roles, claims and rules of whoever connected last", () => {
    const wills = ["own/ann/north", "own/ann/south", "news", "x"];
    const shard = setUp({ roles: { reader: [allow("own/${username}/${claim.site}"), allow("news")] } });
    const identity = identityOf("ann", { roles: ["reader"], claims: { site: "north" }, rules: [allow("x")] });
    const witness = SimulatedClient.connected(shard, { identity: free });
    witness.subscribe("#");
    for (const name of wills) {
      const may = { ...identity, claims: { site: name.split("/")[2] ?? "north" } };
      leave(shard, { identity: may, will: willMessage(name, { willDelayIntervalSec: 60 }) });
    }
    shard.evict();
    shard.setPolicy({ roles: { reader: [allow("own/${username}/north")] } });
    shard.advance(70_000);
    expect(witness.messages.map(({ message }) => message.topicName).toSorted()).toEqual([
      "own/ann/north",
      "x",
    ]);
  });

  test.each(ways)("goes out when it is still allowed%s", (_, happen) => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    leave(shard);
    happen(shard);
    shard.setPolicy({ users: { ann: [allow("will")] } });
    const witness = listen(shard);
    shard.advance(70_000);
    expect(witness.payloads).toEqual(["will"]);
  });

  test("for a client to come back after a reset does not go out either, and the session ends", () => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    const client = connect(shard, "ann", { will, sessionExpiryIntervalSec: 0 });
    shard.reset();
    shard.setPolicy({});
    const witness = listen(shard);
    shard.advance(70_000);
    expect(witness.payloads).toEqual([]);
    expect(shard.sessionRecord(client.clientId)).toBeUndefined();
    expect(shard.sessionCount).toBe(1);
  });

  test("is judged when it goes out: the rules of the settings may have changed without a policy", () => {
    const storage = new MemoryShardStorage();
    const before = new Harness({ storage, permissions: [allow("#")] });
    leave(before);
    const after = new Harness({ storage, permissions: [allow("a")] });
    const witness = listen(after);
    after.advance(70_000);
    expect(witness.payloads).toEqual([]);
    expect(after.counters.refusals.get(ReasonCode.NotAuthorized)).toBe(1);
  });
});

describe("a message that has waited", () => {
  test.each(ways)("is not sent to a client that may not subscribe to its topic by now%s", (_, happen) => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    const client = connect(shard, "ann");
    client.subscribe("#", 1);
    client.disconnect();
    publish(shard, "a/1", "b/1", "a/2", "b/2");
    shard.setPolicy({ users: { ann: [allow("b/+", { action: "subscribe" })] } });
    happen(shard);
    client.connect();
    expect(client.payloads).toEqual(["b/1", "b/2"]);
    expect(shard.counters.droppedForbidden).toBe(2);
    expect(shard.counters.droppedCount).toBe(2);
    // They are done with: nothing is left of them.
    client.disconnect();
    shard.reset();
    client.connect();
    expect(client.payloads).toHaveLength(2);
  });

  test("is judged by the identity with which its client comes back", () => {
    const shard = new Harness();
    const client = connect(shard, "ann", { identity: identityOf("ann", { rules: [allow("#")] }) });
    client.subscribe("a", 1);
    client.subscribe("b", 1);
    client.disconnect();
    publish(shard, "a", "b");
    const back = connect(shard, "ann", {
      clientId: client.clientId,
      identity: identityOf("ann", { rules: [allow("b")] }),
    });
    expect(back.payloads).toEqual(["b"]);
  });

  test.each([
    ["", 0, () => {}],
    [" (in a session that lasts)", week, () => {}],
    [" (and the shard slept)", week, (shard: Harness) => shard.evict()],
  ])(
    "for room in the client's window is judged, though its subscription is gone%s",
    (_, expirySec, happen) => {
      const shard = setUp({ users: { ann: [allow("#")] } });
      const options = { acks: "manual", receiveMaximum: 1, sessionExpiryIntervalSec: expirySec } as const;
      const client = connect(shard, "ann", options);
      client.subscribe("a", 1);
      publish(shard, "a", "a", "a");
      client.unsubscribe("a");
      shard.setPolicy({ users: { ann: [allow("b")] } });
      happen(shard);
      client.answer(2);
      expect(client.isConnected).toBe(true);
      expect(client.payloads).toEqual(["a"]);
      expect(shard.counters.droppedForbidden).toBe(2);
    },
  );

  test.each([1, 2] as const)(
    "[MQTT-4.4.0-1] and was sent before with QoS %i is sent again: the client may have it",
    (qos) => {
      const shard = setUp({ users: { ann: [allow("#")] } });
      const client = connect(shard, "ann", { acks: "manual", receiveMaximum: 1 });
      client.subscribe("a", qos);
      const publisher = SimulatedClient.connected(shard, { identity: free });
      for (const payload of ["sent", "waits"]) publisher.publish("a", payload, { qos });
      client.lose();
      shard.setPolicy({ users: { ann: [allow("b")] } });
      client.acks = "auto";
      client.connect();
      expect(client.all("publish")).toMatchObject([{ dup: true }]);
      expect(shard.counters.droppedForbidden).toBe(1);
    },
  );

  test.each([
    ["before the alarm", () => {}],
    ["after the alarm", (shard: Harness) => shard.advance(60_000)],
  ])("behind a full window is not let out by a reset: its client returns %s", (_, happen) => {
    const shard = setUp({ users: { ann: [allow("#")] } });
    const client = connect(shard, "ann", { acks: "manual", receiveMaximum: 1 });
    client.subscribe("b", 1);
    client.subscribe("a", 1);
    client.disconnect();
    publish(shard, "b", "a", "a");
    shard.setPolicy({ users: { ann: [allow("b")] } });
    client.connect();
    shard.reset();
    happen(shard);
    client.acks = "auto";
    client.connect();
    expect(client.payloads).toEqual(["b", "b"]);
    expect(shard.counters.droppedForbidden).toBe(2);
  });

  test("[MQTT-4.8.2-5] and was handed to another member goes to none again after a reset", () => {
    const shard = setUp({ users: { ann: [allow("#")], bob: [allow("#")] } });
    const client = connect(shard, "ann", { acks: "manual", receiveMaximum: 1 });
    client.subscribe("b", 1);
    client.subscribe("$share/group/a", 2);
    client.disconnect();
    const publisher = SimulatedClient.connected(shard, { identity: free });
    publisher.publish("b", "b", { qos: 1 });
    publisher.publish("a", "a", { qos: 2 });
    const other = SimulatedClient.connected(shard, { identity: identityOf("bob") });
    other.subscribe("$share/group/a", 2);
    shard.setPolicy({ users: { ann: [allow("b")], bob: [allow("#")] } });
    client.connect();
    client.answer(1);
    expect(other.payloads).toEqual(["a"]);
    shard.reset();
    other.connect();
    other.subscribe("$share/group/a", 2);
    client.acks = "auto";
    client.connect();
    expect(new Set(client.payloads)).toEqual(new Set(["b"]));
    expect(other.payloads).toEqual(["a"]);
  });

  test.each(["connected", "away"])(
    "by a Shared Subscription goes to another member that is %s",
    (presence) => {
      const shard = setUp({ users: { ann: [allow("#")], bob: [allow("#")] } });
      const client = connect(shard, "ann");
      client.subscribe("$share/group/a", 1);
      client.disconnect();
      publish(shard, "a", "a");
      const other = connect(shard, "bob");
      other.subscribe("$share/group/a", 1);
      if (presence === "away") other.disconnect();
      shard.setPolicy({ users: { ann: [], bob: [allow("#")] } });
      client.connect();
      expect(client.payloads).toEqual([]);
      expect(shard.counters.droppedCount).toBe(0);
      if (presence === "away") {
        shard.reset();
        other.connect();
      }
      expect(other.payloads).toEqual(["a", "a"]);
      shard.reset();
      expect(client.connect().payloads).toEqual([]);
    },
  );

  test("for the commit goes from one member to another with a commit of its own, though nothing else happens", () => {
    const shard = setUp({ users: { ann: [allow("#")], bob: [allow("#")] } }, { shards: 1 });
    const [client, other] = [connect(shard, "ann"), connect(shard, "bob")];
    const publisher = SimulatedClient.connected(shard, { identity: free });
    client.subscribe("$share/group/a", 1);
    other.subscribe("$share/group/a", 1);
    shard.hold();
    publisher.publish("a", "a", { qos: 1 });
    client.send({ type: "unsubscribe", packetIdentifier: 9, topicFilters: ["$share/group/a"] });
    const policy = { ...emptyPolicy, version: 9, users: { ann: [], bob: [allow("#")] } };
    const [only] = shard.shards;
    only?.handle({ type: "policy", policy });
    only?.rest();
    shard.advance(0);
    expect([client.isConnected, client.payloads, other.payloads]).toEqual([true, [], ["a"]]);
  });

  test("is sent if it was let in, and could be subscribed to by now", () => {
    const qos = fc.constantFrom<QoS>(0, 1, 2);
    const subscriptions = fc.array(fc.tuple(topicFilter, qos), { minLength: 1, maxLength: 4 });
    const names = fc.uniqueArray(topicName, { minLength: 1, maxLength: 5 });
    const rules = fc.array(rule, { maxLength: 4 });
    const open = allow("#", { action: "subscribe" });
    const earlier = fc.oneof(
      rules,
      rules.map((some) => [...some, open]),
    );
    const way = fc.constantFrom(...ways.map(([, happen]) => happen));
    let droppedCount = 0;
    let sentCount = 0;
    fc.assert(
      fc.property(earlier, earlier, subscriptions, names, way, (before, after, wanted, topics, happen) => {
        const shard = setUp({ roles: { reader: before } }, { shards: 1 });
        const client = connect(shard, "ann", { identity: identityOf("ann", { roles: ["reader"] }) });
        const made = new Map(wanted);
        for (const [filter, level] of made) client.subscribe(filter, level);
        client.disconnect();
        publish(shard, ...topics);
        shard.setPolicy({ roles: { reader: after } });
        happen(shard);
        publish(shard, ...topics);
        client.connect();
        const [old, present] = [permissionsBy(before), permissionsBy(after)];
        const expected = topics.filter((name) => {
          const isQueued = queues(name, made, (filter, level) => old.grantedQos(filter, level));
          return isQueued && present.grantedQos(name, 0) !== undefined;
        });
        expect(client.payloads).toEqual([...expected, ...expected]);
        droppedCount += shard.counters.droppedForbidden;
        sentCount += client.payloads.length;
      }),
      { numRuns: 400 },
    );
    expect([droppedCount > 0, sentCount > 0]).toEqual([true, true]);
  });
});

function permissionsBy(rules: readonly Rule[]): Permissions {
  const policy: Policy = { ...emptyPolicy, version: 1, roles: { reader: rules } };
  const access = new Access({ permissions: [], serverTopicsFor: "everybody" }, { readPolicy: () => policy });
  return access.permissionsFor(identityOf("ann", { roles: ["reader"] }), "any");
}

/** Whether a QoS 1 message to that topic waits for a client that is away. */
function queues(
  name: string,
  subscriptions: ReadonlyMap<string, QoS>,
  grantedQos: (filter: string, level: QoS) => QoS | undefined,
): boolean {
  return [...subscriptions].some(
    ([filter, level]) => filterMatches(filter, name) && (grantedQos(filter, level) ?? 0) > 0,
  );
}
