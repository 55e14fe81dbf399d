import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeUtf8, encodeUtf8Into, utf8SizeBytes } from "../../src/codec/utf8.ts";

const decode = (...bytes: number[]): string => decodeUtf8(Uint8Array.from(bytes), 0, bytes.length);

test.each([
  ["a continuation byte alone", [0x80]],
  ["a sequence cut off", [0xe2, 0x82]],
  ["an overlong slash", [0xc0, 0xaf]],
  ["an overlong U+0000", [0xc0, 0x80]],
  ["a high surrogate", [0xed, 0xa0, 0x80]],
  ["a surrogate pair", [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
  ["a character beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
])("[MQTT-1.5.4-1] %s is ill-formed", (_name, bytes) => {
  expect(() => decode(...bytes)).toThrow("ill-formed");
});

test("[MQTT-1.5.4-2] U+0000 is refused in short and in long strings, but not outside of them", () => {
  expect(() => decode(0x61, 0)).toThrow("U+0000");
  expect(() => decodeUtf8(new Uint8Array(100), 0, 100)).toThrow("U+0000");
  const surrounded = Uint8Array.from([0, ...Array<number>(60).fill(0x61), 0]);
  expect(decodeUtf8(surrounded, 1, 61)).toBe("a".repeat(60));
});

test("[MQTT-1.5.4-3] U+FEFF is kept wherever it stands", () => {
  expect(decode(0xef, 0xbb, 0xbf, 0x61)).toBe("\u{FEFF}a");
});

test("control characters and non-characters are accepted", () => {
  expect(decode(0x01, 0x7f)).toBe("\u0001\u007f");
  expect(decode(0xef, 0xbf, 0xbf)).toBe("\uffff");
});

test("sizes and bytes of all strings are those of TextEncoder, and decode again", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 100 }), (raw) => {
      const text = raw.replaceAll("\0", "");
      const expected = new TextEncoder().encode(text);
      const sizeBytes = utf8SizeBytes(text);
      const encoded = new Uint8Array(sizeBytes + 2);
      encodeUtf8Into(text, sizeBytes, encoded, 1);
      expect(encoded).toEqual(Uint8Array.from([0, ...expected, 0]));
      expect(decodeUtf8(encoded, 1, 1 + sizeBytes)).toBe(text);
    }),
    { numRuns: 500 },
  );
});

test("a lone surrogate takes the size of the U+FFFD that is sent in its place", () => {
  for (const text of ["\ud800", "a\udc00b", "\ud800\ud800\udc00"]) {
    expect(utf8SizeBytes(text)).toBe(new TextEncoder().encode(text).length);
  }
});
