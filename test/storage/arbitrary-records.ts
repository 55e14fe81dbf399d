/** Arbitrary stored records; optional fields are absent in some cases, never undefined. */
import fc from "fast-check";
import type { DailyCount } from "../../src/core/abuse/daily-count.ts";
import type { CostRecord } from "../../src/core/cost/cost-meter.ts";
import { countsOf } from "../../src/core/cost/counts.ts";
import type { Identity, Owner } from "../../src/core/access/identity.ts";
import { anonymousIdentity, ownerOf } from "../../src/core/access/identity.ts";
import type { Ban, Policy } from "../../src/core/access/policy.ts";
import type { Rule } from "../../src/core/access/rule.ts";
import type { ApplicationMessage, WillMessage } from "../../src/core/packet.ts";
import type { Letter, Origin } from "../../src/core/peers/message.ts";
import type { Layout } from "../../src/core/placement.ts";
import type { Publication } from "../../src/core/publication.ts";
import type {
  DeliveryState,
  InflightRecord,
  LogTarget,
  RetainedBlockRecord,
  RetainedName,
  RouteRecord,
  SegmentRecord,
  SessionRecord,
  ShardRecord,
  SubscriptionRecord,
} from "../../src/core/storage-port.ts";

type Arbitraries<Fields> = {
  readonly [Name in keyof Fields]-?: fc.Arbitrary<Exclude<Fields[Name], undefined>>;
};

/** All fields, of which the named ones may be missing. */
function record<Fields extends object>(
  fields: Arbitraries<Fields>,
  optional: readonly (keyof Fields)[] = [],
): fc.Arbitrary<Fields> {
  const requiredKeys = Object.keys(fields).filter((name) => !optional.includes(name as keyof Fields));
  const constraints = { requiredKeys, noNullPrototype: true } as never;
  return fc.record(fields as never, constraints) as unknown as fc.Arbitrary<Fields>;
}

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const bytes = fc.uint8Array({ maxLength: 60 });
const uint32 = fc.nat(0xffff_ffff);
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const timeMs = fc.nat(4_000_000_000_000);
const count = fc.nat(1_000_000_000_000);
const packetIdentifier = fc.integer({ min: 1, max: 0xffff });

const messageProperties = [
  "payloadFormatIndicator",
  "contentType",
  "responseTopic",
  "correlationData",
  "userProperties",
  "messageExpiryIntervalSec",
] as const;

const messageFields: Arbitraries<ApplicationMessage> = {
  topicName: text,
  payload: bytes,
  qos,
  retain: fc.boolean(),
  payloadFormatIndicator: fc.constantFrom(0 as const, 1 as const),
  contentType: text,
  responseTopic: text,
  correlationData: bytes,
  userProperties: fc.array(fc.tuple(text, text), { maxLength: 3 }),
  messageExpiryIntervalSec: uint32,
};

export const publication: fc.Arbitrary<Publication> = record<Publication>(
  { message: record<ApplicationMessage>(messageFields, messageProperties), expiresAtMs: timeMs },
  ["expiresAtMs"],
);

const will = record<WillMessage>({ ...messageFields, willDelayIntervalSec: uint32 }, messageProperties);

const subscription = record<SubscriptionRecord>(
  {
    topicFilter: text,
    maximumQos: qos,
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom(0 as const, 1 as const, 2 as const),
    subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }),
  },
  ["subscriptionIdentifier"],
);

const deliveryState = record<DeliveryState>(
  {
    nextOrdinal: count,
    sentThrough: count,
    dupThrough: count,
    inflight: fc.array(
      record<InflightRecord>(
        {
          ordinal: count,
          phase: fc.constantFrom("awaitingPuback", "awaitingPubrec", "awaitingPubcomp"),
          resend: fc.constant(true as const),
        },
        ["resend"],
      ),
      { maxLength: 4 },
    ),
    receivedQos2: fc.array(packetIdentifier, { maxLength: 4 }),
  },
  ["dupThrough"],
);

const layout = record<Layout>({ epoch: count, shards: count, topicKeyLevels: count });

export const shardRecord = record<ShardRecord>(
  { boot: count, settledBoot: count, layout, numberBlocks: count },
  ["layout", "numberBlocks"],
);

const routeVersion = record({ boot: count, serial: count });
const shardIndex = fc.nat(1023);

export const routeRecord = record<RouteRecord>({ filter: text, shard: shardIndex, version: routeVersion });

const rule = record<Rule>(
  {
    effect: fc.constantFrom("allow", "deny"),
    action: fc.constantFrom("publish", "subscribe", "all"),
    topicFilter: text,
    qosMax: qos,
    retain: fc.boolean(),
  },
  ["qosMax", "retain"],
);

const rules = fc.array(rule, { maxLength: 3 });
/** What every object has is a name like others. */
const anyName = fc.oneof(text, fc.constant("__proto__"));
const namedRules = fc.uniqueArray(fc.tuple(anyName, rules), { selector: ([key]) => key, maxLength: 3 });
const rulesByName = namedRules.map((entries) => Object.fromEntries(entries));

export const policyRecord = record<Policy>({
  version: count,
  rules,
  roles: rulesByName,
  users: rulesByName,
  clients: rulesByName,
  bans: fc.array(
    record<Ban>({ by: fc.constantFrom("client", "username", "address"), value: text, untilMs: timeMs }, [
      "untilMs",
    ]),
    { maxLength: 3 },
  ),
});

export const identityRecord = record<Identity>(
  {
    method: fc.constantFrom("anonymous", "password", "token", "certificate", "scram", "hook"),
    username: text,
    clientId: text,
    roles: fc.array(text, { maxLength: 3 }),
    claims: fc.array(fc.tuple(anyName, text), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
    rules,
    expiresAtMs: timeMs,
  },
  ["username", "clientId", "expiresAtMs"],
);

const owner: fc.Arbitrary<Owner> = fc.oneof(fc.constant(anonymousIdentity), identityRecord.map(ownerOf));

const origin = record<Origin>(
  { shard: shardIndex, sequence: count, isVolatile: fc.constant(true as const) },
  ["isVolatile"],
);

const letter: fc.Arbitrary<Letter> = fc.oneof(
  record({ type: fc.constant("publish" as const), publisherClientId: text }),
  record({ type: fc.constant("handOver" as const), sharedFilter: text, origin }),
  record({ type: fc.constant("removeRoute" as const), version: routeVersion }),
  record({ type: fc.constant("deliver" as const), publisherClientId: text, origin }),
  record({
    type: fc.constant("deliverShared" as const),
    sharedFilter: text,
    queues: fc.boolean(),
    tried: fc.array(shardIndex, { maxLength: 3 }),
  }),
);

const counts = fc.array(count, { minLength: 20 }).map((all) => countsOf((_, index) => all[index] ?? 0));

const messagesToday = record<DailyCount>({ day: fc.nat(100_000), count: uint32 });

const cost = record<CostRecord>(
  { run: uint32, sinceSec: uint32, base: counts, total: counts, messagesToday },
  ["messagesToday"],
);

export const sessionRecord = record<SessionRecord>(
  {
    clientId: text,
    sessionNumber: count,
    incarnation: count,
    attachedBoot: count,
    sessionExpiryIntervalSec: uint32,
    detachedAtMs: timeMs,
    willDueAtMs: timeMs,
    will,
    subscriptions: fc.array(subscription, { maxLength: 4 }),
    deliveryState,
    deliveryStateSeq: count,
    cost,
    importedFrom: fc.uuid(),
    owner,
  },
  ["detachedAtMs", "willDueAtMs", "will", "cost", "importedFrom", "owner"],
);

const keptTarget = record<Omit<LogTarget, "subscriptionIdentifiers" | "sharedFilter">>({
  sessionNumber: fc.integer({ min: -5000, max: -1 }),
  ordinal: count,
  qos,
  retain: fc.boolean(),
  letter,
});

const sessionTarget = record<Omit<LogTarget, "letter">>(
  {
    sessionNumber: count,
    ordinal: count,
    qos: fc.constantFrom(1 as const, 2 as const),
    retain: fc.boolean(),
    subscriptionIdentifiers: fc.array(packetIdentifier, { maxLength: 3 }),
    sharedFilter: text,
  },
  ["subscriptionIdentifiers", "sharedFilter"],
);

const target: fc.Arbitrary<LogTarget> = fc.oneof(sessionTarget, keptTarget);

export const segmentRecord: fc.Arbitrary<SegmentRecord> = fc
  .tuple(
    fc.integer({ min: 1, max: 9 }),
    count,
    fc.array(fc.tuple(publication, fc.nat(2_000_000), fc.array(target, { maxLength: 3 })), { maxLength: 3 }),
    fc.array(fc.tuple(fc.maxSafeInteger(), deliveryState), { maxLength: 2 }),
    fc.option(cost, { nil: undefined }),
  )
  .map(([slot, seq, messages, deliveryStates, costs]) => ({
    slot,
    seq,
    messages: messages.map(([, sizeBytes, targets]) => ({ sizeBytes, targets })),
    publications: messages.map(([one]) => one),
    deliveryStates,
    ...(costs !== undefined && { cost: costs }),
  }));

const retainedName = record<Omit<RetainedName, "topicName">>({ sizeBytes: count, expiresAtMs: timeMs }, [
  "expiresAtMs",
]);

export const retainedBlock: fc.Arbitrary<RetainedBlockRecord> = fc
  .tuple(
    fc.integer({ min: 1, max: 9 }),
    count,
    fc.array(fc.tuple(publication, retainedName), { maxLength: 4 }),
    fc.array(text, { maxLength: 3 }),
  )
  .map(([slot, seq, messages, cleared]) => ({
    slot,
    seq,
    names: messages.map(([{ message }, name]) => ({ topicName: message.topicName, ...name })),
    cleared,
    publications: messages.map(([one]) => ({ publication: one })),
  }));
