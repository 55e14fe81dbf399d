import type { Publication } from "../publication.ts";
import type { DeliveryState, LogTarget, SegmentHead } from "../storage-port.ts";

/** Rows stay below Cloudflare's 2 MB with room for the encoding. */
export const segmentBytesMax = 1_200_000;

/** One flush: a row that holds messages, each once for all its sessions, and delivery states of sessions. */
export class Segment {
  readonly slot: number;
  readonly seq: number;
  /** The oldest segment whose survivors it has taken in; those in between are dead, whatever their rows say. */
  fromSeq: number;
  /** About what its row takes. */
  storedBytes = 0;
  /** Undelivered (message, session) pairs and newest delivery states in it; at 0 the row may be overwritten. */
  liveCount = 0;
  /** About what they would take by themselves, and what all that it was written with would. */
  liveBytes = 0;
  writtenBytes = 0;
  /** Those whose newest delivery state is in it. */
  readonly holders = new Set<LogSession>();
  /** What has become of it when its survivors were packed with others. */
  mergedInto: Segment | undefined;
  older: Segment | undefined;
  newer: Segment | undefined;

  constructor(slot: number, seq: number, fromSeq = seq) {
    this.slot = slot;
    this.seq = seq;
    this.fromSeq = fromSeq;
  }

  /** One more pair or delivery state. */
  hold(sizeBytes: number): void {
    this.liveCount += 1;
    this.liveBytes += sizeBytes;
    this.writtenBytes += sizeBytes;
  }

  /** More of it is dead than alive. */
  get isSparse(): boolean {
    return this.liveBytes * 2 < this.writtenBytes;
  }

  /** Nothing is awaited but delivery states. */
  get holdsOnlyStates(): boolean {
    return this.liveCount > 0 && this.liveCount === this.holders.size;
  }
}

/** A message on its way to one session. */
export interface QueuedMessage {
  readonly publication: Publication;
  readonly target: LogTarget;
  /** Where it is kept; absent while it is in memory only. */
  segment?: Segment;
}

export interface LogPage {
  readonly messages: QueuedMessage[];
  /** Where the next page begins. */
  readonly nextSeq: number;
}

/** A message of which only the place and the size are known. */
export interface LocatedMessage {
  readonly ordinal: number;
  readonly segment: Segment;
  readonly sizeBytes: number;
  readonly expiresAtMs?: number | undefined;
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
  onLogged(ordinal: number, segment: Segment, sizeBytes: number): void;
  /** Called when a pending message for the session was found in the stored log. */
  onFound(target: LogTarget, segment: Segment, sizeBytes: number): void;
}

/** About what a target takes in a segment. */
export function targetBytesOf({ subscriptionIdentifiers, sharedFilter }: LogTarget): number {
  return 24 + (subscriptionIdentifiers?.length ?? 0) * 5 + (sharedFilter?.length ?? 0) * 3;
}

/** About what a delivery state takes in a segment; held by this, whatever becomes of it, so that sums come out even. */
export const heldStateBytes = 64;

/** About what a delivery state takes in a segment. */
export function stateBytes({ inflight, receivedQos2 }: DeliveryState): number {
  // Of another shard's messages they are numbers of up to nine bytes.
  return 32 + inflight.length * 8 + receivedQos2.length * 9;
}

/** About what the segment's row takes. */
export function storedBytesOf({
  messages,
  deliveryStates,
}: Pick<SegmentHead, "messages" | "deliveryStates">) {
  let bytes = 32;
  for (const { sizeBytes, targets } of messages) {
    bytes += sizeBytes;
    for (const target of targets) bytes += targetBytesOf(target);
  }
  for (const [, state] of deliveryStates) bytes += stateBytes(state);
  return bytes;
}

export function mentions(head: SegmentHead, session: LogSession): boolean {
  return head.messages.some(({ targets }) =>
    targets.some(({ sessionNumber }) => sessionNumber === session.sessionNumber),
  );
}

/** The messages of the segment that are for the session. */
export function* messagesOf(
  { messages }: SegmentHead,
  { sessionNumber }: LogSession,
): Iterable<{ target: LogTarget; sizeBytes: number; expiresAtMs?: number | undefined }> {
  for (const { targets, sizeBytes, expiresAtMs } of messages) {
    for (const target of targets) {
      if (target.sessionNumber === sessionNumber) yield { target, sizeBytes, expiresAtMs };
    }
  }
}
