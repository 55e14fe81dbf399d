/** Lines of a stream of bytes, of which no more than one is held at a time. */

/** A line that cannot be used; the message names it. */
export class LineError extends Error {
  constructor(line: number, problem: string) {
    super(`Line ${line} ${problem}`);
  }
}

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without the line feed. */
  readonly bytes: Uint8Array;
}

/** A message of the largest packet, with everything in it written out. */
export const lineBytesMax = 8 * 1024 * 1024;

const lineFeed = 10;

/** Every line that has something in it. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let number = 1;
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      parts.push(chunk.subarray(start, end));
      sizeBytes += end - start;
      assertShort(number, sizeBytes);
      if (sizeBytes > 0) yield { number, bytes: joined(parts, sizeBytes) };
      [parts, sizeBytes, start] = [[], 0, end + 1];
      number += 1;
    }
    parts.push(chunk.slice(start));
    sizeBytes += chunk.length - start;
    assertShort(number, sizeBytes);
  }
  if (sizeBytes > 0) yield { number, bytes: joined(parts, sizeBytes) };
}

function assertShort(line: number, sizeBytes: number): void {
  if (sizeBytes > lineBytesMax) throw new LineError(line, `has more than ${lineBytesMax} bytes`);
}

function joined(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
