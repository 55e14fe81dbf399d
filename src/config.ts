import { z } from "zod";
import { encodePacket, isUtf8, publishSizeBytes } from "./codec/index.ts";
import type { CoreConfig } from "./core/config.ts";
import type { Limits } from "./core/limits.ts";
import { defaultLimits } from "./core/limits.ts";
import { version } from "./version.ts";

/** How sockets are held: `hibernating` ones cost nothing while idle, `resident` ones are faster. */
export type SocketMode = "hibernating" | "resident";

/** The validated settings of a deployment. */
export interface Config {
  readonly socketMode: SocketMode;
  readonly core: CoreConfig;
}

/** A setting that cannot be used; the message names it. */
export class ConfigError extends Error {}

const uint16Max = 0xffff;
const uint32Max = 0xffffffff;

function wholeNumber(min: number, max: number, standard: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,10}$/, { error })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error })
    .default(standard);
}

function choice(standard: boolean) {
  return z
    .enum(["true", "false"], { error: 'must be "true" or "false"' })
    .transform((value) => value === "true")
    .default(standard);
}

/** All settings, by the names of the Worker's variables and of the environment of `npm start`. */
const settings = z.object({
  SHARDS: z.literal("1", { error: "must be 1: this release runs one shard" }).default("1"),
  SOCKETS: z
    .enum(["hibernating", "resident"], { error: 'must be "hibernating" or "resident"' })
    .default("hibernating"),
  ANONYMOUS: choice(false),
  FLUSHES_PER_SEC_MAX: z
    .union([z.literal("unlimited").transform(() => Infinity), z.coerce.number().positive()], {
      error: 'must be a positive number or "unlimited"',
    })
    .default(20),
  MAXIMUM_PACKET_SIZE_BYTES: wholeNumber(1024, 1024 * 1024, defaultLimits.maximumPacketSizeBytes),
  RECEIVE_MAXIMUM: wholeNumber(1, 500, defaultLimits.receiveMaximum),
  INFLIGHT_MESSAGES_MAX: wholeNumber(1, 500, defaultLimits.inflightMessagesMax),
  TOPIC_ALIAS_MAXIMUM: wholeNumber(0, uint16Max, defaultLimits.topicAliasMaximum),
  OUTBOUND_TOPIC_ALIAS_MAXIMUM: wholeNumber(0, uint16Max, defaultLimits.outboundTopicAliasMaximum),
  KEEP_ALIVE_SEC_MAX: wholeNumber(1, uint16Max, defaultLimits.keepAliveSecMax),
  SESSION_EXPIRY_SEC_MAX: wholeNumber(0, uint32Max, defaultLimits.sessionExpiryIntervalSecMax),
  MAXIMUM_QOS: wholeNumber(0, 2, defaultLimits.maximumQos),
  RETAIN_AVAILABLE: choice(defaultLimits.retainAvailable),
  WILDCARD_SUBSCRIPTION_AVAILABLE: choice(defaultLimits.wildcardSubscriptionAvailable),
  SHARED_SUBSCRIPTION_AVAILABLE: choice(defaultLimits.sharedSubscriptionAvailable),
  SUBSCRIPTION_IDENTIFIERS_AVAILABLE: choice(defaultLimits.subscriptionIdentifiersAvailable),
  VALIDATE_PAYLOAD_FORMAT: choice(defaultLimits.validatesPayloadFormat),
  SUBSCRIPTIONS_PER_SESSION_MAX: wholeNumber(1, 100_000, defaultLimits.subscriptionsPerSessionMax),
  TOPIC_LEVELS_MAX: wholeNumber(1, 1000, defaultLimits.topicLevelsMax),
  QUEUED_MESSAGES_PER_SESSION_MAX: wholeNumber(0, 10_000_000, defaultLimits.queue.messagesMax),
  RETAINED_MESSAGES_MAX: wholeNumber(0, 10_000_000, defaultLimits.retainedMessagesMax),
  CONNECTIONS_MAX: wholeNumber(1, 32_000, defaultLimits.connectionsMax),
  SYS_INTERVAL_SEC: wholeNumber(5, 86_400, defaultLimits.serverTopicsIntervalSec),
  SERVER_REFERENCE: z.string().min(1, { error: "must not be empty" }).optional(),
});

type Settings = z.infer<typeof settings>;

/** The names of all settings. */
export const settingNames: readonly string[] = Object.keys(settings.shape);

/** Reads the settings from the Worker's variables. Throws {@link ConfigError} for the first one that is wrong. */
export function parseConfig(variables: object): Config {
  const parsed = settings.safeParse(variables);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new ConfigError(`${issue?.path.join(".")} ${issue?.message}`);
  }
  const core: CoreConfig = {
    limits: Object.freeze(toLimits(parsed.data)),
    flushesPerSecMax: parsed.data.FLUSHES_PER_SEC_MAX,
    allowsAnonymous: parsed.data.ANONYMOUS,
    publishSizeBytes,
    packetSizeBytes: (packet, protocolVersion) => encodePacket(packet, protocolVersion).length,
    isUtf8,
    authenticationMethods: new Map(),
    version,
  };
  return Object.freeze({ socketMode: parsed.data.SOCKETS, core: Object.freeze(core) });
}

function toLimits(values: Settings): Limits {
  const { SERVER_REFERENCE } = values;
  return {
    ...defaultLimits,
    maximumPacketSizeBytes: values.MAXIMUM_PACKET_SIZE_BYTES,
    receiveMaximum: values.RECEIVE_MAXIMUM,
    inflightMessagesMax: values.INFLIGHT_MESSAGES_MAX,
    topicAliasMaximum: values.TOPIC_ALIAS_MAXIMUM,
    outboundTopicAliasMaximum: values.OUTBOUND_TOPIC_ALIAS_MAXIMUM,
    keepAliveSecMax: values.KEEP_ALIVE_SEC_MAX,
    sessionExpiryIntervalSecMax: values.SESSION_EXPIRY_SEC_MAX,
    maximumQos: values.MAXIMUM_QOS as Limits["maximumQos"],
    retainAvailable: values.RETAIN_AVAILABLE,
    wildcardSubscriptionAvailable: values.WILDCARD_SUBSCRIPTION_AVAILABLE,
    sharedSubscriptionAvailable: values.SHARED_SUBSCRIPTION_AVAILABLE,
    subscriptionIdentifiersAvailable: values.SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
    validatesPayloadFormat: values.VALIDATE_PAYLOAD_FORMAT,
    subscriptionsPerSessionMax: values.SUBSCRIPTIONS_PER_SESSION_MAX,
    topicLevelsMax: values.TOPIC_LEVELS_MAX,
    queue: { ...defaultLimits.queue, messagesMax: values.QUEUED_MESSAGES_PER_SESSION_MAX },
    retainedMessagesMax: values.RETAINED_MESSAGES_MAX,
    connectionsMax: values.CONNECTIONS_MAX,
    serverTopicsIntervalSec: values.SYS_INTERVAL_SEC,
    ...(SERVER_REFERENCE !== undefined && { serverReference: SERVER_REFERENCE }),
  };
}
