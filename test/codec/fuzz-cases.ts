/** Streams for the fuzz: valid packets, and what mutations make of them. */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import type { ClientPacket, ProtocolVersion } from "../../src/core/packet.ts";
import { clientPacket, connectPacket } from "./arbitraries.ts";
import { encodeClientPacket } from "./client-encode.ts";
import { decodeIndependently } from "./independent-decode.ts";

/** What a client sends; without `version` it begins with CONNECT. */
export interface Stream {
  readonly version: ProtocolVersion | undefined;
  readonly bytes: Uint8Array;
}

interface Vector {
  readonly version: ProtocolVersion | null;
  readonly hex: string;
}

/** Packets of one version to make streams of, as bytes. */
interface Packets {
  readonly connects: readonly Uint8Array[];
  readonly others: readonly Uint8Array[];
}
export type Corpus = Readonly<Record<ProtocolVersion, Packets>>;

const VERSIONS = [3, 4, 5] as const;
const VECTORS = new URL("../vectors/", import.meta.url);
const SAMPLES_OF_EACH_KIND = 80;

/** Valid packets of each version, and those of the vectors, good and bad. */
export function corpus(seed: number): Corpus {
  const sample = <Value>(values: fc.Arbitrary<Value>): Value[] =>
    fc.sample(values, { seed, numRuns: SAMPLES_OF_EACH_KIND });
  const of = (version: ProtocolVersion): Packets => {
    const connects = sample(connectPacket(version));
    const others = [...sample(clientPacket(version)), ...sample(clientPacket(version).filter(isLong))];
    const encode = (packet: ClientPacket): Uint8Array => encodeClientPacket(packet, version);
    return {
      connects: [...vectors(null), ...connects.map(encode)],
      others: [...vectors(version), ...others.map(encode)],
    };
  };
  return { 3: of(3), 4: of(4), 5: of(5) };
}

/** Acknowledgements are many and short: half of the samples are of packets with more to go wrong. */
const isLong = ({ type }: ClientPacket): boolean => !/^(pub.+c|puback|pubrel|pubcomp|pingreq)$/.test(type);

/** Null: of CONNECT, for whatever version. */
function vectors(version: ProtocolVersion | null): Uint8Array[] {
  const files = readdirSync(VECTORS).filter((file) => file.endsWith(".json"));
  return files
    .flatMap((file) => JSON.parse(readFileSync(new URL(file, VECTORS), "utf8")) as Vector[])
    .filter((vector) => vector.version === version)
    .map(({ hex }) => Uint8Array.from(Buffer.from(hex, "hex")));
}

/** Sizes of packets of one type that differ in which of the optional fields at their end there are. */
const SIZES_OF_EACH_TYPE = 3;

/** For each version and type one packet of each of the smallest sizes. */
export function shortestOfEachType(packets: Corpus): Stream[] {
  return VERSIONS.flatMap((version) => {
    const { connects, others } = packets[version];
    const valid = [
      ...connects.map((bytes): Stream => ({ version: undefined, bytes })),
      ...others.map((bytes): Stream => ({ version, bytes })),
    ].filter((stream) => decodeIndependently(stream.bytes, Infinity, stream.version).packets.length === 1);
    return [...Map.groupBy(valid, ({ bytes }) => (bytes[0] ?? 0) >> 4).values()].flatMap((ofType) => {
      const bySize = new Map(ofType.map((stream) => [stream.bytes.length, stream]));
      const sizes = [...bySize.keys()].toSorted((one, other) => one - other);
      return sizes.slice(0, SIZES_OF_EACH_TYPE).flatMap((size) => bySize.get(size) ?? []);
    });
  });
}

type Mutation = (bytes: readonly number[], at: number, value: number) => number[];

const spliced = (
  bytes: readonly number[],
  at: number,
  deleteCount: number,
  ...inserted: number[]
): number[] => bytes.toSpliced(at, deleteCount, ...inserted);

/** Bytes at which decoders go wrong: ends of ranges, leads of UTF-8 sequences, wildcards, property identifiers. */
const TELLING_BYTES = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0b, 0x11, 0x1f, 0x23, 0x24, 0x26, 0x2b, 0x2f, 0x7f, 0x80, 0x81, 0xbf,
  0xc0, 0xc2, 0xed, 0xef, 0xf4, 0xff,
];

/** Whole properties, good and bad ones, that may be put where they do or do not belong. */
const PROPERTIES: readonly (readonly number[])[] = [
  [0x01, 1],
  [0x01, 2],
  [0x02, 0, 0, 0, 9],
  [0x03, 0, 1, 0x61],
  [0x08, 0, 1, 0x62],
  [0x08, 0, 1, 0x23],
  [0x08, 0, 0],
  [0x09, 0, 1, 0xff],
  [0x0b, 1],
  [0x0b, 0],
  [0x0b, 0xff, 0xff, 0xff, 0x7f],
  [0x0b, 0x80, 0x00],
  [0x11, 0xff, 0xff, 0xff, 0xff],
  [0x12, 0, 1, 0x61],
  [0x13, 0, 1],
  [0x15, 0, 1, 0x6d],
  [0x16, 0, 1, 0x00],
  [0x17, 0],
  [0x18, 0, 0, 0, 1],
  [0x19, 1],
  [0x1a, 0, 1, 0x61],
  [0x1c, 0, 1, 0x61],
  [0x1f, 0, 1, 0x61],
  [0x1f, 0, 1, 0x00],
  [0x21, 0, 1],
  [0x21, 0, 0],
  [0x22, 0, 0],
  [0x23, 0, 1],
  [0x23, 0, 0],
  [0x24, 1],
  [0x25, 1],
  [0x26, 0, 1, 0x61, 0, 1, 0x62],
  [0x26, 0, 0, 0, 0],
  [0x26, 0, 1, 0x61, 0, 2, 0xc3, 0x28],
  [0x27, 0, 0, 1, 0],
  [0x27, 0, 0, 0, 0],
  [0x28, 1],
  [0x2b, 1],
  [0x80, 0x01],
];

/** Each is deterministic in its two numbers, so that a failing case shrinks. */
const MUTATIONS: Readonly<Record<string, Mutation>> = {
  flipBit: (bytes, at, value) => spliced(bytes, at, 1, (bytes[at] ?? 0) ^ (1 << (value % 8))),
  setByte: (bytes, at, value) => spliced(bytes, at, 1, TELLING_BYTES[value % TELLING_BYTES.length] ?? 0),
  step: (bytes, at, value) => spliced(bytes, at, 1, ((bytes[at] ?? 0) + (value % 2 ? 1 : 255)) % 256),
  insert: (bytes, at, value) => spliced(bytes, at, 0, value % 256),
  remove: (bytes, at, value) => spliced(bytes, at, 1 + (value % 4)),
  truncate: (bytes, at) => bytes.slice(0, at),
  duplicate: (bytes, at, value) => spliced(bytes, at, 0, ...bytes.slice(at, at + 1 + (value % 16))),
  addProperty: (bytes, _at, value) => {
    const lengthAt = propertyLengthAt(bytes);
    const added = PROPERTIES[value % PROPERTIES.length] ?? [];
    const length = bytes[lengthAt];
    if (length === undefined || length + added.length > 127) return [...bytes];
    return spliced(spliced(bytes, lengthAt + 1, 0, ...added), lengthAt, 1, length + added.length);
  },
};

/** Where a body of version 5 has its Property Length, given one byte of type before it. */
function propertyLengthAt(bytes: readonly number[]): number {
  const [firstByte = 0, high = 0, low = 0] = bytes;
  switch (firstByte >> 4) {
    case 1:
      return 11;
    case 3:
      return 3 + high * 256 + low + ((firstByte & 6) > 0 ? 2 : 0);
    case 8:
    case 10:
      return 3;
    case 14:
    case 15:
      return 2;
    default:
      return 4;
  }
}

interface Step {
  readonly kind: string;
  readonly at: number;
  readonly value: number;
  /** The Remaining Length is made right again, so that the body is read to its end. */
  readonly isRepaired: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...Object.keys(MUTATIONS)),
  at: fc.nat(0xffff),
  value: fc.nat(0xffff),
  isRepaired: fc.boolean().map((isRaw) => !isRaw),
});

function variableByteInteger(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...variableByteInteger(Math.floor(value / 128))];
}

function mutate(bytes: readonly number[], { kind, at, value, isRepaired }: Step): number[] {
  const mutation = MUTATIONS[kind];
  if (mutation === undefined || bytes.length === 0) return [...bytes];
  if (!isRepaired && kind !== "addProperty") return mutation(bytes, at % bytes.length, value);
  const lengthBytes = bytes.slice(1, 5).findIndex((byte) => byte < 128) + 1;
  // The first byte stays in front of the body, which makes it a target too.
  const joined = [bytes[0] ?? 0, ...bytes.slice(1 + lengthBytes)];
  const [firstByte = 0, ...body] = mutation(joined, at % joined.length, value);
  return [firstByte, ...variableByteInteger(body.length), ...body];
}

const steps = fc.oneof(
  { arbitrary: fc.constant<Step[]>([]), weight: 2 },
  { arbitrary: fc.array(step, { minLength: 1, maxLength: 1 }), weight: 4 },
  { arbitrary: fc.array(step, { minLength: 2, maxLength: 4 }), weight: 1 },
);

/** One of the packets after some mutations. */
function mutated(packets: readonly Uint8Array[]): fc.Arbitrary<number[]> {
  return fc
    .tuple(fc.constantFrom(...packets), steps)
    .map(([packet, changes]) => changes.reduce(mutate, [...packet]));
}

function mutatedStream(version: ProtocolVersion, { connects, others }: Packets): fc.Arbitrary<Stream> {
  const rest = fc.array(mutated(others), { maxLength: 2 });
  const from = (first: readonly Uint8Array[], known: ProtocolVersion | undefined): fc.Arbitrary<Stream> =>
    fc
      .tuple(mutated(first), rest)
      .map(([one, more]) => ({ version: known, bytes: Uint8Array.from([...one, ...more.flat()]) }));
  return fc.oneof(
    { arbitrary: from(connects, undefined), weight: 1 },
    { arbitrary: from(others, version), weight: 2 },
  );
}

/** Random bytes, or one to three packets of the corpus after some mutations each. */
export function streams(packets: Corpus): fc.Arbitrary<Stream> {
  const garbage = fc.record({
    version: fc.constantFrom(undefined, ...VERSIONS),
    bytes: fc.uint8Array({ maxLength: 40 }),
  });
  return fc.oneof(
    { arbitrary: garbage, weight: 1 },
    { arbitrary: mutatedStream(3, packets[3]), weight: 2 },
    { arbitrary: mutatedStream(4, packets[4]), weight: 2 },
    { arbitrary: mutatedStream(5, packets[5]), weight: 5 },
  );
}
