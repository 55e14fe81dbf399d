import { describe, expect, test } from "vitest";
import { chooseSubprotocol } from "../../src/subprotocol.ts";
import { Harness } from "../core/harness.ts";
import { SimulatedClient } from "../core/simulated-client.ts";
import { field, packet, uint16 } from "../support/bytes.ts";
import { afterConnect, bothVersions, WireClient } from "./wire.ts";

type Version = (typeof bothVersions)[number];

/** Whether a live message and a retained one on the topic both come for the filter; they must agree. */
function matches(protocolVersion: Version, filter: string, topicName: string): boolean {
  const shard = new Harness();
  const early = SimulatedClient.connected(shard, { protocolVersion });
  early.subscribe(filter);
  SimulatedClient.connected(shard).publish(topicName, "1", { retain: true });
  const late = SimulatedClient.connected(shard, { protocolVersion });
  late.subscribe(filter);
  expect(late.payloads).toEqual(early.payloads);
  return early.payloads.length > 0;
}

function subscribing(protocolVersion: Version, filter: Buffer): WireClient {
  const optional = protocolVersion === 5 ? [0] : [];
  return afterConnect(protocolVersion, packet(0x82, uint16(1), optional, filter, 0));
}

function publishing(protocolVersion: Version, topicName: Buffer): WireClient {
  return afterConnect(protocolVersion, packet(0x30, topicName, protocolVersion === 5 ? [0] : [], "x"));
}

/** The codes of the DISCONNECTs it got: version 3.1.1 has none. */
function codes(client: WireClient): number[] {
  return client.all("disconnect").map(({ reasonCode }) => reasonCode);
}

describe.each(bothVersions)("At version %i", (version) => {
  const told = (code: number): number[] => (version === 5 ? [code] : []);

  test.each(["#", "+", "a/#", "a/+/b", "a+", "a#b"])(
    "[MQTT-4.7.0-1] [MQTT-3.3.2-2] [MQTT-4.7.1-1 (3.1.1)] [MQTT-3.3.2-2 (3.1.1)] a Topic Name with a wildcard closes the connection: %s",
    (topicName) => {
      const client = publishing(version, field(topicName));
      expect(codes(client)).toEqual(told(0x90));
      expect(client.closeCode).toBeGreaterThan(1000);
    },
  );

  test.each(["a#", "#/a", "a/#/b", "##", "a/b#", "+#"])(
    "[MQTT-4.7.1-1] [MQTT-4.7.1-2 (3.1.1)] a Topic Filter with # out of place closes the connection: %s",
    (filter) => {
      const client = subscribing(version, field(filter));
      expect(codes(client)).toEqual(told(0x8f));
      expect(client.closeCode).toBeGreaterThan(1000);
    },
  );

  test.each(["a+", "+a", "a/+b/c", "++"])(
    "[MQTT-4.7.1-2] [MQTT-4.7.1-3 (3.1.1)] a Topic Filter with + beside other characters closes the connection: %s",
    (filter) => {
      const client = subscribing(version, field(filter));
      expect(codes(client)).toEqual(told(0x8f));
      expect(client.closeCode).toBeGreaterThan(1000);
    },
  );

  test("[MQTT-4.7.3-1] [MQTT-4.7.3-1 (3.1.1)] an empty Topic Name or Topic Filter closes the connection, a space and a slash do not", () => {
    expect(publishing(version, field()).closeCode).toBeGreaterThan(1000);
    expect(subscribing(version, field()).closeCode).toBeGreaterThan(1000);
    for (const one of [" ", "/"]) {
      expect(publishing(version, field(one)).closeCode).toBeUndefined();
      expect(subscribing(version, field(one)).closeCode).toBeUndefined();
    }
  });

  test("[MQTT-4.7.3-2] [MQTT-4.7.3-2 (3.1.1)] U+0000 in either closes the connection", () => {
    for (const client of [publishing(version, field("a", 0)), subscribing(version, field(0, "b"))]) {
      expect(codes(client)).toEqual(told(0x81));
      expect(client.closeCode).toBe(1002);
    }
  });

  test("[MQTT-4.7.3-3] [MQTT-4.7.3-3 (3.1.1)] both may have 65,535 bytes", () => {
    const shard = new Harness();
    const optional = version === 5 ? [0] : [];
    const longest = field("x".repeat(0xffff));
    const client = WireClient.connected(shard, { protocolVersion: version });
    client.sendBytes(packet(0x82, uint16(1), optional, longest, 0), packet(0x30, longest, optional, "x"));
    expect(client.only("publish")).toMatchObject({ topicName: "x".repeat(0xffff) });
  });

  test.each([
    ["sport/tennis/#", "sport/tennis", true],
    ["sport/tennis/+", "sport/tennis", false],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["ACCOUNTS", "Accounts", false],
    ["Accounts payable", "Accounts  payable", false],
    ["\u{E4}", "a\u{308}", false],
    ["a/b/", "a/b", false],
    ["a//b", "a/b", false],
    ["a/\u{FFFD}", "a/\u{E000}", false],
  ])(
    "[MQTT-4.7.3-4] [MQTT-4.7.3-4 (3.1.1)] topics are compared as they are: %j and %j match: %s",
    (filter, topicName, expected) => {
      expect(matches(version, filter, topicName)).toBe(expected);
    },
  );

  test.each([
    ["#", "$other/a", false],
    ["+/a", "$other/a", false],
    ["+", "$other", false],
    ["$other/#", "$other/a", true],
    ["$other/+", "$other/a", true],
    ["a/+", "a/$other", true],
  ])("[MQTT-4.7.2-1] [MQTT-4.7.2-1 (3.1.1)] %s and %s match: %s", (filter, topicName, expected) => {
    expect(matches(version, filter, topicName)).toBe(expected);
  });
});

describe("The topics of the server itself", () => {
  test("come to those who subscribe to them, and stay away from others", () => {
    const shard = new Harness();
    const all = SimulatedClient.connected(shard);
    all.subscribe("#");
    const curious = SimulatedClient.connected(shard);
    curious.subscribe("$SYS/#");
    shard.advance(600_000);
    expect(curious.messages.length).toBeGreaterThan(0);
    for (const { message } of curious.messages) expect(message.topicName).toMatch(/^\$SYS\//);
    expect(all.messages).toEqual([]);
  });
});

describe("The WebSocket subprotocol", () => {
  test.each(["mqtt", "mqtt, mqttv3.1", "mqttv3.1, mqtt", "chat,mqtt"])(
    "[MQTT-6.0.0-4] [MQTT-6.0.0-4 (3.1.1)] is mqtt wherever that is offered: %s",
    (offered) => {
      expect(chooseSubprotocol(offered)).toBe("mqtt");
    },
  );

  test.each([null, "", "chat", "mqttx"])(
    "[MQTT-6.0.0-3] [MQTT-6.0.0-3 (3.1.1)] is none for an offer of %s",
    (offered) => {
      expect(chooseSubprotocol(offered)).toBeUndefined();
    },
  );
});
