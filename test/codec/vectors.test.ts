import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { PacketDecoder } from "../../src/codec/index.ts";
import type { ProtocolVersion } from "../../src/core/packet.ts";

/** One case of test/vectors: the bytes of a client and what comes of them; byte arrays are hexadecimal. */
interface Vector {
  readonly name: string;
  /** Null before CONNECT. */
  readonly version: ProtocolVersion | null;
  readonly hex: string;
  readonly packets: readonly unknown[];
  readonly fault?: number;
  readonly faultVersion?: ProtocolVersion;
}

const FOLDER = new URL("../vectors/", import.meta.url);

const toHex = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;

function decode(vector: Vector): { packets: unknown; fault: unknown } {
  const version = vector.version === null ? {} : { protocolVersion: vector.version };
  const decoder = new PacketDecoder({ maximumPacketSizeBytes: 1000, ...version });
  const { packets, fault } = decoder.push(Uint8Array.from(Buffer.from(vector.hex, "hex")));
  expect(decoder.isInsidePacket).toBe(false);
  return { packets: JSON.parse(JSON.stringify(packets, toHex)), fault };
}

describe.each(readdirSync(FOLDER).filter((file) => file.endsWith(".json")))("%s", (file) => {
  const vectors = JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as Vector[];

  test.each(vectors)("$name", (vector) => {
    const { packets, fault } = decode(vector);
    expect(packets).toEqual(vector.packets);
    const { fault: reasonCode, faultVersion: protocolVersion } = vector;
    const expected = {
      reasonCode,
      reasonString: expect.any(String) as unknown,
      ...(protocolVersion !== undefined && { protocolVersion }),
    };
    expect(fault).toEqual(reasonCode === undefined ? undefined : expected);
  });
});
