import { sizeOf, utf8BytesMax } from "../publication.ts";
import type { QueuedMessage } from "../queue/segment.ts";
import type { Session } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { DeliveryState } from "../storage-port.ts";
import type { Retained } from "../topics/retained.ts";
import type { BackupCursor, BackupPage, BackupRecord, MessageBackup, SessionBackup } from "./record.ts";
import { SortedKeys } from "./sorted-keys.ts";

/** A page is full when it has this much. */
const pageLimits = { count: 500, bytes: 512 * 1024 };

type RetainedCursor = BackupCursor & { readonly type: "retained" };
type SessionCursor = BackupCursor & { readonly type: "session" };
type MessagesCursor = BackupCursor & { readonly type: "messages" };

/** What has been collected for a page. */
class Collected {
  readonly records: BackupRecord[] = [];
  #sizeBytes = 0;

  get isFull(): boolean {
    return this.left.count <= 0 || this.left.bytes <= 0;
  }

  get left(): { count: number; bytes: number } {
    return { count: pageLimits.count - this.records.length, bytes: pageLimits.bytes - this.#sizeBytes };
  }

  add(record: BackupRecord, sizeBytes: number): void {
    this.records.push(record);
    this.#sizeBytes += sizeBytes;
  }
}

/** Reads a shard page by page: retained messages first, then each session behind the messages that wait for it. */
export class Exporting {
  readonly #context: ShardContext;
  readonly #retained: Retained;
  readonly #topicNames = new SortedKeys();
  readonly #clientIds = new SortedKeys();

  constructor(context: ShardContext, retained: Retained) {
    this.#context = context;
    this.#retained = retained;
  }

  /** To be called when everything is written: messages are read from the log. */
  page(cursor: BackupCursor | undefined, nowMs: number): BackupPage {
    const collected = new Collected();
    let next: BackupCursor | undefined = cursor ?? { type: "retained" };
    while (next !== undefined && !collected.isFull) next = this.#step(next, collected, nowMs);
    const { records } = collected;
    return { type: "page", records, ...(next !== undefined && { next }) };
  }

  #step(cursor: BackupCursor, collected: Collected, nowMs: number): BackupCursor | undefined {
    switch (cursor.type) {
      case "retained":
        return this.#addRetained(cursor, collected, nowMs);
      case "session":
        return this.#nextSession(cursor, nowMs);
      case "messages":
        return this.#addMessages(cursor, collected);
    }
  }

  #addRetained({ after }: RetainedCursor, collected: Collected, nowMs: number): BackupCursor {
    for (const topicName of this.#topicNames.after(after, () => this.#retained.names())) {
      const publication = this.#retained.read(topicName, nowMs);
      if (publication === undefined) continue;
      collected.add({ type: "retained", publication }, sizeOf(publication));
      if (collected.isFull) return { type: "retained", after: topicName };
    }
    return { type: "session" };
  }

  /** Where the messages of the next session begin; undefined when there is no other. */
  #nextSession({ after }: SessionCursor, nowMs: number): BackupCursor | undefined {
    const { sessions } = this.#context;
    const clientIds = this.#clientIds.after(after, () => Array.from(sessions, ({ clientId }) => clientId));
    for (const clientId of clientIds) {
      const session = sessions.find(clientId);
      if (session === undefined || !outlives(session, nowMs)) continue;
      const { sessionNumber, outbound } = session;
      const through = outbound.state().nextOrdinal - 1;
      const fromSeq = outbound.oldestSeq ?? this.#context.log.nextSeq;
      return { type: "messages", clientId, sessionNumber, after: 0, through, fromSeq };
    }
    return undefined;
  }

  #addMessages(cursor: MessagesCursor, collected: Collected): BackupCursor {
    const { clientId, sessionNumber, after, through, fromSeq } = cursor;
    const { log, sessions } = this.#context;
    const session = sessions.find(clientId);
    const done: BackupCursor = { type: "session", after: clientId };
    // It has ended since; without its own record its messages stand for nothing.
    if (session === undefined || session.sessionNumber !== sessionNumber) return done;
    const { messages, nextSeq } = log.read(session, { after, through }, fromSeq, collected.left);
    const { sentThrough } = session.outbound.state();
    let last = after;
    for (const message of messages) {
      if (message.target.ordinal > through) break;
      last = message.target.ordinal;
      collected.add(toMessage(clientId, message, sentThrough), sizeOf(message.publication));
    }
    if (last < through && last > after) return { ...cursor, after: last, fromSeq: nextSeq };
    collected.add(toSession(session, through), session.subscriptionsBytes + utf8BytesMax(clientId));
    return done;
  }
}

/** Only what is left of a session when its connection ends is worth keeping. */
function outlives(session: Session, nowMs: number): boolean {
  return session.isPersistent && (session.expiresAtMs ?? Infinity) > nowMs;
}

function toMessage(
  clientId: string,
  { publication, target }: QueuedMessage,
  sentThrough: number,
): MessageBackup {
  const { ordinal, qos, retain, subscriptionIdentifiers, sharedFilter } = target;
  return {
    type: "message",
    clientId,
    ordinal,
    qos,
    retain,
    isSent: ordinal <= sentThrough,
    ...(subscriptionIdentifiers !== undefined && { subscriptionIdentifiers }),
    ...(sharedFilter !== undefined && { sharedFilter }),
    publication,
  };
}

function toSession(session: Session, through: number): SessionBackup {
  const { clientId, sessionExpiryIntervalSec, detachedAtMs, owner, will, willDueAtMs } = session;
  return {
    type: "session",
    clientId,
    sessionExpiryIntervalSec,
    ...(detachedAtMs !== undefined && { detachedAtMs }),
    ...(will !== undefined && { will }),
    ...(willDueAtMs !== undefined && { willDueAtMs }),
    subscriptions: [...session.subscriptions.values()],
    deliveryState: stateThrough(session, through),
    ...(owner !== undefined && { owner }),
  };
}

/** The state without what came while earlier pages were on their way. */
function stateThrough(session: Session, through: number): DeliveryState {
  const { sentThrough, inflight, receivedQos2, dupThrough } = session.deliveryState();
  // A reset has cut the connection: what was sent on it is not known.
  const wasCut = session.attachedBoot !== 0 && session.connection === undefined;
  const maybeSentThrough = wasCut && session.detachedAtMs === undefined ? through : dupThrough;
  return {
    nextOrdinal: through + 1,
    sentThrough: Math.min(sentThrough, through),
    ...(maybeSentThrough !== undefined && { dupThrough: Math.min(maybeSentThrough, through) }),
    inflight: inflight.filter(({ ordinal }) => ordinal <= through),
    receivedQos2,
  };
}
