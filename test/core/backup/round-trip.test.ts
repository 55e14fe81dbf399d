import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Identity } from "../../../src/core/access/identity.ts";
import type { QoS } from "../../../src/core/packet.ts";
import type { HarnessOptions } from "../harness.ts";
import { Harness } from "../harness.ts";
import { SimulatedClient } from "../simulated-client.ts";
import { exportAll, importAll, inOrder, throughText } from "./backups.ts";

const week = 7 * 24 * 3600;

interface Subscriber {
  readonly filters: readonly (readonly [filter: string, qos: QoS])[];
  /** How many of the messages the client answers before it goes; it does not finish the last of them. */
  readonly answers: number;
  readonly staysConnected: boolean;
  /** Absent: anonymous. */
  readonly identity: Identity | undefined;
}

const topicNames = ["a", "a/b", "a/b/c", "b", "b/c", "$own/x"];
const topicName = fc.constantFrom(...topicNames);
const filter = fc.constantFrom("a", "a/#", "+/b", "#", "b/c", "$own/#", "$share/group/a/b");
const qos = fc.constantFrom<QoS>(0, 1, 2);

const rules = ["#", "$own/#"].map(
  (topicFilter) => ({ effect: "allow", action: "all", topicFilter }) as const,
);

const identity: fc.Arbitrary<Identity> = fc.record(
  {
    method: fc.constantFrom("token", "hook"),
    username: fc.string(),
    roles: fc.array(fc.string(), { maxLength: 2 }),
    // No provider takes a claim of that name.
    claims: fc.dictionary(
      fc.string().filter((name) => name !== "__proto__"),
      fc.string(),
      { maxKeys: 2, noNullPrototype: true },
    ),
    rules: fc.constant(rules),
    expiresAtMs: fc.constant(4e12),
  },
  { requiredKeys: ["method", "roles", "claims", "rules"], noNullPrototype: true },
);

const subscriber: fc.Arbitrary<Subscriber> = fc.record({
  filters: fc.uniqueArray(fc.tuple(filter, qos), { selector: ([name]) => name, minLength: 1, maxLength: 3 }),
  answers: fc.nat(8),
  staysConnected: fc.boolean(),
  identity: fc.option(identity, { nil: undefined }),
});

const published = fc.record({
  topicName,
  qos,
  retain: fc.boolean(),
  userProperties: fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 2 }),
  messageExpiryIntervalSec: fc.option(fc.integer({ min: 10, max: 1000 }), { nil: undefined }),
});

/** A namespace with retained messages, and sessions of which some have messages waiting or in flight. */
function populated(
  options: HarnessOptions,
  subscribers: readonly Subscriber[],
  messages: readonly (typeof published extends fc.Arbitrary<infer Message> ? Message : never)[],
): Harness {
  const harness = new Harness(options);
  const clients = subscribers.map(({ filters, identity: who }, index) => {
    const named = who !== undefined && { identity: who };
    const clientId = `subscriber-${index}`;
    const settings = { clientId, ...named, sessionExpiryIntervalSec: week, receiveMaximum: 5 };
    const client = SimulatedClient.connected(harness, { ...settings, acks: "manual" });
    for (const [name, maximumQos] of filters) client.subscribe(name, maximumQos, { retainHandling: 2 });
    return client;
  });
  const publisher = SimulatedClient.connected(harness, { clientId: "publisher" });
  for (const [index, message] of messages.entries()) {
    const { topicName: name, messageExpiryIntervalSec, ...rest } = message;
    const expiry = messageExpiryIntervalSec !== undefined && { messageExpiryIntervalSec };
    publisher.publish(name, `payload ${index}`, { ...rest, ...expiry });
  }
  for (const [index, client] of clients.entries()) {
    const { answers = 0, staysConnected = false } = subscribers[index] ?? {};
    client.answer(answers);
    if (!staysConnected) client.lose();
  }
  return harness;
}

describe("a backup that is imported", () => {
  const scene = [fc.array(subscriber, { maxLength: 4 }), fc.array(published, { maxLength: 12 })] as const;

  test.each([
    [1, 4],
    [4, 1],
    [4, 4],
  ])("into %i shards, from %i, gives the same backup", async (to, from) => {
    await fc.assert(
      fc.asyncProperty(...scene, fc.integer({ min: 1, max: 9 }), async (subscribers, messages, pageCount) => {
        const source = populated({ shards: from }, subscribers, messages);
        const records = exportAll(source);
        const target = new Harness({ shards: to });
        target.nowMs = source.nowMs;
        const outcomes = importAll(target, await throughText(records), { pageCount });
        expect(outcomes.filter(({ type }) => type === "refused" || type === "expired")).toEqual([]);
        const detachedAtMs = target.nowMs;
        const expected = records.map((record) => {
          if (record.type !== "session") return record;
          // Who was connected is away since the import.
          return { ...record, detachedAtMs: record.detachedAtMs ?? detachedAtMs };
        });
        expect(inOrder(exportAll(target))).toStrictEqual(inOrder(expected));
        target.reset();
        expect(inOrder(exportAll(target))).toStrictEqual(inOrder(expected));
      }),
      { numRuns: 60 },
    );
  });
});
