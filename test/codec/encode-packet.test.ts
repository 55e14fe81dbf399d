import { describe, expect, test } from "vitest";
import { encodePacket } from "../../src/codec/index.ts";
import type { ProtocolVersion, ServerPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";

const hex = (packet: ServerPacket, version: ProtocolVersion): string =>
  Buffer.from(encodePacket(packet, version)).toString("hex");

describe("CONNACK of MQTT 3.x", () => {
  test.each([
    [0, [0x00]],
    [1, [0x84]],
    [2, [0x85]],
    [3, [0x80, 0x81, 0x88, 0x89, 0x90, 0x95, 0x97, 0x9c, 0x9d, 0x9f]],
    [4, [0x86]],
    [5, [0x87, 0x8a, 0x8c]],
  ] as const)("return code %i", (returnCode, reasonCodes) => {
    for (const reasonCode of reasonCodes) {
      expect(hex({ type: "connack", sessionPresent: false, reasonCode }, 4)).toBe(`2002000${returnCode}`);
    }
  });

  test("has a Session Present flag in 3.1.1, but not in 3.1, and never properties", () => {
    const connack = { type: "connack", sessionPresent: true, reasonCode: 0, receiveMaximum: 5 } as const;
    expect(hex(connack, 4)).toBe("20020100");
    expect(hex(connack, 3)).toBe("20020000");
  });
});

test("[MQTT-2.2.2-1] CONNACK of 5.0 without properties has a Property Length of zero", () => {
  expect(hex({ type: "connack", sessionPresent: true, reasonCode: 0 }, 5)).toBe("2003010000");
});

describe.each([
  ["puback", "40"],
  ["pubrec", "50"],
  ["pubrel", "62"],
  ["pubcomp", "70"],
] as const)("%s", (type, first) => {
  const success = { type, packetIdentifier: 0x1234, reasonCode: ReasonCode.Success } as const;

  test("[MQTT-2.2.1-5] with Success is the Packet Identifier alone", () => {
    for (const version of [3, 4, 5] as const) expect(hex(success, version)).toBe(`${first}021234`);
  });

  test("with failure has a Reason Code in 5.0 only", () => {
    const failure = { ...success, reasonCode: ReasonCode.PacketIdentifierNotFound };
    expect(hex(failure, 4)).toBe(`${first}021234`);
    expect(hex(failure, 5)).toBe(`${first}03123492`);
  });

  test("with properties is told in full", () => {
    expect(hex({ ...success, reasonString: "x" }, 5)).toBe(`${first}08123400041f000178`);
    expect(hex({ ...success, reasonString: "x" }, 4)).toBe(`${first}021234`);
  });
});

test("[MQTT-3.9.3-1] [MQTT-3.9.3-1 (3.1.1)] [MQTT-3.9.3-2 (3.1.1)] SUBACK has a code per filter; 3.x knows one failure", () => {
  const suback = { type: "suback", packetIdentifier: 1, reasonCodes: [2, 0x8f, 0, 0x97] } as const;
  expect(hex(suback, 5)).toBe("9007000100028f0097");
  expect(hex(suback, 4)).toBe("9006000102800080");
});

test("[MQTT-3.11.3-1] UNSUBACK has a code per filter, and none in 3.x", () => {
  const unsuback = { type: "unsuback", packetIdentifier: 1, reasonCodes: [0, 0x11] } as const;
  expect(hex(unsuback, 5)).toBe("b0050001000011");
  expect(hex(unsuback, 4)).toBe("b0020001");
});

test("PINGRESP is two bytes", () => {
  expect(hex({ type: "pingresp" }, 4)).toBe("d000");
});

test("DISCONNECT of 5.0 is as short as it can be", () => {
  expect(hex({ type: "disconnect", reasonCode: 0 }, 5)).toBe("e000");
  expect(hex({ type: "disconnect", reasonCode: 0x8b }, 5)).toBe("e0018b");
  expect(hex({ type: "disconnect", reasonCode: 0x9d, serverReference: "s" }, 5)).toBe("e0069d041c000173");
});

test("a server sends neither DISCONNECT nor AUTH to clients of 3.x", () => {
  expect(() => hex({ type: "disconnect", reasonCode: 0x8b }, 4)).toThrow("disconnect");
  expect(() => hex({ type: "auth", reasonCode: 0x18 }, 3)).toThrow("auth");
});

test("a string that its length prefix can't tell is an error of the caller", () => {
  const reasonString = "x".repeat(65_536);
  expect(() => hex({ type: "disconnect", reasonCode: 0, reasonString }, 5)).toThrow(RangeError);
});
