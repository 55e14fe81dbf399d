/** Where the parts meet: outages, refusals and limits that no single part sees. */
import { expect, test } from "vitest";
import { encodeSession } from "../../../src/storage/record-codec.ts";
import { emptyWriteSet } from "../../../src/core/storage-port.ts";
import { MemoryShardStorage } from "../../../src/storage/memory-shard-storage.ts";
import { Harness } from "../harness.ts";
import { SimulatedClient, willMessage } from "../simulated-client.ts";
import { Returning } from "./actors.ts";
import { Network, routesOf } from "./network.ts";

const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
const week = 7 * 24 * 3600;
function client(network: Network, shard: number, name: string): SimulatedClient {
  return SimulatedClient.connected(network, { clientId: network.clientOn(shard, name) });
}

test.each([1, 2] as const)(
  "At QoS %i an acknowledged shared message survives a reset of the owner",
  (qos) => {
    const network = new Network();
    const topic = network.topicOn(2);
    const members = [1, 3].map((shard) => new Returning(network, network.clientOn(shard, "m")).comeBack());
    for (const member of members) member.subscribe(`$share/g/${topic}`, 2);
    const pub = client(network, 2, "pub");
    network.rule = ({ batch }) => (batch.lane === "deliver" ? "hold" : "pass");
    pub.publish(topic, "a", { qos });
    const first = network.held[0]!.batch.to;
    members[first === 1 ? 0 : 1]!.lose();
    network.advance(1500);
    expect(pub.all(qos === 1 ? "puback" : "pubrec")).toHaveLength(1);
    network.rule = ({ batch }) => (batch.lane === "deliver" && batch.to !== first ? "hold" : "pass");
    network.release(({ batch }) => batch.to === first);
    network.advance(900);
    network.rule = () => "pass";
    network.resetShard(2);
    for (const member of members) member.comeBack();
    network.wake();
    network.advance(3_600_000);
    expect(members.flatMap(({ payloads }) => payloads)).toEqual(["a"]);
  },
);

test("QoS 0 comes again after an outage of the owner", () => {
  const network = new Network();
  const topic = network.topicOn(2);
  const sub = client(network, 3, "sub");
  sub.subscribe(topic, 0);
  const pub = client(network, 1, "pub");
  network.rule = ({ batch }) => (batch.to === 2 ? "lose" : "pass");
  for (let i = 0; i < 30; i += 1) {
    pub.publish(topic, "down");
    network.advance(100);
  }
  network.rule = () => "pass";
  network.advance(3_600_000);
  for (let i = 0; i < 100; i += 1) {
    pub.publish(topic, `after ${i}`);
    network.advance(60_000);
  }
  expect(sub.payloads.length).toBeGreaterThan(90);
});

test("The limit of subscription bytes holds for those on their way", () => {
  const network = new Network();
  const c = new Returning(network, network.clientOn(1, "c")).comeBack();
  network.joined(() => {
    for (let n = 0, sent = 0; sent < 60; n += 1) {
      const topicFilter = `t/${n}/${"x".repeat(60_000)}`;
      if (network.placement.topicShard(topicFilter) === 1) continue;
      sent += 1;
      c.send({
        type: "subscribe",
        packetIdentifier: n + 1,
        requests: [{ topicFilter, maximumQos: 1, ...options }],
      });
    }
  });
  network.advance(1000);
  expect(encodeSession(network.sessionRecord(c.clientId)!).length).toBeLessThan(2_000_000);
});

test("Retained messages of several filters of one SUBSCRIBE come at once", () => {
  const network = new Network();
  const topics = [0, 2, 3].map((shard) => network.topicOn(shard));
  const pub = client(network, 1, "pub");
  for (const topic of topics) pub.publish(topic, "kept", { retain: true, qos: 1 });
  const sub = client(network, 1, "sub");
  sub.send({
    type: "subscribe",
    packetIdentifier: 1,
    requests: topics.map((topicFilter) => ({ topicFilter, maximumQos: 1 as const, ...options })),
  });
  network.advance(1000);
  expect(sub.payloads).toHaveLength(3);
});

test("200 clients get one small retained message at once", () => {
  const network = new Network();
  const topic = network.topicOn(2);
  client(network, 0, "pub").publish(topic, "kept", { retain: true, qos: 1 });
  const subs = Array.from({ length: 200 }, (_, i) => client(network, 1, `s${i}`));
  network.joined(() => {
    for (const s of subs)
      s.send({
        type: "subscribe",
        packetIdentifier: 1,
        requests: [{ topicFilter: topic, maximumQos: 1, ...options }],
      });
  });
  network.advance(1000);
  expect(subs.filter((s) => s.payloads.length > 0)).toHaveLength(200);
});

test("A page that does not come while the socket is full makes no busy loop", () => {
  const network = new Network();
  const topic = network.topicOn(2);
  client(network, 2, "pub").publish(topic, "kept", { retain: true, qos: 1 });
  const sub = client(network, 1, "sub");
  network.rule = ({ batch }) => (batch.lane === "deliver" ? "hold" : "pass");
  sub.subscribe(topic, 1);
  network.fullSockets.add(sub.connectionId);
  network.advance(10_000);
});

test("A shard does not stay awake for a client that is gone and an owner that does not answer", () => {
  const network = new Network();
  const topic = network.topicOn(2);
  client(network, 2, "pub").publish(topic, "kept", { retain: true, qos: 1 });
  const sub = new Returning(network, network.clientOn(1, "sub")).comeBack();
  network.rule = ({ batch }) => (batch.lane === "deliver" ? "lose" : "pass");
  sub.subscribe(topic, 1);
  network.rule = ({ batch }) => (batch.to === 2 || batch.from === 2 ? "lose" : "pass");
  sub.lose();
  network.advance(24 * 3_600_000);
  expect(network.at(1).timerDueAtMs).toBeUndefined();
});

test("The alarm of a shard with a foreign layout touches nothing", () => {
  const storage = new MemoryShardStorage();
  const before = new Harness({ shards: 1, storage });
  const will = willMessage("w", { qos: 1, retain: true, willDelayIntervalSec: 100 });
  SimulatedClient.connected(before, { clientId: "c", sessionExpiryIntervalSec: 600, will }).lose();
  storage.commit({
    ...emptyWriteSet(),
    shard: { ...storage.readShard()!, layout: { epoch: 1, shards: 4, topicKeyLevels: 2 } },
  });
  const after = new Harness({ shards: 1, storage });
  after.wake();
  after.shards[0]!.fireAlarm();
  after.settle();
  after.advance(3_600_000);
  expect([...storage.readSessions()]).toHaveLength(1);
});

test("Data of a release without layouts belong to one shard", () => {
  const network = new Network();
  network.at(0).storage.commit({ ...emptyWriteSet(), shard: { boot: 3, settledBoot: 3 } });
  const c = client(network, 0, "c");
  expect(c.closed).toBeDefined();
});

test("No retained message comes after UNSUBACK", () => {
  const network = new Network();
  const topic = network.topicOn(2);
  client(network, 2, "pub").publish(topic, "kept", { retain: true, qos: 1 });
  const sub = client(network, 1, "sub");
  network.rule = ({ batch }) => (batch.lane === "deliver" ? "hold" : "pass");
  sub.subscribe(topic, 1);
  sub.unsubscribe(topic);
  network.rule = () => "pass";
  network.release();
  network.advance(10_000);
  expect(sub.payloads).toEqual([]);
});

test("A flush that has nothing to write writes no segment (one shard)", () => {
  const h = new Harness({ shards: 1 });
  SimulatedClient.connected(h, { clientId: "sub", sessionExpiryIntervalSec: week }).subscribe("a", 2);
  const pub = SimulatedClient.connected(h, { clientId: "pub", sessionExpiryIntervalSec: week });
  pub.publish("a", "1", { qos: 2 });
  h.advance(1000);
  SimulatedClient.connected(h, { clientId: "x", sessionExpiryIntervalSec: week });
  pub.publish("a", "2", { qos: 2 });
  h.advance(60_000);
  pub.publish("a", "3", { qos: 2 });
  h.advance(1000);
  SimulatedClient.connected(h, { clientId: "y", sessionExpiryIntervalSec: week });
  const before = h.rowsWritten;
  pub.publish("b", "1", { retain: true });
  expect(h.rowsWritten - before).toBe(1);
});

test("A refusal in the midst of opening leaves no route", () => {
  const network = new Network({ limits: { lane: { messagesMax: 3, bytesMax: 1_000_000 } } });
  const subs = [0, 1, 2, 3, 4, 5].map((i) => client(network, 1, `s${i}`));
  network.rule = ({ batch }) => (batch.to === 0 && batch.lane === "publish" ? "hold" : "pass");
  for (const [i, s] of subs.entries())
    s.send({
      type: "subscribe",
      packetIdentifier: 1,
      requests: [{ topicFilter: i < 5 ? network.topicOn(0, `f${i}`) : "#", maximumQos: 1, ...options }],
    });
  network.rule = () => "pass";
  network.release();
  for (const s of subs) s.disconnect();
  network.advance(600_000);
  expect(routesOf(network).actual).toEqual([]);
});

test("Two SUBSCRIBEs for a filter that is refused are both refused", () => {
  const network = new Network();
  const topic = network.topicOn(2);
  const sub = client(network, 1, "sub");
  network.rule = ({ batch }) => (batch.to === 2 ? "lose" : "pass");
  for (const packetIdentifier of [1, 2])
    sub.send({
      type: "subscribe",
      packetIdentifier,
      requests: [{ topicFilter: topic, maximumQos: 1, ...options }],
    });
  network.advance(10_000);
  expect(sub.all("suback").map(({ reasonCodes }) => reasonCodes[0])).toEqual([0x80, 0x80]);
});

test("QoS 2 once, though an item of the outbox was done before it was written", () => {
  const network = new Network({ flushesPerSecMax: 0.1 });
  const topic = network.topicOn(2);
  const members = [1, 3].map((shard) => new Returning(network, network.clientOn(shard, "m")).comeBack());
  for (const member of members) member.subscribe(`$share/g/${topic}`, 2);
  const pub = client(network, 2, "pub");
  pub.publish(topic, "w", { qos: 2 });
  pub.publish(topic, "w", { qos: 2 });
  network.advance(60_000);
  for (let i = 0; i < 130; i += 1) pub.publish(network.topicOn(2, "r"), `${i}`, { retain: true });
  network.rule = ({ batch }) => (batch.lane === "deliver" ? "hold" : "pass");
  pub.publish(topic, "x", { qos: 2 });
  members[network.held[0]!.batch.to === 1 ? 0 : 1]!.lose();
  network.advance(1100);
  network.rule = () => "pass";
  network.release();
  const count = network.at(2).commits.length;
  for (let i = 0; i < 300 && network.at(2).commits.length === count; i += 1) network.advance(100);
  network.resetShard(2);
  network.wake();
  for (const member of members) member.comeBack();
  network.advance(1_200_000);
  network.wake();
  network.advance(600_000);
  expect(members.flatMap(({ payloads }) => payloads).filter((p) => p === "x")).toEqual(["x"]);
});
