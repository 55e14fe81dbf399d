import { describe, expect, test } from "vitest";
import { Harness } from "../core/harness.ts";
import { SimulatedClient } from "../core/simulated-client.ts";
import type { Part } from "../support/bytes.ts";
import { field, NO_PROPERTIES, packet, properties, uint16 } from "../support/bytes.ts";
import type { WireOptions } from "./wire.ts";
import { afterConnect, bothVersions, WireClient } from "./wire.ts";

const note = properties(0x26, field("name"), field("value"));
const deep = field("a/".repeat(200));

/** Packets whose answers have a reason to tell, each with a User Property of its own. */
const PROVOCATIONS = {
  puback: [packet(0x32, field("$SYS/a"), uint16(7), note, "x")],
  pubrec: [packet(0x34, field("$SYS/a"), uint16(7), note, "x")],
  pubrel: [packet(0x50, uint16(7), 0, note)],
  pubcomp: [packet(0x62, uint16(7), 0, note)],
  suback: [packet(0x82, uint16(7), note, deep, 0)],
  unsuback: [packet(0x34, field("a"), uint16(7), NO_PROPERTIES), packet(0xa2, uint16(7), note, field("a"))],
} as const satisfies Record<string, readonly Part[]>;

/** The codes that the specification has for each, in its tables of chapter 3. */
const CODES = {
  puback: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  pubrec: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  pubrel: [0x00, 0x92],
  pubcomp: [0x00, 0x92],
  suback: [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
  unsuback: [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
} as const;

type ResponseType = keyof typeof PROVOCATIONS;

function provoked(type: ResponseType, options: WireOptions = {}) {
  const client = WireClient.connected(new Harness(), options).sendBytes(...PROVOCATIONS[type]);
  const index = client.types.indexOf(type);
  const response = client.only(type);
  const codes = "reasonCodes" in response ? response.reasonCodes : [response.reasonCode];
  return { response, codes, bytes: client.sent[index] ?? new Uint8Array() };
}

describe("A Reason String that would exceed the client's Maximum Packet Size", () => {
  test.each([
    ["[MQTT-3.4.2-2] is left out of PUBACK", "puback", 0x87],
    ["[MQTT-3.5.2-2] is left out of PUBREC", "pubrec", 0x87],
    ["[MQTT-3.6.2-2] is left out of PUBREL", "pubrel", 0x92],
    ["[MQTT-3.7.2-2] is left out of PUBCOMP", "pubcomp", 0x92],
    ["[MQTT-3.9.2-1] is left out of SUBACK", "suback", 0x8f],
    ["[MQTT-3.11.2-1] is left out of UNSUBACK", "unsuback", 0x91],
  ] as const)("%s, which still comes", (_title, type, code) => {
    const { response, codes, bytes } = provoked(type, { maximumPacketSizeBytes: 20 });
    expect(codes).toEqual([code]);
    expect(response).not.toHaveProperty("reasonString");
    expect(bytes.length).toBeLessThanOrEqual(20);
  });
});

describe("A User Property of the client", () => {
  test.each([
    ["[MQTT-3.4.2-3] does not come back with PUBACK", "puback"],
    ["[MQTT-3.5.2-3] does not come back with PUBREC", "pubrec"],
    ["[MQTT-3.6.2-3] does not come back with PUBREL", "pubrel"],
    ["[MQTT-3.7.2-3] does not come back with PUBCOMP", "pubcomp"],
    ["[MQTT-3.9.2-2] does not come back with SUBACK", "suback"],
    ["[MQTT-3.11.2-2] does not come back with UNSUBACK", "unsuback"],
  ] as const)("%s", (_title, type) => {
    expect(provoked(type).response).not.toHaveProperty("userProperties");
  });
});

describe("Reason Codes", () => {
  test.each([
    ["[MQTT-3.4.2-1] of PUBACK", "puback"],
    ["[MQTT-3.5.2-1] of PUBREC", "pubrec"],
    ["[MQTT-3.6.2-1] of PUBREL", "pubrel"],
    ["[MQTT-3.7.2-1] of PUBCOMP", "pubcomp"],
    ["[MQTT-3.9.3-2] of SUBACK", "suback"],
    ["[MQTT-3.11.3-2] of UNSUBACK", "unsuback"],
  ] as const)("%s are among those that are defined for it", (_title, type) => {
    for (const code of provoked(type).codes) expect(CODES[type]).toContain(code);
  });

  test.each([
    ["[MQTT-3.4.2-1] PUBACK", 0x40, CODES.puback],
    ["[MQTT-3.5.2-1] PUBREC", 0x50, CODES.pubrec],
    ["[MQTT-3.6.2-1] PUBREL", 0x62, CODES.pubrel],
    ["[MQTT-3.7.2-1] PUBCOMP", 0x70, CODES.pubcomp],
  ] as const)("%s from a client may have no other", (_title, firstByte, codes) => {
    for (let code = 0; code < 0x100; code += 1) {
      const { closeCode } = afterConnect(5, packet(firstByte, uint16(1), code));
      expect([code, closeCode]).toEqual([
        code,
        (codes as readonly number[]).includes(code) ? undefined : 1002,
      ]);
    }
  });
});

describe("Request Problem Information", () => {
  const withReason: readonly ResponseType[] = ["puback", "pubrec", "suback", "unsuback"];

  test("[MQTT-3.1.2-29] of 0 keeps Reason Strings off everything but CONNACK and DISCONNECT", () => {
    for (const type of Object.keys(PROVOCATIONS) as ResponseType[]) {
      const { response } = provoked(type, { requestProblemInformation: false });
      expect(response).not.toHaveProperty("reasonString");
    }
  });

  test("of 1, or left out, brings them", () => {
    for (const type of withReason) {
      expect(provoked(type, { requestProblemInformation: true }).response).toHaveProperty("reasonString");
      expect(provoked(type).response).toHaveProperty("reasonString");
    }
  });
});

describe.each(bothVersions)("The response to a PUBLISH at version %i", (protocolVersion) => {
  test.each([
    [0, []],
    [1, ["puback"]],
    [2, ["pubrec"]],
  ] as const)("[MQTT-3.3.4-1] [MQTT-3.3.4-1 (3.1.1)] is what its QoS asks for: %i", (qos, expected) => {
    const optional = protocolVersion === 5 ? NO_PROPERTIES : [];
    const identifier = qos === 0 ? [] : uint16(7);
    const client = afterConnect(protocolVersion, packet(0x30 | (qos << 1), field("a"), identifier, optional));
    expect(client.types.slice(1)).toEqual(expected);
  });
});

describe("A PUBLISH of 3.1.1 that is not allowed", () => {
  test.each([0, 1, 2] as const)(
    "[MQTT-3.3.5-2 (3.1.1)] closes the connection at QoS %i, and is not passed on",
    (qos) => {
      const shard = new Harness();
      const listener = SimulatedClient.connected(shard);
      listener.subscribe("$SYS/a");
      const client = WireClient.connected(shard, { protocolVersion: 4 });
      client.sendBytes(packet(0x30 | (qos << 1), field("$SYS/a"), qos === 0 ? [] : uint16(7), "x"));
      expect(client.types).toEqual(["connack"]);
      expect(client.closeCode).toBe(1008);
      expect(listener.payloads).toEqual([]);
    },
  );

  test("[MQTT-4.8.0-2 (3.1.1)] closes its connection where there is no room for it, and no other", () => {
    const shard = new Harness({ limits: { retainedMessagesMax: 0 } });
    const other = WireClient.connected(shard, { protocolVersion: 4 });
    const client = WireClient.connected(shard, { protocolVersion: 4 });
    client.sendBytes(packet(0x33, field("a"), uint16(7), "x"));
    expect(client.types).toEqual(["connack"]);
    expect(client.closeCode).toBe(1008);
    expect(other.sendBytes(packet(0xc0)).types).toEqual(["connack", "pingresp"]);
  });
});
