import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jumpHash, type Layout, Placement } from "../../src/core/placement.ts";
import { xxHash64 } from "../../src/core/xx-hash.ts";

const runs = { numRuns: 500 };

function placementOf(shards: number, topicKeyLevels = 2): Placement {
  const layout: Layout = { epoch: 1, shards, topicKeyLevels };
  return new Placement(layout);
}

/** The steps of the specification of XXH64 with seed 0, one by one. */
function specifiedHash(text: string): bigint {
  const bytes = Buffer.from(text);
  const wrap = (value: bigint): bigint => value & 0xffff_ffff_ffff_ffffn;
  const rotate = (value: bigint, bits: number): bigint =>
    wrap(value << BigInt(bits)) + (value >> BigInt(64 - bits));
  const [prime1, prime2, prime3, prime4, prime5] = [
    11400714785074694791n,
    14029467366897019727n,
    1609587929392839161n,
    9650029242287828579n,
    2870177450012600261n,
  ] as const;
  const round = (accumulator: bigint, lane: bigint): bigint =>
    wrap(rotate(wrap(accumulator + lane * prime2), 31) * prime1);
  let rest = bytes;
  let hash: bigint = prime5;
  if (bytes.length >= 32) {
    let accumulators: bigint[] = [wrap(prime1 + prime2), prime2, 0n, wrap(0n - prime1)];
    while (rest.length >= 32) {
      const stripe = rest;
      accumulators = accumulators.map((value, lane) => round(value, stripe.readBigUInt64LE(8 * lane)));
      rest = rest.subarray(32);
    }
    const turns = [1, 7, 12, 18];
    hash = wrap(accumulators.reduce((sum, value, lane) => sum + rotate(value, turns[lane] as number), 0n));
    for (const value of accumulators) hash = wrap((hash ^ round(0n, value)) * prime1 + prime4);
  }
  hash = wrap(hash + BigInt(bytes.length));
  for (; rest.length >= 8; rest = rest.subarray(8)) {
    hash = wrap(rotate(hash ^ round(0n, rest.readBigUInt64LE()), 27) * prime1 + prime4);
  }
  for (; rest.length >= 4; rest = rest.subarray(4)) {
    hash = wrap(rotate(hash ^ wrap(BigInt(rest.readUInt32LE()) * prime1), 23) * prime2 + prime3);
  }
  for (const byte of rest) hash = wrap(rotate(hash ^ wrap(BigInt(byte) * prime5), 11) * prime1);
  hash = wrap((hash ^ (hash >> 33n)) * prime2);
  hash = wrap((hash ^ (hash >> 29n)) * prime3);
  return hash ^ (hash >> 32n);
}

/** Figure 1 of the paper, with a 64-bit `key` and a double in the division. */
function jumpHashOfThePaper(hash: bigint, buckets: number): number {
  let key = hash;
  let b = -1n;
  let j = 0n;
  while (j < BigInt(buckets)) {
    b = j;
    key = BigInt.asUintN(64, key * 2862933555777941757n + 1n);
    const quotient = Number(1n << 31n) / Number((key >> 33n) + 1n);
    j = BigInt(Math.trunc(Number(b + 1n) * quotient));
  }
  return Number(b);
}

describe("XXH64", () => {
  test.each([
    ["", "ef46db3751d8e999"],
    ["a", "d24ec4f1a98c6e5b"],
    ["abc", "44bc2cf5ad770999"],
    ["Nobody inspects the spammish repetition", "fbcea83c8a378bf1"],
    ["a".repeat(31), "fe47067cda802916"],
    ["a".repeat(32), "856e843298f99ad7"],
    ["a".repeat(33), "18f3ff0c21e3b24b"],
    ["sensor/température", "cc5dc862c49e2019"],
    ["传感器/温度", "aa9a1a1daf1becb5"],
    ["😀", "9025b8abaae87b80"],
  ])("of %j is the known value", (text, hash) => {
    expect(xxHash64(text).toString(16).padStart(16, "0")).toBe(hash);
  });

  test("follows the specification at every length from 0 to 80 bytes", () => {
    for (let length = 0; length <= 80; length += 1) {
      const text = Array.from({ length }, (_, index) => String.fromCharCode(33 + ((index * 7) % 90))).join(
        "",
      );
      expect(xxHash64(text), `${length} bytes`).toBe(specifiedHash(text));
    }
  });

  test("follows the specification for any text, as UTF-8", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => {
        expect(xxHash64(text)).toBe(specifiedHash(text));
      }),
      runs,
    );
  });
});

describe("The jump hash", () => {
  test.each([
    [0n, 1, 0],
    [1n, 2, 0],
    [42n, 57, 43],
    [0xdead10ccn, 1, 0],
    [0xdead10ccn, 666, 361],
    [256n, 1024, 520],
    [0x0123_4567_89ab_cdefn, 16, 13],
    [0xffff_ffff_ffff_ffffn, 1024, 313],
  ])("of %i into %i buckets is the known %i", (key, buckets, bucket) => {
    expect(jumpHash(key, buckets)).toBe(bucket);
  });

  test("is that of the paper", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.integer({ min: 1, max: 1024 }),
        (key, n) => {
          expect(jumpHash(key, n)).toBe(jumpHashOfThePaper(key, n));
        },
      ),
      runs,
    );
  });
});

describe("The shard of a session", () => {
  const clientIds = Array.from({ length: 100_000 }, (_, index) => `client-${index}`);

  test("is one of those known, for good", () => {
    const placement = placementOf(16);
    const found = ["", "a", "sensor-1", "duramq-0", "传感器"].map((clientId) =>
      placement.sessionShard(clientId),
    );
    expect(found).toEqual([7, 8, 12, 8, 9]);
  });

  test("is 0 when there is one shard", () => {
    const placement = placementOf(1);
    expect(clientIds.slice(0, 100).map((clientId) => placement.sessionShard(clientId))).toEqual(
      Array.from({ length: 100 }, () => 0),
    );
  });

  test("is each of 16 for a sixteenth of the clients, give or take a tenth", () => {
    const placement = placementOf(16);
    const counts = Array.from({ length: 16 }, () => 0);
    for (const clientId of clientIds) {
      const shard = placement.sessionShard(clientId);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    const mean = clientIds.length / 16;
    for (const count of counts) expect(Math.abs(count - mean)).toBeLessThan(mean / 10);
  });

  test.each([1, 2, 7, 16, 63])(
    "moves, of %i shards and one more, only to the new one, and evenly",
    (shards) => {
      const [before, after] = [placementOf(shards), placementOf(shards + 1)];
      let moved = 0;
      for (const clientId of clientIds) {
        const shard = after.sessionShard(clientId);
        if (shard === before.sessionShard(clientId)) continue;
        expect(shard).toBe(shards);
        moved += 1;
      }
      const share = clientIds.length / (shards + 1);
      expect(Math.abs(moved - share)).toBeLessThan(share / 10);
    },
  );
});

describe("The shards of a Topic Filter", () => {
  // Few different levels, so that matches are common; empty ones and `$` ones among them.
  const level = fc.constantFrom("", "a", "b", "$a", "long", "ü");
  const topicName = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => levels.join("/"));
  const topicFilter = fc
    .tuple(
      fc.array(fc.oneof({ weight: 3, arbitrary: level }, { weight: 1, arbitrary: fc.constant("+") }), {
        maxLength: 5,
      }),
      fc.constantFrom<"#" | undefined>("#", undefined),
    )
    .map(([levels, rest]) => [...levels, ...(rest === undefined ? [] : [rest])])
    .filter((levels) => levels.length > 0)
    .map((levels) => levels.join("/"));
  const shards = fc.integer({ min: 1, max: 64 });
  const keyLevels = fc.integer({ min: 1, max: 4 });

  /** A filter that matches the topic: some levels become `+`, and some of the end becomes `#`. */
  const matching = topicName.chain((name) => {
    const levels = name.split("/");
    return fc
      .tuple(
        fc.array(fc.boolean(), { minLength: levels.length, maxLength: levels.length }),
        fc.option(fc.integer({ min: 0, max: levels.length }), { nil: undefined }),
      )
      .map(([wild, end]) => {
        const generalized = levels.map((one, index) => (wild[index] ? "+" : one));
        const filter = end === undefined ? generalized : [...generalized.slice(0, end), "#"];
        return { name, filter: filter.join("/") };
      })
      .filter(({ filter }) => matches(filter, name));
  });

  test("have every topic that it matches", () => {
    fc.assert(
      fc.property(matching, shards, keyLevels, ({ name, filter }, count, levels) => {
        const placement = placementOf(count, levels);
        expect(placement.filterShards(filter)).toContain(placement.topicShard(name));
        expect(placement.filterShards(`$share/group/${filter}`)).toContain(placement.topicShard(name));
      }),
      { numRuns: 5000 },
    );
  });

  test("have every topic that any filter happens to match", () => {
    fc.assert(
      fc.property(
        fc.array(topicName, { maxLength: 20 }),
        topicFilter,
        shards,
        keyLevels,
        (names, filter, count, levels) => {
          const placement = placementOf(count, levels);
          const found = placement.filterShards(filter);
          for (const name of names.filter((one) => matches(filter, one))) {
            expect(found).toContain(placement.topicShard(name));
          }
        },
      ),
      runs,
    );
  });

  test("are one, or all when a wildcard stands in the key levels, and the same when it is shared", () => {
    fc.assert(
      fc.property(topicFilter, shards, keyLevels, (filter, count, levels) => {
        const placement = placementOf(count, levels);
        const isWide = /[+#]/.test(filter.split("/").slice(0, levels).join("/"));
        expect(placement.spansAllShards(filter)).toBe(isWide);
        expect(placement.filterShards(filter)).toHaveLength(isWide ? count : 1);
        expect(placement.filterShards(`$share/g/${filter}`)).toEqual(placement.filterShards(filter));
      }),
      runs,
    );
  });

  test("are found by the first levels only", () => {
    const placement = placementOf(64, 2);
    const shard = placement.topicShard("plant/line");
    expect(placement.topicShard("plant/line/1/state")).toBe(shard);
    expect(placement.topicShard("plant/line/")).toBe(shard);
    expect(placement.filterShards("plant/line/#")).toEqual([shard]);
    expect(placement.filterShards("plant/#")).toHaveLength(64);
  });

  test("are the same when more topics are asked for than are remembered", () => {
    const [asked, fresh] = [placementOf(64), placementOf(64)];
    for (let index = 0; index < 25_000; index += 1) asked.topicShard(`t/${index}`);
    for (const name of ["t/0", "t/9999", "t/24999"]) {
      expect(asked.topicShard(name)).toBe(fresh.topicShard(name));
    }
  });
});

/** Section 4.7, as literally as can be. */
function matches(filter: string, name: string): boolean {
  // [MQTT-4.7.2-1]
  if (name.startsWith("$") && /^[+#]/.test(filter)) return false;
  return levelsMatch(filter.split("/"), name.split("/"));
}

function levelsMatch(filter: readonly string[], name: readonly string[]): boolean {
  const [first, ...filterRest] = filter;
  const [level, ...nameRest] = name;
  if (first === undefined) return level === undefined;
  if (first === "#") return true;
  if (level === undefined) return false;
  return (first === "+" || first === level) && levelsMatch(filterRest, nameRest);
}
