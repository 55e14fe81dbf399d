/**
 * What limits by address go by: the address itself, or of IPv6 its /64, for that is what one customer gets at least.
 */
export function addressKeyOf(address: string): string {
  // An IPv4 address, also inside an IPv6 one, is one customer's, or several's.
  if (!address.includes(":") || address.includes(".")) return address;
  const [left = "", right] = address.toLowerCase().split("::");
  const groups = left === "" ? [] : left.split(":");
  const tail = right === undefined || right === "" ? [] : right.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - tail.length) }, () => "0");
  const network = [...groups, ...zeros, ...tail].slice(0, 4);
  return `${network.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
