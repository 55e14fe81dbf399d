import { describe, expect, test } from "vitest";
import { PublishEncoder, publishSizeBytes } from "../../src/codec/index.ts";
import type { ApplicationMessage, Delivery } from "../../src/core/packet.ts";
import { decodeServerPackets } from "./server-decode.ts";

const message: ApplicationMessage = {
  topicName: "a/b",
  payload: Uint8Array.of(1, 2, 3),
  qos: 1,
  retain: true,
  messageExpiryIntervalSec: 100,
};

const qos0: Delivery = { message, qos: 0, retain: false, dup: false };
const qos1: Delivery = { ...qos0, qos: 1, packetIdentifier: 0x0102 };

describe("fan-out", () => {
  test("all receivers of a QoS 0 form get the same array", () => {
    const encoder = new PublishEncoder();
    for (const version of [4, 5] as const) {
      const first = encoder.encode({ ...qos0, subscriptionIdentifiers: [1, 2] }, version);
      expect(encoder.encode({ ...qos0, subscriptionIdentifiers: [1, 2] }, version)).toBe(first);
    }
  });

  test("3.x receivers share a form whatever 5.0 would add", () => {
    const encoder = new PublishEncoder();
    expect(encoder.encode({ ...qos0, topicAlias: 1 }, 4)).toBe(encoder.encode({ ...qos0, topicAlias: 2 }, 3));
  });

  test("what differs for a receiver makes another form", () => {
    const encoder = new PublishEncoder();
    const forms: Delivery[] = [
      qos0,
      { ...qos0, retain: true },
      { ...qos0, subscriptionIdentifiers: [1] },
      { ...qos0, subscriptionIdentifiers: [2] },
      { ...qos0, messageExpiryIntervalSec: 9 },
      { ...qos0, topicAlias: 4 },
      { ...qos0, topicAlias: 4, omitTopicName: true },
      { ...qos0, message: { ...message } },
    ];
    const encoded = forms.map((form) => encoder.encode(form, 5));
    expect(new Set(encoded).size).toBe(forms.length);
    expect(encoder.encode(qos0, 4)).not.toBe(encoded[0]);
  });

  test("[MQTT-2.2.1-4] each QoS 1 receiver gets a copy with its Packet Identifier", () => {
    const encoder = new PublishEncoder();
    const [one, two] = [1, 65_535].map((packetIdentifier) =>
      encoder.encode({ ...qos1, packetIdentifier }, 5),
    );
    expect(decodeServerPackets(one!, 5)).toMatchObject([{ packetIdentifier: 1 }]);
    expect(decodeServerPackets(two!, 5)).toMatchObject([{ packetIdentifier: 65_535 }]);
  });

  test("small packets never share bytes, though they share a buffer", () => {
    const encoder = new PublishEncoder();
    const identifiers = Array.from({ length: 2000 }, (_, index) => index + 1);
    const encoded = identifiers.map((packetIdentifier) => encoder.encode({ ...qos1, packetIdentifier }, 4));
    const seen = encoded.map((bytes) => (bytes[7]! << 8) | bytes[8]!);
    expect(seen).toEqual(identifiers);
  });

  test("more forms than are kept are still encoded right", () => {
    const encoder = new PublishEncoder();
    for (const topicAlias of [...Array.from({ length: 40 }, (_, index) => index + 1), 1, 2]) {
      const bytes = encoder.encode({ ...qos0, topicAlias }, 5);
      expect(decodeServerPackets(bytes, 5)).toMatchObject([{ topicName: "a/b", topicAlias }]);
    }
  });

  test("messages that take turns are still encoded right", () => {
    const encoder = new PublishEncoder();
    const messages = [1, 2].map((value) => ({ ...message, payload: Uint8Array.of(value) }));
    for (const other of [...messages, ...messages]) {
      const bytes = encoder.encode({ ...qos0, message: other }, 4);
      expect(bytes.at(-1)).toBe(other.payload[0]);
    }
  });
});

test("[MQTT-3.3.2-6] the Message Expiry Interval is the one of the delivery", () => {
  const bytes = new PublishEncoder().encode({ ...qos1, messageExpiryIntervalSec: 7 }, 5);
  expect(decodeServerPackets(bytes, 5)).toMatchObject([{ messageExpiryIntervalSec: 7 }]);
  const without = new PublishEncoder().encode(qos1, 5);
  expect(decodeServerPackets(without, 5)[0]).not.toHaveProperty("messageExpiryIntervalSec");
});

test("a known Topic Alias leaves the Topic Name empty, in 5.0 only", () => {
  const aliased = { ...qos0, topicAlias: 3, omitTopicName: true };
  const encoder = new PublishEncoder();
  expect(decodeServerPackets(encoder.encode(aliased, 5), 5)).toMatchObject([
    { topicName: "", topicAlias: 3 },
  ]);
  expect(decodeServerPackets(encoder.encode(aliased, 4), 4)).toMatchObject([{ topicName: "a/b" }]);
  expect(publishSizeBytes(aliased, 5)).toBe(encoder.encode(aliased, 5).length);
});

test("a delivery with QoS 1 and no Packet Identifier is an error of the caller", () => {
  const { packetIdentifier: _none, ...incomplete } = qos1;
  expect(() => new PublishEncoder().encode(incomplete, 5)).toThrow("Packet Identifier");
});
