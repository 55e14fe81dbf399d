import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodePacket, PacketDecoder, PublishEncoder, publishSizeBytes } from "../../src/codec/index.ts";
import type { Decoded } from "../../src/codec/index.ts";
import type { Delivery, ProtocolVersion } from "../../src/core/packet.ts";
import { clientPacket, connectPacket, delivery, serverPacket } from "./arbitraries.ts";
import { encodeClientPacket } from "./client-encode.ts";
import { decodeServerPackets } from "./server-decode.ts";

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];
const RUNS = { numRuns: 150 };
const LIMIT = { maximumPacketSizeBytes: 100_000 };

function decodeAll(chunks: readonly Uint8Array[], protocolVersion?: ProtocolVersion): Decoded {
  const decoder = new PacketDecoder({ ...LIMIT, ...(protocolVersion !== undefined && { protocolVersion }) });
  const all: Decoded = { packets: [] };
  for (const chunk of chunks) {
    const { packets, fault } = decoder.push(chunk);
    all.packets.push(...packets);
    if (fault !== undefined) all.fault = fault;
  }
  return all;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Cuts `bytes` after every length in turn. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return [...chunks, bytes.subarray(at)];
}

describe.each(VERSIONS)("packets of version %i", (version) => {
  test("CONNECT decodes to what was encoded", () => {
    fc.assert(
      fc.property(connectPacket(version), (packet) => {
        expect(decodeAll([encodeClientPacket(packet, version)])).toEqual({ packets: [packet] });
      }),
      RUNS,
    );
  });

  test("every other packet decodes to what was encoded", () => {
    fc.assert(
      fc.property(fc.array(clientPacket(version), { minLength: 1, maxLength: 4 }), (packets) => {
        const bytes = join(packets.map((packet) => encodeClientPacket(packet, version)));
        expect(decodeAll([bytes], version)).toEqual({ packets });
      }),
      { numRuns: 400 },
    );
  });

  test("a damaged packet gets the same verdict however the bytes are cut into chunks", () => {
    const damage = fc.record({ at: fc.nat(400), byte: fc.nat(255) });
    const lengths = fc.array(fc.nat(60), { maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(clientPacket(version), { maxLength: 3 }),
        damage,
        lengths,
        (packets, { at, byte }, cuts) => {
          const bytes = join(packets.map((packet) => encodeClientPacket(packet, version)));
          if (at < bytes.length) bytes[at] = byte;
          const whole = decodeAll([bytes], version);
          expect(decodeAll(cut(bytes, cuts), version)).toEqual(whole);
          expect(
            decodeAll(
              [...bytes].map((one) => Uint8Array.of(one)),
              version,
            ),
          ).toEqual(whole);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test("arbitrary bytes never throw, cut or not", () => {
  const version = fc.constantFrom(undefined, ...VERSIONS);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      version,
      fc.array(fc.nat(9)),
      (bytes, protocolVersion, cuts) => {
        expect(decodeAll(cut(bytes, cuts), protocolVersion)).toEqual(decodeAll([bytes], protocolVersion));
      },
    ),
    { numRuns: 3000 },
  );
});

test("arbitrary bodies of every packet type never throw", () => {
  const version = fc.constantFrom(...VERSIONS);
  const firstByte = fc.constantFrom(0x30, 0x32, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xe0, 0xf0);
  fc.assert(
    fc.property(firstByte, fc.uint8Array({ maxLength: 100 }), version, (first, body, protocolVersion) => {
      const { packets, fault } = decodeAll([Uint8Array.of(first, body.length, ...body)], protocolVersion);
      expect(packets.length + (fault === undefined ? 0 : 1)).toBe(1);
    }),
    { numRuns: 4000 },
  );
});

test("every server packet of version 5 is read back as it was given", () => {
  fc.assert(
    fc.property(serverPacket(), (packet) => {
      expect(decodeServerPackets(encodePacket(packet, 5), 5)).toEqual([packet]);
    }),
    { numRuns: 400 },
  );
});

/** What a client sees of a delivery. */
function seen({ message, messageExpiryIntervalSec, ...own }: Delivery, version: ProtocolVersion): object {
  const {
    topicName,
    payload,
    qos: _qos,
    retain: _retain,
    messageExpiryIntervalSec: _given,
    ...properties
  } = message;
  const { subscriptionIdentifiers, topicAlias, ...header } = own;
  const received = { type: "publish", topicName, payload, ...header };
  if (version < 5) return received;
  return { ...received, ...properties, subscriptionIdentifiers, topicAlias, messageExpiryIntervalSec };
}

test("every delivery is read back as it was given, and its size is told before", () => {
  const encoder = new PublishEncoder();
  fc.assert(
    fc.property(delivery(), fc.constantFrom(...VERSIONS), (given, version) => {
      const bytes = encoder.encode(given, version);
      expect(publishSizeBytes(given, version)).toBe(bytes.length);
      expect(decodeServerPackets(bytes, version)).toEqual([seen(given, version)]);
    }),
    { numRuns: 500 },
  );
});
