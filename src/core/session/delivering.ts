import type { Connection } from "../connection/connection.ts";
import type { Delivery } from "../packet.ts";
import type { Publication } from "../publication.ts";
import { isExpired, remainingExpirySec, sizeOf } from "../publication.ts";
import type { ShardContext } from "../shard-context.ts";
import type { DeliveryOptions, NextDelivery } from "./delivery.ts";
import type { Session } from "./session.ts";

export interface DeliverOptions {
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIdentifiers?: readonly number[];
  /** The Shared Subscription by which the session was chosen. */
  readonly sharedFilter?: string;
  /** It was asked for when there was room for it. */
  readonly isReplay?: true;
  /** It must not be seen before it is written who has it. */
  readonly awaitsCommit?: boolean;
}

/** How much waits in a socket before QoS 0 messages are left out and retained messages wait. */
export interface SocketBuffers {
  isFull(connectionId: string): boolean;
}

/** Sent to one client in one turn before others get theirs. */
const turnBytesMax = 1024 * 1024;
/** How soon a full socket is looked at again. */
const pausedRetryMs = 10;

/** Brings messages to the clients of sessions: at once, when the client's window opens, or after the commit. */
export class Delivering {
  readonly #context: ShardContext;
  readonly #sockets: SocketBuffers;
  /** Connected sessions whose newest messages wait for the commit. */
  readonly #awaitCommit = new Set<Session>();
  /** Sessions whose socket was full when more could have been sent. */
  readonly #paused = new Set<Session>();
  /** Told when a session begins to hold messages in memory only. */
  onVolatile: (session: Session) => void = () => {};

  constructor(context: ShardContext, sockets: SocketBuffers) {
    this.#context = context;
    this.#sockets = sockets;
  }

  /** The shard may store no more messages. */
  get isLogFull(): boolean {
    const { config, isStorageFull, log } = this.#context;
    const { messagesMax, bytesMax } = config.limits.log;
    return log.sizeBytes >= bytesMax || log.awaitedCount >= messagesMax || isStorageFull;
  }

  /** Publishers may have to be told that there is no room. */
  get refusesSome(): boolean {
    return this.#context.config.limits.queuePolicy === "refuse" || this.isLogFull;
  }

  /** Whether the publisher of a message of that size is to be told that the session has no room for it. */
  refuses(session: Session, sizeBytes: number, nowMs: number): boolean {
    if (session.outbound.logged && this.isLogFull) return true;
    return this.#context.config.limits.queuePolicy === "refuse" && this.#isFull(session, sizeBytes, nowMs);
  }

  /** Whether the message would be queued and not dropped, nor push out another one. */
  hasRoom(session: Session, sizeBytes: number, nowMs: number): boolean {
    return !(session.outbound.logged && this.isLogFull) && !this.#isFull(session, sizeBytes, nowMs);
  }

  /** How long until full sockets are looked at again; undefined when nothing waits for them. */
  get pausedDelayMs(): number | undefined {
    return this.#paused.size > 0 ? pausedRetryMs : undefined;
  }

  /** Gives the session a message: QoS 0 to its client if it has one now, QoS 1 and 2 to its queue. */
  deliver(session: Session, publication: Publication, options: DeliverOptions, nowMs: number): void {
    if (options.qos === 0) {
      this.#deliverQos0(session, publication, options, nowMs);
      return;
    }
    if (!this.#makeRoom(session, publication, nowMs)) return;
    const isConnected = session.connection !== undefined;
    session.outbound.enqueue(publication, toTarget(options, options.qos), isConnected);
    if (!isConnected) return;
    if (session.outbound.logged || options.awaitsCommit === true) {
      this.#awaitCommit.add(session);
    } else {
      this.pump(session, nowMs);
    }
  }

  /** Sends what the client's window has room for. */
  pump(session: Session, nowMs: number): void {
    const { connection, outbound } = session;
    if (connection?.client === undefined) return;
    // One of its messages must not be seen before the commit, nor may a later one overtake it.
    if (!outbound.logged && this.#awaitCommit.has(session)) return;
    const { inflightMessagesMax } = this.#context.config.limits;
    const sendQuota = Math.min(connection.client.receiveMaximum, inflightMessagesMax);
    while (outbound.inflightCount < sendQuota && !this.isFull(connection)) {
      const next = outbound.next();
      if (next === undefined) break;
      this.#send(session, connection, next, nowMs);
      this.#context.output.outdatedAttachments.add(connection);
    }
    if (outbound.hasUnsent && outbound.inflightCount < sendQuota) {
      // With room in the window, what still waits is not written yet, or the socket is full.
      if (this.isFull(connection)) this.#paused.add(session);
      else if (outbound.logged) this.#awaitCommit.add(session);
    }
    if (!outbound.isVolatile) {
      session.volatileSinceMs = undefined;
    } else if (session.volatileSinceMs === undefined) {
      session.volatileSinceMs = nowMs;
      this.onVolatile(session);
    }
  }

  /** The log has been written: the sessions that waited for it go on. */
  pumpCommitted(nowMs: number): void {
    const sessions = [...this.#awaitCommit];
    this.#awaitCommit.clear();
    for (const session of sessions) this.pump(session, nowMs);
  }

  /** What waits in memory goes to the log; false when that is full, and it goes on waiting. */
  spill(session: Session, nowMs: number): boolean {
    if (this.isLogFull) {
      session.volatileSinceMs = nowMs;
      this.onVolatile(session);
      return false;
    }
    session.outbound.moveToLog();
    if (session.connection !== undefined) this.#context.output.outdatedAttachments.add(session.connection);
    this.#awaitCommit.add(session);
    return true;
  }

  /** Full sockets are looked at again. */
  continuePaused(nowMs: number): void {
    const paused = [...this.#paused];
    this.#paused.clear();
    for (const session of paused) this.pump(session, nowMs);
  }

  /** The connection ended. */
  stop(session: Session): void {
    this.#paused.delete(session);
    this.#awaitCommit.delete(session);
  }

  /** As the queue policy says; expired messages go first. False when the message is dropped. */
  #makeRoom(session: Session, publication: Publication, nowMs: number): boolean {
    const { outbound } = session;
    const sizeBytes = sizeOf(publication);
    if (outbound.logged && this.isLogFull) {
      this.#context.counters.droppedQueueFull += 1;
      return false;
    }
    if (!outbound.isFull(sizeBytes) && publication.expiresAtMs === undefined) return true;
    const drops = this.#context.config.limits.queuePolicy === "drop-oldest" && outbound.couldTake(sizeBytes);
    this.#dropOldest(session, nowMs, () => drops && outbound.isFull(sizeBytes));
    if (!outbound.isFull(sizeBytes)) return true;
    this.#context.counters.droppedQueueFull += 1;
    return false;
  }

  /** What has expired takes no room from others. */
  #isFull(session: Session, sizeBytes: number, nowMs: number): boolean {
    const { outbound } = session;
    if (outbound.isFull(sizeBytes)) this.#dropOldest(session, nowMs, () => false);
    return outbound.isFull(sizeBytes);
  }

  /** Drops what has expired from the front of the queue; and what has not, as long as there must be room. */
  #dropOldest(session: Session, nowMs: number, mustMakeRoom: () => boolean): void {
    const { outbound } = session;
    const { counters } = this.#context;
    let droppedCount = 0;
    for (;;) {
      const oldest = outbound.oldest(mustMakeRoom());
      if (oldest === undefined) break;
      const isOver = (oldest.expiresAtMs ?? Infinity) <= nowMs;
      if (!isOver && !mustMakeRoom()) break;
      if (isOver) counters.droppedExpired += 1;
      else counters.droppedQueueFull += 1;
      outbound.dropOldest(oldest);
      droppedCount += 1;
    }
    if (droppedCount > 0) this.#noteDropped(session, nowMs);
  }

  /** The places of dropped messages may only be used anew together with the state that says so. */
  #noteDropped(session: Session, nowMs: number): void {
    if (session.isPersistent) this.#context.log.noteAcknowledged(session, nowMs);
    if (session.connection !== undefined) this.#context.output.outdatedAttachments.add(session.connection);
  }

  #deliverQos0(session: Session, publication: Publication, options: DeliverOptions, nowMs: number): void {
    const { connection } = session;
    if (connection === undefined || isExpired(publication, nowMs)) return;
    if (this.isFull(connection) && options.isReplay !== true) {
      this.#context.counters.droppedSlowConsumer += 1;
      return;
    }
    this.#transmit(connection, { ...toDelivery(publication, options, nowMs), qos: 0, dup: false });
  }

  #send(session: Session, connection: Connection, next: NextDelivery, nowMs: number): void {
    const { access, counters } = this.#context;
    const { publication, target } = next.message;
    const delivery: Delivery = {
      ...toDelivery(publication, target, nowMs),
      qos: target.qos,
      dup: next.dup,
      packetIdentifier: next.packetIdentifier,
    };
    // [MQTT-4.3.3-7] A delivery that has begun does not expire.
    if (!next.dup && isExpired(publication, nowMs)) {
      counters.droppedExpired += 1;
    } else if (next.isDoubtful && !access.mayReceive(session, publication.message.topicName)) {
      this.#withhold(session, next, nowMs);
      return;
    } else if (this.#transmit(connection, delivery)) {
      session.outbound.markSent(next);
      return;
    }
    this.#drop(session, next, nowMs);
  }

  /**
   * The client may not have it any more; another member of the Shared Subscription may, unless it is a QoS 2 message that
   * may have been sent ([MQTT-4.8.2-5]).
   */
  #withhold(session: Session, next: NextDelivery, nowMs: number): void {
    const { counters, sessions } = this.#context;
    const { qos, sharedFilter } = next.message.target;
    // Handing it over may bring this session something in turn.
    this.#drop(session, next, nowMs);
    if (sharedFilter === undefined || (next.dup && qos === 2)) counters.droppedForbidden += 1;
    else sessions.handOver([next.message], nowMs);
  }

  #drop(session: Session, next: NextDelivery, nowMs: number): void {
    session.outbound.markDropped(next);
    if (session.isPersistent) this.#context.log.noteAcknowledged(session, nowMs);
  }

  /** False when the packet is larger than the client accepts ([MQTT-3.1.2-24]). */
  #transmit(connection: Connection, plain: Delivery): boolean {
    const { outboundTopicAliases } = connection;
    const { topicName } = plain.message;
    const alias = outboundTopicAliases.choose(topicName);
    const aliased = alias && { ...plain, ...alias };
    if (alias !== undefined && aliased !== undefined && this.#fits(connection, aliased)) {
      outboundTopicAliases.note(topicName, alias);
      this.#context.output.deliver(connection, aliased);
    } else if (this.#fits(connection, plain)) {
      this.#context.output.deliver(connection, plain);
    } else {
      this.#context.counters.droppedTooLarge += 1;
      return false;
    }
    this.#context.counters.messagesSent += 1;
    return true;
  }

  /** The socket has enough to do, with what this turn adds to it. */
  isFull({ connectionId, turnBytes }: Connection): boolean {
    return turnBytes > turnBytesMax || this.#sockets.isFull(connectionId);
  }

  #fits({ maximumPacketSizeBytes, protocolVersion }: Connection, delivery: Delivery): boolean {
    if (maximumPacketSizeBytes === undefined) return true;
    return this.#context.config.publishSizeBytes(delivery, protocolVersion) <= maximumPacketSizeBytes;
  }
}

/** What is kept with the message. */
function toTarget(
  { retain, sharedFilter, subscriptionIdentifiers }: DeliverOptions,
  qos: 1 | 2,
): DeliveryOptions {
  return {
    qos,
    retain,
    ...(subscriptionIdentifiers !== undefined && { subscriptionIdentifiers }),
    ...(sharedFilter !== undefined && { sharedFilter }),
  };
}

function toDelivery(
  publication: Publication,
  { retain, subscriptionIdentifiers }: Pick<DeliverOptions, "retain" | "subscriptionIdentifiers">,
  nowMs: number,
): Pick<Delivery, "message" | "retain" | "subscriptionIdentifiers" | "messageExpiryIntervalSec"> {
  const messageExpiryIntervalSec = remainingExpirySec(publication, nowMs);
  return {
    message: publication.message,
    retain,
    ...(subscriptionIdentifiers !== undefined && { subscriptionIdentifiers }),
    ...(messageExpiryIntervalSec !== undefined && { messageExpiryIntervalSec }),
  };
}
