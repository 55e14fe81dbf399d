import type { Delivery, ProtocolVersion } from "./packet.ts";
import type { Limits } from "./limits.ts";

/** What a shard is told about itself; never changes during its life. */
export interface CoreConfig {
  readonly limits: Limits;
  /** Log flushes a second that acknowledgements wait for; Infinity writes at the end of every event. */
  readonly flushesPerSecMax: number;
  /** Exact size of an encoded PUBLISH, for clients with a Maximum Packet Size. */
  readonly publishSizeBytes: (delivery: Delivery, protocolVersion: ProtocolVersion) => number;
}

/** Flushes that may come at once after a quiet time. */
export const flushBurst = 100;
