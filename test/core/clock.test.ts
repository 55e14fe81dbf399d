import { describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const hourMs = 3_600_000;

/** Ten minutes in which every client pings in time; returns the alarm writes of each minute, by shard. */
function alarmWritesWhilePinging(
  shard: Harness,
  clients: SimulatedClient[],
  keepAliveSec: (index: number) => number,
) {
  const dueAtMs = clients.map((_, index) => shard.nowMs + ((index * 977) % (keepAliveSec(index) * 1000)));
  const writes: number[][] = [];
  for (let minute = 0; minute < 10; minute += 1) {
    const before = shard.shards.map(({ alarmWrites }) => alarmWrites.length);
    const untilMs = shard.nowMs + 60_000;
    for (;;) {
      const nextAtMs = Math.min(...dueAtMs);
      if (nextAtMs > untilMs) break;
      shard.advance(Math.max(0, nextAtMs - shard.nowMs));
      const index = dueAtMs.indexOf(nextAtMs);
      clients[index]?.ping().take();
      dueAtMs[index] = nextAtMs + keepAliveSec(index) * 1000;
    }
    shard.advance(untilMs - shard.nowMs);
    writes.push(shard.shards.map(({ alarmWrites }, index) => alarmWrites.length - (before[index] ?? 0)));
  }
  return writes;
}

describe("keep alive", () => {
  test("[MQTT-3.1.2-22] a client is closed 1.5 × Keep Alive after its last packet, with 0x8D", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { keepAliveSec: 10 });
    shard.advance(10_000);
    client.ping();
    shard.advance(14_999);
    expect(client.isConnected).toBe(true);
    shard.advance(5001);
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.KeepAliveTimeout);
    expect(client.isConnected).toBe(false);
  });

  test("every packet counts", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { keepAliveSec: 10 });
    for (let round = 0; round < 5; round += 1) {
      shard.advance(14_000);
      client.publish("a");
    }
    expect(client.isConnected).toBe(true);
  });

  test("of 0 is never enforced", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    shard.advance(100 * hourMs);
    expect(client.isConnected).toBe(true);
  });

  test("is kept over evictions: not closed early, and within 1.5 × Keep Alive + 5 s", () => {
    for (const lastPacketMs of [0, 700, 1999, 2000, 5000]) {
      const shard = new Harness();
      const client = SimulatedClient.connected(shard, { keepAliveSec: 10 });
      shard.advance(lastPacketMs);
      client.ping();
      shard.evict();
      shard.advance(14_999);
      expect(client.isConnected).toBe(true);
      shard.advance(5001);
      expect(client.isConnected).toBe(false);
    }
  });

  test("is kept within 1.5 × Keep Alive + 5 s whatever other clients need after an eviction", () => {
    for (let offsetMs = 0; offsetMs < 6000; offsetMs += 250) {
      const shard = new Harness();
      SimulatedClient.connected(shard, { keepAliveSec: 10 });
      shard.advance(offsetMs);
      const client = SimulatedClient.connected(shard, { keepAliveSec: 10 });
      shard.advance(1000);
      shard.evict();
      shard.advance(19_000);
      expect(client.isConnected, `connected ${offsetMs} ms later`).toBe(false);
    }
  });

  test("a client that comes back to life between alarm and close is spared", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { keepAliveSec: 10 });
    shard.oversleep(15_500);
    client.ping();
    shard.advance(10_000);
    expect(client.isConnected).toBe(true);
  });
});

describe("an alarm that comes late", () => {
  test("gives clients 5 s to be heard before anyone is closed", () => {
    const shard = new Harness();
    const [lively, silent] = [0, 1].map(() => SimulatedClient.connected(shard, { keepAliveSec: 10 }));
    shard.evict();
    shard.oversleep(hourMs);
    shard.advance(4000);
    expect(silent?.isConnected).toBe(true);
    lively?.ping();
    shard.advance(6000);
    expect(silent?.isConnected).toBe(false);
    expect(lively?.isConnected).toBe(true);
  });

  test("still publishes delayed Wills and ends sessions that are over", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    listener.subscribe("will", 1);
    const will = willMessage("will", { willDelayIntervalSec: 10 });
    SimulatedClient.connected(shard, { will, sessionExpiryIntervalSec: 60 }).lose();
    shard.oversleep(hourMs);
    shard.advance(0);
    expect(listener.payloads).toEqual(["will"]);
    expect(shard.sessionRecords).toHaveLength(1);
  });
});

describe("the alarm", () => {
  test("is not set for clients without Keep Alive and without a row", () => {
    const shard = new Harness();
    SimulatedClient.connected(shard).subscribe("a", 1);
    shard.advance(hourMs);
    expect(shard.alarmWrites).toEqual([]);
  });

  test("is set anew only when something is due earlier than before", () => {
    const shard = new Harness({ shards: 1 });
    SimulatedClient.connected(shard, { keepAliveSec: 60 });
    expect(shard.alarmWrites).toHaveLength(1);
    for (let index = 0; index < 50; index += 1) {
      shard.advance(100);
      SimulatedClient.connected(shard, { keepAliveSec: 60 + index });
    }
    expect(shard.alarmWrites).toHaveLength(1);
    SimulatedClient.connected(shard, { keepAliveSec: 10 });
    expect(shard.alarmWrites).toHaveLength(2);
  });

  test("for keep alive may be lost with a reset; for a session it may not", () => {
    const shard = new Harness();
    const { clientId } = SimulatedClient.connected(shard, { keepAliveSec: 60 });
    const neighbour = { clientId: shard.clientIdBeside(clientId), sessionExpiryIntervalSec: 30 };
    SimulatedClient.connected(shard, neighbour).lose();
    expect(shard.alarmWrites.map(({ unconfirmed }) => unconfirmed)).toEqual([true, false]);
  });

  test("is due within the hour while a connected session has a row", () => {
    for (const keepAliveSec of [0, 3600]) {
      const shard = new Harness();
      const client = SimulatedClient.connected(shard, { keepAliveSec, will: willMessage("will") });
      for (let hour = 0; hour < 5; hour += 1) {
        expect((shard.alarmAtMs ?? Infinity) - shard.nowMs).toBeLessThanOrEqual(hourMs + 5000);
        shard.advance(hourMs);
        client.ping();
      }
    }
  });

  test("is not set again and again for an idle object that holds sessions without a connection", () => {
    const shard = new Harness();
    for (let index = 0; index < 20; index += 1) {
      SimulatedClient.connected(shard, { sessionExpiryIntervalSec: 0xffff_ffff }).lose();
    }
    const writes = shard.alarmWrites.length;
    shard.advance(100 * hourMs);
    expect(shard.alarmWrites.length - writes).toBeLessThanOrEqual(shard.shards.length);
    expect(shard.alarmAtMs).toBeUndefined();
  });

  test("is set at most 12 times a minute for any number of idle clients, whatever their Keep Alive", () => {
    const shard = new Harness();
    const keepAliveSec = (index: number) => 1 + ((index * 7) % 50);
    const clients = Array.from({ length: 150 }, (_, index) =>
      SimulatedClient.connected(shard, { keepAliveSec: keepAliveSec(index) }),
    );
    const writes = alarmWritesWhilePinging(shard, clients, keepAliveSec);
    expect(Math.max(...writes.slice(1).flat())).toBeLessThanOrEqual(12);
    expect(clients.every(({ isConnected }) => isConnected)).toBe(true);
  });

  test("is set at most twice a minute when the shortest Keep Alive is 60 s", () => {
    const shard = new Harness();
    const keepAliveSec = (index: number) => 60 + ((index * 13) % 200);
    const clients = Array.from({ length: 150 }, (_, index) =>
      SimulatedClient.connected(shard, { keepAliveSec: keepAliveSec(index) }),
    );
    const writes = alarmWritesWhilePinging(shard, clients, keepAliveSec);
    expect(Math.max(...writes.slice(1).flat())).toBeLessThanOrEqual(2);
  });

  test("comes in pages when a reset left many sessions, and looks after all of them", () => {
    const shard = new Harness();
    for (let index = 0; index < 450 * shard.shards.length; index += 1) {
      SimulatedClient.connected(shard, { sessionExpiryIntervalSec: 10 });
    }
    shard.reset();
    shard.wake();
    shard.advance(30_000);
    expect(shard.sessionRecords).toEqual([]);
  });

  test("wakes an object that was reset, though nobody comes back", () => {
    const shard = new Harness();
    SimulatedClient.connected(shard, { sessionExpiryIntervalSec: 10 });
    shard.reset();
    shard.advance(2 * hourMs);
    expect(shard.sessionRecords).toEqual([]);
  });

  test("is set again for sockets whose alarm is gone", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { keepAliveSec: 10 });
    const clientId = shard.clientIdBeside(client.clientId);
    const witness = SimulatedClient.connected(shard, { clientId, keepAliveSec: 10 });
    shard.evict();
    shard.loseAlarms();
    witness.ping();
    shard.advance(22_000);
    expect(client.isConnected).toBe(false);
  });

  test("that fires while a hibernated object sleeps is not set twice for it", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { keepAliveSec: 60 });
    shard.advance(50_000);
    client.ping();
    shard.evict();
    const writes = shard.alarmWrites.length;
    shard.advance(50_000);
    expect(client.isConnected).toBe(true);
    expect(shard.alarmWrites.length - writes).toBe(1);
  });

  test("leaves a client alone whose due work failed too often", () => {
    const shard = new Harness();
    const bad = SimulatedClient.connected(shard, { keepAliveSec: 10 });
    const good = SimulatedClient.connected(shard, { keepAliveSec: 10 });
    shard.quarantined.add(bad.clientId);
    const writes = shard.alarmWrites.length;
    shard.advance(120_000);
    expect([bad, good].map(({ isConnected }) => isConnected)).toEqual([true, false]);
    expect(shard.alarmWrites.length - writes).toBeLessThanOrEqual(3);
  });
});

describe("a session's due times", () => {
  const options: ClientOptions = { sessionExpiryIntervalSec: 100, keepAliveSec: 20 };

  test("do not count while it is connected", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, options).lose();
    shard.advance(50_000);
    client.connect({ cleanStart: false });
    for (let round = 0; round < 20; round += 1) {
      shard.advance(15_000);
      client.ping();
    }
    expect(client.isConnected).toBe(true);
    expect(client.lose().connect({ cleanStart: false }).connack.sessionPresent).toBe(true);
  });
});
