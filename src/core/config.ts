import type { AuthenticationMethod } from "./authentication.ts";
import type { Delivery, ProtocolVersion, ServerPacket } from "./packet.ts";
import type { Limits } from "./limits.ts";
import type { Placement } from "./placement.ts";

/** What a shard is told about itself; never changes during its life. */
export interface CoreConfig {
  readonly placement: Placement;
  readonly limits: Limits;
  /** Whether clients without credentials get in. There are no others yet, so without it nobody does. */
  readonly allowsAnonymous: boolean;
  /** Log flushes a second that acknowledgements wait for; Infinity writes at the end of every event. */
  readonly flushesPerSecMax: number;
  /** Exact size of an encoded PUBLISH, for clients with a Maximum Packet Size. */
  readonly publishSizeBytes: (delivery: Delivery, protocolVersion: ProtocolVersion) => number;
  /** Exact size of any other encoded packet, for the same clients. */
  readonly packetSizeBytes: (packet: ServerPacket, protocolVersion: ProtocolVersion) => number;
  /** Whether bytes are well-formed UTF-8. */
  readonly isUtf8: (bytes: Uint8Array) => boolean;
  /** By name; an unknown one is refused with 0x8C. */
  readonly authenticationMethods: ReadonlyMap<string, AuthenticationMethod>;
  /** Of the broker, for `$SYS`. */
  readonly version: string;
}

/** Flushes that may come at once after a quiet time. */
export const flushBurst = 100;
