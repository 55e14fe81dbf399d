/** Events that share a turn: what one of them has changed, a later one may change back. */
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/core/limits.ts";
import type { ClientPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { Harness } from "./harness.ts";
import { bytesOf, SimulatedClient } from "./simulated-client.ts";

const options = { maximumQos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

function subscribe(topicFilters: readonly string[]): ClientPacket {
  const requests = topicFilters.map((topicFilter) => ({ topicFilter, ...options }));
  return { type: "subscribe", packetIdentifier: 1, requests };
}

function typesOf(client: SimulatedClient): string[] {
  return client.take().map(({ type }) => type);
}

describe("a turn after which nothing is left to write", () => {
  test("lets go what waited for the write", () => {
    const shard = new Harness();
    const topic = `${"x".repeat(50)}/x`;
    // Where the topics are, so that nobody else is told.
    const client = SimulatedClient.connected(shard, {
      clientId: shard.clientIdOn(shard.shardOfTopic(topic).index),
    });
    // So many that they need a row, and none of them is left.
    const topicFilters = Array.from({ length: 60 }, (_, index) => `${topic}/${index}`);
    client.take();
    client.send(
      subscribe(topicFilters),
      { type: "unsubscribe", packetIdentifier: 2, topicFilters },
      { type: "pingreq" },
    );
    expect(typesOf(client)).toEqual(["suback", "unsuback", "pingresp"]);
    expect(shard.commits).toEqual([]);
  });

  test("lets go what others waited for as well", () => {
    const shard = new Harness();
    const passing = new SimulatedClient(shard, { sessionExpiryIntervalSec: 100 }).open();
    const other = new SimulatedClient(shard).open();
    const publisher = SimulatedClient.connected(shard);
    publisher.take();
    const message = { topicName: "a", payload: bytesOf("1"), qos: 1, retain: false } as const;
    shard.joined(() => {
      passing.connect();
      other.connect();
      publisher.send({ type: "publish", dup: false, packetIdentifier: 1, message });
      passing.disconnect(0, { sessionExpiryIntervalSec: 0 });
    });
    expect(typesOf(other)).toContain("connack");
    expect(typesOf(publisher)).toEqual(["puback"]);
  });
});

describe("what one client gets in one turn", () => {
  test("is bounded; the rest of a backlog comes in the next ones, in order", () => {
    const shard = new Harness();
    const goOn = { cleanStart: false, sessionExpiryIntervalSec: 3600, acks: "manual" } as const;
    const client = SimulatedClient.connected(shard, goOn);
    client.subscribe("a", 1);
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    const payloads = Array.from({ length: 20 }, (_, index) => `${index} ${"x".repeat(200_000)}`);
    for (const payload of payloads) publisher.publish("a", payload, { qos: 1 });
    client.connect(goOn);
    expect(client.payloads.length).toBeLessThan(10);
    shard.advance(1000);
    expect(client.payloads).toEqual(payloads);
  });
});

describe("an acknowledgement that the client could not take", () => {
  test("[MQTT-3.1.2-24] is not caused: SUBSCRIBE and UNSUBSCRIBE end the connection with 0x95", () => {
    for (const type of ["subscribe", "unsubscribe"] as const) {
      const shard = new Harness({ limits: defaultLimits });
      const client = SimulatedClient.connected(shard, { maximumPacketSizeBytes: 60 });
      const topicFilters = Array.from({ length: 80 }, (_, index) => `a/${index}`);
      if (type === "subscribe") client.send(subscribe(topicFilters));
      else client.send({ type, packetIdentifier: 1, topicFilters });
      expect(client.last("disconnect").reasonCode).toBe(ReasonCode.PacketTooLarge);
      expect(client.isConnected).toBe(false);
    }
  });
});

describe("a fault behind a SUBACK that waits for a write", () => {
  test("[MQTT-4.13.1-1] is told all the same", () => {
    const shard = new Harness();
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: 3600 });
    client.send(subscribe(["a"]), { type: "connect" } as ClientPacket);
    expect(client.last("disconnect").reasonCode).toBe(ReasonCode.ProtocolError);
  });
});

describe("a session that a reset cut and the alarm detached", () => {
  test("[MQTT-3.3.2-5] gets what came afterwards as new: without DUP, and not when it has expired", () => {
    const shard = new Harness();
    const goOn = { cleanStart: false, sessionExpiryIntervalSec: 86_400 };
    const client = SimulatedClient.connected(shard, { ...goOn, keepAliveSec: 10 });
    client.subscribe("a", 1);
    shard.reset();
    shard.advance(60_000);
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "expires", { qos: 1, messageExpiryIntervalSec: 10 });
    publisher.publish("a", "stays", { qos: 1 });
    shard.advance(3_600_000);
    client.connect(goOn);
    expect(client.payloads).toEqual(["stays"]);
    expect(client.last("publish").dup).toBe(false);
  });
});

describe("a long queue", () => {
  test("ends with its session, and costs no more reads than what is the session's own", () => {
    const shard = new Harness();
    const goOn = { cleanStart: false, sessionExpiryIntervalSec: 3600 };
    const client = SimulatedClient.connected(shard, goOn);
    client.subscribe("a", 1);
    client.lose();
    const other = SimulatedClient.connected(shard, goOn);
    other.subscribe("b", 1);
    other.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "mine", { qos: 1 });
    for (let index = 0; index < 200; index += 1) publisher.publish("b", `${index}`, { qos: 1 });
    const before = shard.rowsRead;
    client.connect(goOn);
    expect(client.payloads).toEqual(["mine"]);
    expect(shard.rowsRead - before).toBeLessThan(10);
    client.connect({ cleanStart: true });
    other.connect({ cleanStart: true });
    expect(shard.segmentCount).toBe(0);
  });
});
