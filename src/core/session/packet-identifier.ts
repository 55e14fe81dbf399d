/** Packet Identifiers follow from the order of delivery, so they survive a crash without a write of their own. */
export function packetIdentifierOf(ordinal: number): number {
  return ((ordinal - 1) % 0xffff) + 1;
}
