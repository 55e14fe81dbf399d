import { describe, expect, test } from "vitest";
import { flushBurst } from "../../src/core/config.ts";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const persistent: ClientOptions = { sessionExpiryIntervalSec: week };

function rowsOf(shard: Harness, work: () => void): number {
  const before = shard.rowsWritten;
  work();
  return shard.rowsWritten - before;
}

/** Budgets are those of a shard that does all alone. */
function alone(): Harness {
  return new Harness({ shards: 1 });
}

describe("rows written", () => {
  test("are none for a client without a session that stays", () => {
    const shard = alone();
    const rows = rowsOf(shard, () => {
      const client = SimulatedClient.connected(shard);
      client.subscribe("a/#", 2);
      const publisher = SimulatedClient.connected(shard);
      for (const qos of [0, 1, 2] as const) publisher.publish("a/b", "1", { qos });
      client.ping();
      client.unsubscribe("a/#");
      client.disconnect();
    });
    expect(rows).toBe(0);
  });

  test("are one for CONNECT and one for DISCONNECT with a Will, besides the first of a boot", () => {
    const shard = alone();
    SimulatedClient.connected(shard, { will: willMessage("will") });
    let client: SimulatedClient | undefined;
    const connect = (): void => {
      client = SimulatedClient.connected(shard, { will: willMessage("will") });
    };
    expect(rowsOf(shard, connect)).toBe(1);
    expect(rowsOf(shard, () => client?.disconnect())).toBe(1);
  });

  test("are one each for CONNECT, SUBSCRIBE, UNSUBSCRIBE and a lost connection of a persistent session", () => {
    const shard = alone();
    SimulatedClient.connected(shard, persistent);
    const client = new SimulatedClient(shard, { ...persistent, sessionExpiryIntervalSec: 0xffff_ffff });
    expect(rowsOf(shard, () => client.connect())).toBe(1);
    expect(rowsOf(shard, () => client.subscribe("a", 1))).toBe(1);
    expect(rowsOf(shard, () => client.subscribe("a", 1))).toBe(0);
    expect(rowsOf(shard, () => client.unsubscribe("a"))).toBe(1);
    expect(rowsOf(shard, () => client.unsubscribe("a"))).toBe(0);
    expect(rowsOf(shard, () => client.lose())).toBe(1);
    expect(rowsOf(shard, () => client.connect({ cleanStart: false }))).toBe(1);
  });

  test("are one for a message to 1000 sessions that are away", () => {
    const shard = alone();
    const publisher = SimulatedClient.connected(shard);
    for (let index = 0; index < 1000; index += 1) {
      const away = SimulatedClient.connected(shard, persistent);
      away.subscribe("a", 1);
      away.disconnect();
    }
    expect(rowsOf(shard, () => publisher.publish("a", "1", { qos: 1 }))).toBe(1);
  });

  test("are at most 2 for a lone QoS 1 message to a persistent session, and at most 4 with QoS 2", () => {
    const shard = alone();
    const client = SimulatedClient.connected(shard, persistent);
    client.subscribe("a", 2);
    const publisher = SimulatedClient.connected(shard);
    for (let round = 0; round < 3; round += 1) {
      expect(rowsOf(shard, () => publisher.publish("a", "1", { qos: 1 }))).toBeLessThanOrEqual(2);
      expect(rowsOf(shard, () => publisher.publish("a", "1", { qos: 2 }))).toBeLessThanOrEqual(4);
      shard.advance(1000);
    }
  });

  test("are one for a fan-out to any number of persistent sessions", () => {
    const shard = alone();
    for (let index = 0; index < 50; index += 1)
      SimulatedClient.connected(shard, persistent).subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    expect(rowsOf(shard, () => publisher.publish("a", "1", { qos: 1 }))).toBe(1);
  });

  test("are at most 0.1 a message when 20 or more come in one flush", () => {
    const shard = alone();
    const client = SimulatedClient.connected(shard, persistent);
    client.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    const rows = rowsOf(shard, () => {
      for (let round = 0; round < 10; round += 1) {
        publisher.send(...Array.from({ length: 20 }, () => publisher.publishPacket("a", "1", { qos: 1 })));
      }
    });
    expect(client.payloads).toHaveLength(200);
    expect(rows).toBeLessThanOrEqual(20);
  });

  test("of acknowledgements come with the next flush, after half a minute or 256 of them at the latest", () => {
    const shard = alone();
    const client = SimulatedClient.connected(shard, { ...persistent, acks: "manual" });
    client.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    publisher.send(...Array.from({ length: 10 }, () => publisher.publishPacket("a", "1", { qos: 1 })));
    const packets = client.all("publish");
    expect(rowsOf(shard, () => packets.slice(0, 5).forEach((packet) => client.acknowledge(packet)))).toBe(0);
    shard.advance(30_000);
    expect(rowsOf(shard, () => client.acknowledge(packets[5] ?? client.last("publish")))).toBe(1);
  });

  test("of a slot are used again: the log does not grow with what it has carried", () => {
    const shard = alone();
    const client = SimulatedClient.connected(shard, persistent);
    client.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    for (let round = 0; round < 100; round += 1) publisher.publish("a", "1", { qos: 1 });
    expect(shard.shards.flatMap(({ storage }) => [...storage.readSegmentHeads()]).length).toBeLessThanOrEqual(
      3,
    );
  });
});

describe("a commit", () => {
  test("holds all that one turn brought", () => {
    const shard = alone();
    for (const topic of ["a", "b"]) SimulatedClient.connected(shard, persistent).subscribe(topic, 1);
    const publishers = [0, 1].map(() => SimulatedClient.connected(shard));
    const newcomer = new SimulatedClient(shard, persistent).open();
    const before = shard.commits.length;
    shard.joined(() => {
      publishers[0]?.publish("a", "1", { qos: 1 });
      publishers[1]?.publish("b", "2", { qos: 1, retain: true });
      newcomer.connect();
    });
    const [first] = shard.commits.slice(before);
    expect(first?.segments).toHaveLength(1);
    expect(first?.segments[0]?.publications).toHaveLength(2);
    const blocks = [...(first?.retainedBlocks.values() ?? [])];
    expect(blocks.flatMap((block) => block?.names ?? []).map(({ topicName }) => topicName)).toEqual(["b"]);
    expect([...(first?.sessions.keys() ?? [])]).toEqual([newcomer.clientId]);
  });

  test("comes before every packet that depends on it, and after those that do not", () => {
    const shard = new Harness();
    const durable = SimulatedClient.connected(shard, persistent);
    durable.subscribe("a", 1);
    const fleeting = SimulatedClient.connected(shard, { clientId: shard.clientIdBeside(durable.clientId) });
    fleeting.subscribe("a", 0);
    const publisher = SimulatedClient.connected(shard);
    shard.trace.length = 0;
    publisher.publish("a", "1", { qos: 1 });
    const at = (line: string): number => shard.trace.indexOf(line);
    const committedAt = at(`commit in ${shard.shardOfClient(durable.clientId).index}`);
    expect(at(`publish to ${fleeting.connectionId}`)).toBeLessThan(committedAt);
    expect(at(`publish to ${durable.connectionId}`)).toBeGreaterThan(committedAt);
    expect(at(`puback to ${publisher.connectionId}`)).toBeGreaterThan(committedAt);
  });

  test.each(["suback", "unsuback", "connack", "pubcomp", "pubrel"] as const)(
    "comes before the %s of a persistent session",
    (type) => {
      const shard = new Harness();
      const client = new SimulatedClient(shard, persistent).open();
      const commit = `commit in ${shard.shardOfClient(client.clientId).index}`;
      shard.trace.length = 0;
      const seen: string[] = [];
      const step = (work: () => unknown): void => {
        shard.trace.length = 0;
        work();
        const index = shard.trace.indexOf(`${type} to ${client.connectionId}`);
        if (index >= 0) seen.push(shard.trace.slice(0, index).includes(commit) ? "after" : "before");
      };
      step(() => client.connect());
      step(() => client.subscribe("a", 2));
      step(() => client.publish("a", "1", { qos: 2 }));
      step(() => client.unsubscribe("a"));
      expect(seen).toEqual(["after"]);
    },
  );
});

describe("the rate of flushes", () => {
  /** Spends the burst that a shard has. */
  function exhausted(flushesPerSecMax: number) {
    const shard = new Harness({ shards: 1, flushesPerSecMax });
    const client = SimulatedClient.connected(shard, persistent);
    client.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    while (shard.commits.length < flushBurst) publisher.publish("a", "1", { qos: 1 });
    publisher.take();
    return { shard, client, publisher };
  }

  test("lets a burst through, then acknowledgements wait for the next token", () => {
    const { shard, client, publisher } = exhausted(20);
    const before = client.payloads.length;
    publisher.publish("a", "waits", { qos: 1 });
    publisher.publish("a", "too", { qos: 1 });
    publisher.ping();
    expect(publisher.take().map(({ type }) => type)).toEqual(["pingresp"]);
    expect(client.payloads).toHaveLength(before);
    expect(shard.isAwake).toBe(true);
    const commits = shard.commits.length;
    shard.advance(200);
    expect(shard.commits).toHaveLength(commits + 1);
    expect(publisher.take().map(({ type }) => type)).toEqual(["puback", "puback"]);
    expect(client.payloads.slice(before)).toEqual(["waits", "too"]);
  });

  test("holds back neither QoS 0 nor what needs no write", () => {
    const { shard, publisher } = exhausted(1);
    const fleeting = SimulatedClient.connected(shard);
    fleeting.subscribe("b", 1);
    publisher.publish("b", "0");
    publisher.publish("b", "1", { qos: 1 });
    expect(fleeting.payloads).toEqual(["0", "1"]);
    expect(publisher.take().map(({ type }) => type)).toEqual(["puback"]);
  });

  test("does not hold back CONNACK and SUBACK; what waited goes with their commit", () => {
    const { shard, publisher } = exhausted(1);
    publisher.publish("a", "waits", { qos: 1 });
    expect(publisher.take()).toEqual([]);
    const other = SimulatedClient.connected(shard, persistent);
    expect(other.connack.reasonCode).toBe(0);
    expect(publisher.take().map(({ type }) => type)).toEqual(["puback"]);
  });

  test("in the long run is not exceeded", () => {
    const { shard, publisher } = exhausted(5);
    const commits = shard.commits.length;
    for (let index = 0; index < 100; index += 1) {
      publisher.publish("a", "1", { qos: 1 });
      shard.advance(100);
    }
    expect(shard.commits.length - commits).toBeLessThanOrEqual(52);
  });

  test("of Infinity writes at the end of every turn", () => {
    const { publisher } = exhausted(Infinity);
    publisher.publish("a", "1", { qos: 1 });
    expect(publisher.take().map(({ type }) => type)).toEqual(["puback"]);
  });

  test("loses nothing that was acknowledged when a reset comes between", () => {
    const { shard, client, publisher } = exhausted(1);
    publisher.publish("a", "not acknowledged", { qos: 1 });
    const delivered = client.payloads.length;
    shard.reset();
    client.connect({ cleanStart: false });
    expect(client.payloads.slice(delivered)).not.toContain("not acknowledged");
  });
});
