/**
 * Bytes at random and packets after mutations, against the decoder and two others. A failure prints its seed and the
 * smallest case found; FUZZ_SEED=that seed runs the same cases again, FUZZ_RUNS=100 a hundred times as many.
 */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PacketDecoder } from "../../src/codec/index.ts";
import type { DecodeFault } from "../../src/codec/fault.ts";
import { PacketAssembler } from "../../src/codec/packet-assembler.ts";
import type { ClientPacket } from "../../src/core/packet.ts";
import { ReasonCode } from "../../src/core/reason-code.ts";
import { corpus, shortestOfEachType, streams, type Stream } from "./fuzz-cases.ts";
import { disagreement } from "./fuzz-peer.ts";
import { decodeIndependently } from "./independent-decode.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 0x7fff_ffff);
const RUNS_FACTOR = Number(process.env["FUZZ_RUNS"] ?? 1);
const MAXIMUM_PACKET_SIZE_BYTES = 2000;
const TIMEOUT_MS = 60_000 * RUNS_FACTOR;

const packets = corpus(SEED);
const anyStream = streams(packets);

function check<Values extends [unknown, ...unknown[]]>(runs: number, property: fc.IProperty<Values>): void {
  fc.assert(property, { seed: SEED, numRuns: runs * RUNS_FACTOR });
}

interface Verdict {
  readonly packets: ClientPacket[];
  readonly fault: DecodeFault | undefined;
  readonly isInsidePacket: boolean;
}

/** The verdict on the chunks; fails if anything but the fault follows a fault. */
function judge({ version }: Stream, chunks: readonly Uint8Array[]): Verdict {
  const decoder = new PacketDecoder({
    maximumPacketSizeBytes: MAXIMUM_PACKET_SIZE_BYTES,
    ...(version !== undefined && { protocolVersion: version }),
  });
  const found: ClientPacket[] = [];
  let first: DecodeFault | undefined;
  for (const chunk of chunks) {
    const { packets: more, fault } = decoder.push(chunk);
    if (first !== undefined && (more.length > 0 || fault !== first))
      expect([more, fault]).toEqual([[], first]);
    first ??= fault;
    found.push(...more);
    if (first !== undefined && decoder.isInsidePacket) expect.unreachable("holds bytes after a fault");
  }
  return { packets: found, fault: first, isInsidePacket: decoder.isInsidePacket };
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let index = 0; at < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    // A copy: nothing of the decoder may depend on what lies beside the chunk.
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  return chunks;
}

function expectSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected);
}

/** The packets that the two decoders find are the same, and both refuse what comes next, or neither does. */
function expectAgreement(stream: Stream): void {
  const { version, bytes } = stream;
  const { packets: found, fault, isInsidePacket } = judge(stream, [bytes]);
  const independent = decodeIndependently(bytes, MAXIMUM_PACKET_SIZE_BYTES, version);
  expectSame(found, independent.packets);
  const { refusal } = independent;
  if ((fault === undefined) !== (refusal === undefined)) {
    expect.unreachable(`${Buffer.from(bytes).toString("hex")}: ${fault?.reasonString} and ${refusal}`);
  }
  expectSame(isInsidePacket, independent.unfinishedBytes > 0);
}

describe(`The decoder, given anything (FUZZ_SEED=${SEED})`, () => {
  test("the packets that it is given come from all kinds, and most streams reach the bodies", () => {
    const outcomes = new Set<string>();
    for (const stream of fc.sample(anyStream, { seed: SEED, numRuns: 3000 })) {
      const { packets: found, fault } = judge(stream, [stream.bytes]);
      for (const { type } of found) outcomes.add(type);
      if (fault !== undefined) outcomes.add(fault.reasonString);
    }
    const types =
      "connect publish puback pubrec pubrel pubcomp subscribe unsubscribe pingreq disconnect auth";
    expect([...outcomes]).toEqual(expect.arrayContaining(types.split(" ")));
    expect(outcomes.size).toBeGreaterThan(40);
  });

  test(
    "[MQTT-4.13.1-1] never throws, and says nothing but its fault after a fault",
    () => {
      check(
        3000,
        fc.property(anyStream, fc.uint8Array({ maxLength: 300 }), (stream, garbage) => {
          const { fault } = judge(stream, [stream.bytes, garbage, garbage]);
          if (fault !== undefined) expect(Object.values(ReasonCode)).toContain(fault.reasonCode);
        }),
      );
    },
    TIMEOUT_MS,
  );

  test(
    "[MQTT-6.0.0-2] gives the same verdict wherever the bytes are cut",
    () => {
      const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 });
      check(
        3000,
        fc.property(anyStream, sizes, (stream, chunkSizes) => {
          const whole = judge(stream, [stream.bytes]);
          expectSame(judge(stream, cut(stream.bytes, [1])), whole);
          expectSame(judge(stream, cut(stream.bytes, chunkSizes)), whole);
        }),
      );
    },
    TIMEOUT_MS,
  );

  test(
    "agrees with a second decoder on every stream: the same packets, and refused or not",
    () => {
      check(6000, fc.property(anyStream, expectAgreement));
    },
    TIMEOUT_MS,
  );

  test(
    "agrees with the second decoder on every value of every byte of the shortest packets of each type",
    () => {
      for (const { version, bytes } of shortestOfEachType(packets)) {
        for (let at = 0; at < bytes.length; at += 1) {
          for (let value = 0; value < 256; value += 1)
            expectAgreement({ version, bytes: bytes.with(at, value) });
        }
      }
    },
    TIMEOUT_MS,
  );

  test(
    "takes nothing that mqtt-packet refuses or reads otherwise",
    () => {
      check(
        6000,
        fc.property(anyStream, ({ version, bytes }) => {
          const { packets: found } = judge({ version, bytes }, [bytes]);
          const { frames } = decodeIndependently(bytes, MAXIMUM_PACKET_SIZE_BYTES, version);
          const current = version ?? (found[0]?.type === "connect" ? found[0].protocolVersion : 4);
          for (const [index, packet] of found.entries()) {
            expect(disagreement(packet, frames[index] ?? new Uint8Array(0), current)).toBeUndefined();
          }
        }),
      );
    },
    TIMEOUT_MS,
  );

  test("holds no more than twice the bytes that arrived, whatever length they announce", () => {
    check(
      300,
      fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 50 }), (sizes) => {
        const assembler = new PacketAssembler();
        let arrived = 0;
        for (const size of sizes) {
          assembler.append(new Uint8Array(size));
          arrived += size;
          expect(assembler.bytes.buffer.byteLength).toBeLessThanOrEqual(Math.max(64, 2 * arrived));
        }
        assembler.clear();
        expect(assembler.bytes.buffer.byteLength).toBe(0);
      }),
    );
  });
});
