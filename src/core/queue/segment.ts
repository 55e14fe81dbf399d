import type { Publication } from "../publication.ts";
import type { DeliveryState, LogTarget, SegmentHead } from "../storage-port.ts";

/** One flush: a row that holds messages, each once for all its sessions, and delivery states of sessions. */
export class Segment {
  readonly slot: number;
  readonly seq: number;
  /** Undelivered (message, session) pairs and newest delivery states in it; at 0 the row may be overwritten. */
  liveCount = 0;
  /** Those whose newest delivery state is in it. */
  readonly holders = new Set<LogSession>();

  constructor(slot: number, seq: number) {
    this.slot = slot;
    this.seq = seq;
  }
}

/** A message on its way to one session. */
export interface QueuedMessage {
  readonly publication: Publication;
  readonly target: LogTarget;
  /** Where it is kept; absent while it is in memory only. */
  segment?: Segment;
}

/** What the log needs of a session. */
export interface LogSession {
  readonly sessionNumber: number;
  /** The segment that holds the session's newest delivery state, when no row of its own does. */
  deliveryStateSegment?: Segment | undefined;
  deliveryState(): DeliveryState;
  /** True while the delivery still has to be kept. */
  isPending(ordinal: number): boolean;
  /** Called when a message for the session has been given its place in the log. */
  onLogged(ordinal: number, segment: Segment): void;
  /** Called when a pending message for the session was found in the stored log. */
  onFound(target: LogTarget, segment: Segment, sizeBytes: number): void;
}

/** About what a target takes in a segment. */
export function targetBytesOf({ subscriptionIdentifiers, sharedFilter }: LogTarget): number {
  return 24 + (subscriptionIdentifiers?.length ?? 0) * 5 + (sharedFilter?.length ?? 0) * 3;
}

/** About what a delivery state takes in a segment. */
export function stateBytes({ inflight, receivedQos2 }: DeliveryState): number {
  return 32 + inflight.length * 8 + receivedQos2.length * 3;
}

export function* targetsOf(head: SegmentHead, session: LogSession): Iterable<LogTarget> {
  for (const { targets } of head.messages) {
    for (const target of targets) if (target.sessionNumber === session.sessionNumber) yield target;
  }
}

export function mentions(head: SegmentHead, session: LogSession): boolean {
  for (const _ of targetsOf(head, session)) return true;
  return false;
}
