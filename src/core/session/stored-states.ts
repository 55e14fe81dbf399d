import type { LogSession } from "../queue/segment.ts";
import type { DeliveryState, InflightRecord, SegmentHead } from "../storage-port.ts";

/** Whoever has a state in the message log. */
export interface Restorable extends LogSession {
  restoreState(state: DeliveryState): void;
}

/**
 * The newest delivery state is in the session's row, as of a segment that `rowSeqs` tells by session number, or in the
 * last segment that has one. Returns in which segment, for those that are there.
 */
export function restoreStates(
  heads: readonly SegmentHead[],
  rowSeqs: ReadonlyMap<number, number>,
  find: (sessionNumber: number) => Restorable | undefined,
): Map<LogSession, number> {
  const newest = new Map<Restorable, { state: DeliveryState; seq: number }>();
  for (const { deliveryStates, seq } of heads) {
    for (const [sessionNumber, state] of deliveryStates) {
      const session = find(sessionNumber);
      if (session !== undefined && seq >= (rowSeqs.get(sessionNumber) ?? 0))
        newest.set(session, { state, seq });
    }
  }
  for (const [session, { state }] of newest) session.restoreState(state);
  return new Map([...newest].map(([session, { seq }]) => [session, seq]));
}

/** The highest session number that the log mentions; sessions that are gone are among them. */
export function lastNumberIn(heads: readonly SegmentHead[]): number {
  let last = 0;
  for (const { messages, deliveryStates } of heads) {
    for (const { targets } of messages) {
      for (const { sessionNumber } of targets) last = Math.max(last, sessionNumber);
    }
    for (const [sessionNumber] of deliveryStates) last = Math.max(last, sessionNumber);
  }
  return last;
}

/** The same deliveries are at the same point. */
export function isSameState(left: DeliveryState, right: DeliveryState): boolean {
  return (
    left.nextOrdinal === right.nextOrdinal &&
    left.sentThrough === right.sentThrough &&
    left.dupThrough === right.dupThrough &&
    left.inflight.length === right.inflight.length &&
    left.inflight.every((delivery, index) => isSameDelivery(delivery, right.inflight[index])) &&
    left.receivedQos2.length === right.receivedQos2.length &&
    left.receivedQos2.every((packetIdentifier, index) => packetIdentifier === right.receivedQos2[index])
  );
}

function isSameDelivery(left: InflightRecord, right: InflightRecord | undefined): boolean {
  const { ordinal, phase, resend } = left;
  return ordinal === right?.ordinal && phase === right.phase && resend === right.resend;
}
