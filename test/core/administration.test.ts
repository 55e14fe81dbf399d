import { describe, expect, test } from "vitest";
import type { Administration } from "../../src/core/administration/administration.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { SimulatedShard } from "./simulated-shard.ts";
import { SimulatedClient, textOf, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const persistent = { cleanStart: false, sessionExpiryIntervalSec: week } as const;

/** As the host does it. */
function ask(shard: SimulatedShard): Administration {
  shard.handle({ type: "load" });
  return shard.core.administration;
}

function clientIdsIn(harness: Harness): string[] {
  const pages = harness.shards.map((shard) => ask(shard).clients({ countMax: 100 }));
  return pages.flatMap(({ items }) => items.map(({ clientId }) => clientId)).toSorted();
}

describe("operators see", () => {
  test("who is connected, and as whom", () => {
    const harness = new Harness();
    const identity = {
      method: "password",
      username: "ann",
      roles: ["reader"],
      claims: {},
      rules: [],
    } as const;
    SimulatedClient.connected(harness, { clientId: "a", identity, address: "192.0.2.1", keepAliveSec: 30 });
    SimulatedClient.connected(harness, { clientId: "b" }).lose();
    const known = ask(harness.shardOfClient("a"));
    expect(known.client("a")).toMatchObject({
      clientId: "a",
      protocolVersion: 5,
      keepAliveSec: 30,
      address: "192.0.2.1",
      method: "password",
      username: "ann",
      roles: ["reader"],
    });
    expect(ask(harness.shardOfClient("b")).client("b")).toBeUndefined();
    expect(known.clients({ countMax: 9, username: "bob" }).items).toEqual([]);
    expect(known.clients({ countMax: 9, username: "ann", clientIdPrefix: "a" }).items).toHaveLength(1);
  });

  test("everybody after a sleep, too", () => {
    const harness = new Harness();
    for (const clientId of ["c", "a", "b"]) SimulatedClient.connected(harness, { clientId });
    harness.evict();
    expect(clientIdsIn(harness)).toEqual(["a", "b", "c"]);
  });

  test("whose a session is, with its client or without, so that it can be freed", () => {
    const harness = new Harness();
    const identity = { method: "token", username: "ann", roles: [], claims: {}, rules: [] } as const;
    const client = SimulatedClient.connected(harness, { clientId: "s", ...persistent, identity });
    expect(ask(harness.shardOfClient("s")).session("s")?.username).toBe("ann");
    client.disconnect();
    harness.evict();
    expect(ask(harness.shardOfClient("s")).session("s")).toMatchObject({
      username: "ann",
      isConnected: false,
    });
  });

  test("sessions whose clients are away, until they expire", () => {
    const harness = new Harness();
    const will = willMessage("gone", { willDelayIntervalSec: 60 });
    const client = SimulatedClient.connected(harness, { clientId: "s", ...persistent, will });
    client.subscribe("a", 1);
    client.lose();
    SimulatedClient.connected(harness).publish("a", "1", { qos: 1 });
    expect(ask(harness.shardOfClient("s")).session("s")).toEqual({
      clientId: "s",
      isConnected: false,
      sessionExpiryIntervalSec: week,
      detachedAtMs: harness.nowMs,
      expiresAtMs: harness.nowMs + week * 1000,
      subscriptionCount: 1,
      waitingCount: 1,
      hasWill: true,
    });
    harness.advance(week * 1000);
    expect(
      ask(harness.shardOfClient("s"))
        .sessions({ countMax: 9 })
        .items.map(({ clientId }) => clientId),
    ).not.toContain("s");
  });

  test("subscriptions, by client or by Topic Filter, page by page", () => {
    const harness = new Harness({ shards: 1 });
    for (const clientId of ["b", "a"]) {
      const client = SimulatedClient.connected(harness, { clientId });
      client.subscribe("x/#", 1);
      client.subscribe(`own/${clientId}`);
    }
    const known = ask(harness.shardOfClient("a"));
    const pairs = (query: { clientId?: string; topicFilter?: string; after?: string; countMax: number }) =>
      known.subscriptions(query).items.map(({ clientId, topicFilter }) => [clientId, topicFilter]);
    expect(pairs({ clientId: "b", countMax: 9 })).toEqual([
      ["b", "own/b"],
      ["b", "x/#"],
    ]);
    expect(pairs({ topicFilter: "x/#", countMax: 9 })).toEqual([
      ["a", "x/#"],
      ["b", "x/#"],
    ]);
    const { after } = known.subscriptions({ countMax: 3 });
    expect(pairs({ countMax: 3, ...(after !== undefined && { after }) })).toEqual([["b", "x/#"]]);
  });
});

describe("operators end", () => {
  test("a connection with 0x98, and the session waits for its client", () => {
    const harness = new Harness();
    const client = SimulatedClient.connected(harness, { clientId: "a", ...persistent });
    client.subscribe("t", 1);
    harness.administer(harness.shardOfClient("a"), { type: "disconnect", clientId: "a" });
    expect(client.only("disconnect").reasonCode).toBe(ReasonCode.AdministrativeAction);
    expect(client.closed?.code).toBe(1008);
    expect(clientIdsIn(harness)).toEqual([]);
    expect(client.connect().connack.sessionPresent).toBe(true);
  });

  test.each([true, false])(
    "a session for good, with its Will and connection (connected: %s)",
    (isConnected) => {
      const harness = new Harness();
      const watcher = SimulatedClient.connected(harness);
      watcher.subscribe("gone");
      const will = willMessage("gone", { willDelayIntervalSec: 60 });
      const client = SimulatedClient.connected(harness, { clientId: "a", ...persistent, will });
      if (!isConnected) client.lose();
      harness.administer(harness.shardOfClient("a"), { type: "endSession", clientId: "a" });
      if (isConnected) expect(client.only("disconnect").reasonCode).toBe(ReasonCode.AdministrativeAction);
      expect(watcher.payloads).toEqual(["will"]);
      expect(harness.sessionRecord("a")).toBeUndefined();
      expect(client.connect({ ...persistent }).connack.sessionPresent).toBe(false);
    },
  );

  test("nobody by an order about a client who is not there", () => {
    const harness = new Harness();
    const client = SimulatedClient.connected(harness, { clientId: "a" });
    const rows = harness.rowsWritten;
    for (const type of ["disconnect", "endSession"] as const) {
      harness.administer(harness.shardOfClient("a"), { type, clientId: "nobody" });
    }
    expect(client.isConnected).toBe(true);
    expect(harness.rowsWritten).toBe(rows);
  });
});

describe("retained messages", () => {
  function withRetained(): Harness {
    const harness = new Harness({ flushesPerSecMax: 1 });
    const client = SimulatedClient.connected(harness);
    for (const topicName of ["a/1/x", "a/1/y", "b/1"]) client.publish(topicName, topicName, { retain: true });
    harness.advance(10_000);
    return harness;
  }

  test("are listed without being read, and shown one by one", () => {
    const harness = withRetained();
    const shard = harness.shardOfTopic("a/1/x");
    const known = ask(shard);
    known.retainedNames({ topicFilter: "#", countMax: 1 });
    const { rowsRead } = harness;
    expect(known.retainedNames({ topicFilter: "a/1/#", countMax: 9 }).items).toEqual(["a/1/x", "a/1/y"]);
    expect(harness.rowsRead).toBe(rowsRead);
    const found = known.retained("a/1/x", harness.nowMs);
    expect(found && textOf(found.message.payload)).toBe("a/1/x");
    expect(known.retained("a/1/z", harness.nowMs)).toBeUndefined();
  });

  test("are deleted for good with the order, whatever the rate of writes, and nobody is told", () => {
    const harness = withRetained();
    const watcher = SimulatedClient.connected(harness);
    watcher.subscribe("a/#");
    const { length } = watcher.messages;
    SimulatedClient.connected(harness).publish("elsewhere", "1", { retain: true });
    const shard = harness.shardOfTopic("a/1/x");
    harness.administer(shard, { type: "deleteRetained", topicNames: ["a/1/x", "nothing/there"] });
    harness.reset();
    expect(ask(shard).retainedNames({ topicFilter: "a/1/#", countMax: 9 }).items).toEqual(["a/1/y"]);
    expect(watcher.messages).toHaveLength(length);
  });
});
