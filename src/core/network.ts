/** IP addresses, and networks of them, whatever way they are written. */

type Version = 4 | 6;

/** The addresses that have their leading bits in common; with all bits it is one address. */
export interface Network {
  readonly version: Version;
  /** 16 bits each: two of IPv4, eight of IPv6. Behind the leading bits they are 0. */
  readonly groups: readonly number[];
  readonly prefixLength: number;
}

const addressLength: Record<Version, number> = { 4: 32, 6: 128 };

/** What one customer gets at least. */
const customerPrefixLength: Record<Version, number> = { 4: 32, 6: 64 };

/** Undefined for a text that is no address. */
export function parseAddress(text: string): Network | undefined {
  const version = text.includes(":") ? 6 : 4;
  const groups = version === 6 ? parseIPv6(text) : parseIPv4(text);
  return groups && unmapped({ version, groups, prefixLength: addressLength[version] });
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
  const groups = version === 6 ? parseIPv6(addressText) : parseIPv4(addressText);
  const prefixLength = Number(lengthText);
  if (groups === undefined || prefixLength > addressLength[version]) return undefined;
  return unmapped(shortened({ version, groups }, prefixLength));
}

/** What limits by address go by: of IPv4 the address itself, of IPv6 the /64 that it is in. */
export function customerOf(address: Network): Network {
  return shortened(address, customerPrefixLength[address.version]);
}

/** The network of that many bits around an address, or around a smaller network. */
export function shortened(
  { version, groups }: Pick<Network, "version" | "groups">,
  prefixLength: number,
): Network {
  const masked = groups.map((group, index) => {
    const bits = Math.min(16, Math.max(0, prefixLength - 16 * index));
    return group & (0xffff << (16 - bits));
  });
  return { version, groups: masked, prefixLength };
}

/** One text for each network (RFC 5952); that of a single IPv4 address is the address. */
export function formatNetwork({ version, groups, prefixLength }: Network): string {
  if (version === 6) return `${formatIPv6(groups)}/${prefixLength}`;
  const address = groups.map((group) => `${group >> 8}.${group & 0xff}`).join(".");
  return prefixLength === 32 ? address : `${address}/${prefixLength}`;
}

/** The IPv4 network that is meant, if it is one that is written as IPv6 (RFC 4291, section 2.5.5.2). */
function unmapped(network: Network): Network {
  const { groups, prefixLength } = network;
  if (network.version === 4 || prefixLength < 96) return network;
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  return isMapped ? { version: 4, groups: groups.slice(6), prefixLength: prefixLength - 96 } : network;
}

/** Numbers with a leading zero are no decimal ones to everybody, and so to nobody here. */
function parseIPv4(text: string): number[] | undefined {
  const parts = text.split(".");
  const isWhole = parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part));
  const [first = 0, second = 0, third = 0, fourth = 0] = parts.map(Number);
  if (!isWhole || Math.max(first, second, third, fourth) > 255) return undefined;
  return [(first << 8) | second, (third << 8) | fourth];
}

/** RFC 4291, section 2.2. */
function parseIPv6(text: string): number[] | undefined {
  const [left, right, ...more] = text.split("::");
  const head = groupsOf(left ?? "", right === undefined);
  const tail = right === undefined ? [] : groupsOf(right, true);
  if (head === undefined || tail === undefined || more.length > 0) return undefined;
  const given = head.length + tail.length;
  if (right === undefined ? given !== 8 : given > 7) return undefined;
  return [...head, ...Array.from({ length: 8 - given }, () => 0), ...tail];
}

/** The last two may be written as an IPv4 address. */
function groupsOf(text: string, isLast: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const embedded = isLast && parts.at(-1)?.includes(".") ? parseIPv4(parts.pop() ?? "") : [];
  if (embedded === undefined || !parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return undefined;
  return [...parts.map((part) => Number.parseInt(part, 16)), ...embedded];
}

/** The first of the longest runs of zeros is left out. */
function formatIPv6(groups: readonly number[]): string {
  let [start, length] = [0, 0];
  for (let from = 0; from < groups.length; from += 1) {
    let end = from;
    while (groups[end] === 0) end += 1;
    if (end - from > length) [start, length] = [from, end - from];
    from = end;
  }
  const text = (some: readonly number[]): string => some.map((group) => group.toString(16)).join(":");
  return length < 2 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}
