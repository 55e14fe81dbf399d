/**
 * Scenarios for a namespace of four shards, where alice and carol are at home on shard 1, bob on 2, olivia and `state` on
 * 0, peggy and `news` on 3: whatever alice publishes to `news` passes an owner that is another shard, and goes on to
 * shards of its own.
 */
import { Placement } from "../../src/core/placement.ts";
import { will } from "./packets.ts";
import { atLeastOnce, atMostOnce, exactlyOnce, type Scenario } from "./scenario-runner.ts";
import {
  answers,
  connects,
  disconnects,
  finishesQos2,
  hasNothing,
  publishes,
  subscribes,
  takes,
  takesQos1,
  takesQos2,
  vanishes,
} from "./scenario-steps.ts";

export const shardCount = 4;

const placement = new Placement({ epoch: 1, shards: shardCount, topicKeyLevels: 2 });

/** Where the names are at home, for a test to hold what the scenarios count on. */
export const homes = {
  clients: ["olivia", "alice", "bob", "peggy"].map((name) => placement.sessionShard(name)),
  topics: ["state", "news"].map((name) => placement.topicShard(name)),
};

const persistent = { isPersistent: true };
/** On the publisher's own shard, the owner of the topic, and another one. */
const subscribers = ["bob", "carol", "peggy"];
const everywhere = {
  alice: persistent,
  bob: persistent,
  carol: persistent,
  peggy: persistent,
};

export const peerScenarios: readonly Scenario[] = [
  {
    title: "[MQTT-4.3.3-8] a QoS 2 message reaches sessions on every shard exactly once",
    versions: [5],
    clients: everywhere,
    steps: [
      ...subscribers.flatMap((name) => [connects(name), subscribes(name, "news", 2)]),
      connects("alice"),
      publishes("alice", "news", "one", { qos: 2 }),
      ...finishesQos2("alice"),
      ...subscribers.flatMap((name) => takesQos2(name, "one")),
    ],
    outcome: Object.fromEntries(subscribers.map((name) => [name, { one: exactlyOnce }])),
  },
  {
    title: "[MQTT-4.3.2-4] a QoS 1 message reaches sessions on every shard at least once",
    versions: [5],
    clients: everywhere,
    steps: [
      ...subscribers.flatMap((name) => [connects(name), subscribes(name, "news", 1)]),
      connects("alice"),
      publishes("alice", "news", "one", { qos: 1 }),
      takes("alice", "puback"),
      ...subscribers.flatMap((name) => takesQos1(name, "one")),
    ],
    outcome: Object.fromEntries(subscribers.map((name) => [name, { one: atLeastOnce }])),
  },
  {
    title: "[MQTT-3.3.1-5] a retained message reaches new subscribers on other shards",
    versions: [5],
    clients: { alice: persistent, bob: persistent, peggy: persistent },
    steps: [
      connects("alice"),
      publishes("alice", "state", "kept", { qos: 2, retain: true }),
      ...finishesQos2("alice"),
      connects("bob"),
      subscribes("bob", "state", 2, { retainHandling: 1 }),
      ...takesQos2("bob", "kept"),
      publishes("alice", "state", "live", { qos: 1 }),
      takes("alice", "puback"),
      ...takesQos1("bob", "live"),
      connects("peggy"),
      subscribes("peggy", "+", 2, { retainHandling: 1 }),
      ...takesQos2("peggy", "kept"),
    ],
    outcome: { bob: { kept: exactlyOnce, live: atLeastOnce }, peggy: { kept: exactlyOnce } },
  },
  {
    title: "[MQTT-3.1.2-8] a Will reaches sessions on other shards",
    versions: [5],
    clients: {
      alice: { connect: { will: will("news", { qos: 2 }) }, returns: false },
      bob: persistent,
      peggy: persistent,
    },
    steps: [
      ...["bob", "peggy"].flatMap((name) => [connects(name), subscribes(name, "news", 2)]),
      connects("alice"),
      vanishes("alice"),
      ...takesQos2("bob", "will"),
      ...takesQos2("peggy", "will"),
    ],
    outcome: { bob: { will: exactlyOnce }, peggy: { will: exactlyOnce } },
  },
  {
    title: "QoS 0 and 1 reach sessions that end with their connections, until they unsubscribe or leave",
    versions: [5],
    clients: { alice: {}, bob: {}, olivia: {} },
    steps: [
      ...["bob", "olivia"].flatMap((name) => [connects(name), subscribes(name, "news", 1)]),
      connects("alice"),
      publishes("alice", "news", "one"),
      takes("bob", "publish", "one"),
      takes("olivia", "publish", "one"),
      disconnects("olivia"),
      publishes("alice", "news", "two", { qos: 1 }),
      takes("alice", "puback"),
      takes("bob", "publish", "two"),
      answers("bob", "puback"),
      hasNothing("bob"),
    ],
    outcome: { bob: { one: atMostOnce, two: atMostOnce }, olivia: { one: atMostOnce } },
  },
];
