import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { QueuePolicy } from "../../../src/core/limits.ts";
import { ReasonCode } from "../../../src/core/reason-code.ts";
import { Harness } from "../harness.ts";
import { SimulatedClient } from "../simulated-client.ts";

const week = 7 * 24 * 3600;

interface Scene {
  readonly shard: Harness;
  readonly subscriber: SimulatedClient;
  readonly publisher: SimulatedClient;
}

/** A persistent subscriber, away, whose queue takes three messages. */
function away(queuePolicy: QueuePolicy, flushesPerSecMax = Infinity): Scene {
  const limits = { queuePolicy, queue: { messagesMax: 3, bytesMax: 1_000_000 } };
  const shard = new Harness({ limits, flushesPerSecMax });
  const subscriber = SimulatedClient.connected(shard, {
    clientId: "away",
    cleanStart: false,
    sessionExpiryIntervalSec: week,
  });
  subscriber.subscribe("a", 2);
  subscriber.disconnect();
  return { shard, subscriber, publisher: SimulatedClient.connected(shard) };
}

function publish({ publisher, shard }: Scene, ...payloads: string[]): void {
  for (const payload of payloads) publisher.publish("a", payload, { qos: 1 });
  shard.advance(100);
}

function payloadsAfterReturn({ shard, subscriber }: Scene): string[] {
  subscriber.connect();
  shard.advance(100);
  return subscriber.payloads;
}

describe("A full queue", () => {
  test("drops the newest message by default, and counts it", () => {
    const scene = away("drop-newest");
    publish(scene, "1", "2", "3", "4", "5");
    expect(scene.shard.counters.droppedQueueFull).toBe(2);
    expect(payloadsAfterReturn(scene)).toEqual(["1", "2", "3"]);
  });

  test("drops the oldest messages if so configured, and counts them", () => {
    const scene = away("drop-oldest");
    publish(scene, "1", "2", "3", "4", "5");
    expect(scene.shard.counters.droppedQueueFull).toBe(2);
    expect(payloadsAfterReturn(scene)).toEqual(["3", "4", "5"]);
  });

  test("drops the oldest messages of those that no flush has written, too", () => {
    const scene = away("drop-oldest");
    scene.shard.joined(() => {
      for (const payload of ["1", "2", "3", "4", "5"]) scene.publisher.publish("a", payload, { qos: 2 });
    });
    scene.shard.advance(100);
    expect(payloadsAfterReturn(scene)).toEqual(["3", "4", "5"]);
  });

  test("drops the oldest messages of those never sent; what is in flight stays", () => {
    const scene = away("drop-oldest");
    const { shard, subscriber } = scene;
    subscriber.acks = "manual";
    subscriber.connect({ receiveMaximum: 2 });
    publish(scene, "1", "2", "3");
    expect(subscriber.payloads).toEqual(["1", "2"]);
    subscriber.lose();
    publish(scene, "4", "5", "6");
    expect(shard.counters.droppedQueueFull).toBe(1);
    subscriber.acks = "auto";
    expect(payloadsAfterReturn(scene).slice(2)).toEqual(["1", "2", "4", "5", "6"]);
  });

  test("is looked through once, however much is dropped from it", () => {
    const limits = { queuePolicy: "drop-oldest", queue: { messagesMax: 1000, bytesMax: 1e6 } } as const;
    const shard = new Harness({ shards: 1, limits });
    for (const topicFilter of ["a", "b"]) {
      const session = { clientId: topicFilter, sessionExpiryIntervalSec: week };
      const subscriber = SimulatedClient.connected(shard, session);
      subscriber.subscribe(topicFilter, 1);
      subscriber.disconnect();
    }
    const publisher = SimulatedClient.connected(shard);
    const publishMany = (topicNames: readonly string[]): void => {
      for (let left = 1000; left > 0; left -= 1) {
        shard.joined(() => topicNames.forEach((topicName) => publisher.publish(topicName, "", { qos: 1 })));
      }
    };
    publishMany(["a", "b"]);
    const before = shard.rowsRead;
    publishMany(["a"]);
    expect(shard.counters.droppedQueueFull).toBe(1000);
    expect(shard.rowsRead - before).toBeLessThan(2000);
  });

  test("does not drop older messages for one that it could never take", () => {
    const limits = { queuePolicy: "drop-oldest", queue: { messagesMax: 9, bytesMax: 1000 } } as const;
    const shard = new Harness({ limits });
    const subscriber = SimulatedClient.connected(shard, { clientId: "s", sessionExpiryIntervalSec: week });
    subscriber.subscribe("a", 1);
    subscriber.disconnect();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "small", { qos: 1 });
    publisher.publish("a", "x".repeat(2000), { qos: 1 });
    subscriber.connect({ cleanStart: false });
    shard.advance(100);
    expect(subscriber.payloads).toEqual(["small"]);
  });

  test.each(["drop-newest", "drop-oldest", "refuse"] as const)("keeps its order and bound: %s", (policy) => {
    const step = fc.oneof(fc.constant("publish"), fc.constantFrom("come", "go", "evict", "reset"));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const scene = away(policy);
        const { shard, subscriber, publisher } = scene;
        let number = 0;
        for (const what of steps) {
          if (what === "publish") publisher.publish("a", String((number += 1)), { qos: 1 });
          else if (what === "come" && !subscriber.isConnected) subscriber.connect();
          else if (what === "go" && subscriber.isConnected) subscriber.disconnect();
          else if (what === "evict") shard.evict();
          else if (what === "reset") shard.reset();
          shard.advance(60_000);
          if (!publisher.isConnected) publisher.connect();
        }
        if (!subscriber.isConnected) subscriber.connect();
        shard.advance(60_000);
        // What a reset made come again comes in order, too.
        const numbers = [...new Set(subscriber.payloads.map(Number))];
        expect(numbers).toEqual(numbers.toSorted((left, right) => left - right));
        const { droppedQueueFull } = shard.counters;
        const refusedCount = publisher.all("puback").filter(({ reasonCode }) => reasonCode === 0x97).length;
        const isCounted = !steps.includes("reset") && !steps.includes("evict");
        if (isCounted) expect(numbers.length + droppedQueueFull + refusedCount).toBe(number);
      }),
      { numRuns: 150 },
    );
  });
});

describe("With the policy to refuse", () => {
  test("the publisher is told 0x97, and nobody gets the message", () => {
    const scene = away("refuse");
    const { shard, publisher } = scene;
    const other = SimulatedClient.connected(shard, { clientId: shard.clientIdBeside("away") });
    other.subscribe("a", 1);
    publish(scene, "1", "2", "3", "4");
    const { reasonCode, reasonString } = publisher.all("puback")[3] ?? {};
    expect(reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(reasonString).toContain("queue");
    expect(other.payloads).toEqual(["1", "2", "3"]);
    expect(payloadsAfterReturn(scene)).toEqual(["1", "2", "3"]);
  });

  test("the publisher may try again when there is room", () => {
    const scene = away("refuse");
    publish(scene, "1", "2", "3", "4");
    payloadsAfterReturn(scene);
    publish(scene, "5");
    expect(scene.publisher.last("puback").reasonCode).toBe(ReasonCode.Success);
    expect(scene.subscriber.payloads.at(-1)).toBe("5");
  });

  test.each(["a", "$share/g/a"])("what has expired takes no room: a subscription to %s", (topicFilter) => {
    const limits = { queuePolicy: "refuse", queue: { messagesMax: 1, bytesMax: 1_000_000 } } as const;
    const shard = new Harness({ shards: 1, limits });
    const subscriber = SimulatedClient.connected(shard, { clientId: "s", sessionExpiryIntervalSec: week });
    subscriber.subscribe(topicFilter, 1);
    subscriber.disconnect();
    const publisher = SimulatedClient.connected(shard);
    publisher.publish("a", "short", { qos: 1, messageExpiryIntervalSec: 1 });
    shard.advance(2000);
    publisher.publish("a", "long", { qos: 1 });
    shard.advance(100);
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.Success);
    expect(shard.counters.droppedExpired).toBe(1);
    publisher.publish("a", "longer", { qos: 1 });
    shard.advance(100);
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.QuotaExceeded);
  });

  test("QoS 2 ends with PUBREC, and the identifier may be used anew", () => {
    const scene = away("refuse");
    publish(scene, "1", "2", "3");
    scene.publisher.publish("a", "4", { qos: 2, packetIdentifier: 77 });
    scene.shard.advance(100);
    expect(scene.publisher.last("pubrec").reasonCode).toBe(ReasonCode.QuotaExceeded);
    payloadsAfterReturn(scene);
    scene.publisher.publish("a", "5", { qos: 2, packetIdentifier: 77 });
    scene.shard.advance(100);
    expect(scene.publisher.last("pubrec").reasonCode).toBe(ReasonCode.Success);
  });

  test("a 3.1.1 client is disconnected, for it cannot be told", () => {
    const scene = away("refuse");
    publish(scene, "1", "2", "3");
    const old = SimulatedClient.connected(scene.shard, { protocolVersion: 4 });
    old.publish("a", "4", { qos: 1 });
    scene.shard.advance(100);
    expect(old.isConnected).toBe(false);
  });

  test("QoS 0 needs no queue", () => {
    const scene = away("refuse");
    publish(scene, "1", "2", "3");
    scene.publisher.publish("a", "4", { qos: 0 });
    scene.shard.advance(100);
    expect(scene.publisher.isConnected).toBe(true);
  });
});

describe.each([1, 3])("A Shared Subscription on %i shards, with a full member", (shards) => {
  function share(queuePolicy: QueuePolicy): Scene & { readonly other: SimulatedClient } {
    const limits = { queuePolicy, queue: { messagesMax: 3, bytesMax: 1_000_000 } };
    const shard = new Harness({ shards, limits });
    const members = ["one", shards === 1 ? "two" : shard.clientIdBeside("one")].map((clientId) => {
      const member = SimulatedClient.connected(shard, { clientId, sessionExpiryIntervalSec: week });
      member.subscribe("$share/g/a", 2);
      member.disconnect();
      return member;
    });
    const [subscriber, other] = members as [SimulatedClient, SimulatedClient];
    return { shard, subscriber, other, publisher: SimulatedClient.connected(shard) };
  }

  function payloadsOfAll({ shard, subscriber, other }: ReturnType<typeof share>): string[] {
    for (const member of [subscriber, other]) member.connect({ cleanStart: false });
    shard.advance(100);
    return [...subscriber.payloads, ...other.payloads].toSorted();
  }

  test.each(["drop-newest", "drop-oldest", "refuse"] as const)("gives to the others first: %s", (policy) => {
    const scene = share(policy);
    publish(scene, "1", "2", "3", "4", "5", "6");
    expect(scene.publisher.all("puback").every(({ reasonCode }) => reasonCode === 0)).toBe(true);
    expect(payloadsOfAll(scene)).toEqual(["1", "2", "3", "4", "5", "6"]);
  });

  test("gives to nobody else what its publisher is told to be refused, if it is where the topic is", () => {
    const limits = { queuePolicy: "refuse", queue: { messagesMax: 1, bytesMax: 1_000_000 } } as const;
    const shard = new Harness({ shards, limits });
    const clientId = shard.clientIdOn(shard.placement.topicShard("a"));
    const member = SimulatedClient.connected(shard, { clientId, sessionExpiryIntervalSec: week });
    member.subscribe("$share/g/a", 1);
    member.disconnect();
    const watcher = SimulatedClient.connected(shard);
    watcher.subscribe("a", 1);
    const publisher = SimulatedClient.connected(shard);
    publish({ shard, subscriber: member, publisher }, "1", "2");
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(watcher.payloads).toEqual(["1"]);
  });

  test("tells the publisher 0x97 when all are full, if so configured", () => {
    const scene = share("refuse");
    publish(scene, "1", "2", "3", "4", "5", "6", "7");
    expect(scene.publisher.last("puback").reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(payloadsOfAll(scene)).toEqual(["1", "2", "3", "4", "5", "6"]);
    publish(scene, "8");
    expect(scene.publisher.last("puback").reasonCode).toBe(ReasonCode.Success);
  });

  test("comes to a member that has room, though more are full than are looked at for one message", () => {
    const limits = { queuePolicy: "refuse", queue: { messagesMax: 1, bytesMax: 1_000_000 } } as const;
    const shard = new Harness({ shards: 1, limits });
    const members = Array.from({ length: 70 }, () => {
      const member = SimulatedClient.connected(shard, { cleanStart: false, sessionExpiryIntervalSec: week });
      member.subscribe("$share/g/a", 1);
      return member.disconnect();
    });
    const publisher = SimulatedClient.connected(shard);
    const send = (): ReasonCode => {
      publisher.publish("a", "1", { qos: 1 });
      shard.advance(100);
      return publisher.last("puback").reasonCode;
    };
    expect(members.every(() => send() === ReasonCode.Success)).toBe(true);
    members.at(-1)?.connect().disconnect();
    expect([send(), send()]).toEqual([ReasonCode.QuotaExceeded, ReasonCode.Success]);
    expect(members.at(-1)?.connect().payloads).toEqual(["1", "1"]);
  });

  test("counts as dropped what has no room when its publisher has been told, and nobody can be", () => {
    const scene = share("refuse");
    publish(scene, "1", "2", "3", "4", "5", "6");
    expect(scene.publisher.all("puback").every(({ reasonCode }) => reasonCode === 0)).toBe(true);
    // What waited for it goes to the other one, which is full.
    scene.subscriber.connect({ cleanStart: true });
    scene.shard.advance(60_000);
    expect(scene.shard.counters.droppedCount).toBe(3);
    expect(payloadsOfAll(scene)).toHaveLength(3);
  });

  test("drops and counts what nobody has room for, by default", () => {
    const scene = share("drop-newest");
    publish(scene, "1", "2", "3", "4", "5", "6", "7");
    expect(scene.publisher.last("puback").reasonCode).toBe(ReasonCode.Success);
    expect(scene.shard.counters.droppedQueueFull).toBe(1);
    expect(payloadsOfAll(scene)).toEqual(["1", "2", "3", "4", "5", "6"]);
  });
});

describe("The log of a shard", () => {
  test("is bounded by bytes: beyond, publishers are told 0x97, whatever the policy", () => {
    const limits = { queuePolicy: "drop-oldest", log: { messagesMax: 1000, bytesMax: 5000 } } as const;
    const shard = new Harness({ shards: 1, limits });
    const subscriber = SimulatedClient.connected(shard, { clientId: "s", sessionExpiryIntervalSec: week });
    subscriber.subscribe("a", 1);
    subscriber.disconnect();
    const publisher = SimulatedClient.connected(shard);
    for (let left = 20; left > 0; left -= 1) publisher.publish("a", "x".repeat(400), { qos: 1 });
    shard.advance(100);
    const reasonCodes = publisher.all("puback").map(({ reasonCode }) => reasonCode);
    expect(reasonCodes[0]).toBe(ReasonCode.Success);
    expect(reasonCodes.at(-1)).toBe(ReasonCode.QuotaExceeded);
    const takenCount = reasonCodes.filter((reasonCode) => reasonCode === 0).length;
    expect(takenCount).toBeGreaterThan(5);
    expect(takenCount).toBeLessThan(15);
    subscriber.connect({ cleanStart: false });
    shard.advance(100);
    expect(subscriber.payloads).toHaveLength(takenCount);
    publisher.publish("a", "again", { qos: 1 });
    shard.advance(100);
    expect(publisher.last("puback").reasonCode).toBe(ReasonCode.Success);
  });

  test("is bounded by the number of messages, counted for each session, over a sleep too", () => {
    const limits = { log: { messagesMax: 6, bytesMax: 1_000_000 } };
    const shard = new Harness({ shards: 1, limits });
    for (const clientId of ["s", "t"]) {
      const subscriber = SimulatedClient.connected(shard, { clientId, sessionExpiryIntervalSec: week });
      subscriber.subscribe("a", 1);
      subscriber.disconnect();
    }
    const publisher = SimulatedClient.connected(shard);
    const publishes = (): number => {
      publisher.publish("a", "1", { qos: 1 });
      shard.advance(60_000);
      return publisher.last("puback").reasonCode;
    };
    expect([publishes(), publishes(), publishes(), publishes()]).toEqual([0, 0, 0, 0x97]);
    shard.evict();
    expect(publishes()).toBe(0x97);
  });
});

describe("Expired messages", () => {
  test("make room in a full queue, and are counted as expired", () => {
    const scene = away("drop-newest");
    const { shard, publisher } = scene;
    for (const payload of ["1", "2", "3"]) {
      publisher.publish("a", payload, { qos: 1, messageExpiryIntervalSec: 10 });
    }
    shard.advance(11_000);
    publish(scene, "4", "5");
    expect(shard.counters.droppedExpired).toBe(3);
    expect(shard.counters.droppedQueueFull).toBe(0);
    expect(payloadsAfterReturn(scene)).toEqual(["4", "5"]);
  });

  test("leave a queue with room, too, when the next one that expires is queued", () => {
    const scene = away("drop-newest");
    const { shard, publisher } = scene;
    publisher.publish("a", "1", { qos: 1, messageExpiryIntervalSec: 10 });
    shard.advance(11_000);
    publisher.publish("a", "2", { qos: 1, messageExpiryIntervalSec: 10 });
    shard.advance(100);
    expect(shard.counters.droppedExpired).toBe(1);
    expect(payloadsAfterReturn(scene)).toEqual(["2"]);
  });

  test("leave after a sleep, too", () => {
    const scene = away("drop-newest");
    const { shard, publisher } = scene;
    publisher.publish("a", "1", { qos: 1, messageExpiryIntervalSec: 10 });
    shard.advance(60_000);
    shard.evict();
    publisher.publish("a", "2", { qos: 1, messageExpiryIntervalSec: 10 });
    shard.advance(100);
    expect(shard.counters.droppedExpired).toBe(1);
    expect(payloadsAfterReturn(scene)).toEqual(["2"]);
  });
});
