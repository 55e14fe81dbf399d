/** The Variable Byte Integer of section 1.5.5: 7 bits per byte, least significant first, at most 4 bytes. */
import { malformed } from "./fault.ts";

/** The greatest value that four bytes hold. */
export const VARIABLE_BYTE_INTEGER_MAXIMUM = 268_435_455;

const MAXIMUM_SIZE_BYTES = 4;

/** How many bytes the shortest encoding of `value` takes: 1–4. */
export function variableByteIntegerSizeBytes(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  return value < 2_097_152 ? 3 : 4;
}

/**
 * The integer at `offset`, or -1 when the bytes end inside it. Only the shortest encoding is accepted, so
 * {@link variableByteIntegerSizeBytes} of the result tells how many bytes were read.
 */
export function parseVariableByteInteger(bytes: Uint8Array, offset: number, end: number): number {
  let value = 0;
  for (let index = 0; index < MAXIMUM_SIZE_BYTES; index++) {
    if (offset + index >= end) return -1;
    const byte = bytes[offset + index]!;
    value |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) {
      // [MQTT-1.5.5-1] the encoding uses the least number of bytes.
      if (byte === 0 && index > 0) throw malformed("Variable Byte Integer is not in its shortest form");
      return value;
    }
  }
  throw malformed("Variable Byte Integer is longer than four bytes");
}
