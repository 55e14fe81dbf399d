import { pageLimits, readAll } from "../queue/backlog.ts";
import type { MessageLog } from "../queue/message-log.ts";
import type { OldestMessage } from "../queue/oldest-waiting.ts";
import { OldestWaiting, toOldest } from "../queue/oldest-waiting.ts";
import type { LogSession, QueuedMessage, Segment } from "../queue/segment.ts";
import type { DeliveryState, InflightRecord, LogTarget } from "../storage-port.ts";
import type { DeliveryOptions, Inflight, NextDelivery } from "./delivery.ts";
import type { Limits, QueueLimits } from "../limits.ts";
import { type Publication, sizeOf } from "../publication.ts";
import { SmallMap } from "../small-map.ts";
import { packetIdentifierOf } from "./packet-identifier.ts";
import { MessageQueue } from "../queue/message-queue.ts";

/**
 * The QoS 1 and 2 messages of one session, server to client: waiting, then in flight. Every message gets an
 * ordinal when it is queued; deliveries start in that order. What is where, by ordinal:
 *
 * - up to `#sentThrough`: done, or in `#inflight` (sent on this connection, or released), or in `#resend` (sent on an
 *   earlier one and to be sent again). All of `#resend` is sent before anything above `#sentThrough`.
 * - from there up to `#readThrough`: in `#waiting`, which also holds the messages of `#resend` that have been read.
 * - from there up to `#nextOrdinal`: in the log only, from segment `#readFromSeq` on, or not written yet.
 * So `#readThrough` is below `#sentThrough` only while `#resend` is being read again.
 */
export class Outbound {
  readonly #log: MessageLog;
  readonly #limits: Limits;
  readonly #owner: LogSession;
  #nextOrdinal = 1;
  /** Highest ordinal ever sent or dropped; those above wait. */
  #sentThrough = 0;
  /** Deliveries up to this one may have reached the client before. */
  #dupThrough = 0;
  /** Deliveries up to this one may have come by subscriptions that are not allowed any more. */
  #doubtfulThrough = 0;
  /** By Packet Identifier: sent on the present connection, or released by PUBREC on an earlier one. */
  readonly #inflight = new SmallMap<number, Inflight>();
  /** By ordinal: sent on an earlier connection and not acknowledged. */
  readonly #resend = new SmallMap<number, Inflight>();
  /** Messages in memory, in order; those after `#readThrough` are in the log only. */
  readonly #waiting = new MessageQueue();
  #readThrough = 0;
  #readFromSeq = 0;
  /** The oldest segment that may hold something for this session. */
  #oldestSeq: number | undefined;
  #logged: boolean;
  /** In the log only because the messages waited long; ends when the queue is empty. */
  #spilled = false;
  #queuedBytes = 0;
  readonly #oldestWaiting: OldestWaiting;
  /** A message may have come by a Shared Subscription. */
  #hasShared = false;

  constructor(owner: LogSession, log: MessageLog, limits: Limits, logged: boolean) {
    this.#owner = owner;
    this.#log = log;
    this.#limits = limits;
    this.#logged = logged;
    this.#oldestWaiting = new OldestWaiting(log, owner);
  }

  get logged(): boolean {
    return this.#logged;
  }

  get inflightCount(): number {
    return this.#inflight.size;
  }

  /** Messages not yet sent. */
  get waitingCount(): number {
    return this.#nextOrdinal - 1 - this.#sentThrough;
  }

  /** Something is to be sent on the present connection, for the first time or again. */
  get hasUnsent(): boolean {
    return this.waitingCount > 0 || this.#resend.size > 0;
  }

  /** Waiting messages exist that only memory holds. */
  get isVolatile(): boolean {
    return !this.#logged && this.waitingCount > 0;
  }

  /** No segment before this one holds anything for the session; undefined when none does. */
  get oldestSeq(): number | undefined {
    return this.#oldestSeq;
  }

  isPending(ordinal: number): boolean {
    if (ordinal > this.#sentThrough || this.#resend.has(ordinal)) return true;
    const inflight = this.#inflight.get(packetIdentifierOf(ordinal));
    return inflight?.ordinal === ordinal && inflight.phase !== "awaitingPubcomp";
  }

  /** Whether the queue has no room for one more message of that size. */
  isFull(sizeBytes: number): boolean {
    const { messagesMax, bytesMax } = this.#queueLimits;
    return this.waitingCount >= messagesMax || this.#queuedBytes + sizeBytes > bytesMax;
  }

  /** Whether dropping waiting messages could make room for one of that size. */
  couldTake(sizeBytes: number): boolean {
    const { messagesMax, bytesMax } = this.#queueLimits;
    return messagesMax > 0 && sizeBytes <= bytesMax;
  }

  /** Queues a message. `isAwaited`: a client is there to take it, so that it is kept at hand. */
  enqueue(publication: Publication, options: DeliveryOptions, isAwaited: boolean): void {
    const ordinal = this.#nextOrdinal;
    this.#nextOrdinal += 1;
    this.#queuedBytes += sizeOf(publication);
    this.#hasShared ||= options.sharedFilter !== undefined;
    const target: LogTarget = { sessionNumber: this.#owner.sessionNumber, ordinal, ...options };
    if (this.#logged) this.#log.append(publication, target, this.#owner);
    if (this.#readThrough === ordinal - 1 && (!this.#logged || (isAwaited && this.#hasRoomAtHand()))) {
      this.#waiting.push({ publication, target });
      this.#readThrough = ordinal;
    }
  }

  /**
   * The message that has waited longest, of those never sent; undefined when none waits. Costs more when nothing has
   * been written yet, and then only tells if `looksFar`.
   */
  oldest(looksFar: boolean): OldestMessage | undefined {
    if (this.waitingCount === 0) return undefined;
    const { first } = this.#waiting;
    if (first !== undefined && first.target.ordinal > this.#sentThrough) return toOldest(first);
    return this.#oldestWaiting.find(this.#sentThrough, this.#oldestSeq, looksFar);
  }

  /** The message of {@link oldest} will not be sent. */
  dropOldest({ ordinal, segment, sizeBytes }: OldestMessage): void {
    this.#sentThrough = ordinal;
    this.#queuedBytes -= sizeBytes;
    if (segment !== undefined) this.#log.release(segment, sizeBytes);
    if (this.#waiting.first?.target.ordinal === ordinal) this.#waiting.shift();
    else this.#rewind();
    this.#forgetOldestIfIdle();
  }

  /** The next message that may be sent, or undefined when none is there or may be. */
  next(): NextDelivery | undefined {
    const message = this.#peek();
    if (message === undefined || (this.#logged && message.segment === undefined)) return undefined;
    const { ordinal } = message.target;
    const packetIdentifier = packetIdentifierOf(ordinal);
    if (this.#inflight.has(packetIdentifier)) return undefined;
    const isSentAgain = this.#resend.has(ordinal);
    const dup = isSentAgain || ordinal <= this.#dupThrough;
    return { message, packetIdentifier, dup, isDoubtful: !isSentAgain && ordinal <= this.#doubtfulThrough };
  }

  /** The message of {@link next} has been sent. */
  markSent({ message, packetIdentifier }: NextDelivery): void {
    const { ordinal, qos } = message.target;
    this.#shift(message);
    const phase = qos === 1 ? "awaitingPuback" : "awaitingPubrec";
    const sizeBytes = sizeOf(message.publication);
    const inflight: Inflight = { ordinal, phase, sizeBytes, segment: message.segment };
    if (!this.#logged && qos === 1 && message.target.sharedFilter !== undefined) inflight.message = message;
    this.#inflight.set(packetIdentifier, inflight);
  }

  /** The message of {@link next} will not be sent. */
  markDropped({ message }: NextDelivery): void {
    this.#shift(message);
    if (message.segment !== undefined) this.#log.release(message.segment, sizeOf(message.publication));
    this.#forgetOldestIfIdle();
  }

  /** False when no QoS 1 delivery with that identifier is in flight. */
  handlePuback(packetIdentifier: number): boolean {
    const inflight = this.#inflight.get(packetIdentifier);
    if (inflight?.phase !== "awaitingPuback") return false;
    this.#finish(packetIdentifier, inflight);
    return true;
  }

  /** `failed`: the client refused the message, which ends the delivery (section 4.3.3). */
  handlePubrec(packetIdentifier: number, failed: boolean): "release" | "finished" | "unknown" {
    const inflight = this.#inflight.get(packetIdentifier);
    if (inflight === undefined || inflight.phase === "awaitingPuback") return "unknown";
    if (failed) {
      this.#finish(packetIdentifier, inflight);
      return "finished";
    }
    this.#releaseSegment(inflight);
    inflight.phase = "awaitingPubcomp";
    return "release";
  }

  handlePubcomp(packetIdentifier: number): boolean {
    const inflight = this.#inflight.get(packetIdentifier);
    if (inflight?.phase !== "awaitingPubcomp") return false;
    this.#finish(packetIdentifier, inflight);
    return true;
  }

  /**
   * A new connection goes on with the session: everything unacknowledged is to be sent again. Returns the Packet
   * Identifiers whose PUBREL is to be sent again ([MQTT-4.4.0-1]).
   */
  resume(): number[] {
    const releases: number[] = [];
    for (const [packetIdentifier, inflight] of this.#inflight) {
      if (inflight.phase === "awaitingPubcomp") {
        releases.push(packetIdentifier);
      } else {
        this.#inflight.delete(packetIdentifier);
        this.#resend.set(inflight.ordinal, inflight);
      }
    }
    this.#rewind();
    return releases;
  }

  /** Nobody is there to send to: what the log has need not be in memory. */
  rest(): void {
    if (this.#logged) this.#rewind();
  }

  /** Keeps the waiting messages in the log from now on. */
  moveToLog(): void {
    if (this.#logged) return;
    this.#logged = true;
    this.#spilled = true;
    for (const message of this.#waiting) this.#log.append(message.publication, message.target, this.#owner);
  }

  /** As {@link moveToLog} had been called before a hibernation. */
  restoreSpilled(): void {
    this.#logged = true;
    this.#spilled = true;
  }

  /** The session ends with its connection: what is in the log stays, what comes after the backlog does not go there. */
  leaveLogWhenEmpty(): void {
    this.#spilled = this.#logged;
    this.#forgetOldestIfIdle();
  }

  /**
   * The session is over. Returns the messages of Shared Subscriptions that another member may take: all but those
   * of QoS 2 that were sent ([MQTT-4.8.2-5]).
   */
  forget(): QueuedMessage[] {
    const shared = this.#isIdle || !this.#hasShared ? [] : this.#sharedMessages();
    this.#log.forget(this.#owner, this.#oldestSeq ?? this.#log.nextSeq, this.#nextOrdinal - 1);
    this.#waiting.replace([]);
    this.#oldestSeq = undefined;
    return shared;
  }

  state(): DeliveryState {
    const inflight: InflightRecord[] = [];
    for (const { ordinal, phase } of this.#resend.values()) inflight.push({ ordinal, phase, resend: true });
    for (const { ordinal, phase } of this.#inflight.values()) inflight.push({ ordinal, phase });
    return {
      nextOrdinal: this.#nextOrdinal,
      sentThrough: this.#sentThrough,
      ...(this.#dupThrough > this.#sentThrough && { dupThrough: this.#dupThrough }),
      inflight,
      receivedQos2: [],
    };
  }

  /** Takes over a stored state; to be followed by {@link onFound} for each message that the log still has. */
  restore(state: DeliveryState): void {
    this.#nextOrdinal = state.nextOrdinal;
    this.#queuedBytes = 0;
    this.#oldestWaiting.forget();
    this.#sentThrough = state.sentThrough;
    this.#dupThrough = state.dupThrough ?? 0;
    this.#resend.clear();
    this.#inflight.clear();
    for (const { ordinal, phase, resend } of state.inflight) {
      const delivery: Inflight = { ordinal, phase, sizeBytes: 0 };
      if (resend) this.#resend.set(ordinal, delivery);
      else this.#inflight.set(packetIdentifierOf(ordinal), delivery);
    }
    this.#rewind();
  }

  /** The subscriptions by which messages came have been judged anew, and the messages have not. */
  doubtWaiting(): void {
    this.#doubtfulThrough = this.#nextOrdinal - 1;
  }

  /** The last connection was lost unseen: any message may have been sent on it. */
  assumeAllSent(): void {
    this.#dupThrough = this.#nextOrdinal - 1;
  }

  /** The log still has the message, as found when it was read anew. */
  onFound({ ordinal, sharedFilter }: LogTarget, segment: Segment, sizeBytes: number): void {
    this.onLogged(ordinal, segment, sizeBytes);
    this.#doubtfulThrough = Math.max(this.#doubtfulThrough, ordinal);
    this.#hasShared ||= sharedFilter !== undefined;
    if (ordinal > this.#sentThrough) this.#queuedBytes += sizeBytes;
  }

  onLogged(ordinal: number, segment: Segment, sizeBytes: number): void {
    this.#nextOrdinal = Math.max(this.#nextOrdinal, ordinal + 1);
    this.#oldestSeq ??= segment.seq;
    const inflight = this.#resend.get(ordinal) ?? this.#inflight.get(packetIdentifierOf(ordinal));
    if (inflight?.ordinal === ordinal) Object.assign(inflight, { segment, sizeBytes });
    const waiting = this.#waiting.find(ordinal);
    if (waiting !== undefined) waiting.segment = segment;
  }

  get #queueLimits(): QueueLimits {
    return this.#logged ? this.#limits.queue : this.#limits.memoryQueue;
  }

  #hasRoomAtHand(): boolean {
    return this.#waiting.length < pageLimits.count && this.#queuedBytes <= pageLimits.bytes;
  }

  #peek(): QueuedMessage | undefined {
    if (this.#waiting.length === 0 && this.#hasUnread()) this.#readPage();
    return this.#waiting.first;
  }

  #hasUnread(): boolean {
    return this.#logged && this.#oldestSeq !== undefined && this.#readThrough < this.#nextOrdinal - 1;
  }

  #readPage(): void {
    const page = this.#log.read(
      this.#owner,
      { after: this.#readThrough, through: this.#nextOrdinal - 1 },
      this.#readFromSeq,
      pageLimits,
    );
    this.#readFromSeq = page.nextSeq;
    this.#waiting.replace(page.messages);
    this.#readThrough = page.messages.at(-1)?.target.ordinal ?? this.#readThrough;
  }

  #shift({ publication, target }: QueuedMessage): void {
    this.#waiting.shift();
    this.#resend.delete(target.ordinal);
    if (target.ordinal > this.#sentThrough) {
      this.#sentThrough = target.ordinal;
      this.#queuedBytes -= sizeOf(publication);
    }
  }

  #rewind(): void {
    let first = this.#sentThrough + 1;
    for (const ordinal of this.#resend.keys()) first = Math.min(first, ordinal);
    this.#waiting.replace([]);
    this.#readThrough = first - 1;
    this.#readFromSeq = this.#oldestSeq ?? 0;
  }

  #finish(packetIdentifier: number, inflight: Inflight): void {
    this.#releaseSegment(inflight);
    this.#inflight.delete(packetIdentifier);
    this.#forgetOldestIfIdle();
  }

  #releaseSegment(inflight: Inflight): void {
    if (inflight.segment === undefined) return;
    this.#log.release(inflight.segment, inflight.sizeBytes);
    inflight.segment = undefined;
  }

  get #isIdle(): boolean {
    return this.waitingCount === 0 && this.#inflight.size === 0 && this.#resend.size === 0;
  }

  #sharedMessages(): QueuedMessage[] {
    const maybeSentThrough = Math.max(this.#sentThrough, this.#dupThrough);
    const shared: QueuedMessage[] = [];
    for (const message of this.#pendingMessages()) {
      const { sharedFilter, qos, ordinal } = message.target;
      if (sharedFilter !== undefined && (qos === 1 || ordinal > maybeSentThrough)) shared.push(message);
    }
    return shared;
  }

  *#pendingMessages(): Iterable<QueuedMessage> {
    for (const { message } of this.#inflight.values()) if (message !== undefined) yield message;
    if (this.#oldestSeq !== undefined) {
      yield* readAll(this.#log, this.#owner, this.#nextOrdinal - 1, this.#oldestSeq);
    }
    yield* this.#logged ? this.#log.unwrittenFor(this.#owner) : this.#waiting;
  }

  #forgetOldestIfIdle(): void {
    if (!this.#isIdle) return;
    this.#oldestSeq = undefined;
    this.#readThrough = this.#sentThrough;
    this.#readFromSeq = this.#log.nextSeq;
    this.#queuedBytes = 0;
    if (this.#spilled) this.#logged = this.#spilled = false;
  }
}
