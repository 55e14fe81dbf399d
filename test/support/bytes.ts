/** Hand-made packets: these builders check nothing, so that they can make any wrong one. */
export type Part = number | string | Uint8Array | readonly Part[];

/** A number is a byte, a string its UTF-8 bytes. */
export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === "number") return Buffer.from([part]);
      if (typeof part === "string") return Buffer.from(part);
      return part instanceof Uint8Array ? Buffer.from(part) : bytes(...(part as readonly Part[]));
    }),
  );
}

export function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** A UTF-8 Encoded String, or Binary Data: two bytes of length, then the content. */
export function field(...content: readonly Part[]): Buffer {
  const encoded = bytes(...content);
  return bytes(uint16(encoded.length), encoded);
}

export function variableByteInteger(value: number): Buffer {
  const digits: number[] = [];
  let rest = value;
  do {
    const digit = rest % 128;
    rest = Math.floor(rest / 128);
    digits.push(rest > 0 ? digit | 0x80 : digit);
  } while (rest > 0);
  return Buffer.from(digits);
}

/** A fixed header of that first byte, with the right Remaining Length, and the body. */
export function packet(firstByte: number, ...body: readonly Part[]): Buffer {
  const content = bytes(...body);
  return bytes(firstByte, variableByteInteger(content.length), content);
}

/** Properties with their length before them. */
export function properties(...content: readonly Part[]): Buffer {
  const encoded = bytes(...content);
  return bytes(variableByteInteger(encoded.length), encoded);
}

export const NO_PROPERTIES = properties();
