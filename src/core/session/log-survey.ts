import type { LogSession } from "../queue/segment.ts";
import type { DeliveryState, InflightRecord, SegmentHead } from "../storage-port.ts";

/** Whoever has a state in the message log. */
export interface Restorable extends LogSession {
  restoreState(state: DeliveryState): void;
}

/** What a start has to know of the whole log before it looks at the messages. */
export class LogSurvey {
  readonly #newest = new Map<number, { readonly state: DeliveryState; readonly seq: number }>();
  /** The highest session number that the log mentions; sessions that are gone are among them. */
  lastSessionNumber = 0;

  /** To be told every head, in the order of the log. */
  note({ deliveryStates, messages, seq }: SegmentHead): void {
    for (const { targets } of messages) {
      for (const { sessionNumber } of targets) this.#noteNumber(sessionNumber);
    }
    for (const [sessionNumber, state] of deliveryStates) {
      this.#noteNumber(sessionNumber);
      this.#newest.set(sessionNumber, { state, seq });
    }
  }

  /**
   * The newest delivery state is in the session's row, as of a segment that `rowSeqs` tells by session number, or in the
   * last segment that has one. Returns in which segment, for those that are there.
   */
  restoreStates(
    rowSeqs: ReadonlyMap<number, number>,
    find: (sessionNumber: number) => Restorable | undefined,
  ): Map<LogSession, number> {
    const stateSeqs = new Map<LogSession, number>();
    for (const [sessionNumber, { state, seq }] of this.#newest) {
      const session = find(sessionNumber);
      if (session === undefined || seq < (rowSeqs.get(sessionNumber) ?? 0)) continue;
      session.restoreState(state);
      stateSeqs.set(session, seq);
    }
    return stateSeqs;
  }

  #noteNumber(sessionNumber: number): void {
    this.lastSessionNumber = Math.max(this.lastSessionNumber, sessionNumber);
  }
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
