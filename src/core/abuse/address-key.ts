import { customerOf, formatNetwork, parseAddress } from "../network.ts";

/**
 * What limits by address go by: the address itself, or of IPv6 its /64, for that is what one customer gets at least.
 */
export function addressKeyOf(address: string): string {
  const known = parseAddress(address);
  return known === undefined ? address : formatNetwork(customerOf(known));
}
