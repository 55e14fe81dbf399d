/** What clients do with a broker, from their first CONNECT to the end, and what they may expect of it. */
import { expect } from "vitest";
import type { Cast } from "../shards/scenes.ts";
import { firstsOf, repeatedOf, week } from "../shards/actors.ts";
import { willMessage } from "../simulated-client.ts";
import type { Actor, Stage } from "./stage.ts";

export interface Flow {
  readonly name: string;
  readonly shards: number;
  /** Throws when a promise is broken. */
  play(stage: Stage): void;
}

interface Layout {
  readonly name: string;
  readonly shards: number;
  readonly cast: Cast;
}

const layouts: readonly Layout[] = [
  { name: "one shard", shards: 1, cast: { publisher: 0, owner: 0, subscriber: 0 } },
  { name: "two shards, the publisher apart", shards: 2, cast: { publisher: 0, owner: 1, subscriber: 1 } },
  { name: "two shards, the subscriber apart", shards: 2, cast: { publisher: 0, owner: 0, subscriber: 1 } },
  { name: "two shards, the owner apart", shards: 2, cast: { publisher: 0, owner: 1, subscriber: 0 } },
  { name: "three shards, all apart", shards: 3, cast: { publisher: 0, owner: 1, subscriber: 2 } },
];
const qualities = [1, 2] as const;

type Play = (stage: Stage, cast: Cast) => void;

function onAllLayouts(name: string, play: Play): Flow[] {
  return layouts.map(({ name: layout, shards, cast }) => ({
    name: `${name}, ${layout}`,
    shards,
    play: (stage) => play(stage, cast),
  }));
}

/** QoS 1: all, each first in order. QoS 2: all, in order, once. */
function expectReceived(actor: Actor, payloads: readonly string[], qos: 1 | 2): void {
  expect(qos === 2 ? actor.payloads : firstsOf(actor.payloads)).toEqual(payloads);
}

function publishing(qos: 1 | 2): Play {
  return (stage, { publisher, owner, subscriber }) => {
    const topicName = stage.topicOn(owner);
    const listener = stage.cast(subscriber, "listener");
    stage.subscribe(listener, topicName, qos);
    const speaker = stage.cast(publisher, "speaker");
    stage.joined(() => speaker.say(topicName, "1", qos).say(topicName, "2", qos));
    stage.gather();
    speaker.say(topicName, "3", qos);
    stage.rest();
    speaker.say(topicName, "4", qos);
    stage.finish();
    expectReceived(listener, ["1", "2", "3", "4"], qos);
    expect(speaker.acknowledged).toEqual(["1", "2", "3", "4"]);
  };
}

/** The session has messages waiting, some of them in flight when the connection breaks once more. */
function offlineQueue(qos: 1 | 2): Play {
  return (stage, { publisher, owner, subscriber }) => {
    const topicName = stage.topicOn(owner);
    const listener = stage.cast(subscriber, "listener", { receiveMaximum: 2 });
    stage.subscribe(listener, topicName, qos);
    const speaker = stage.cast(publisher, "speaker");
    listener.leave();
    for (const payload of ["1", "2", "3", "4", "5"]) {
      speaker.say(topicName, payload, qos);
      stage.gather();
    }
    stage.pass(60_000);
    listener.isAway = false;
    listener.acks = "manual";
    stage.gather();
    listener.answer(1);
    stage.gather();
    listener.leave();
    listener.isAway = false;
    listener.acks = "auto";
    stage.finish();
    expectReceived(listener, ["1", "2", "3", "4", "5"], qos);
    expect(speaker.acknowledged).toEqual(["1", "2", "3", "4", "5"]);
  };
}

const retaining: Play = (stage, { publisher, owner, subscriber }) => {
  const topicName = stage.topicOn(owner);
  const speaker = stage.cast(publisher, "speaker");
  for (const [payload, qos] of [
    ["first", 1],
    ["second", 2],
    ["", 1],
    ["third", 2],
  ] as const) {
    speaker.say(topicName, payload, qos, { retain: true });
    stage.pass(5000);
    expect(speaker.unacknowledgedCount).toBe(0);
    expect(stage.retainedFor(subscriber, topicName)).toEqual(payload === "" ? [] : [payload]);
  }
  stage.finish();
  expect(stage.retainedFor(subscriber, topicName)).toEqual(["third"]);
};

function subscribing(wildcard: "#" | undefined): Play {
  return (stage, { publisher, owner, subscriber }) => {
    const topicName = stage.topicOn(owner);
    const topicFilter = wildcard ?? topicName;
    const listener = stage.cast(subscriber, "listener");
    const speaker = stage.cast(publisher, "speaker");
    stage.subscribe(listener, topicFilter, 2);
    speaker.say(topicName, "1", 2);
    stage.rest();
    stage.unsubscribe(listener, topicFilter);
    speaker.say(topicName, "unwanted", 2);
    stage.rest();
    stage.subscribe(listener, topicFilter, 2);
    speaker.say(topicName, "2", 2);
    stage.finish();
    expect(listener.payloads).toEqual(["1", "2"]);
  };
}

function lastWill(sessionExpiryIntervalSec: number, returns: boolean): Play {
  return (stage, { publisher, owner, subscriber }) => {
    const topicName = stage.topicOn(owner);
    const witness = stage.cast(subscriber, "witness");
    stage.subscribe(witness, topicName, 2);
    const will = willMessage(topicName, { qos: 2 });
    const mortal = stage.cast(publisher, "mortal", { will, sessionExpiryIntervalSec });
    if (returns) {
      // The grace of 30 s is long enough for a client.
      stage.resetShard(publisher);
      stage.pass(120_000);
    } else {
      mortal.leave();
      // A shard to which nobody comes looks after its sessions within the hour.
      stage.pass(3_700_000);
    }
    stage.finish();
    expect(witness.payloads).toEqual(returns ? [] : ["will"]);
  };
}

function takeover(qos: 1 | 2): Play {
  return (stage, { publisher, owner, subscriber }) => {
    const topicName = stage.topicOn(owner);
    const listener = stage.cast(subscriber, "listener", { acks: "manual" });
    stage.subscribe(listener, topicName, qos);
    const speaker = stage.cast(publisher, "speaker");
    speaker.say(topicName, "1", qos).say(topicName, "2", qos);
    stage.gather();
    listener.answer(1);
    stage.gather();
    listener.acks = "auto";
    listener.connect({ cleanStart: false });
    stage.gather();
    speaker.say(topicName, "3", qos);
    stage.finish();
    expectReceived(listener, ["1", "2", "3"], qos);
    expect(stage.openConnectionIds.toSorted()).toEqual(
      [listener.connectionId, speaker.connectionId].toSorted(),
    );
  };
}

const expiring: Play = (stage, { publisher, owner, subscriber }) => {
  const topicName = stage.topicOn(owner);
  const listener = stage.cast(subscriber, "listener", { sessionExpiryIntervalSec: 60 });
  stage.subscribe(listener, topicName, 2);
  const speaker = stage.cast(publisher, "speaker");
  listener.leave();
  speaker.say(topicName, "in time", 2);
  stage.pass(40_000);
  listener.isAway = false;
  stage.gather();
  stage.pass(1000);
  expect(listener.payloads).toEqual(["in time"]);
  listener.leave();
  stage.pass(1000);
  speaker.say(topicName, "too late", 2);
  // A shard to which nobody comes looks after its sessions within the hour.
  stage.pass(7_500_000);
  expect(stage.sessionRecord(listener.clientId)).toBeUndefined();
  listener.forgetSession().isAway = false;
  stage.finish();
  expect(listener.payloads).toEqual(["in time"]);
};

/** What the one has and does not acknowledge, the other gets when the session of the one ends. */
function handingOver(apart: boolean): Play {
  return (stage, { publisher, owner, subscriber }) => {
    const topicName = stage.topicOn(owner);
    const topicFilter = `$share/group/${topicName}`;
    const silent = stage.cast(subscriber, "silent", { acks: "manual", receiveMaximum: 2 });
    stage.subscribe(silent, topicFilter, 1);
    const other = stage.cast(apart ? publisher : subscriber, "other");
    stage.subscribe(other, topicFilter, 1);
    const speaker = stage.cast(publisher, "speaker");
    const payloads = ["1", "2", "3", "4", "5", "6"];
    for (const payload of payloads) {
      speaker.say(topicName, payload, 1);
      stage.gather();
    }
    stage.pass(5000);
    stage.endSession(silent);
    stage.finish();
    expect(firstsOf(other.payloads).toSorted()).toEqual(payloads);
  };
}

/** A session that ends with its connection has messages waiting in memory; then the object wants to sleep. */
const spilling: Play = (stage, { publisher, owner, subscriber }) => {
  const topicName = stage.topicOn(owner);
  const options = { sessionExpiryIntervalSec: 0, receiveMaximum: 1, acks: "manual" } as const;
  const listener = stage.cast(subscriber, "listener", options);
  stage.subscribe(listener, topicName, 1);
  const lossesBefore = listener.lossCount;
  const speaker = stage.cast(publisher, "speaker");
  for (const payload of ["1", "2", "3"]) speaker.say(topicName, payload, 1);
  stage.pass(40_000);
  stage.evict();
  listener.acks = "auto";
  listener.answer(1);
  stage.rest();
  expect(speaker.acknowledged).toEqual(["1", "2", "3"]);
  // With its connection it has lost its session, and what waited for it.
  if (listener.lossCount === lossesBefore) expect(listener.payloads).toEqual(["1", "2", "3"]);
  else expect(repeatedOf(listener.payloads)).toEqual([]);
  listener.leave();
  // A route that a reset left behind is found out by the next message.
  speaker.say(topicName, "for nobody", 1);
  stage.finish();
  expect(stage.segmentCount).toBe(0);
};

export const offlineQueues: readonly Flow[] = qualities.flatMap((qos) =>
  onAllLayouts(`an offline queue of QoS ${qos}`, offlineQueue(qos)),
);

export const flows: readonly Flow[] = [
  ...qualities.flatMap((qos) => onAllLayouts(`messages of QoS ${qos}`, publishing(qos))),
  ...offlineQueues,
  ...onAllLayouts("retained messages", retaining),
  ...onAllLayouts("SUBSCRIBE and UNSUBSCRIBE", subscribing(undefined)),
  ...onAllLayouts("SUBSCRIBE and UNSUBSCRIBE of #", subscribing("#")),
  ...onAllLayouts("the Will of a client that is gone", lastWill(0, false)),
  ...onAllLayouts("the Will of a persistent session that is left", lastWill(week, false)),
  ...onAllLayouts("the Will of a client that returns", lastWill(0, true)),
  ...onAllLayouts("the Will of a persistent session that is resumed", lastWill(week, true)),
  ...qualities.flatMap((qos) => onAllLayouts(`takeover with QoS ${qos} in flight`, takeover(qos))),
  ...onAllLayouts("a session that expires", expiring),
  ...onAllLayouts("a Shared Subscription at one shard", handingOver(false)),
  ...onAllLayouts("a Shared Subscription at two shards", handingOver(true)),
  ...onAllLayouts("a queue in memory that is written", spilling),
];
