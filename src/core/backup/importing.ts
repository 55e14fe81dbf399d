import { refusalOf as subscriptionRefusalOf } from "../connection/subscribing.ts";
import { Times } from "../limits.ts";
import { isExpired, sizeOf } from "../publication.ts";
import { messageRefusalOf } from "../refusal.ts";
import type { Session } from "../session/session.ts";
import { neverExpires } from "../session/session.ts";
import type { ShardContext } from "../shard-context.ts";
import type { DeliveryState } from "../storage-port.ts";
import type { Retained } from "../topics/retained.ts";
import type { ImportOutcome, ImportRequest, MessageBackup, RetainedBackup, SessionBackup } from "./record.ts";
import { isSamePublication, refused } from "./record.ts";

/** A session whose messages are coming. Nobody can go on with it, and it has no row: what a reset leaves is nothing. */
interface Unfinished {
  readonly session: Session;
  /** The first segment of the log that may hold something for it. */
  readonly fromSeq: number;
  /** The messages that have come. */
  readonly ordinals: Set<number>;
  lastOrdinal: number;
  /** Of these, those that wait for being sent. */
  waitingCount: number;
  waitingBytes: number;
  isFull: boolean;
}

/** A session that is left as it is, and why. */
interface Skipped {
  readonly clientId: string;
  readonly outcome: ImportOutcome;
}

type Settle = (outcome: ImportOutcome) => void;

const taken: ImportOutcome = { type: "taken" };
const hasConnected = refused("The client has connected in the meantime");
const noRoom = refused("There is no room in storage");
const elsewhere = refused("It belongs to another shard");

/**
 * Takes in the records of a backup. A retained message is there with the next commit, a session all at once: when its
 * own record has come, behind its messages, and the owners of its topics have the routes to it.
 */
export class Importing {
  readonly #context: ShardContext;
  readonly #retained: Retained;
  readonly #commit: () => void;
  #unfinished: Unfinished | undefined;
  #skipped: Skipped | undefined;

  /** `commit`: writes what there is to write in this turn. */
  constructor(context: ShardContext, retained: Retained, commit: () => void) {
    this.#context = context;
    this.#retained = retained;
    this.#commit = commit;
  }

  /** `settle` is told, now or later, what became of each record; what it says may still have to be written. */
  take(request: ImportRequest, settle: (outcomes: readonly ImportOutcome[]) => void, nowMs: number): void {
    const { records } = request;
    const outcomes: ImportOutcome[] = [];
    let left = records.length;
    const decide = (index: number, outcome: ImportOutcome): void => {
      outcomes[index] = outcome;
      left -= 1;
      if (left === 0) settle(outcomes);
    };
    const complete: (() => void)[] = [];
    for (const [index, record] of records.entries()) {
      if (record.type === "retained") decide(index, this.#takeRetained(record, request, nowMs));
      else if (record.type === "message") decide(index, this.#takeMessage(record, request, nowMs));
      else {
        const begun = this.#takeSession(record, request, nowMs);
        if ("type" in begun) decide(index, begun);
        else complete.push(() => this.#complete(begun, record, request, (one) => decide(index, one), nowMs));
      }
    }
    // What is in the log is found there.
    if (complete.length > 0 && this.#context.mustCommit) this.#commit();
    for (const finish of complete) finish();
    if (records.length === 0) settle(outcomes);
  }

  #takeRetained({ publication }: RetainedBackup, { replaces }: ImportRequest, nowMs: number): ImportOutcome {
    const { config, shardIndex } = this.#context;
    const { limits, isUtf8, placement } = config;
    const { message } = publication;
    if (placement.topicShard(message.topicName) !== shardIndex) return elsewhere;
    if (!limits.retainAvailable) return refused("Messages are not retained here");
    const refusal = messageRefusalOf(message, limits, isUtf8);
    if (refusal !== undefined) return refused(refusal.reasonString);
    if (isExpired(publication, nowMs)) return { type: "expired" };
    const existing = this.#retained.read(message.topicName, nowMs);
    if (existing !== undefined && isSamePublication(existing, publication)) return { type: "unchanged" };
    if (existing !== undefined && !replaces) return refused("The topic has a retained message already");
    if (this.#context.isStorageFull) return noRoom;
    if (!this.#retained.accepts(message, nowMs)) {
      return refused(`${limits.retainedMessagesMax} messages are retained already`);
    }
    this.#retained.store(publication, nowMs);
    return { type: "imported", messageCount: 0 };
  }

  #takeMessage(record: MessageBackup, request: ImportRequest, nowMs: number): ImportOutcome {
    const { clientId, publication, isSent, type: _, ...delivery } = record;
    const unfinished = this.#find(clientId, request, nowMs);
    // Its session is refused, or there already; that is told with the session.
    if (unfinished === undefined) return taken;
    const sizeBytes = sizeOf(publication);
    if (record.ordinal <= unfinished.lastOrdinal)
      return refused("The messages of the session are not in order");
    if (!this.#makesRoom(unfinished, isSent, sizeBytes)) return refused("The queue of the session is full");
    const { session } = unfinished;
    unfinished.lastOrdinal = record.ordinal;
    unfinished.ordinals.add(record.ordinal);
    this.#context.log.append(publication, { sessionNumber: session.sessionNumber, ...delivery }, session);
    return taken;
  }

  /** Nothing follows in a queue that was full: what is newest is missing. */
  #makesRoom(unfinished: Unfinished, isSent: boolean, sizeBytes: number): boolean {
    const { config, delivering } = this.#context;
    const { messagesMax, bytesMax } = config.limits.queue;
    if (!isSent) {
      const { waitingBytes, waitingCount } = unfinished;
      unfinished.isFull ||= waitingCount >= messagesMax || waitingBytes + sizeBytes > bytesMax;
    }
    unfinished.isFull ||= delivering.isLogFull;
    if (unfinished.isFull || isSent) return !unfinished.isFull;
    unfinished.waitingCount += 1;
    unfinished.waitingBytes += sizeBytes;
    return true;
  }

  /** The session with all its messages, or what is to be said about it. */
  #takeSession(record: SessionBackup, request: ImportRequest, nowMs: number): Unfinished | ImportOutcome {
    const unfinished = this.#find(record.clientId, request, nowMs);
    const skipped = this.#skipped;
    this.#unfinished = undefined;
    this.#skipped = undefined;
    return unfinished ?? skipped?.outcome ?? hasConnected;
  }

  /** The session that the records are about; undefined when it is skipped. */
  #find(clientId: string, request: ImportRequest, nowMs: number): Unfinished | undefined {
    if (this.#unfinished?.session.clientId !== clientId && this.#skipped?.clientId !== clientId) {
      this.#begin(clientId, request, nowMs);
    }
    if (this.#unfinished?.session.isOver) {
      this.#unfinished = undefined;
      this.#skipped = { clientId, outcome: hasConnected };
    }
    return this.#unfinished;
  }

  #begin(clientId: string, request: ImportRequest, nowMs: number): void {
    const { log, sessions } = this.#context;
    // The records of an earlier session have broken off.
    if (this.#unfinished !== undefined) this.#drop(this.#unfinished.session, nowMs);
    this.#unfinished = undefined;
    const existing = sessions.find(clientId);
    const outcome = this.#objectionOf(clientId, existing, request);
    this.#skipped = outcome && { clientId, outcome };
    if (outcome !== undefined) return;
    if (existing !== undefined) sessions.end(existing, nowMs);
    const session = sessions.create(clientId, true);
    session.isUnfinished = true;
    const nothing = { lastOrdinal: 0, waitingCount: 0, waitingBytes: 0, isFull: false };
    this.#unfinished = { session, fromSeq: log.nextSeq, ordinals: new Set(), ...nothing };
  }

  /** Why the session is not made, if so. */
  #objectionOf(
    clientId: string,
    existing: Session | undefined,
    { backupId, replaces }: ImportRequest,
  ): ImportOutcome | undefined {
    const { config, shardIndex } = this.#context;
    if (config.placement.sessionShard(clientId) !== shardIndex) return elsewhere;
    if (existing === undefined) return this.#context.isStorageFull ? noRoom : undefined;
    if (existing.importedFrom === backupId) return { type: "unchanged" };
    if (!replaces) return refused("The client has a session already");
    if (existing.connection !== undefined) return refused("The client is connected");
    return existing.isUnfinished ? refused("The session is being imported already") : undefined;
  }

  #complete(
    unfinished: Unfinished,
    record: SessionBackup,
    request: ImportRequest,
    settle: Settle,
    nowMs: number,
  ): void {
    const { session, fromSeq, ordinals } = unfinished;
    if (session.isOver) return settle(hasConnected);
    if (isOver(record, nowMs)) {
      this.#drop(session, nowMs);
      return settle({ type: "expired" });
    }
    const state = stateOf(record, unfinished);
    this.#context.log.reconcile(session, () => session.restoreState(state), fromSeq);
    const finish = (refusal: ImportOutcome | undefined): void => {
      if (session.isOver) return settle(hasConnected);
      if (refusal === undefined) this.#keep(session, record, request.backupId, this.#context.nowMs);
      else this.#drop(session, this.#context.nowMs);
      settle(refusal ?? { type: "imported", messageCount: ordinals.size });
    };
    this.#subscribeAll(session, record, finish, nowMs);
  }

  /** `finish` comes once: when all owners know of all subscriptions, or with the first that is refused. */
  #subscribeAll(
    session: Session,
    { subscriptions }: SessionBackup,
    finish: (refusal: ImportOutcome | undefined) => void,
    nowMs: number,
  ): void {
    let left = subscriptions.length;
    let isDecided = false;
    const decide = (refusal: ImportOutcome | undefined): void => {
      if (isDecided) return;
      isDecided = true;
      finish(refusal);
    };
    if (left === 0) decide(undefined);
    for (const subscription of subscriptions) {
      if (isDecided) return;
      const refusal = subscriptionRefusalOf(this.#context, session, subscription);
      if (refusal !== undefined) return decide(refused(refusal.reasonString));
      const note = (outcome: { readonly reasonString?: string } | undefined): void => {
        left -= 1;
        if (outcome !== undefined) decide(refused(outcome.reasonString ?? "A subscription was refused"));
        else if (left === 0) decide(undefined);
      };
      this.#context.sessions.subscribe(session, subscription, (made) => note(made.refusal), nowMs);
    }
  }

  /** From now on the client can go on with it. What a lost connection left open begins anew. */
  #keep(session: Session, record: SessionBackup, backupId: string, nowMs: number): void {
    const { clock, config, sessions } = this.#context;
    const { sessionExpiryIntervalSec, detachedAtMs, owner, will, willDueAtMs } = record;
    session.isUnfinished = false;
    session.importedFrom = backupId;
    if (owner !== undefined) session.giveTo(owner);
    session.sessionExpiryIntervalSec = Math.min(
      sessionExpiryIntervalSec,
      config.limits.sessionExpiryIntervalSecMax,
    );
    session.detachedAtMs = detachedAtMs ?? nowMs;
    session.will = will;
    if (will !== undefined) {
      const delayMs = Math.min(will.willDelayIntervalSec, session.sessionExpiryIntervalSec) * 1000;
      session.willDueAtMs = willDueAtMs ?? nowMs + Math.max(Times.resetWillGraceMs, delayMs);
    }
    sessions.saveRow(session);
    clock.watchSession(session);
  }

  #drop(session: Session, nowMs: number): void {
    const { sessions } = this.#context;
    if (session.isOver) return;
    // Subscriptions that are on their way, too.
    sessions.disconnect(session, nowMs);
    sessions.end(session, nowMs);
  }
}

function isOver({ detachedAtMs, sessionExpiryIntervalSec }: SessionBackup, nowMs: number): boolean {
  if (detachedAtMs === undefined || sessionExpiryIntervalSec === neverExpires) return false;
  return detachedAtMs + sessionExpiryIntervalSec * 1000 <= nowMs;
}

/** What is in flight without its message, or would wait without one, is done. */
function stateOf({ deliveryState }: SessionBackup, { ordinals, lastOrdinal }: Unfinished): DeliveryState {
  const { sentThrough, inflight } = deliveryState;
  return {
    ...deliveryState,
    nextOrdinal: Math.max(sentThrough, lastOrdinal) + 1,
    inflight: inflight.filter(({ ordinal, phase }) => phase === "awaitingPubcomp" || ordinals.has(ordinal)),
  };
}
