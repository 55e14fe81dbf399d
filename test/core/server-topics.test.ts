import { describe, expect, test } from "vitest";
import { Harness } from "./harness.ts";
import type { ClientOptions } from "./simulated-client.ts";
import { SimulatedClient, textOf } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const minuteMs = 60_000;
/** The alarm may come this much late. */
const slipMs = 5_000;
const limits = { serverTopicsIntervalSec: 60 };
const all = "$SYS/#";

function setUp(options: ClientOptions = {}) {
  const shard = new Harness({ limits });
  return { shard, watcher: SimulatedClient.connected(shard, options) };
}

/** The figures that came since the last call, by what follows `$SYS/broker/`, or `$SYS/` if that is another one. */
function figuresFor(client: SimulatedClient): Record<string, string> {
  const figures: Record<string, string> = {};
  for (const packet of client.take()) {
    if (packet.type !== "publish") continue;
    const { topicName, payload } = packet.message;
    if (!/^\$SYS\/(?:broker|cost)\//.test(topicName)) throw new Error(topicName);
    figures[topicName.replace(/^\$SYS\/(?:broker\/)?/, "")] = textOf(payload);
  }
  return figures;
}

function countFor(client: SimulatedClient): number {
  return Object.keys(figuresFor(client)).length;
}

const names = [
  "version",
  "uptime",
  "clients/connected",
  "clients/total",
  "clients/expired",
  "messages/received",
  "messages/sent",
  "messages/dropped",
  "refusals",
  "bytes/received",
  "bytes/sent",
  "subscriptions/count",
  "retained/count",
  "queue/messages",
  "queue/segments",
  "peers/calls",
  "peers/items",
  "peers/failures",
  "peers/refusals",
  "peers/kept",
  "cost/since",
  "cost/requests",
  "cost/frames/received",
  "cost/calls/billed",
  "cost/calls/made",
  "cost/alarms",
  "cost/rows/read",
  "cost/rows/written",
  "cost/stored/bytes",
  "cost/awake/seconds/estimated",
  "cost/usd/estimated",
];

describe("a subscription to $SYS", () => {
  test("is answered with all figures, as if they were retained", () => {
    const { watcher } = setUp();
    expect(watcher.subscribe(all, 2).reasonCodes).toEqual([2]);
    expect(watcher.inbox.map(({ type }) => type).slice(0, 3)).toEqual(["connack", "suback", "publish"]);
    for (const publish of watcher.all("publish")) {
      expect(publish).toMatchObject({ qos: 0, retain: true, dup: false });
    }
    expect(Object.keys(figuresFor(watcher))).toEqual(names);
  });

  test("brings those that match, and none for what does not exist", () => {
    const { watcher } = setUp();
    watcher.take();
    const namesOf = (filter: string): string[] => {
      watcher.subscribe(filter);
      return Object.keys(figuresFor(watcher));
    };
    expect(namesOf("$SYS/broker/uptime")).toEqual(["uptime"]);
    expect(namesOf("$SYS/+/clients/+")).toEqual(["clients/connected", "clients/total", "clients/expired"]);
    expect(namesOf("$SYS/broker/queue/#")).toEqual(["queue/messages", "queue/segments"]);
    for (const filter of ["$SYS", "$SYS/+", "$SYS/broker", "$SYS/broker/constructor", "$SYS/broker/clients"])
      expect(namesOf(filter)).toEqual([]);
  });

  test("[MQTT-4.7.2-1] is none that begins with a wildcard", () => {
    const { shard, watcher } = setUp();
    for (const filter of ["#", "+/broker/uptime", "+/#"]) watcher.subscribe(filter);
    expect(shard.alarmAtMs).toBeUndefined();
    SimulatedClient.connected(shard).subscribe(all);
    shard.advance(minuteMs + slipMs);
    expect(watcher.messages).toEqual([]);
  });

  test("follows Retain Handling", () => {
    const { watcher } = setUp();
    watcher.subscribe("$SYS/broker/uptime", 0, { retainHandling: 2 });
    expect(countFor(watcher)).toBe(0);
    watcher.subscribe("$SYS/broker/uptime", 0, { retainHandling: 1 });
    expect(countFor(watcher)).toBe(0);
    watcher.subscribe("$SYS/broker/uptime", 0, { retainHandling: 0 });
    expect(countFor(watcher)).toBe(1);
  });

  test.each([1, 4])(
    "that is shared brings nothing at once, and then each figure to one member, of %i shards",
    (shards) => {
      const shard = new Harness({ shards, limits });
      const watcher = SimulatedClient.connected(shard);
      const others = Array.from({ length: 5 }, () => SimulatedClient.connected(shard));
      const members = [watcher, ...others];
      for (const client of members) client.subscribe("$share/g/$SYS/#");
      for (const client of members) expect(countFor(client)).toBe(0);
      shard.advance(minuteMs + slipMs);
      const told = members.map((client) => Object.keys(figuresFor(client)));
      expect(told.flat().toSorted()).toEqual(names.toSorted());
      for (const figures of told) expect(figures).not.toEqual([]);
    },
  );

  test("of a client of 3.1.1 is served as well", () => {
    const { shard, watcher } = setUp({ protocolVersion: 4 });
    watcher.subscribe(all, 1);
    expect(countFor(watcher)).toBe(names.length);
    shard.advance(minuteMs + slipMs);
    expect(countFor(watcher)).toBe(names.length);
  });
});

describe("the figures of $SYS", () => {
  test("come again at intervals while somebody is subscribed, with RETAIN as published", () => {
    const { shard, watcher } = setUp();
    const keeping = SimulatedClient.connected(shard);
    watcher.subscribe(all);
    keeping.subscribe(all, 0, { retainAsPublished: true });
    for (let round = 0; round < 3; round += 1) {
      watcher.take();
      keeping.take();
      shard.advance(minuteMs + slipMs);
      expect(watcher.all("publish").every(({ retain }) => !retain)).toBe(true);
      expect(keeping.all("publish").every(({ retain }) => retain)).toBe(true);
      expect([countFor(watcher), countFor(keeping)]).toEqual([names.length, names.length]);
    }
  });

  test("cost one alarm an interval, whoever is subscribed, and no other row", () => {
    const { shard, watcher } = setUp();
    const neighbour = SimulatedClient.connected(shard, { clientId: shard.clientIdBeside(watcher.clientId) });
    for (const client of [watcher, neighbour]) client.subscribe(all);
    const alarms = shard.alarmWrites.length;
    shard.advance(10 * (minuteMs + slipMs));
    expect(shard.alarmWrites.length - alarms).toBeLessThanOrEqual(11);
    expect(shard.rowsWritten).toBe(shard.alarmWrites.length);
    expect(shard.isAwake).toBe(false);
  });

  test("come after an eviction as well, however often the shard sleeps", () => {
    const { shard, watcher } = setUp();
    watcher.subscribe(all);
    for (let round = 0; round < 3; round += 1) {
      watcher.take();
      shard.evict();
      shard.advance(minuteMs + slipMs);
      expect(countFor(watcher)).toBe(names.length);
    }
  });

  test("come though the shard sleeps and is woken all the time", () => {
    const { shard, watcher } = setUp();
    watcher.subscribe("$SYS/broker/uptime");
    const publisher = SimulatedClient.connected(shard);
    watcher.take();
    for (let round = 0; round < 16; round += 1) {
      shard.evict();
      shard.advance(minuteMs / 4);
      publisher.publish("a");
    }
    expect(watcher.all("publish").length).toBeGreaterThanOrEqual(2);
    expect(watcher.all("publish").length).toBeLessThanOrEqual(5);
  });

  test("come to a session that goes on, and wait for nobody", () => {
    const { shard, watcher } = setUp({ sessionExpiryIntervalSec: week });
    watcher.subscribe(all, 1);
    watcher.lose();
    shard.advance(3 * minuteMs);
    const alarms = shard.alarmWrites.length;
    shard.advance(10 * minuteMs);
    expect(shard.alarmWrites).toHaveLength(alarms);
    watcher.connect({ cleanStart: false });
    expect(countFor(watcher)).toBe(0);
    shard.advance(minuteMs + slipMs);
    expect(countFor(watcher)).toBe(names.length);
  });

  test.each(["unsubscribe", "disconnect", "lose", "takeover"] as const)(
    "come no more, and set no alarm, after the last watcher's %s",
    (way) => {
      const { shard, watcher } = setUp();
      const stranger = SimulatedClient.connected(shard);
      stranger.subscribe("#");
      watcher.subscribe(all);
      if (way === "unsubscribe") watcher.unsubscribe(all);
      else if (way === "takeover") watcher.open().connect();
      else watcher[way]();
      watcher.take();
      shard.advance(2 * minuteMs);
      expect(shard.alarmAtMs).toBeUndefined();
      const { length } = shard.alarmWrites;
      stranger.publish("a");
      shard.advance(10 * minuteMs);
      expect(shard.alarmWrites).toHaveLength(length);
      expect(countFor(watcher)).toBe(0);
    },
  );

  test("go on for the others when one of the watchers leaves", () => {
    const { shard, watcher } = setUp();
    const other = SimulatedClient.connected(shard);
    for (const client of [watcher, other]) client.subscribe(all);
    watcher.subscribe("$SYS/broker/uptime");
    watcher.unsubscribe(all);
    other.disconnect();
    watcher.take();
    shard.advance(minuteMs + slipMs);
    expect(Object.keys(figuresFor(watcher))).toEqual(["uptime"]);
  });

  test("cost nothing while nobody is subscribed to them", () => {
    const { shard, watcher } = setUp();
    watcher.subscribe("#");
    watcher.subscribe("$system/#");
    watcher.subscribe("$SYSTEM/#");
    const rows = shard.rowsWritten;
    watcher.publish("a");
    shard.advance(10 * minuteMs);
    expect(shard.rowsWritten).toBe(rows);
    expect(shard.alarmWrites).toEqual([]);
    expect(watcher.payloads).toHaveLength(1);
  });

  test("are not to be published by clients", () => {
    const { watcher } = setUp();
    watcher.subscribe(all);
    watcher.take();
    watcher.publish("$SYS/broker/uptime", "forged", { qos: 1 });
    expect(watcher.take().map(({ type }) => type)).toEqual(["puback"]);
  });
});

describe("the value of", () => {
  function figuresOf(shard: Harness): Record<string, string> {
    shard.advance(1);
    const reader = SimulatedClient.connected(shard);
    reader.subscribe(all);
    const figures = figuresFor(reader);
    reader.disconnect();
    return figures;
  }

  test("version and uptime", () => {
    const { shard } = setUp();
    shard.advance(90_500);
    expect(figuresOf(shard)).toMatchObject({ version: "duramq test", uptime: "90" });
  });

  test("clients", () => {
    const { shard, watcher } = setUp();
    SimulatedClient.connected(shard, { sessionExpiryIntervalSec: 60 }).lose();
    SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week }).lose();
    expect(figuresOf(shard)).toMatchObject({ "clients/connected": "2", "clients/total": "4" });
    watcher.disconnect();
    shard.advance(100_000);
    expect(figuresOf(shard)).toMatchObject({
      "clients/connected": "1",
      "clients/total": "2",
      "clients/expired": "1",
    });
  });

  test("messages", () => {
    const { shard, watcher } = setUp({ maximumPacketSizeBytes: 100 });
    watcher.subscribe("a");
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1");
    publisher.publish("a", "2", { qos: 1 });
    publisher.publish("a", "x".repeat(100));
    publisher.publish("b", "3");
    publisher.publish("$SYS/x", "4", { qos: 1 });
    expect(figuresOf(shard)).toMatchObject({
      "messages/received": "5",
      "messages/sent": "2",
      "messages/dropped": "1",
      refusals: "1",
    });
  });

  test("bytes", () => {
    const { shard } = setUp();
    for (const { traffic } of shard.shards) Object.assign(traffic, { bytesReceived: 12, bytesSent: 34 });
    const count = shard.shards.length;
    expect(figuresOf(shard)).toMatchObject({
      "bytes/received": `${12 * count}`,
      "bytes/sent": `${34 * count}`,
    });
  });

  test("subscriptions, retained messages and queues", () => {
    const { shard, watcher } = setUp({ sessionExpiryIntervalSec: week });
    watcher.subscribe("a", 1);
    watcher.subscribe("$share/g/b", 1);
    watcher.lose();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "1", { qos: 1, retain: true });
    publisher.publish("b", "2", { qos: 2, retain: true });
    publisher.publish("b", "", { retain: true });
    const expected = { "retained/count": "1", "queue/messages": "2" };
    expect(figuresOf(shard)).toMatchObject({ "subscriptions/count": "3", ...expected });
    shard.evict();
    expect(figuresOf(shard)).toMatchObject({ "subscriptions/count": "3", ...expected });
    watcher.connect({ cleanStart: false });
    shard.advance(31_000);
    watcher.disconnect();
    expect(figuresOf(shard)).toMatchObject({ "queue/messages": "0" });
  });

  test("segments, of a shard alone", () => {
    const shard = new Harness({ shards: 1, limits });
    const client = SimulatedClient.connected(shard, { sessionExpiryIntervalSec: week });
    client.subscribe("#", 1);
    client.lose();
    const publisher = SimulatedClient.connected(shard);
    for (const qos of [1, 2] as const) publisher.publish("a", "1", { qos });
    expect(figuresOf(shard)).toMatchObject({ "queue/segments": "2" });
    shard.evict();
    expect(figuresOf(shard)).toMatchObject({ "queue/segments": "2" });
    client.connect({ cleanStart: false });
    shard.advance(31_000);
    client.disconnect();
    expect(figuresOf(shard)).toMatchObject({ "queue/segments": "0" });
  });
});
