/** What several shards cost: calls between them, rows and alarms, as counted by the counters that make up the bill. */
import { describe, expect, test } from "vitest";
import type { QoS } from "../../../src/core/packet.ts";
import type { Call, HarnessOptions } from "../harness.ts";
import { Harness } from "../harness.ts";
import type { ClientOptions, SubscribeOptions } from "../simulated-client.ts";
import { SimulatedClient } from "../simulated-client.ts";

const shardCount = 4;
const persistent: ClientOptions = { cleanStart: false, sessionExpiryIntervalSec: 3600 };
/** Retained messages are not asked for. */
const withoutRetained: SubscribeOptions = { retainHandling: 2 };
const minuteMs = 60_000;
const nowhere = [0, 0, 0, 0];

interface Bill {
  /** Between shards. */
  readonly calls: number;
  /** By shard, without alarms. */
  readonly rows: readonly number[];
  /** Times that the alarm was set, by shard. */
  readonly alarms: readonly number[];
}

class Namespace extends Harness {
  #names = 0;

  constructor(options: HarnessOptions = {}) {
    super({ shards: shardCount, ...options });
  }

  client(shard: number, options: ClientOptions = {}): SimulatedClient {
    const clientId = this.#nameOn((name) => this.placement.sessionShard(name) === shard, "client");
    return SimulatedClient.connected(this, { clientId, ...options });
  }

  topicOn(shard: number): string {
    return this.#nameOn((name) => this.placement.topicShard(name) === shard, "topic");
  }

  subscriber(shard: number, topicName: string, qos: QoS, options: ClientOptions = {}): SimulatedClient {
    const client = this.client(shard, options);
    client.subscribe(topicName, qos, withoutRetained);
    return client;
  }

  /** Every shard has written what it writes once in a life, for routes and for numbers of QoS 2 messages. */
  settleIn(): this {
    for (const { index } of this.shards) {
      const client = this.client(index);
      const topicName = this.topicOn((index + 1) % shardCount);
      client.subscribe(topicName, 0, withoutRetained);
      client.publish(topicName, "x", { qos: 2 });
      client.disconnect();
    }
    return this;
  }

  bill(work: () => void): Bill {
    const before = this.#total();
    work();
    const after = this.#total();
    const since = (now: readonly number[], then: readonly number[]): number[] =>
      now.map((count, index) => count - (then[index] as number));
    return {
      calls: after.calls - before.calls,
      rows: since(after.rows, before.rows),
      alarms: since(after.alarms, before.alarms),
    };
  }

  #total(): Bill {
    const calls = this.shards.reduce((sum, { core }) => sum + core.counters.peerCalls, 0);
    if (calls !== this.callCount) throw new Error(`${calls} calls are counted of ${this.callCount}`);
    return {
      calls,
      rows: this.shards.map(({ storage }) => storage.rowsWritten),
      alarms: this.shards.map(({ alarmWrites }) => alarmWrites.length),
    };
  }

  #nameOn(isThere: (name: string) => boolean, prefix: string): string {
    for (;;) {
      this.#names += 1;
      const name = `${prefix}/${this.#names}`;
      if (isThere(name)) return name;
    }
  }
}

function publishAll(publisher: SimulatedClient, topicName: string, qos: QoS, count: number): void {
  for (let index = 0; index < count; index += 1) publisher.publish(topicName, `${index}`, { qos });
}

describe.each([0, 1, 2] as const)("calls for a QoS %i message", (qos) => {
  test.each([
    ["all on one shard", 1, 1, [1, 1, 1], 0],
    ["owner and subscribers on another shard", 0, 1, [1, 1], 1],
    ["publisher and owner on one shard", 1, 1, [2, 2, 2], 1],
    ["all apart", 0, 1, [2, 2, 2], 2],
    ["subscribers on the publisher's shard", 0, 1, [0], 2],
    ["subscribers everywhere", 0, 1, [0, 1, 2, 3], 4],
    ["nobody subscribed", 0, 1, [], 1],
    ["nobody subscribed, on the owner's shard", 1, 1, [], 0],
  ])("%s", (_, publisherShard, ownerShard, subscriberShards, calls) => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(ownerShard);
    const subscribers = subscriberShards.map((shard) => namespace.subscriber(shard, topicName, qos));
    const publisher = namespace.client(publisherShard);
    expect(namespace.bill(() => publisher.publish(topicName, "x", { qos })).calls).toBe(calls);
    expect(subscribers.map(({ payloads }) => payloads)).toEqual(subscribers.map(() => ["x"]));
  });

  test("fewer when many come in one turn", () => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(1);
    const subscribers = [1, 2, 3].map((shard) => namespace.subscriber(shard, topicName, qos));
    const publishers = Array.from({ length: 10 }, () => namespace.client(0));
    const { calls } = namespace.bill(() =>
      namespace.joined(() => publishers.forEach((publisher) => publishAll(publisher, topicName, qos, 100))),
    );
    // Two batches of 500 on each of three lanes.
    expect(calls).toBe(6);
    expect(subscribers.map(({ payloads }) => payloads.length)).toEqual([1000, 1000, 1000]);
  });
});

describe("calls", () => {
  test("what comes while one is under way goes with the next", () => {
    const held: Call[] = [];
    let isHeld = false;
    const namespace: Namespace = new Namespace({
      transport: (call) => (isHeld ? held.push(call) : namespace.soon(() => call.arrive())),
    });
    namespace.settleIn();
    const topicName = namespace.topicOn(1);
    const subscriber = namespace.subscriber(1, topicName, 0);
    const publisher = namespace.client(0);
    isHeld = true;
    expect(namespace.bill(() => publishAll(publisher, topicName, 0, 401)).calls).toBe(1);
    isHeld = false;
    const release = (): void => namespace.joined(() => held.splice(0).forEach((call) => call.arrive()));
    expect(namespace.bill(release).calls).toBe(1);
    expect(subscriber.payloads).toEqual(Array.from({ length: 401 }, (_, index) => `${index}`));
  });

  test("PINGREQ, and CONNECT and DISCONNECT without subscriptions, need none", () => {
    const namespace = new Namespace().settleIn();
    const bill = namespace.bill(() => {
      for (const { index } of namespace.shards) namespace.client(index).ping().disconnect();
    });
    expect(bill).toEqual({ calls: 0, rows: nowhere, alarms: nowhere });
  });

  test("a subscription to topics of one's own shard needs none", () => {
    const namespace = new Namespace().settleIn();
    const client = namespace.client(1);
    const bill = namespace.bill(() => client.subscribe(namespace.topicOn(1), 1));
    expect(bill).toEqual({ calls: 0, rows: nowhere, alarms: nowhere });
  });

  test("a subscription to topics of another shard needs one, as nothing is retained", () => {
    const namespace = new Namespace().settleIn();
    const client = namespace.client(1);
    expect(namespace.bill(() => client.subscribe(namespace.topicOn(2), 1)).calls).toBe(1);
  });

  test("a wildcard in the first levels needs one to each other shard", () => {
    const namespace = new Namespace().settleIn();
    const client = namespace.client(1);
    expect(namespace.bill(() => client.subscribe("+/temperature", 1)).calls).toBe(shardCount - 1);
  });

  test("the second subscriber of a shard tells nobody", () => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(2);
    namespace.subscriber(1, topicName, 1);
    const second = namespace.client(1);
    const bill = namespace.bill(() => second.subscribe(topicName, 1, withoutRetained));
    expect(bill).toEqual({ calls: 0, rows: nowhere, alarms: nowhere });
    const leaving = namespace.bill(() => second.disconnect());
    expect(leaving).toEqual({ calls: 0, rows: nowhere, alarms: nowhere });
  });

  test("the last one that leaves needs one to each owner, whatever was subscribed", () => {
    const namespace = new Namespace().settleIn();
    const client = namespace.client(1);
    for (let count = 0; count < 5; count += 1) {
      client.subscribe(namespace.topicOn(2), 0, withoutRetained);
      client.subscribe(namespace.topicOn(3), 0, withoutRetained);
    }
    expect(namespace.bill(() => client.disconnect()).calls).toBe(2);
  });
});

describe("rows", () => {
  test.each([0, 1] as const)("QoS %i to sessions that end with their connections: none", (qos) => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(1);
    for (const { index } of namespace.shards) {
      for (let count = 0; count < 10; count += 1) namespace.subscriber(index, topicName, qos);
    }
    const publisher = namespace.client(0);
    const bill = namespace.bill(() => {
      publishAll(publisher, topicName, qos, 20);
      namespace.joined(() => publishAll(publisher, topicName, qos, 100));
      namespace.advance(minuteMs);
    });
    expect(bill).toMatchObject({ rows: nowhere, alarms: nowhere });
  });

  test("QoS 0 to persistent sessions: none", () => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(1);
    for (const { index } of namespace.shards) namespace.subscriber(index, topicName, 2, persistent);
    const publisher = namespace.client(0);
    expect(namespace.bill(() => publishAll(publisher, topicName, 0, 20)).rows).toEqual(nowhere);
  });

  test.each([
    ["all on one shard", 1, 1, [1], nowhere],
    ["all apart", 0, 1, [2], [0, 0, 1, 0]],
    ["publisher and owner on one shard", 0, 0, [2], [0, 0, 1, 0]],
    ["subscribers everywhere", 0, 1, [0, 1, 2, 3], [1, 1, 1, 1]],
    ["nobody subscribed", 0, 1, [], nowhere],
  ])("QoS 2, %s: one a flush at each target", (_, from, owner, to, rows) => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(owner);
    for (const shard of to) namespace.subscriber(shard, topicName, 2);
    const publisher = namespace.client(from);
    const twice = rows.map((count) => 2 * count);
    const bill = namespace.bill(() => publishAll(publisher, topicName, 2, 2));
    expect(bill.rows).toEqual(twice);
    const joined = namespace.bill(() => namespace.joined(() => publishAll(publisher, topicName, 2, 100)));
    expect(joined.rows).toEqual(rows);
  });

  test("QoS 2 of a persistent publisher: three there, for one message or a hundred", () => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(1);
    namespace.subscriber(2, topicName, 2);
    const publisher = namespace.client(0, persistent);
    // The message with its identifier; that it has arrived; that the identifier is free again.
    const rows = [3, 0, 1, 0];
    expect(namespace.bill(() => publisher.publish(topicName, "x", { qos: 2 })).rows).toEqual(rows);
    const joined = namespace.bill(() => namespace.joined(() => publishAll(publisher, topicName, 2, 100)));
    expect(joined.rows).toEqual(rows);
  });

  test("QoS 1 to persistent sessions: one a flush at each of their shards", () => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(1);
    for (const shard of [2, 2, 3]) namespace.subscriber(shard, topicName, 1, persistent);
    const publisher = namespace.client(0);
    expect(namespace.bill(() => publisher.publish(topicName, "x", { qos: 1 })).rows).toEqual([0, 0, 1, 1]);
    const joined = namespace.bill(() => namespace.joined(() => publishAll(publisher, topicName, 1, 100)));
    expect(joined.rows).toEqual([0, 0, 1, 1]);
  });

  test("a route is one at its owner, and one again when it goes", () => {
    const namespace = new Namespace().settleIn();
    const client = namespace.client(1);
    const topicName = namespace.topicOn(2);
    const subscribing = namespace.bill(() => client.subscribe(topicName, 1));
    expect(subscribing.rows).toEqual([0, 0, 1, 0]);
    expect(namespace.bill(() => client.unsubscribe(topicName)).rows).toEqual([0, 0, 1, 0]);
  });

  test("a wildcard in the first levels is one at each other shard", () => {
    const namespace = new Namespace().settleIn();
    const client = namespace.client(1);
    expect(namespace.bill(() => client.subscribe("#", 1)).rows).toEqual([1, 0, 1, 1]);
  });

  test("a persistent session has one of its own besides", () => {
    const namespace = new Namespace().settleIn();
    const client = namespace.client(1, persistent);
    const topicName = namespace.topicOn(2);
    expect(namespace.bill(() => client.subscribe(topicName, 1)).rows).toEqual([0, 1, 1, 0]);
    expect(namespace.bill(() => client.subscribe(namespace.topicOn(1), 1)).rows).toEqual([0, 1, 0, 0]);
  });

  test("the first route of a shard's life costs one more there", () => {
    const namespace = new Namespace();
    const client = namespace.client(1);
    const rows = namespace.bill(() => client.subscribe(namespace.topicOn(2), 1)).rows;
    // No shard has ever written anything, so the owner writes its own row, too.
    expect(rows).toEqual([0, 1, 2, 0]);
  });

  test("the first QoS 2 message of a shard's life costs one more there", () => {
    const namespace = new Namespace();
    const topicName = namespace.topicOn(1);
    const publisher = namespace.client(0);
    expect(namespace.bill(() => publisher.publish(topicName, "x", { qos: 2 })).rows).toEqual([1, 0, 0, 0]);
    expect(namespace.bill(() => publishAll(publisher, topicName, 2, 1000)).rows).toEqual(nowhere);
  });
});

describe("alarms", () => {
  test.each([
    ["sessions that end with their connections", {}],
    ["persistent sessions", persistent],
  ])("QoS 2 from and to %s sets none", (_, options) => {
    const namespace = new Namespace().settleIn();
    const topicName = namespace.topicOn(1);
    namespace.subscriber(2, topicName, 2, options);
    const publisher = namespace.client(0, options);
    // Sessions with a row have one for the hourly look after them.
    namespace.advance(minuteMs);
    const bill = namespace.bill(() => {
      for (let second = 0; second < 60; second += 1) {
        publisher.publish(topicName, "x", { qos: 2 });
        namespace.advance(1000);
      }
    });
    expect(bill.alarms).toEqual(nowhere);
  });

  test("idle clients cost no calls, and each shard at most two alarms a minute", () => {
    const namespace = new Namespace().settleIn();
    const clients = Array.from({ length: 80 }, (_, index) =>
      namespace.client(index % shardCount, { keepAliveSec: 60 }),
    );
    const minutes = 10;
    const bill = namespace.bill(() => {
      for (let step = 0; step < 80 * minutes; step += 1) {
        clients[step % 80]?.ping();
        namespace.advance(minuteMs / 80);
      }
    });
    expect(bill).toMatchObject({ calls: 0, rows: nowhere });
    for (const count of bill.alarms) expect(count).toBeLessThanOrEqual(2 * minutes);
  });
});
