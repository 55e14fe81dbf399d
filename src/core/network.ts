/** IP addresses, and networks of them, whatever way they are written. */

type Version = 4 | 6;

/** The addresses that have their leading bits in common; with all bits it is one address. */
export interface Network {
  readonly version: Version;
  /** The leading bits, as a number. */
  readonly prefix: bigint;
  readonly prefixLength: number;
}

const bitsOf: Record<Version, number> = { 4: 32, 6: 128 };

/** What one customer gets at least, of IPv6. */
const customerPrefixLength: Record<Version, number> = { 4: 32, 6: 64 };

/** IPv4 addresses are written as IPv6 ones behind these bits (RFC 4291, section 2.5.5.2). */
const mappedPrefix = 0xffffn;
const mappedPrefixLength = 96;

/** Undefined for a text that is no address. */
export function parseAddress(text: string): Network | undefined {
  const value = parseIPv4(text);
  if (value !== undefined) return { version: 4, prefix: value, prefixLength: 32 };
  const value6 = parseIPv6(text);
  return value6 === undefined ? undefined : unmapped({ version: 6, prefix: value6, prefixLength: 128 });
}

/**
 * A network in CIDR notation (RFC 4632, RFC 4291), of whose address only the leading bits count; or that of the customer
 * who has the address. Undefined for any other text.
 */
export function parseNetwork(text: string): Network | undefined {
  const [, addressText = "", lengthText] = /^([^/]*)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  if (lengthText === undefined) {
    const address = parseAddress(addressText);
    return address && customerOf(address);
  }
  const version = addressText.includes(":") ? 6 : 4;
  const prefix = version === 6 ? parseIPv6(addressText) : parseIPv4(addressText);
  const prefixLength = Number(lengthText);
  if (prefix === undefined || prefixLength > bitsOf[version]) return undefined;
  return unmapped(shortened({ version, prefix, prefixLength: bitsOf[version] }, prefixLength));
}

/** What limits by address go by: of IPv4 the address itself, of IPv6 the /64 that it is in. */
export function customerOf(address: Network): Network {
  return shortened(address, customerPrefixLength[address.version]);
}

/** The network of that many bits around the other one, which has as many or more. */
export function shortened({ version, prefix, prefixLength }: Network, newLength: number): Network {
  return { version, prefix: prefix >> BigInt(prefixLength - newLength), prefixLength: newLength };
}

/** One text for each network (RFC 5952); that of a single IPv4 address is the address. */
export function formatNetwork({ version, prefix, prefixLength }: Network): string {
  const value = prefix << BigInt(bitsOf[version] - prefixLength);
  if (version === 6) return `${formatIPv6(value)}/${prefixLength}`;
  const address = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  return prefixLength === 32 ? address : `${address}/${prefixLength}`;
}

/** The IPv4 network that is meant, if it is one. */
function unmapped(network: Network): Network {
  const { prefix, prefixLength } = network;
  if (network.version === 4 || prefixLength < mappedPrefixLength) return network;
  const length = prefixLength - mappedPrefixLength;
  if (prefix >> BigInt(length) !== mappedPrefix) return network;
  return { version: 4, prefix: prefix & ((1n << BigInt(length)) - 1n), prefixLength: length };
}

/** Numbers with a leading zero are no decimal ones to everybody, and so to nobody here. */
function parseIPv4(text: string): bigint | undefined {
  if (!/^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/.test(text)) return undefined;
  const parts = text.split(".").map(Number);
  return parts.some((part) => part > 255) ? undefined : joined(parts, 8);
}

/** RFC 4291, section 2.2. */
function parseIPv6(text: string): bigint | undefined {
  const [, leading, tail] = /^(.*:)(\d[\d.]*\.[\d.]*)$/.exec(text) ?? [text, text];
  const embedded = tail === undefined ? undefined : parseIPv4(tail);
  if (tail !== undefined && embedded === undefined) return undefined;
  const plain =
    embedded === undefined
      ? text
      : `${leading}${(embedded >> 16n).toString(16)}:${(embedded & 0xffffn).toString(16)}`;
  const [left = [], right, ...more] = plain.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const given = [...left, ...(right ?? [])];
  const isWhole = right === undefined ? given.length === 8 : given.length < 8;
  if (!isWhole || more.length > 0 || !given.every((group) => /^[0-9a-f]{1,4}$/i.test(group)))
    return undefined;
  const zeros = Array.from({ length: 8 - given.length }, () => "0");
  const groups = [...left, ...zeros, ...(right ?? [])];
  return joined(
    groups.map((group) => Number.parseInt(group, 16)),
    16,
  );
}

function joined(parts: readonly number[], bits: number): bigint {
  return parts.reduce((value, part) => (value << BigInt(bits)) | BigInt(part), 0n);
}

/** The first of the longest runs of zeros is left out. */
function formatIPv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - 16 * index)) & 0xffffn);
  const lengthFrom = (start: number): number => {
    const end = groups.findIndex((group, index) => index >= start && group !== 0n);
    return (end < 0 ? 8 : end) - start;
  };
  const lengths = groups.map((_, index) => lengthFrom(index));
  const longest = Math.max(...lengths);
  const text = (some: readonly bigint[]): string => some.map((group) => group.toString(16)).join(":");
  if (longest < 2) return text(groups);
  const start = lengths.indexOf(longest);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + longest))}`;
}
