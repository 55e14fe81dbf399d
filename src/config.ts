import { z } from "zod";
import {
  type AuthenticationConfig,
  authenticationMethodsOf,
  authenticationSettings,
  toAuthenticationConfig,
} from "./auth/settings.ts";
import { ruleSchema } from "./auth/rule-schema.ts";
import { encodePacket, isUtf8, publishSizeBytes } from "./codec/index.ts";
import type { CoreConfig } from "./core/config.ts";
import type { AbuseLimits } from "./core/abuse/abuse-limits.ts";
import type { Limits } from "./core/limits.ts";
import { defaultLimits, queuePolicies } from "./core/limits.ts";
import { Placement, shardsMax } from "./core/placement.ts";
import { choice, ConfigError, json, oneOf, wholeNumber } from "./setting.ts";
import { version } from "./version.ts";

export { ConfigError, shardsMax };

/** How sockets are held: `hibernating` ones cost nothing while idle, `resident` ones are faster. */
export type SocketMode = "hibernating" | "resident";

/** Where the shards of a namespace live, for good: a jurisdiction is a promise, a hint a wish. */
export type Location =
  | { readonly type: "anywhere" }
  | { readonly type: "jurisdiction"; readonly jurisdiction: (typeof jurisdictions)[number] }
  | { readonly type: "hint"; readonly hint: (typeof locationHints)[number] };

/** The validated settings of a namespace. */
export interface Config {
  readonly namespace: string;
  readonly location: Location;
  readonly socketMode: SocketMode;
  readonly core: CoreConfig;
  readonly authentication: AuthenticationConfig;
  /** The header in which a proxy that is trusted says the client's address; absent: what Cloudflare says. */
  readonly clientAddressHeader?: string;
  /** Opens the administration, with all rights. */
  readonly operatorToken?: string;
}

/** The namespace that `/mqtt` stands for. It has the settings themselves; others may differ from them. */
export const defaultNamespace = "default";

/** Names of namespaces: they are a level of a path and a part of an object's name. */
const namespacePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** developers.cloudflare.com/durable-objects/reference/data-location */
const jurisdictions = ["eu", "us", "fedramp", "fedramp-high"] as const;
const locationHints = [
  ...(["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se"] as const),
  ...(["oc", "afr", "me"] as const),
] as const;

const uint16Max = 0xffff;
const uint32Max = 0xffffffff;
/** Below Cloudflare's 10 GB for an object, with room for what is written even then. */
const objectBytesMax = 9_900_000_000;
const shardBytesMax = 8_000_000_000;

const rulesError =
  'must be a JSON array such as [{"effect": "allow", "action": "all", "topicFilter": "a/#"}]';

const permissionsMax = 1000;

const { abuse } = defaultLimits;

/** Rules for everybody. */
const permissions = json(rulesError)
  .pipe(
    z
      .array(ruleSchema, { error: rulesError })
      .max(permissionsMax, { error: `must have ${permissionsMax} rules at most` }),
  )
  .default([]);

/** What a namespace may have of its own, by the names of the Worker's variables and of the environment of `npm start`. */
const settings = z.object({
  SHARDS: wholeNumber(1, shardsMax, 1),
  TOPIC_KEY_LEVELS: wholeNumber(1, 16, 2),
  LAYOUT_EPOCH: wholeNumber(1, 1_000_000, 1),
  LOCATION_HINT: oneOf(locationHints).optional(),
  JURISDICTION: oneOf(jurisdictions).optional(),
  SOCKETS: z
    .enum(["hibernating", "resident"], { error: 'must be "hibernating" or "resident"' })
    .default("hibernating"),
  ...authenticationSettings,
  PERMISSIONS: permissions,
  SYS_TOPICS: oneOf(["operators", "everybody"]).default("operators"),
  FLUSHES_PER_SEC_MAX: z
    .union([z.literal("unlimited").transform(() => Infinity), z.coerce.number().positive()], {
      error: 'must be a positive number or "unlimited"',
    })
    .optional(),
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
  SUBSCRIPTIONS_ON_ALL_SHARDS_MAX: wholeNumber(0, 100_000, defaultLimits.subscriptionsOnAllShardsMax),
  TOPIC_LEVELS_MAX: wholeNumber(1, 1000, defaultLimits.topicLevelsMax),
  QUEUED_MESSAGES_PER_SESSION_MAX: wholeNumber(0, 10_000_000, defaultLimits.queue.messagesMax),
  QUEUED_BYTES_PER_SESSION_MAX: wholeNumber(0, uint32Max, defaultLimits.queue.bytesMax),
  QUEUED_MESSAGES_PER_SHARD_MAX: wholeNumber(0, 1_000_000_000, defaultLimits.log.messagesMax),
  QUEUED_BYTES_PER_SHARD_MAX: wholeNumber(0, shardBytesMax, defaultLimits.log.bytesMax),
  QUEUE_POLICY: oneOf(queuePolicies).default(defaultLimits.queuePolicy),
  STORED_BYTES_PER_SHARD_MAX: wholeNumber(1_000_000, objectBytesMax, defaultLimits.storedBytesMax),
  RETAINED_MESSAGES_MAX: wholeNumber(0, 10_000_000, defaultLimits.retainedMessagesMax),
  CONNECTIONS_MAX: wholeNumber(1, 32_000, defaultLimits.connectionsMax),
  SYS_INTERVAL_SEC: wholeNumber(5, 86_400, defaultLimits.serverTopicsIntervalSec),
  MESSAGES_PER_SEC_MAX: wholeNumber(0, 1_000_000, abuse.messagesPerSecMax),
  MESSAGES_BURST_MAX: wholeNumber(1, 1_000_000, abuse.messagesBurstMax),
  BYTES_PER_SEC_MAX: wholeNumber(0, uint32Max, abuse.bytesPerSecMax),
  BYTES_BURST_MAX: wholeNumber(1024, uint32Max, abuse.bytesBurstMax),
  MESSAGES_PER_DAY_MAX: wholeNumber(0, uint32Max, abuse.messagesPerDayMax),
  NAMESPACE_MESSAGES_PER_DAY_MAX: wholeNumber(0, uint32Max, 0),
  CONNECTS_PER_MIN_PER_ADDRESS_MAX: wholeNumber(0, 1_000_000, abuse.connectsPerMinPerAddressMax),
  CONNECTS_PER_MIN_MAX: wholeNumber(0, 100_000_000, 0),
  CONNECTIONS_PER_NAMESPACE_MAX: wholeNumber(0, 100_000_000, 0),
  FLAPS_MAX: wholeNumber(0, 100_000, abuse.flaps.max),
  FLAP_WINDOW_SEC: wholeNumber(1, 86_400, abuse.flaps.windowSec),
  FLAP_BAN_SEC: wholeNumber(1, 86_400, abuse.flaps.banSec),
  FAILED_LOGINS_PER_ADDRESS_MAX: wholeNumber(0, 100_000, abuse.failedLogins.max),
  FAILED_LOGIN_WINDOW_SEC: wholeNumber(1, 86_400, abuse.failedLogins.windowSec),
  FAILED_LOGIN_BAN_SEC: wholeNumber(1, 86_400, abuse.failedLogins.banSec),
  CLIENT_ADDRESS_HEADER: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, { error: "must be the name of a header" })
    .optional(),
  SERVER_REFERENCE: z.string().min(1, { error: "must not be empty" }).optional(),
});

type Settings = z.infer<typeof settings>;

const namespacesError = 'must be a JSON object such as {"plant-a": {"SHARDS": "4"}}';

/** The other namespaces, each with the settings in which it differs. */
const namespaces = json(namespacesError)
  .pipe(
    z.record(
      z.string().regex(namespacePattern, { error: namespacesError }),
      z.record(
        z.string().refine((name) => Object.hasOwn(settings.shape, name)),
        z.string({ error: "must be a string" }),
        {
          error: ({ code }) =>
            code === "invalid_key" ? "names no setting of a namespace" : "must be an object of settings",
        },
      ),
      { error: namespacesError },
    ),
  )
  .refine((names) => !(defaultNamespace in names), {
    error: `must not have "${defaultNamespace}": its settings are the variables themselves`,
  })
  .default({});

/** The names of all settings. */
export const settingNames: readonly string[] = [...Object.keys(settings.shape), "NAMESPACES"];

/** The names of all namespaces. Throws {@link ConfigError} if they cannot be read. */
export function namespacesOf(variables: object): string[] {
  return [defaultNamespace, ...Object.keys(differencesOf(variables))];
}

/**
 * Reads the settings of a namespace from the Worker's variables; undefined when there is no such namespace. Throws
 * {@link ConfigError} for the first setting that is wrong.
 */
export function configOf(variables: object, namespace: string): Config | undefined {
  const differences = differencesOf(variables);
  if (namespace === defaultNamespace) return parseSettings(variables, namespace, "");
  // The prototype's members are no namespaces.
  if (!Object.hasOwn(differences, namespace)) return undefined;
  const own = differences[namespace] ?? {};
  const inherited = Object.entries(variables).filter(([name]) => !isReplaced(name, own));
  return parseSettings({ ...Object.fromEntries(inherited), ...own }, namespace, `NAMESPACES.${namespace}.`);
}

/** A namespace that has one of the former of its own inherits none of the latter: whose keys count is said in one place. */
const replacements: readonly (readonly [own: RegExp, inherited: RegExp])[] = [
  [/^(?:LOCATION_HINT|JURISDICTION)$/, /^(?:LOCATION_HINT|JURISDICTION)$/],
  [/^JWT_(?:SECRET|JWKS|JWKS_URL)$/, /^JWT_/],
  [/^HOOK_URL$/, /^HOOK_/],
];

function isReplaced(name: string, own: object): boolean {
  const replacing = replacements.find(([, inherited]) => inherited.test(name));
  return replacing !== undefined && Object.keys(own).some((other) => replacing[0].test(other));
}

/** The settings of the default namespace, when those of all others are right too. */
export function parseConfig(variables: object): Config {
  const [first, ...others] = namespacesOf(variables);
  for (const namespace of others) configOf(variables, namespace);
  return configOf(variables, first as string) as Config;
}

function differencesOf(variables: object): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const { NAMESPACES } = variables as { NAMESPACES?: unknown };
  const parsed = namespaces.safeParse(NAMESPACES === "" ? undefined : NAMESPACES);
  if (!parsed.success) throw errorOf(parsed.error, "NAMESPACES.");
  return parsed.data as Readonly<Record<string, Readonly<Record<string, string>>>>;
}

function errorOf({ issues: [issue] }: z.ZodError, prefix: string): ConfigError {
  const name = `${prefix}${issue?.path.join(".") ?? ""}`.replace(/\.$/, "");
  return new ConfigError(`${name} ${issue?.message}`);
}

function parseSettings(variables: object, namespace: string, prefix: string): Config {
  const parsed = settings.safeParse(variables);
  if (!parsed.success) throw errorOf(parsed.error, prefix);
  const { SHARDS, TOPIC_KEY_LEVELS, LAYOUT_EPOCH } = parsed.data;
  const layout = { epoch: LAYOUT_EPOCH, shards: SHARDS, topicKeyLevels: TOPIC_KEY_LEVELS };
  const authentication = toAuthenticationConfig(parsed.data, prefix);
  const core: CoreConfig = {
    placement: new Placement(Object.freeze(layout)),
    limits: Object.freeze(toLimits(parsed.data, prefix)),
    flushesPerSecMax: parsed.data.FLUSHES_PER_SEC_MAX ?? flushesPerSecOf(SHARDS),
    allowsAnonymous: parsed.data.ANONYMOUS,
    publishSizeBytes,
    packetSizeBytes: (packet, protocolVersion) => encodePacket(packet, protocolVersion).length,
    isUtf8,
    authenticates: authentication.providers.length > 0,
    authenticationMethods: new Set(authenticationMethodsOf(authentication)),
    permissions: parsed.data.PERMISSIONS,
    serverTopicsFor: parsed.data.SYS_TOPICS,
    version,
  };
  const { CLIENT_ADDRESS_HEADER, OPERATOR_TOKEN } = parsed.data;
  return Object.freeze({
    namespace,
    location: locationOf(parsed.data, prefix),
    socketMode: parsed.data.SOCKETS,
    core: Object.freeze(core),
    authentication,
    ...(CLIENT_ADDRESS_HEADER !== undefined && { clientAddressHeader: CLIENT_ADDRESS_HEADER }),
    ...(OPERATOR_TOKEN !== undefined && { operatorToken: OPERATOR_TOKEN }),
  });
}

/** Rows cost the same on one shard as on several: they share a rate, down to one that keeps acknowledgements quick. */
export function flushesPerSecOf(shards: number): number {
  return Math.max(20 / shards, 5);
}

function locationOf({ LOCATION_HINT, JURISDICTION }: Settings, prefix: string): Location {
  if (LOCATION_HINT !== undefined && JURISDICTION !== undefined) {
    throw new ConfigError(`${prefix}LOCATION_HINT must not be set beside JURISDICTION`);
  }
  if (JURISDICTION !== undefined) return { type: "jurisdiction", jurisdiction: JURISDICTION };
  return LOCATION_HINT === undefined ? { type: "anywhere" } : { type: "hint", hint: LOCATION_HINT };
}

/** What each shard may have of what the namespace may; 0: it has no such limit. */
function shareOf(namespaceMax: number, { SHARDS }: Settings): number {
  return Math.ceil(namespaceMax / SHARDS);
}

function toAbuseLimits(values: Settings, prefix: string): AbuseLimits {
  const { BYTES_BURST_MAX, BYTES_PER_SEC_MAX, MAXIMUM_PACKET_SIZE_BYTES } = values;
  if (BYTES_PER_SEC_MAX > 0 && BYTES_BURST_MAX < MAXIMUM_PACKET_SIZE_BYTES) {
    throw new ConfigError(`${prefix}BYTES_BURST_MAX must not be below MAXIMUM_PACKET_SIZE_BYTES`);
  }
  return {
    messagesPerSecMax: values.MESSAGES_PER_SEC_MAX,
    messagesBurstMax: values.MESSAGES_BURST_MAX,
    bytesPerSecMax: BYTES_PER_SEC_MAX,
    bytesBurstMax: BYTES_BURST_MAX,
    messagesPerDayMax: values.MESSAGES_PER_DAY_MAX,
    shardMessagesPerDayMax: shareOf(values.NAMESPACE_MESSAGES_PER_DAY_MAX, values),
    connectsPerMinPerAddressMax: values.CONNECTS_PER_MIN_PER_ADDRESS_MAX,
    shardConnectsPerMinMax: shareOf(values.CONNECTS_PER_MIN_MAX, values),
    shardConnectionsMax: shareOf(values.CONNECTIONS_PER_NAMESPACE_MAX, values),
    flaps: {
      max: values.FLAPS_MAX,
      windowSec: values.FLAP_WINDOW_SEC,
      banSec: values.FLAP_BAN_SEC,
    },
    failedLogins: {
      max: values.FAILED_LOGINS_PER_ADDRESS_MAX,
      windowSec: values.FAILED_LOGIN_WINDOW_SEC,
      banSec: values.FAILED_LOGIN_BAN_SEC,
    },
  };
}

function toLimits(values: Settings, prefix: string): Limits {
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
    subscriptionsOnAllShardsMax: values.SUBSCRIPTIONS_ON_ALL_SHARDS_MAX,
    topicLevelsMax: values.TOPIC_LEVELS_MAX,
    queue: {
      messagesMax: values.QUEUED_MESSAGES_PER_SESSION_MAX,
      bytesMax: values.QUEUED_BYTES_PER_SESSION_MAX,
    },
    queuePolicy: values.QUEUE_POLICY,
    log: {
      messagesMax: values.QUEUED_MESSAGES_PER_SHARD_MAX,
      bytesMax: values.QUEUED_BYTES_PER_SHARD_MAX,
    },
    storedBytesMax: values.STORED_BYTES_PER_SHARD_MAX,
    retainedMessagesMax: values.RETAINED_MESSAGES_MAX,
    connectionsMax: values.CONNECTIONS_MAX,
    serverTopicsIntervalSec: values.SYS_INTERVAL_SEC,
    abuse: toAbuseLimits(values, prefix),
    ...(SERVER_REFERENCE !== undefined && { serverReference: SERVER_REFERENCE }),
  };
}
