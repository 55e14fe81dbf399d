/** What a shard counts of its own cost, by what happens to it. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CostFigures } from "../../src/core/cost/cost-meter.ts";
import type { CostName } from "../../src/core/cost/counts.ts";
import { costNames } from "../../src/core/cost/counts.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient } from "./simulated-client.ts";

const week = 7 * 24 * 3600;

/** Counts of all shards, each of which reads all that it forgot. */
function costOf(harness: Harness): Record<CostName, number> & { sinceSec: number } {
  const figures = harness.shards.map((shard): CostFigures => {
    shard.handle({ type: "load" });
    return shard.cost.figures();
  });
  const sums = costNames.map((name) => [name, figures.reduce((sum, one) => sum + one[name], 0)] as const);
  const sinceSec = Math.min(...figures.map((one) => one.sinceSec));
  return { ...(Object.fromEntries(sums) as Record<CostName, number>), sinceSec };
}

/** The same, as the world around the shards sees it. */
function seenOf(
  harness: Harness,
): Pick<CostFigures, "callsMade" | "callsBilled" | "rowsRead" | "rowsWritten"> {
  const { callCount, rowsRead, rowsWritten } = harness;
  return { callsMade: callCount, callsBilled: callCount, rowsRead, rowsWritten };
}

const clientCount = 6;

interface Step {
  readonly type: "ping" | "publish" | "lose" | "return" | "evict" | "advance";
  readonly client: number;
  readonly qos: 0 | 1 | 2;
}

const step: fc.Arbitrary<Step> = fc.record({
  type: fc.constantFrom("ping", "publish", "publish", "lose", "return", "evict", "evict", "advance"),
  client: fc.nat(clientCount - 1),
  qos: fc.constantFrom(0, 1, 2),
});

/** Returns how many sockets it opens. */
function take(
  { type, client: index, qos }: Step,
  harness: Harness,
  clients: readonly SimulatedClient[],
): number {
  const client = clients[index] as SimulatedClient;
  if (type === "advance") harness.advance(7_000);
  else if (type === "evict" && !harness.isAwake) harness.evict();
  else if (type === "return" && !client.isConnected) {
    client.connect({ cleanStart: false });
    return 1;
  } else if (!client.isConnected) return 0;
  else if (type === "ping") client.ping();
  else if (type === "publish") client.publish("a", "x", { qos });
  else if (type === "lose") client.lose();
  return 0;
}

describe("A shard counts", () => {
  test("upgrades, frames and alarms", () => {
    const harness = new Harness();
    const clients = [1, 2, 3].map(() => SimulatedClient.connected(harness, { keepAliveSec: 10 }));
    clients[0]?.publish("a");
    clients[0]?.publish("a", "x", { qos: 1 });
    expect(costOf(harness)).toMatchObject({ requests: 3, framesReceived: 5, alarms: 0 });
    harness.advance(20_000);
    const { alarms } = costOf(harness);
    expect(alarms).toBeGreaterThan(0);
    expect(alarms).toBeLessThanOrEqual(harness.alarmWrites.length);
  });

  test("rows, with one for each time that the alarm was set", () => {
    const harness = new Harness();
    const client = SimulatedClient.connected(harness, { sessionExpiryIntervalSec: week, keepAliveSec: 60 });
    client.subscribe("a", 1);
    client.publish("a", "x", { qos: 1, retain: true });
    expect(harness.rowsWritten).toBeGreaterThan(3);
    expect(costOf(harness)).toMatchObject(seenOf(harness));
  });

  test("the time for which a timer keeps it awake", () => {
    const harness = new Harness({ shards: 1 });
    const client = SimulatedClient.connected(harness);
    harness.advance(1_000_000);
    expect(costOf(harness).awakeMs).toBe(0);
    harness.receive(client.connectionId, [], { unfinishedBytes: 64 });
    harness.advance(1_000_000);
    expect(costOf(harness).awakeMs).toBe(10_000);
  });

  test("calls between shards, made and received", () => {
    const harness = new Harness({ shards: 4 });
    for (let count = 0; count < 8; count += 1) SimulatedClient.connected(harness).subscribe("+/a");
    expect(harness.callCount).toBeGreaterThan(8);
    expect(costOf(harness)).toMatchObject({ callsMade: harness.callCount, callsBilled: harness.callCount });
  });

  test("all of it, through sleeps, whatever happens", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const harness = new Harness();
        // One that stays on each shard: should all be gone, the shard forgets.
        for (const { index } of harness.shards) {
          SimulatedClient.connected(harness, { clientId: harness.clientIdOn(index) });
        }
        const clients = Array.from({ length: clientCount }, (_, index) => {
          const expiry = index % 2 === 0 ? { sessionExpiryIntervalSec: week } : {};
          const client = SimulatedClient.connected(harness, { keepAliveSec: 60, ...expiry });
          client.subscribe("a", 2);
          return client;
        });
        let requests = harness.shards.length + clients.length;
        for (const one of steps) requests += take(one, harness, clients);
        expect(costOf(harness)).toMatchObject({ requests, ...seenOf(harness) });
      }),
      { numRuns: 60 },
    );
  });
});

describe("The count goes on", () => {
  test("after a reset from the newest row, and since then is as it was", () => {
    const harness = new Harness({ shards: 1 });
    const client = SimulatedClient.connected(harness, { sessionExpiryIntervalSec: week });
    client.subscribe("a", 1);
    const { sinceSec } = costOf(harness);
    for (let count = 0; count < 5; count += 1) client.publish("a", "x", { qos: 1 });
    const before = costOf(harness);
    harness.reset();
    harness.advance(60_000);
    const after = costOf(harness);
    // The acknowledgements of the last message and the row itself came after it.
    expect(before.framesReceived - after.framesReceived).toBeLessThanOrEqual(2);
    expect(after.framesReceived).toBeGreaterThan(5);
    expect(after.sinceSec).toBe(sinceSec);
  });

  test("after a reset anew, when no row was ever written", () => {
    const harness = new Harness({ shards: 1 });
    const client = SimulatedClient.connected(harness);
    for (let count = 0; count < 5; count += 1) client.publish("a");
    harness.advance(60_000);
    harness.reset();
    expect(costOf(harness)).toMatchObject({
      framesReceived: 0,
      rowsWritten: 0,
      sinceSec: harness.nowMs / 1000,
    });
  });

  test("after many sleeps and resets as one", () => {
    const harness = new Harness({ shards: 1 });
    const client = SimulatedClient.connected(harness, { sessionExpiryIntervalSec: week });
    for (let round = 0; round < 5; round += 1) {
      for (let count = 0; count < 10; count += 1) {
        harness.evict();
        client.ping();
        harness.advance(1000);
      }
      client.disconnect();
      harness.reset();
      harness.advance(1000);
      client.connect({ cleanStart: false });
    }
    // DISCONNECT writes the session, with all that was counted before it.
    const { framesReceived, requests } = costOf(harness);
    expect([framesReceived, requests]).toEqual([1 + 5 * 12, 6]);
  });

  test("from what draining writes, when it writes anything", () => {
    const harness = new Harness({ shards: 1 });
    const client = SimulatedClient.connected(harness, { sessionExpiryIntervalSec: week, acks: "manual" });
    client.subscribe("a", 1);
    client.publish("a", "x", { qos: 1 });
    for (let count = 0; count < 20; count += 1) client.ping();
    client.acknowledge(client.last("publish"));
    const { framesReceived } = costOf(harness);
    const rows = harness.rowsWritten;
    harness.shards[0]?.handle({ type: "drain" });
    expect(harness.rowsWritten).toBe(rows + 1);
    harness.reset();
    expect(costOf(harness)).toMatchObject({ framesReceived });
  });

  test("costs no row, and no look at the others when one socket wakes the shard", () => {
    const harness = new Harness({ shards: 1 });
    const clients = Array.from({ length: 100 }, () => SimulatedClient.connected(harness));
    const rows = harness.rowsWritten;
    for (const client of clients) {
      harness.evict();
      harness.advance(1000);
      client.ping();
      expect(harness.rowsRead).toBe(0);
    }
    expect(harness.rowsWritten).toBe(rows);
    expect(costOf(harness)).toMatchObject({ requests: 100, framesReceived: 200, rowsWritten: 0 });
  });
});
