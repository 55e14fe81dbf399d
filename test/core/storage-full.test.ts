import { beforeEach, describe, expect, test } from "vitest";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { StorageRoom } from "../../src/core/storage-room.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";
import { Harness } from "./harness.ts";
import { SimulatedClient, willMessage } from "./simulated-client.ts";

const week = 7 * 24 * 3600;
const storedBytesMax = 1000;

class SizedStorage extends MemoryShardStorage {
  override storedBytes = 0;
}

let storage: SizedStorage;
let shard: Harness;
let away: SimulatedClient;
let publisher: SimulatedClient;

/** A persistent subscriber that is away with one message, a retained message, and then no room. */
beforeEach(() => {
  storage = new SizedStorage();
  shard = new Harness({ storage, limits: { storedBytesMax } });
  away = SimulatedClient.connected(shard, { clientId: "away", sessionExpiryIntervalSec: week });
  away.subscribe("a", 2);
  away.disconnect();
  publisher = SimulatedClient.connected(shard);
  publisher.publish("a", "before", { qos: 1 });
  publisher.publish("kept", "value", { qos: 1, retain: true });
  publisher.take();
  storage.storedBytes = storedBytesMax;
  // The size is looked at once a moment.
  shard.advance(1);
});

function reasonOfPublish(topicName: string, qos: 1 | 2, retain = false): number {
  publisher.publish(topicName, "more", { qos, retain });
  shard.advance(100);
  return publisher.last(qos === 1 ? "puback" : "pubrec").reasonCode;
}

describe("Without room in storage", () => {
  test.each([1, 2] as const)("a QoS %i message that would be queued is refused with 0x97", (qos) => {
    expect(reasonOfPublish("a", qos)).toBe(ReasonCode.QuotaExceeded);
  });

  test("messages that need no room pass: QoS 0, and QoS 1 to those who are online without a lasting session", () => {
    const online = SimulatedClient.connected(shard);
    online.subscribe("b", 1);
    publisher.publish("b", "zero");
    expect(reasonOfPublish("b", 1)).toBe(ReasonCode.Success);
    expect(online.payloads).toEqual(["zero", "more"]);
  });

  test("a retained message is refused, and may be cleared", () => {
    expect(reasonOfPublish("kept", 1, true)).toBe(ReasonCode.QuotaExceeded);
    publisher.publish("kept", "", { qos: 1, retain: true });
    shard.advance(100);
    expect(publisher.last("puback").reasonCode).not.toBe(ReasonCode.QuotaExceeded);
    expect(shard.retainedNames).toEqual([]);
  });

  test("new lasting sessions and Wills are refused; others connect", () => {
    const lasting = new SimulatedClient(shard, { clientId: "new", sessionExpiryIntervalSec: week });
    expect(lasting.connect().connack.reasonCode).toBe(ReasonCode.QuotaExceeded);
    const withWill = new SimulatedClient(shard, { clientId: "will", will: willMessage("w") });
    expect(withWill.connect().connack.reasonCode).toBe(ReasonCode.QuotaExceeded);
    expect(SimulatedClient.connected(shard).connack.reasonCode).toBe(ReasonCode.Success);
  });

  test("a lasting session goes on, gets what it is owed, and subscribes to nothing more", () => {
    away.connect({ cleanStart: false });
    shard.advance(100);
    expect(away.connack.sessionPresent).toBe(true);
    expect(away.payloads).toEqual(["before"]);
    expect(away.subscribe("more", 1).reasonCodes).toEqual([ReasonCode.QuotaExceeded]);
    expect(away.subscribe("a", 1).reasonCodes).toEqual([ReasonCode.GrantedQoS1]);
    expect(away.unsubscribe("a").reasonCodes).toEqual([ReasonCode.Success]);
  });

  test("retained messages are still sent to new subscribers", () => {
    const reader = SimulatedClient.connected(shard);
    reader.subscribe("kept", 0);
    expect(reader.payloads).toEqual(["value"]);
  });

  test("work is taken again when there is room", () => {
    expect(reasonOfPublish("a", 1)).toBe(ReasonCode.QuotaExceeded);
    storage.storedBytes = 0;
    shard.advance(1);
    expect(reasonOfPublish("a", 1)).toBe(ReasonCode.Success);
  });
});

test("After a write that failed for lack of room, work is refused for a minute", () => {
  const room = new StorageRoom({ storedBytes: 0 }, storedBytesMax);
  expect(room.isFull(0)).toBe(false);
  room.noteFull(1_000);
  expect(room.isFull(60_999)).toBe(true);
  expect(room.isFull(61_000)).toBe(false);
});
