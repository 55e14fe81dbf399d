import { describe, expect, test } from "vitest";
import { Harness } from "../core/harness.ts";
import { SimulatedClient, willMessage } from "../core/simulated-client.ts";
import { field, packet, properties, uint16 } from "../support/bytes.ts";
import type { Part } from "../support/bytes.ts";
import { afterConnect, beginning, bothVersions, lasting, WireClient } from "./wire.ts";

/** Codes of DISCONNECT in its table, from either side and from the server alone. */
const FROM_BOTH = [0x00, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
const FROM_CLIENT = [...FROM_BOTH, 0x04];
const FROM_SERVER = [0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f].concat([
  0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
]);

/** Each way to be sent away after CONNACK, and the code that the specification has for it. */
const FAULTS: readonly (readonly [title: string, code: number, bytes: readonly Part[]])[] = [
  ["a second CONNECT", 0x82, [packet(0x10, field("MQTT"), 5, 2, 0, 0, 0, field("x"))]],
  ["reserved flags", 0x81, [packet(0xc1)]],
  ["a Topic Name with a wildcard", 0x90, [packet(0x30, field("#"), 0)]],
  ["a Topic Filter that is none", 0x8f, [packet(0x82, uint16(1), 0, field("a#"), 0)]],
  ["a Topic Alias above the maximum", 0x94, [packet(0x30, field("a"), properties(0x23, uint16(11)))]],
  ["a packet that is too large", 0x95, [0x30, 0xff, 0xff, 0xff, 0x7f]],
  ["a property given twice", 0x82, [packet(0x30, field("a"), properties(1, 0, 1, 0))]],
  ["a property of other packets", 0x81, [packet(0x30, field("a"), properties(0x21, 0, 1))]],
  ["AUTH without a method", 0x82, [packet(0xf0, 0x18, properties(0x15, field("x")))]],
  ["a packet of servers", 0x82, [packet(0xd0)]],
  [
    "more QoS 2 messages than Receive Maximum",
    0x93,
    Array.from({ length: 101 }, (_, index) => packet(0x34, field("a"), uint16(index + 1), 0)),
  ],
];

describe("A fault of a client of version 5", () => {
  test.each(FAULTS)(
    "[MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.2-1] [MQTT-3.14.4-2] ends the connection: %s",
    (_title, code, content) => {
      const client = afterConnect(5, content);
      expect(client.only("disconnect").reasonCode).toBe(code);
      expect([...FROM_BOTH, ...FROM_SERVER]).toContain(code);
      expect(client.closeCode).toBeGreaterThan(1000);
    },
  );

  test.each(FAULTS)(
    "[MQTT-3.14.2-2] [MQTT-3.14.2-4] is told without a Session Expiry Interval and User Properties: %s",
    (_title, _code, content) => {
      const client = WireClient.connected(new Harness(), lasting(5, "c")).sendBytes(content);
      expect(client.only("disconnect")).not.toHaveProperty("sessionExpiryIntervalSec");
      expect(client.only("disconnect")).not.toHaveProperty("userProperties");
    },
  );

  test.each(FAULTS)(
    "[MQTT-3.14.2-3] is told without its reason where that would be too large: %s",
    (_title, code, content) => {
      const client = WireClient.connected(new Harness(), { maximumPacketSizeBytes: 17 }).sendBytes(content);
      expect(client.only("disconnect").reasonCode).toBe(code);
      expect(client.sent.at(-1)?.length).toBeLessThanOrEqual(17);
    },
  );

  test.each(FAULTS)("[MQTT-3.14.4-1] is followed by nothing: %s", (_title, _code, content) => {
    const client = afterConnect(5, content);
    const { length } = client.received;
    client.sendBytes(packet(0xc0));
    expect(client.received).toHaveLength(length);
    expect(client.types.at(-1)).toBe("disconnect");
  });
});

describe("A fault of a client of 3.1.1", () => {
  const faults = FAULTS.filter(([title]) => !/propert|AUTH|Alias|Receive/.test(title));

  test.each(faults)(
    "[MQTT-4.8.0-1 (3.1.1)] closes the connection, which is all that it is told: %s",
    (title) => {
      const withoutProperties: Record<string, readonly Part[]> = {
        "a second CONNECT": [packet(0x10, field("MQTT"), 4, 2, 0, 0, field("x"))],
        "reserved flags": [packet(0xc1)],
        "a Topic Name with a wildcard": [packet(0x30, field("#"))],
        "a Topic Filter that is none": [packet(0x82, uint16(1), field("a#"), 0)],
        "a packet that is too large": [0x30, 0xff, 0xff, 0xff, 0x7f],
        "a packet of servers": [packet(0xd0)],
      };
      const client = afterConnect(4, withoutProperties[title] ?? []);
      expect(client.closeCode).toBeGreaterThan(1000);
      expect(client.types).toEqual(["connack"]);
    },
  );
});

describe("A client that is not accepted", () => {
  test.each([
    ["for its Client Identifier", { clientId: "x".repeat(257) }],
    ["for its method", { authenticationMethod: "none" }],
    ["for its Will", { will: willMessage("$SYS/a") }],
    ["for its properties", { receiveMaximum: 0 }],
  ])("[MQTT-3.14.0-1] gets no DISCONNECT: %s", (_title, options) => {
    const client = WireClient.connected(new Harness(), options);
    expect(client.types).toEqual(["connack"]);
    expect(client.closeCode).toBeGreaterThan(1000);
  });

  test.each([
    ["that does not begin with CONNECT", [packet(0xc0)]],
    ["that speaks HTTP", ["GET / HTTP/1.1\r\n"]],
  ])("[MQTT-3.14.0-1] gets no DISCONNECT: one %s", (_title, content) => {
    expect(beginning(5, content).types).toEqual([]);
  });
});

describe.each(bothVersions)("DISCONNECT from a client of version %i", (protocolVersion) => {
  test("[MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-3.14.4-1 (3.1.1)] [MQTT-3.14.4-2 (3.1.1)] closes the connection, and what comes behind it is not looked at", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("a");
    const optional = protocolVersion === 5 ? [0] : [];
    const client = WireClient.connected(shard, { protocolVersion });
    client.sendBytes(packet(0xe0), packet(0x30, field("a"), optional, "x"), packet(0xc0));
    expect(client.closeCode).toBe(1000);
    expect(client.types).toEqual(["connack"]);
    expect(listener.payloads).toEqual([]);
  });

  test("[MQTT-3.14.1-1] [MQTT-3.14.1-1 (3.1.1)] with reserved flags is a fault: the connection counts as lost", () => {
    const shard = new Harness();
    const listener = SimulatedClient.connected(shard);
    listener.subscribe("w");
    const client = WireClient.connected(shard, { protocolVersion, will: willMessage("w") });
    client.sendBytes(packet(0xe8));
    expect(client.closeCode).toBe(1002);
    expect(client.all("disconnect").map(({ reasonCode }) => reasonCode)).toEqual(
      protocolVersion === 5 ? [0x81] : [],
    );
    expect(listener.payloads).toEqual(["will"]);
  });
});

describe("The Reason Code of DISCONNECT from a client", () => {
  test("[MQTT-3.14.2-1] is one that clients may send, or is answered with 0x82", () => {
    for (let code = 0; code < 0x100; code += 1) {
      const client = afterConnect(5, packet(0xe0, code));
      const answer = client.all("disconnect").map(({ reasonCode }) => reasonCode);
      expect([code, answer, client.closeCode]).toEqual(
        FROM_CLIENT.includes(code) ? [code, [], 1000] : [code, [0x82], 1002],
      );
    }
  });

  test("[MQTT-3.14.4-3] [MQTT-3.1.2-8] discards the Will when it is 0x00, and no other does", () => {
    for (const code of FROM_CLIENT) {
      const shard = new Harness();
      const listener = SimulatedClient.connected(shard);
      listener.subscribe("w");
      WireClient.connected(shard, { will: willMessage("w") }).sendBytes(packet(0xe0, code));
      expect([code, listener.payloads]).toEqual([code, code === 0 ? [] : ["will"]]);
    }
  });
});

describe("DISCONNECT from the server", () => {
  test("[MQTT-3.14.2-1] [MQTT-3.14.2-2] has the code for a takeover, for silence and for the end of the server", () => {
    const takenOver = new Harness();
    const older = WireClient.connected(takenOver, lasting(5, "c"));
    WireClient.connected(takenOver, lasting(5, "c"));
    const silent = new Harness();
    const sleeper = WireClient.connected(silent, { keepAliveSec: 10 });
    silent.advance(20_000);
    const ending = new Harness();
    const last = WireClient.connected(ending);
    ending.drain();
    const sent = [older, sleeper, last].map((client) => client.only("disconnect"));
    expect(sent.map(({ reasonCode }) => reasonCode)).toEqual([0x8e, 0x8d, 0x8b]);
    for (const disconnect of sent) expect(disconnect).not.toHaveProperty("sessionExpiryIntervalSec");
  });
});
