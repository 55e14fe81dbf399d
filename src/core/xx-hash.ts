/** XXH64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), of a text's UTF-8 bytes. */

const prime1 = 0x9e3779b185ebca87n;
const prime2 = 0xc2b2ae3d27d4eb4fn;
const prime3 = 0x165667b19e3779f9n;
const prime4 = 0x85ebca77c2b2ae63n;
const prime5 = 0x27d4eb2f165667c5n;

const stripeBytes = 32;

export function xxHash64(text: string): bigint {
  const bytes = utf8Of(text);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  let hash = prime5;
  if (bytes.length >= stripeBytes) {
    const lanes = [wrap(prime1 + prime2), prime2, 0n, wrap(-prime1)];
    for (; offset + stripeBytes <= bytes.length; offset += stripeBytes) {
      for (let lane = 0; lane < 4; lane += 1) {
        lanes[lane] = round(lanes[lane] as bigint, view.getBigUint64(offset + lane * 8, true));
      }
    }
    hash = merge(lanes as [bigint, bigint, bigint, bigint]);
  }
  hash = wrap(hash + BigInt(bytes.length));
  for (; offset + 8 <= bytes.length; offset += 8) {
    const mixed = hash ^ round(0n, view.getBigUint64(offset, true));
    hash = wrap(rotateLeft(mixed, 27n) * prime1 + prime4);
  }
  for (; offset + 4 <= bytes.length; offset += 4) {
    const mixed = hash ^ wrap(BigInt(view.getUint32(offset, true)) * prime1);
    hash = wrap(rotateLeft(mixed, 23n) * prime2 + prime3);
  }
  for (; offset < bytes.length; offset += 1) {
    const mixed = hash ^ wrap(BigInt(view.getUint8(offset)) * prime5);
    hash = wrap(rotateLeft(mixed, 11n) * prime1);
  }
  return avalanche(hash);
}

function merge(lanes: readonly [bigint, bigint, bigint, bigint]): bigint {
  const [first, second, third, fourth] = lanes;
  let hash = wrap(
    rotateLeft(first, 1n) + rotateLeft(second, 7n) + rotateLeft(third, 12n) + rotateLeft(fourth, 18n),
  );
  for (const lane of lanes) hash = wrap((hash ^ round(0n, lane)) * prime1 + prime4);
  return hash;
}

function round(lane: bigint, input: bigint): bigint {
  return wrap(rotateLeft(wrap(lane + input * prime2), 31n) * prime1);
}

function avalanche(hash: bigint): bigint {
  let mixed = wrap((hash ^ (hash >> 33n)) * prime2);
  mixed = wrap((mixed ^ (mixed >> 29n)) * prime3);
  return mixed ^ (mixed >> 32n);
}

function wrap(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

function rotateLeft(value: bigint, count: bigint): bigint {
  return wrap((value << count) | (value >> (64n - count)));
}

/** Texts in here have no lone surrogates: the codec refuses them. */
function utf8Of(text: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), continuation(code));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), continuation(code >> 6), continuation(code));
    else
      bytes.push(0xf0 | (code >> 18), continuation(code >> 12), continuation(code >> 6), continuation(code));
  }
  return Uint8Array.from(bytes);
}

function continuation(bits: number): number {
  return 0x80 | (bits & 0x3f);
}
