import { z } from "zod";
import { fromBase64 } from "./base64.ts";
import { isValidTopicFilter, isValidTopicName } from "../codec/index.ts";

/** A UTF-8 Encoded String of MQTT (section 1.5.4): no U+0000, no half of a surrogate pair. */
const text = z
  .string()
  .max(65_535)
  .refine((value) => !/[\0\p{Surrogate}]/u.test(value), { error: "has characters that MQTT has not" });

const topicName = text.refine(isValidTopicName, { error: "is no Topic Name" });
const topicFilter = text.refine(isValidTopicFilter, { error: "is no Topic Filter" });
const clientId = text.refine((value) => value !== "", { error: "is empty" });

const bytes = z.string().transform((value, context): Uint8Array => {
  try {
    return fromBase64(value);
  } catch {
    context.addIssue("is not base64");
    return z.NEVER;
  }
});

const uint32 = z.int().min(0).max(0xffffffff);
const timeMs = z.int().min(0);
const ordinal = z.int().min(1);
const packetIdentifier = z.int().min(1).max(0xffff);
const subscriptionIdentifier = z.int().min(1).max(268_435_455);
const qos = z.literal([0, 1, 2]);

const message = z.strictObject({
  topicName,
  payload: bytes,
  qos,
  retain: z.boolean(),
  payloadFormatIndicator: z.literal([0, 1]).optional(),
  contentType: text.optional(),
  responseTopic: topicName.optional(),
  correlationData: bytes.optional(),
  userProperties: z.array(z.tuple([text, text])).optional(),
  messageExpiryIntervalSec: uint32.optional(),
});

const publication = z.strictObject({ message, expiresAtMs: timeMs.optional() });

const retained = z.strictObject({
  type: z.literal("retained"),
  publication: publication.refine(({ message: { payload } }) => payload.length > 0, {
    error: "has an empty payload, which nobody retains",
  }),
});

const queued = z.strictObject({
  type: z.literal("message"),
  clientId,
  ordinal,
  qos: z.literal([1, 2]),
  retain: z.boolean(),
  isSent: z.boolean(),
  subscriptionIdentifiers: z.array(subscriptionIdentifier).optional(),
  sharedFilter: topicFilter.optional(),
  publication,
});

const deliveryState = z.strictObject({
  nextOrdinal: ordinal,
  sentThrough: z.int().min(0),
  dupThrough: z.int().min(0).optional(),
  inflight: z.array(
    z.strictObject({
      ordinal,
      phase: z.literal(["awaitingPuback", "awaitingPubrec", "awaitingPubcomp"]),
      resend: z.literal(true).optional(),
    }),
  ),
  receivedQos2: z.array(packetIdentifier),
});

/** What was good enough for a credential. */
const rule = z.strictObject({
  effect: z.literal(["allow", "deny"]),
  action: z.literal(["publish", "subscribe", "all"]),
  topicFilter: z.string(),
  qosMax: qos.optional(),
  retain: z.boolean().optional(),
});

const owner = z.strictObject({
  method: z.literal(["anonymous", "password", "token", "certificate", "scram", "hook"]),
  username: z.string().optional(),
  clientId: z.string().optional(),
  roles: z.array(z.string()),
  claims: z.record(z.string(), z.string()),
  rules: z.array(rule),
});

const session = z.strictObject({
  type: z.literal("session"),
  clientId,
  sessionExpiryIntervalSec: uint32.min(1),
  detachedAtMs: timeMs.optional(),
  will: message.extend({ willDelayIntervalSec: uint32 }).optional(),
  willDueAtMs: timeMs.optional(),
  subscriptions: z.array(
    z.strictObject({
      topicFilter,
      maximumQos: qos,
      noLocal: z.boolean(),
      retainAsPublished: z.boolean(),
      retainHandling: z.literal([0, 1, 2]),
      subscriptionIdentifier: subscriptionIdentifier.optional(),
    }),
  ),
  deliveryState,
  owner: owner.optional(),
});

export const recordSchema = z.discriminatedUnion("type", [retained, queued, session], {
  error: ({ code }) => (code === "invalid_union" ? "is neither retained, message nor session" : undefined),
});
