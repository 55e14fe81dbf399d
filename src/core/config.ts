import type { AccessSettings } from "./access/access.ts";
import type { Delivery, ProtocolVersion, ServerPacket } from "./packet.ts";
import type { Limits } from "./limits.ts";
import type { Placement } from "./placement.ts";

/** What a shard is told about itself; never changes during its life. */
export interface CoreConfig extends AccessSettings {
  readonly placement: Placement;
  readonly limits: Limits;
  /** Whether clients without credentials get in. */
  readonly allowsAnonymous: boolean;
  /** Whether the host verifies user names and passwords; if it does not, they are not looked at. */
  readonly authenticates: boolean;
  /** Log flushes a second that acknowledgements wait for; Infinity writes at the end of every event. */
  readonly flushesPerSecMax: number;
  /** Exact size of an encoded PUBLISH, for clients with a Maximum Packet Size. */
  readonly publishSizeBytes: (delivery: Delivery, protocolVersion: ProtocolVersion) => number;
  /** Exact size of any other encoded packet, for the same clients. */
  readonly packetSizeBytes: (packet: ServerPacket, protocolVersion: ProtocolVersion) => number;
  /** Whether bytes are well-formed UTF-8. */
  readonly isUtf8: (bytes: Uint8Array) => boolean;
  /** Authentication Methods that the host knows; any other is refused with 0x8C. */
  readonly authenticationMethods: ReadonlySet<string>;
  /** Of the broker, for `$SYS`. */
  readonly version: string;
}

/** Flushes that may come at once after a quiet time. */
export const flushBurst = 100;
