import type { QueuedMessage, Segment } from "../queue/segment.ts";
import type { InflightRecord } from "../storage-port.ts";

/** A message that the client has not acknowledged in full. */
export interface Inflight {
  readonly ordinal: number;
  phase: InflightRecord["phase"];
  /** Where the message is kept, until it is acknowledged. */
  segment?: Segment | undefined;
  sizeBytes: number;
  /** The message itself, if another session may have to take it over and the log does not have it. */
  message?: QueuedMessage;
}

/** What a delivery needs besides the message. */
export interface DeliveryOptions {
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIdentifiers?: readonly number[];
  readonly sharedFilter?: string;
}

/** The next message to send. */
export interface NextDelivery {
  readonly message: QueuedMessage;
  readonly packetIdentifier: number;
  /** It may have been sent before. */
  readonly dup: boolean;
  /** It is not known to have been, and by now the client may not be allowed to have it. */
  readonly isDoubtful: boolean;
}
