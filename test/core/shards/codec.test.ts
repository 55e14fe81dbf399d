import { decode, encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type {
  Batch,
  BatchAnswer,
  DeliverItem,
  Outcome,
  PublishItem,
} from "../../../src/core/peers/message.ts";
import type { Publication } from "../../../src/core/publication.ts";
import {
  decodeAnswer,
  decodeBatch,
  encodeAnswer,
  encodeBatch,
  newestFormat,
} from "../../../src/shard/peer-codec.ts";
import { firstsOf, Publisher, Returning } from "./actors.ts";
import { isAtRest, Network, routesOf } from "./network.ts";

const runs = { numRuns: 300 };
const natural = fc.nat(2 ** 31);
const large = fc.maxSafeNat();
const text = fc.string({ unit: "binary", maxLength: 20 }).map((raw) => raw.toWellFormed());
const bytes = fc.uint8Array({ maxLength: 40 });
const shard = fc.nat(63);

/** Of an object, some of these; none is undefined. */
function some<Model extends object>(model: { [Key in keyof Model]: fc.Arbitrary<Model[Key]> }): fc.Arbitrary<
  Partial<Model>
> {
  return fc.record(model, { requiredKeys: [] }) as fc.Arbitrary<Partial<Model>>;
}

const message = fc
  .tuple(
    fc.record({
      topicName: text,
      payload: bytes,
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      retain: fc.boolean(),
    }),
    some({
      payloadFormatIndicator: fc.constantFrom(0 as const, 1 as const),
      contentType: text,
      responseTopic: text,
      correlationData: bytes,
      messageExpiryIntervalSec: natural,
      userProperties: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 }),
    }),
  )
  .map(([all, rest]) => ({ ...all, ...rest }));

const publication = fc
  .tuple(message, fc.option(large, { nil: undefined }))
  .map(([one, expiresAtMs]) =>
    expiresAtMs === undefined ? { message: one } : { message: one, expiresAtMs },
  ) as fc.Arbitrary<Publication>;

const origin = fc.record({ shard, sequence: large });
const version = fc.record({ boot: natural, serial: large });
const members = fc.record({ online: natural, total: natural });

function itemOf<Item>(
  model: Record<string, fc.Arbitrary<unknown>>,
  optional: string[] = [],
): fc.Arbitrary<Item> {
  const requiredKeys = Object.keys(model).filter((key) => !optional.includes(key));
  return fc.record(model, { requiredKeys }) as fc.Arbitrary<unknown> as fc.Arbitrary<Item>;
}

const is = <Type extends string>(type: Type): { type: fc.Arbitrary<Type> } => ({ type: fc.constant(type) });

const publishItem = fc.oneof(
  itemOf<PublishItem>({ ...is("publish"), publication, publisherClientId: text, origin }, ["origin"]),
  itemOf<PublishItem>({ ...is("handOver"), publication, sharedFilter: text, origin }, ["origin"]),
  itemOf<PublishItem>({ ...is("addRoute"), filter: text, version, members }, ["members"]),
  itemOf<PublishItem>({ ...is("removeRoute"), filter: text, version }),
  itemOf<PublishItem>({ ...is("updateMembers"), filter: text, members }),
  itemOf<PublishItem>({ ...is("replay"), replayId: large, filter: text, after: text }, ["after"]),
  itemOf<PublishItem>(is("figures")),
);

const deliverItem = fc.oneof(
  itemOf<DeliverItem>({ ...is("deliver"), publication, publisherClientId: text, origin }, ["origin"]),
  itemOf<DeliverItem>(
    {
      ...is("deliverShared"),
      publication,
      sharedFilter: text,
      queues: fc.boolean(),
      tried: fc.array(shard, { maxLength: 4 }),
      origin,
    },
    ["origin"],
  ),
  itemOf<DeliverItem>(
    {
      ...is("retained"),
      replayId: large,
      publications: fc.array(publication, { maxLength: 5 }),
      since: text,
      after: text,
    },
    ["since", "after"],
  ),
);

const head = {
  from: shard,
  to: shard,
  layout: fc.record({ epoch: natural, shards: shard, topicKeyLevels: fc.nat(8) }),
  stream: large,
  sequence: fc.integer({ min: 1, max: 2 ** 40 }),
};

const batch: fc.Arbitrary<Batch> = fc.oneof(
  fc.record({
    lane: fc.constant("publish" as const),
    ...head,
    items: fc.array(publishItem, { maxLength: 20 }),
  }),
  fc.record({
    lane: fc.constant("deliver" as const),
    ...head,
    items: fc.array(deliverItem, { maxLength: 20 }),
  }),
);

const outcome = itemOf<Outcome>(
  {
    reasonCode: fc.nat(255),
    reasonString: text,
    staleThrough: version,
    members,
    figures: fc.dictionary(
      text.filter((key) => key !== "__proto__"),
      fc.oneof(text, natural),
      { noNullPrototype: true },
    ),
  },
  ["reasonString", "staleThrough", "members", "figures"],
);

const refusal = fc.constantFrom("layout", "address", "size", "format", "stream", "sequence");
const answer = fc.oneof(
  fc.record({ ...is("applied"), outcomes: fc.array(outcome, { maxLength: 20 }) }),
  itemOf<BatchAnswer>({ ...is("refused"), refusal, stream: large, format: natural }, ["stream", "format"]),
) as fc.Arbitrary<BatchAnswer>;

const sample: Batch = {
  lane: "publish",
  from: 0,
  to: 1,
  layout: { epoch: 1, shards: 4, topicKeyLevels: 2 },
  stream: 5,
  sequence: 1,
  items: [{ type: "figures" }],
};

/** The bytes of a call, changed. */
function changed(change: Record<string, unknown>): Uint8Array {
  return encode({ ...(decode(encodeBatch(sample)) as object), ...change });
}

describe("A call between shards", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(batch, (one) => {
        expect(decodeBatch(encodeBatch(one))).toEqual({ batch: one });
      }),
      runs,
    );
  });

  test("and its answer, too", () => {
    fc.assert(
      fc.property(answer, (one) => {
        expect(decodeAnswer(encodeAnswer(one))).toEqual(one);
      }),
      runs,
    );
  });

  test("holds a message once, however many items have it", () => {
    const one: Publication = {
      message: { topicName: "t", payload: new Uint8Array(10_000), qos: 1, retain: false },
    };
    const items = Array.from({ length: 100 }, (): PublishItem => ({
      type: "publish",
      publication: one,
      publisherClientId: "p",
    }));
    expect(encodeBatch({ ...sample, items }).length).toBeLessThan(20_000);
  });

  test("is refused when it is cut short, and does not throw", () => {
    fc.assert(
      fc.property(batch, fc.nat(), (one, at) => {
        const whole = encodeBatch(one);
        expect(decodeBatch(whole.slice(0, at % whole.length))).toMatchObject({
          refusal: { refusal: "format" },
        });
      }),
      runs,
    );
  });

  test("is refused when it is noise, and does not throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(decodeBatch(noise)).toHaveProperty("refusal");
      }),
      runs,
    );
  });

  test.each([
    ["a newer format", { format: newestFormat + 1 }],
    ["an older format than it reads", { format: 0 }],
    ["no format", { format: undefined }],
    ["an item that the lane does not carry", { items: [{ type: "deliver" }] }],
    ["an item that is not known", { items: [{ type: "constructor" }] }],
    ["an item of a message that is not there", { items: [{ type: "publish", publication: 3 }] }],
    ["an item that is nothing", { items: [null] }],
    ["a lane that is not known", { head: { ...sample, lane: "toString" } }],
    ["a sequence of 0", { head: { ...sample, sequence: 0 } }],
    ["a stream that is no number", { head: { ...sample, stream: "5" } }],
    ["a layout that is none", { head: { ...sample, layout: null } }],
  ])("with %s is refused, and the newest known format told", (_, change) => {
    expect(decodeBatch(changed(change))).toEqual({
      refusal: { type: "refused", refusal: "format", format: newestFormat },
    });
  });

  test("of more than 16 MiB is refused before it is read", () => {
    expect(decodeBatch(new Uint8Array(16 * 1024 * 1024 + 1))).toMatchObject({ refusal: { refusal: "size" } });
  });
});

describe("During a deploy, while a shard does not read the format of another", () => {
  test.each([1_000, 20_000, 600_000])("for %i ms, nothing is lost", (ms) => {
    for (const qos of [1, 2] as const) {
      const network = new Network();
      const topicName = network.topicOn(2);
      const subscriber = new Returning(network, network.clientOn(3, "subscriber")).comeBack();
      subscriber.subscribe(topicName, 2);
      const publisher = new Publisher(network, network.clientOn(1, "publisher")).comeBack();
      network.rule = () => "foreign";
      publisher.say(topicName, "1", qos).say(topicName, "2", qos);
      network.advance(ms);
      publisher.say(topicName, "3", qos);
      network.rule = () => "pass";
      network.advance(1_200_000);
      expect(firstsOf(subscriber.payloads)).toEqual(["1", "2", "3"]);
      if (qos === 2) expect(subscriber.payloads).toHaveLength(3);
      expect(publisher.acknowledged).toEqual(["1", "2", "3"]);
      expect(network.at(1).core.counters.peerRefusals.get("format")).toBeGreaterThan(0);
      expect(isAtRest(network)).toBe(true);
      expect(routesOf(network).actual).toEqual(routesOf(network).expected);
    }
  });
});
