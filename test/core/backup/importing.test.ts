import { describe, expect, test } from "vitest";
import type { BackupRecord } from "../../../src/core/backup/record.ts";
import type { Limits } from "../../../src/core/limits.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { emptyWriteSet } from "../../../src/core/storage-port.ts";
import { Returning, week } from "../shards/actors.ts";
import { Network, routesOf } from "../shards/network.ts";
import { Harness } from "../harness.ts";
import { SimulatedClient, willMessage } from "../simulated-client.ts";
import { answerOf, beginImport, exportAll, importAll, importPage } from "./backups.ts";

/** A backup of one session, with `count` messages of each QoS waiting, and one retained message. */
function backupOf(clientId: string, count = 2, topicName = "topic/level"): BackupRecord[] {
  const source = new Harness({ shards: 1 });
  const client = SimulatedClient.connected(source, { clientId, sessionExpiryIntervalSec: week });
  client.subscribe(topicName, 2);
  client.lose();
  const publisher = SimulatedClient.connected(source);
  for (let number = 1; number <= count; number += 1) {
    publisher.publish(topicName, `once ${number}`, { qos: 2 });
    publisher.publish(topicName, `at least once ${number}`, { qos: 1 });
  }
  publisher.publish("retained/topic", "kept", { qos: 1, retain: true });
  return exportAll(source);
}

function targetWith(limits: Partial<Limits> = {}, shards = 1): Harness {
  const target = new Harness({ shards, limits });
  return target;
}

function reasonsOf(outcomes: ReturnType<typeof importAll>): string[] {
  return outcomes.flatMap((outcome) => (outcome.type === "refused" ? [outcome.reason] : []));
}

function comeBack(target: Harness, clientId: string): SimulatedClient {
  return SimulatedClient.connected(target, { clientId, cleanStart: false, sessionExpiryIntervalSec: week });
}

describe.each([1, 4])("in a namespace of %i shards", (shards) => {
  test("a client goes on with its imported session: all messages, in order, once", () => {
    const target = targetWith({}, shards);
    const outcomes = importAll(target, backupOf("client"), { pageCount: 2 });
    expect(reasonsOf(outcomes)).toEqual([]);
    const client = comeBack(target, "client");
    expect(client.connack.sessionPresent).toBe(true);
    expect(client.payloads).toEqual(["once 1", "at least once 1", "once 2", "at least once 2"]);
    SimulatedClient.connected(target).publish("topic/level", "live", { qos: 1 });
    expect(client.payloads.at(-1)).toBe("live");
  });

  test("an imported session outlives a reset, and gets what is published while its client is away", () => {
    const target = targetWith({}, shards);
    importAll(target, backupOf("client", 1));
    target.reset();
    SimulatedClient.connected(target).publish("topic/level", "live", { qos: 1 });
    target.reset();
    expect(comeBack(target, "client").payloads).toEqual(["once 1", "at least once 1", "live"]);
  });

  test("an imported session is its user's, as it was", () => {
    const rules = [{ effect: "allow", action: "all", topicFilter: "#" }] as const;
    const ann = { method: "token", username: "ann", roles: [], claims: {}, rules } as const;
    const bob = { ...ann, username: "bob" };
    const source = new Harness({ shards: 1 });
    const lasting = { clientId: "client", cleanStart: false, sessionExpiryIntervalSec: week };
    SimulatedClient.connected(source, { ...lasting, identity: ann });
    const target = targetWith({}, shards);
    importAll(target, exportAll(source));
    target.reset();
    const other = SimulatedClient.connected(target, { ...lasting, identity: bob });
    expect(other.connack.reasonCode).toBe(ReasonCode.ClientIdentifierNotValid);
    expect(SimulatedClient.connected(target, { ...lasting, identity: ann }).connack.sessionPresent).toBe(
      true,
    );
  });

  test("an imported retained message is there, but is not told to those who are subscribed already", () => {
    const target = targetWith({}, shards);
    const early = SimulatedClient.connected(target);
    early.subscribe("retained/#", 1);
    importAll(target, backupOf("client"));
    expect(early.payloads).toEqual([]);
    const late = SimulatedClient.connected(target);
    late.subscribe("retained/#", 1);
    expect(late.payloads).toEqual(["kept"]);
  });

  test("what is imported once more is unchanged", () => {
    const target = targetWith({}, shards);
    const records = backupOf("client");
    importAll(target, records);
    comeBack(target, "client").lose();
    const again = importAll(target, records);
    expect(again.map(({ type }) => type)).toEqual(
      records.map(({ type }) => (type === "message" ? "taken" : "unchanged")),
    );
    expect(comeBack(target, "client").payloads).toEqual([]);
  });

  test("an import that a reset broke off goes on when it is run again", () => {
    const target = targetWith({}, shards);
    const records = backupOf("client");
    importAll(target, records.slice(0, 3));
    target.reset();
    expect(target.sessionCount).toBe(0);
    expect(reasonsOf(importAll(target, records))).toEqual([]);
    expect(comeBack(target, "client").payloads).toHaveLength(4);
  });
});

describe("deliveries that have begun", () => {
  test("go on with their Packet Identifiers: the message with DUP, and PUBREL", () => {
    const source = targetWith();
    const options = { clientId: "client", sessionExpiryIntervalSec: week, acks: "manual" } as const;
    const client = SimulatedClient.connected(source, options);
    client.subscribe("topic", 2);
    const publisher = SimulatedClient.connected(source);
    for (const payload of ["released", "sent", "sent too"]) publisher.publish("topic", payload, { qos: 2 });
    const [released, sent] = client.all("publish").map(({ packetIdentifier = 0 }) => packetIdentifier);
    client.respond("pubrec", released as number);
    const target = targetWith();
    importAll(target, exportAll(source));
    const again = SimulatedClient.connected(target, { ...options, cleanStart: false });
    expect(again.all("pubrel").map(({ packetIdentifier }) => packetIdentifier)).toEqual([released]);
    expect(again.all("publish").map(({ dup, packetIdentifier }) => [dup, packetIdentifier])).toEqual([
      [true, sent],
      [true, (sent as number) + 1],
    ]);
    expect(again.payloads).toEqual(["sent", "sent too"]);
  });

  test("of QoS 2 from the client are known: it may send the message again", () => {
    const source = targetWith();
    const options = { clientId: "client", sessionExpiryIntervalSec: week, acks: "manual" } as const;
    const client = SimulatedClient.connected(source, options);
    const packetIdentifier = client.publish("topic", "once", { qos: 2 });
    const target = targetWith();
    const listener = SimulatedClient.connected(target);
    listener.subscribe("topic", 2);
    importAll(target, exportAll(source));
    const again = SimulatedClient.connected(target, { ...options, cleanStart: false });
    again.publish("topic", "once", { qos: 2, packetIdentifier, dup: true });
    expect(again.only("pubrec").packetIdentifier).toBe(packetIdentifier);
    expect(listener.payloads).toEqual([]);
  });

  test("may all have been sent on a connection that a reset cut", () => {
    const source = targetWith();
    const options = { clientId: "client", sessionExpiryIntervalSec: week, acks: "manual" } as const;
    const client = SimulatedClient.connected(source, options);
    client.subscribe("topic", 1);
    SimulatedClient.connected(source).publish("topic", "perhaps", { qos: 1 });
    source.reset();
    const target = targetWith();
    importAll(target, exportAll(source));
    const again = SimulatedClient.connected(target, { ...options, cleanStart: false });
    expect(again.only("publish").dup).toBe(true);
  });
});

describe("what exists already", () => {
  test("is left as it is, and reported", () => {
    const target = targetWith();
    const client = comeBack(target, "client");
    SimulatedClient.connected(target).publish("retained/topic", "newer", { retain: true });
    const outcomes = importAll(target, backupOf("client"));
    expect(reasonsOf(outcomes).toSorted()).toEqual([
      "The client has a session already",
      "The topic has a retained message already",
    ]);
    client.subscribe("retained/#", 1);
    expect(client.payloads).toEqual(["newer"]);
  });

  test("gives way if it is to be replaced", () => {
    const target = targetWith();
    comeBack(target, "client").subscribe("other", 1);
    target.reset();
    SimulatedClient.connected(target).publish("retained/topic", "newer", { retain: true });
    const outcomes = importAll(target, backupOf("client", 1), { replaces: true });
    expect(reasonsOf(outcomes)).toEqual([]);
    const client = comeBack(target, "client");
    SimulatedClient.connected(target).publish("other", "nobody", { qos: 1 });
    client.subscribe("retained/#", 1);
    expect(client.payloads).toEqual(["once 1", "at least once 1", "kept"]);
  });

  test("is never replaced under a client that is connected", () => {
    const target = targetWith();
    const client = comeBack(target, "client");
    const outcomes = importAll(target, backupOf("client"), { replaces: true });
    expect(reasonsOf(outcomes)).toEqual(["The client is connected"]);
    expect(client.isConnected).toBe(true);
  });

  test("is the session of a client that connects while its messages come", () => {
    const target = targetWith();
    const [shard] = target.shards;
    const records = backupOf("client").filter(({ type }) => type !== "retained");
    if (shard === undefined) throw new Error("there is no shard");
    importPage(target, shard, records.slice(0, 2));
    const client = comeBack(target, "client");
    expect(client.connack.sessionPresent).toBe(false);
    const outcomes = importPage(target, shard, records.slice(2));
    expect(reasonsOf([...outcomes])).toEqual(["The client has connected in the meantime"]);
    expect(client.payloads).toEqual([]);
    expect(target.segmentCount).toBe(0);
  });
});

describe("limits", () => {
  test("hold for queues: what is newest is refused, and counted", () => {
    const target = targetWith({ queue: { messagesMax: 3, bytesMax: 1_000_000 } });
    const outcomes = importAll(target, backupOf("client"));
    expect(reasonsOf(outcomes)).toEqual(["The queue of the session is full"]);
    expect(comeBack(target, "client").payloads).toEqual(["once 1", "at least once 1", "once 2"]);
  });

  test("hold for retained messages", () => {
    const target = targetWith({ retainedMessagesMax: 0 });
    expect(reasonsOf(importAll(target, backupOf("client")))).toEqual(["0 messages are retained already"]);
  });

  test("hold for subscriptions: a session is imported with all of them or not at all", () => {
    const target = targetWith({ subscriptionsOnAllShardsMax: 0 }, 4);
    const outcomes = importAll(target, backupOf("client", 1, "+/level"));
    expect(reasonsOf(outcomes)[0]).toMatch(/^A session has at most 0 subscriptions with a wildcard/);
    expect(comeBack(target, "client").connack.sessionPresent).toBe(false);
  });
});

describe("time", () => {
  test("goes on for a session whose client was away: when it is over it is not imported", () => {
    const records = backupOf("client");
    const target = targetWith();
    target.nowMs += (week + 1) * 1000;
    const outcomes = importAll(target, records);
    expect(outcomes.map(({ type }) => type).filter((type) => type !== "taken")).toEqual([
      "imported",
      "expired",
    ]);
    expect(target.segmentCount).toBe(0);
  });

  test("goes on for a retained message", () => {
    const source = targetWith();
    SimulatedClient.connected(source).publish("topic", "short", {
      retain: true,
      messageExpiryIntervalSec: 9,
    });
    const records = exportAll(source);
    const target = targetWith();
    target.nowMs += 5_000;
    expect(importAll(target, records)).toEqual([{ type: "imported", messageCount: 0 }]);
    const client = SimulatedClient.connected(target);
    client.subscribe("topic");
    expect(client.only("publish").messageExpiryIntervalSec).toBe(4);
    const late = targetWith();
    late.nowMs += 9_000;
    expect(importAll(late, records)).toEqual([{ type: "expired" }]);
  });

  test("begins for a client that was connected: its session expires after the import, and its Will waits a while", () => {
    const source = targetWith();
    const will = willMessage("will/topic", { qos: 1 });
    SimulatedClient.connected(source, { clientId: "client", sessionExpiryIntervalSec: 60, will });
    const target = targetWith();
    const listener = SimulatedClient.connected(target);
    listener.subscribe("will/topic", 1);
    importAll(target, exportAll(source));
    target.advance(29_000);
    expect(listener.payloads).toEqual([]);
    target.advance(10_000);
    expect(listener.payloads).toEqual(["will"]);
    target.advance(30_000);
    expect(target.sessionRecords).toEqual([]);
  });

  test("keeps the date of a Will that was waiting", () => {
    const source = targetWith();
    const will = willMessage("will/topic", { qos: 1, willDelayIntervalSec: 600 });
    const options = { clientId: "client", sessionExpiryIntervalSec: week, will };
    SimulatedClient.connected(source, options).lose();
    const target = targetWith();
    target.nowMs += 590_000;
    const listener = SimulatedClient.connected(target);
    listener.subscribe("will/topic", 1);
    importAll(target, exportAll(source));
    target.advance(16_000);
    expect(listener.payloads).toEqual(["will"]);
  });
});

describe("owners of topics on other shards", () => {
  test("know of a session's subscriptions before it is told that it is imported", () => {
    const network = new Network();
    const clientId = network.clientOn(1);
    const records = backupOf(clientId, 1, network.topicOn(2)).filter(({ type }) => type !== "retained");
    network.rule = ({ batch }) => (batch.to === 2 ? "hold" : "pass");
    const callId = beginImport(network, network.at(1), records);
    expect(answerOf(network.at(1), callId)).toBeUndefined();
    expect(network.sessionRecords).toEqual([]);
    network.rule = () => "pass";
    network.release();
    expect(answerOf(network.at(1), callId)).toMatchObject({ outcomes: [{}, {}, { type: "imported" }] });
    expect(network.sessionRecord(clientId)?.subscriptions).toHaveLength(1);
  });

  test("that do not answer leave nothing of the session, and it can be imported later", () => {
    const network = new Network();
    const clientId = network.clientOn(1);
    const topicName = network.topicOn(2);
    const records = backupOf(clientId, 1, topicName).filter(({ type }) => type !== "retained");
    network.rule = ({ batch }) => (batch.to === 2 ? "vanish" : "pass");
    const callId = beginImport(network, network.at(1), records);
    network.advance(6_000);
    expect(answerOf(network.at(1), callId)).toMatchObject({ outcomes: [{}, {}, { type: "refused" }] });
    expect(network.sessionRecords).toEqual([]);
    network.rule = () => "pass";
    network.advance(600_000);
    expect(importPage(network, network.at(1), records).at(-1)).toMatchObject({ type: "imported" });
    const { actual, expected } = routesOf(network);
    expect(actual).toEqual(expected);
    const client = new Returning(network, clientId).comeBack();
    SimulatedClient.connected(network).publish(topicName, "live", { qos: 1 });
    expect(client.payloads).toEqual(["once 1", "at least once 1", "live"]);
  });
});

test("a shard with data of another layout takes no part", () => {
  const source = targetWith();
  const storage = source.shards[0]?.storage;
  if (storage === undefined) throw new Error("there is no shard");
  importAll(source, backupOf("client"));
  const layout = { epoch: 1, shards: 7, topicKeyLevels: 2 };
  storage.commit({ ...emptyWriteSet(), shard: { boot: 1, settledBoot: 1, layout } });
  source.reset();
  const [shard] = source.shards;
  if (shard === undefined) throw new Error("there is no shard");
  const callId = beginImport(source, shard, []);
  expect(answerOf(shard, callId)).toEqual({
    type: "unavailable",
    reason: "The broker is set up for another number of shards than its data",
  });
});

test("a page costs a row for each session, and one for all messages in it", () => {
  const target = targetWith();
  const sessions = ["one", "two", "three"].flatMap((clientId) =>
    backupOf(clientId).filter(({ type }) => type !== "retained"),
  );
  // The row of the shard itself is there.
  importAll(target, backupOf("first"));
  const before = target.shards[0]?.storage.rowsWritten ?? 0;
  importAll(target, sessions, { pageCount: 100 });
  expect((target.shards[0]?.storage.rowsWritten ?? 0) - before).toBe(4);
});
