/** What a shard puts up with, for each of its clients, for each address, and in all. 0: there is no such limit. */
export interface AbuseLimits {
  /** Packets of one connection that ask for something: no acknowledgements. */
  readonly messagesPerSecMax: number;
  /** As many at once after a quiet time. */
  readonly messagesBurstMax: number;
  /** Bytes of one connection, of whatever packets. */
  readonly bytesPerSecMax: number;
  readonly bytesBurstMax: number;
  /** PUBLISHes of one Client Identifier in a UTC day. */
  readonly messagesPerDayMax: number;
  /** PUBLISHes of all clients of the shard in a UTC day. */
  readonly shardMessagesPerDayMax: number;
  readonly connectsPerMinPerAddressMax: number;
  /** CONNECTs to the shard. */
  readonly shardConnectsPerMinMax: number;
  /** The shard's share of what the namespace may have; a bound of the shard itself is `Limits.connectionsMax`. */
  readonly shardConnectionsMax: number;
  /** One CONNECT more of a user, or else an address, with one Client Identifier, is answered with a ban. */
  readonly flaps: StrikeLimits;
  /** One failure more from an address, and it has to wait. */
  readonly failedLogins: StrikeLimits;
}

export interface StrikeLimits {
  readonly max: number;
  readonly windowSec: number;
  readonly banSec: number;
}

export const defaultAbuseLimits: AbuseLimits = {
  messagesPerSecMax: 0,
  messagesBurstMax: 100,
  bytesPerSecMax: 0,
  bytesBurstMax: 1024 * 1024,
  messagesPerDayMax: 0,
  shardMessagesPerDayMax: 0,
  connectsPerMinPerAddressMax: 0,
  shardConnectsPerMinMax: 0,
  shardConnectionsMax: 0,
  flaps: { max: 0, windowSec: 60, banSec: 300 },
  failedLogins: { max: 100, windowSec: 60, banSec: 60 },
};
