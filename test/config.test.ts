import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, configOf, namespacesOf, parseConfig, settingNames } from "../src/config.ts";
import { defaultLimits } from "../src/core/limits.ts";
import { version } from "../src/version.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

describe("The settings of the broker", () => {
  test("have defaults, which are the limits that the core documents", () => {
    const { socketMode, core } = parseConfig({});
    expect(socketMode).toBe("hibernating");
    expect(core.flushesPerSecMax).toBe(20);
    expect(core.limits).toEqual(defaultLimits);
  });

  test.each([
    ["MAXIMUM_PACKET_SIZE_BYTES", "2048", "maximumPacketSizeBytes", 2048],
    ["RECEIVE_MAXIMUM", "5", "receiveMaximum", 5],
    ["INFLIGHT_MESSAGES_MAX", "6", "inflightMessagesMax", 6],
    ["TOPIC_ALIAS_MAXIMUM", "0", "topicAliasMaximum", 0],
    ["OUTBOUND_TOPIC_ALIAS_MAXIMUM", "3", "outboundTopicAliasMaximum", 3],
    ["KEEP_ALIVE_SEC_MAX", "60", "keepAliveSecMax", 60],
    ["SESSION_EXPIRY_SEC_MAX", "3600", "sessionExpiryIntervalSecMax", 3600],
    ["MAXIMUM_QOS", "1", "maximumQos", 1],
    ["RETAIN_AVAILABLE", "false", "retainAvailable", false],
    ["WILDCARD_SUBSCRIPTION_AVAILABLE", "false", "wildcardSubscriptionAvailable", false],
    ["SHARED_SUBSCRIPTION_AVAILABLE", "false", "sharedSubscriptionAvailable", false],
    ["SUBSCRIPTION_IDENTIFIERS_AVAILABLE", "false", "subscriptionIdentifiersAvailable", false],
    ["VALIDATE_PAYLOAD_FORMAT", "false", "validatesPayloadFormat", false],
    ["SUBSCRIPTIONS_PER_SESSION_MAX", "9", "subscriptionsPerSessionMax", 9],
    ["SUBSCRIPTIONS_ON_ALL_SHARDS_MAX", "0", "subscriptionsOnAllShardsMax", 0],
    ["TOPIC_LEVELS_MAX", "8", "topicLevelsMax", 8],
    ["RETAINED_MESSAGES_MAX", "10", "retainedMessagesMax", 10],
    ["CONNECTIONS_MAX", "11", "connectionsMax", 11],
    ["SYS_INTERVAL_SEC", "10", "serverTopicsIntervalSec", 10],
    ["SERVER_REFERENCE", "other.example", "serverReference", "other.example"],
  ] as const)("%s sets what it says", (name, text, limit, value) => {
    expect(parseConfig({ [name]: text }).core.limits[limit]).toBe(value);
  });

  test("ANONYMOUS is off unless it is set", () => {
    expect(parseConfig({}).core.allowsAnonymous).toBe(false);
    expect(parseConfig({ ANONYMOUS: "true" }).core.allowsAnonymous).toBe(true);
  });

  test("SYS_TOPICS are for operators unless they are opened", () => {
    expect(parseConfig({}).core.serverTopicsFor).toBe("operators");
    expect(parseConfig({ SYS_TOPICS: "everybody" }).core.serverTopicsFor).toBe("everybody");
    expect(() => parseConfig({ SYS_TOPICS: "nobody" })).toThrow(
      "SYS_TOPICS must be one of operators, everybody",
    );
  });

  test("PERMISSIONS are rules for everybody", () => {
    expect(parseConfig({}).core.permissions).toEqual([]);
    const rules = [
      { effect: "allow", action: "all", topicFilter: "a/${clientId}/#" },
      { effect: "deny", action: "publish", topicFilter: "#", qosMax: 1, retain: false },
    ];
    expect(parseConfig({ PERMISSIONS: JSON.stringify(rules) }).core.permissions).toEqual(rules);
  });

  const rule = { effect: "allow", action: "all", topicFilter: "#" };

  test.each([
    ["[", "PERMISSIONS must be a JSON array"],
    ["{}", "PERMISSIONS must be a JSON array"],
    ["[1]", "PERMISSIONS.0 must be a rule"],
    [JSON.stringify([rule, { ...rule, effect: "maybe" }]), 'PERMISSIONS.1.effect must be "allow" or "deny"'],
    [JSON.stringify([{ ...rule, action: "read" }]), "PERMISSIONS.0.action must be"],
    [JSON.stringify([{ ...rule, qosMax: 3 }]), "PERMISSIONS.0.qosMax must be 0, 1 or 2"],
    [JSON.stringify([{ ...rule, retain: "no" }]), "PERMISSIONS.0.retain must be true or false"],
    [JSON.stringify([{ ...rule, qos: 1 }]), "PERMISSIONS.0 must be a rule, with nothing more"],
    [
      JSON.stringify([{ effect: "allow", action: "all" }]),
      "PERMISSIONS.0.topicFilter must be a Topic Filter",
    ],
    ...["", "a/#/b", "a+", "${user}", "a/${claim.}", "$share/a/b", "${clientId"].map((topicFilter) => [
      JSON.stringify([{ ...rule, topicFilter }]),
      "PERMISSIONS.0.topicFilter must be a Topic Filter",
    ]),
  ] as [string, string][])("PERMISSIONS=%s is refused by name", (text, message) => {
    expect(() => parseConfig({ PERMISSIONS: text })).toThrow(ConfigError);
    expect(() => parseConfig({ PERMISSIONS: text })).toThrow(message);
  });

  test("limits against abuse are off, but for wrong credentials by address", () => {
    expect(parseConfig({}).core.limits.abuse).toEqual(defaultLimits.abuse);
    const { flaps, failedLogins, messagesBurstMax: _, bytesBurstMax: __, ...others } = defaultLimits.abuse;
    expect(new Set(Object.values(others))).toEqual(new Set([0]));
    expect([flaps.max, failedLogins.max]).toEqual([0, 100]);
  });

  test("limits against abuse of a namespace are shared out among its shards", () => {
    const { abuse } = parseConfig({
      SHARDS: "4",
      MESSAGES_PER_SEC_MAX: "10",
      MESSAGES_PER_DAY_MAX: "11",
      NAMESPACE_MESSAGES_PER_DAY_MAX: "101",
      CONNECTS_PER_MIN_MAX: "8",
      CONNECTS_PER_MIN_PER_ADDRESS_MAX: "7",
      CONNECTIONS_PER_NAMESPACE_MAX: "1",
      FLAPS_MAX: "5",
      FLAP_BAN_SEC: "6",
    }).core.limits;
    expect(abuse).toMatchObject({
      messagesPerSecMax: 10,
      messagesPerDayMax: 11,
      shardMessagesPerDayMax: 26,
      shardConnectsPerMinMax: 2,
      connectsPerMinPerAddressMax: 7,
      shardConnectionsMax: 1,
      flaps: { max: 5, windowSec: 60, banSec: 6 },
    });
  });

  test("BYTES_BURST_MAX has room for every packet that is allowed", () => {
    const variables = { BYTES_PER_SEC_MAX: "1000", BYTES_BURST_MAX: "2000" };
    expect(() => parseConfig(variables)).toThrow("BYTES_BURST_MAX must not be below");
    expect(() => parseConfig({ ...variables, MAXIMUM_PACKET_SIZE_BYTES: "2000" })).not.toThrow();
  });

  test("CLIENT_ADDRESS_HEADER names a header", () => {
    expect(parseConfig({}).clientAddressHeader).toBeUndefined();
    expect(parseConfig({ CLIENT_ADDRESS_HEADER: "X-Real-IP" }).clientAddressHeader).toBe("X-Real-IP");
    expect(() => parseConfig({ CLIENT_ADDRESS_HEADER: "a: b" })).toThrow("CLIENT_ADDRESS_HEADER must be");
  });

  test("QUEUED_MESSAGES_PER_SESSION_MAX bounds the queue in the log", () => {
    const { queue } = parseConfig({ QUEUED_MESSAGES_PER_SESSION_MAX: "12" }).core.limits;
    expect(queue).toEqual({ ...defaultLimits.queue, messagesMax: 12 });
  });

  test("SHARDS, TOPIC_KEY_LEVELS and LAYOUT_EPOCH are the layout", () => {
    expect(parseConfig({}).core.placement.layout).toEqual({ shards: 1, topicKeyLevels: 2, epoch: 1 });
    const variables = { SHARDS: "1024", TOPIC_KEY_LEVELS: "3", LAYOUT_EPOCH: "2" };
    const layout = { shards: 1024, topicKeyLevels: 3, epoch: 2 };
    expect(parseConfig(variables).core.placement.layout).toEqual(layout);
  });

  test("LOCATION_HINT and JURISDICTION say where the shards live, but not both", () => {
    expect(parseConfig({}).location).toEqual({ type: "anywhere" });
    expect(parseConfig({ LOCATION_HINT: "weur" }).location).toEqual({ type: "hint", hint: "weur" });
    expect(parseConfig({ JURISDICTION: "eu" }).location).toEqual({
      type: "jurisdiction",
      jurisdiction: "eu",
    });
    expect(() => parseConfig({ LOCATION_HINT: "weur", JURISDICTION: "eu" })).toThrow(
      "LOCATION_HINT must not be set beside JURISDICTION",
    );
  });

  test.each([
    ["SHARDS", "0"],
    ["SHARDS", "1025"],
    ["TOPIC_KEY_LEVELS", "0"],
    ["LAYOUT_EPOCH", "0"],
    ["LOCATION_HINT", "paris"],
    ["JURISDICTION", "mars"],
    ["SUBSCRIPTIONS_ON_ALL_SHARDS_MAX", "-1"],
    ["SOCKETS", "plain"],
    ["FLUSHES_PER_SEC_MAX", "0"],
    ["RECEIVE_MAXIMUM", "many"],
    ["MAXIMUM_QOS", "3"],
    ["RETAIN_AVAILABLE", "yes"],
    ["KEEP_ALIVE_SEC_MAX", "65536"],
  ])("%s=%s is refused by name", (name, text) => {
    expect(() => parseConfig({ [name]: text })).toThrow(ConfigError);
    expect(() => parseConfig({ [name]: text })).toThrow(name);
  });

  test("have no name that an object's prototype has", () => {
    expect(() => parseConfig({ toString: "x", constructor: "y" })).not.toThrow();
  });

  test.each(settingNames)("%s is in the README", (name) => {
    expect(readme).toContain(`\`${name}\``);
  });

  test("the version is that of the package", () => {
    const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
    expect(version).toBe(JSON.parse(manifest).version);
  });
});

describe("Namespaces", () => {
  const NAMESPACES = JSON.stringify({ "plant-a": { SHARDS: "4", MAXIMUM_QOS: "1" }, b: {} });

  test("that have tokens or a hook of their own inherit nothing about those", () => {
    const secret = "a secret of thirty-two characters";
    const variables = {
      JWT_JWKS_URL: "https://issuer.example/keys",
      JWT_ISSUER: "https://issuer.example",
      NAMESPACES: JSON.stringify({ b: { JWT_SECRET: secret }, c: {} }),
    };
    expect(configOf(variables, "b")?.authentication.token).toMatchObject({ secret });
    expect(configOf(variables, "b")?.authentication.token?.keys).toBeUndefined();
    expect(configOf(variables, "b")?.authentication.token?.issuer).toBeUndefined();
    expect(configOf(variables, "c")?.authentication.token?.issuer).toBe("https://issuer.example");
  });

  test("are the default one alone when none is set", () => {
    expect(namespacesOf({})).toEqual(["default"]);
    expect(namespacesOf({ NAMESPACES: "" })).toEqual(["default"]);
    expect(configOf({}, "default")?.namespace).toBe("default");
  });

  test("are the default one and those set", () => {
    expect(namespacesOf({ NAMESPACES })).toEqual(["default", "plant-a", "b"]);
  });

  test("have the settings of the default one, but for those of their own", () => {
    const variables = { NAMESPACES, SHARDS: "2", RECEIVE_MAXIMUM: "7" };
    const [ordinary, plant, same] = ["default", "plant-a", "b"].map((name) => configOf(variables, name));
    expect(ordinary?.core.placement.layout.shards).toBe(2);
    expect(ordinary?.core.limits.maximumQos).toBe(2);
    expect(plant?.namespace).toBe("plant-a");
    expect(plant?.core.placement.layout.shards).toBe(4);
    expect(plant?.core.limits).toEqual({ ...ordinary?.core.limits, maximumQos: 1 });
    expect(same?.core.placement.layout.shards).toBe(2);
  });

  test.each(["plant", "", "__proto__", "toString", "constructor", "NAMESPACES"])(
    "that are not set are none: %j",
    (name) => {
      expect(configOf({ NAMESPACES }, name)).toBeUndefined();
      expect(configOf({}, name)).toBeUndefined();
    },
  );

  test.each([
    ["no JSON", 'NAMESPACES must be a JSON object such as {"plant-a": {"SHARDS": "4"}}'],
    ["[]", "NAMESPACES must be a JSON object"],
    ["null", "NAMESPACES must be a JSON object"],
    ['{"Plant A": {}}', "NAMESPACES.Plant A must be a JSON object"],
    ['{"-a": {}}', "NAMESPACES.-a must be a JSON object"],
    [`{"${"a".repeat(64)}": {}}`, "must be a JSON object"],
    ['{"default": {}}', 'NAMESPACES must not have "default"'],
    ['{"a": {"SHARD": "2"}}', "NAMESPACES.a.SHARD names no setting of a namespace"],
    ['{"a": "SHARDS=2"}', "NAMESPACES.a must be an object of settings"],
    ['{"a": {"NAMESPACES": "{}"}}', "NAMESPACES.a.NAMESPACES names no setting of a namespace"],
    ['{"a": {"SHARDS": 4}}', "NAMESPACES.a.SHARDS must be a string"],
    ['{"a": {"SHARDS": "0"}}', "NAMESPACES.a.SHARDS must be a whole number from 1 to 1024"],
    ['{"a": {"LOCATION_HINT": "weur", "JURISDICTION": "eu"}}', "NAMESPACES.a.LOCATION_HINT must not be set"],
  ])("%s is refused by name", (text, message) => {
    expect(() => parseConfig({ NAMESPACES: text })).toThrow(ConfigError);
    expect(() => parseConfig({ NAMESPACES: text })).toThrow(message);
  });
});
