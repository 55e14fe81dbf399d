import { describe, expect, test } from "vitest";
import { ByteWriter } from "../../src/codec/byte-writer.ts";
import {
  parseVariableByteInteger,
  VARIABLE_BYTE_INTEGER_MAXIMUM,
  variableByteIntegerSizeBytes,
} from "../../src/codec/variable-byte-integer.ts";

const parse = (...bytes: number[]): number =>
  parseVariableByteInteger(Uint8Array.from(bytes), 0, bytes.length);

describe.each([
  [0, [0x00]],
  [127, [0x7f]],
  [128, [0x80, 0x01]],
  [16_383, [0xff, 0x7f]],
  [16_384, [0x80, 0x80, 0x01]],
  [2_097_151, [0xff, 0xff, 0x7f]],
  [2_097_152, [0x80, 0x80, 0x80, 0x01]],
  [VARIABLE_BYTE_INTEGER_MAXIMUM, [0xff, 0xff, 0xff, 0x7f]],
])("%i, of table 1-1", (value, bytes) => {
  test("is parsed and written in its bytes", () => {
    expect(parse(...bytes)).toBe(value);
    expect(variableByteIntegerSizeBytes(value)).toBe(bytes.length);
    const writer = new ByteWriter(0, 4);
    writer.writeVariableByteInteger(value);
    expect([...writer.bytes.subarray(2, 2 + bytes.length)]).toEqual(bytes);
  });

  test("is incomplete without its last byte", () => {
    expect(parse(...bytes.slice(0, -1))).toBe(-1);
  });
});

test("[MQTT-1.5.5-1] encodings longer than needed are malformed", () => {
  expect(() => parse(0x80, 0x00)).toThrow("shortest");
  expect(() => parse(0xff, 0x80, 0x80, 0x00)).toThrow("shortest");
});

test("four bytes that all continue are malformed, whatever follows", () => {
  expect(() => parse(0x80, 0x80, 0x80, 0x80)).toThrow("four bytes");
});
