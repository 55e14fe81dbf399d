import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, parseConfig, settingNames } from "../src/config.ts";
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

  test("QUEUED_MESSAGES_PER_SESSION_MAX bounds the queue in the log", () => {
    const { queue } = parseConfig({ QUEUED_MESSAGES_PER_SESSION_MAX: "12" }).core.limits;
    expect(queue).toEqual({ ...defaultLimits.queue, messagesMax: 12 });
  });

  test.each([
    ["SHARDS", "2"],
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

  test.each(settingNames)("%s is in the README", (name) => {
    expect(readme).toContain(`\`${name}\``);
  });

  test("the version is that of the package", () => {
    const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
    expect(version).toBe(JSON.parse(manifest).version);
  });
});
