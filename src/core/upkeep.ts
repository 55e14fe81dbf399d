import type { Boot } from "./boot.ts";
import type { Connection } from "./connection/connection.ts";
import { disconnect, endSession, publishWill } from "./connection/disconnecting.ts";
import { Times } from "./limits.ts";
import { ReasonCode } from "./reason-code.ts";
import type { Session } from "./session/session.ts";
import type { ServerTopics } from "./topics/server-topics.ts";
import type { ShardContext } from "./shard-context.ts";

/** Sessions and connections that one alarm looks after; the next one follows at once. */
const pageCount = 200;

/** What the storage alarm does: keep alive, Wills, expiry, and what a reset left behind. */
export class Upkeep {
  readonly #context: ShardContext;
  readonly #boot: Boot;
  readonly #serverTopics: ServerTopics;
  readonly #quarantined: ReadonlySet<string>;
  #clientIdInHand: string | undefined;

  constructor(
    context: ShardContext,
    boot: Boot,
    serverTopics: ServerTopics,
    quarantined: ReadonlySet<string>,
  ) {
    this.#context = context;
    this.#boot = boot;
    this.#serverTopics = serverTopics;
    this.#quarantined = quarantined;
  }

  get clientIdInHand(): string | undefined {
    return this.#clientIdInHand;
  }

  /** Looks after a page of what is due; arms the alarm for the next page when more may be. */
  run(connections: Iterable<Connection>, nowMs: number): void {
    const { clock, output } = this.#context;
    clock.noteFired(nowMs);
    // After an absence clients get time to be heard before anybody is closed.
    const lateMs = nowMs - clock.silenceDueAtMs - Times.alarmSlipMs;
    if (lateMs > Times.alarmLateMs) pardonSilence(connections, nowMs);
    let left = pageCount - this.#settleOlderBoots(nowMs);
    for (; left > 0; left -= 1) {
      const connection = clock.takeDueConnection(nowMs);
      if (connection === undefined) break;
      this.#inHand(connection.client?.clientId, () => this.#endWhenDue(connection, nowMs));
    }
    for (; left > 0; left -= 1) {
      const session = clock.takeDueSession(nowMs);
      if (session === undefined) break;
      this.#inHand(session.clientId, () => this.#attendTo(session, nowMs));
    }
    if (left === 0) clock.armNow(nowMs, output);
    if (this.#context.isWatched) this.#publishServerTopics(nowMs);
  }

  /** `$SYS` costs nothing while nobody is subscribed to it. */
  watchServerTopics(nowMs: number): void {
    const { clock, config, isWatched } = this.#context;
    const intervalMs = config.limits.serverTopicsIntervalSec * 1000;
    if (!isWatched) clock.serverTopicsDueAtMs = undefined;
    // Multiples of the interval, so that a sleep does not move them.
    else clock.serverTopicsDueAtMs ??= nowMs - (nowMs % intervalMs) + intervalMs;
  }

  #publishServerTopics(nowMs: number): void {
    const { clock, config, owners } = this.#context;
    const intervalMs = config.limits.serverTopicsIntervalSec * 1000;
    // An object that the alarm woke does not know for what it was armed, but the time tells.
    const sinceBoundaryMs = nowMs % intervalMs;
    const isDue =
      clock.serverTopicsDueAtMs === undefined
        ? sinceBoundaryMs <= Times.alarmSpacingMs
        : clock.serverTopicsDueAtMs <= nowMs;
    if (!isDue) return;
    clock.serverTopicsDueAtMs = nowMs - sinceBoundaryMs + intervalMs;
    owners.refreshServerTopics(() => {
      const { nowMs: atMs } = this.#context;
      for (const publication of this.#serverTopics.readAll(atMs))
        owners.publishServerTopic(publication, atMs);
    }, nowMs);
  }

  /** Whoever's work throws is known by {@link clientIdInHand}, and left alone after some tries. */
  #inHand(clientId: string | undefined, work: () => void): void {
    if (clientId !== undefined && this.#quarantined.has(clientId)) return;
    this.#clientIdInHand = clientId;
    work();
    this.#clientIdInHand = undefined;
  }

  #endWhenDue(connection: Connection, nowMs: number): void {
    if ((connection.expiresAtMs ?? Infinity) <= nowMs) {
      const reasonString = "The credential has expired";
      disconnect(this.#context, connection, ReasonCode.MaximumConnectTime, reasonString, nowMs);
      return;
    }
    if ((connection.keepAliveDueAtMs ?? Infinity) > nowMs) {
      // Only the alarm is to be kept going.
      connection.lookedAtMs = nowMs;
      this.#context.clock.watchConnection(connection);
      return;
    }
    const reasonString = "Nothing was heard within 1.5 × Keep Alive";
    disconnect(this.#context, connection, ReasonCode.KeepAliveTimeout, reasonString, nowMs);
  }

  /** A session without a connection whose Will or expiry is due. */
  #attendTo(session: Session, nowMs: number): void {
    const { sessions, clock, counters } = this.#context;
    if (!session.isPersistent || (session.expiresAtMs ?? Infinity) <= nowMs) {
      counters.sessionsExpired += 1;
      endSession(this.#context, session, nowMs);
    } else {
      publishWill(this.#context, session, nowMs);
      sessions.saveRow(session);
      clock.watchSession(session);
    }
  }

  /** Sessions that were connected when the object was reset. Returns how many it came to. */
  #settleOlderBoots(nowMs: number): number {
    if (!this.#boot.isUnsettled) return 0;
    let count = 0;
    for (const session of this.#context.sessions) {
      const { attachedBoot, detachedAtMs, connection } = session;
      const isLost = attachedBoot !== 0 && attachedBoot <= this.#boot.lostThrough;
      if (!isLost || detachedAtMs !== undefined || connection !== undefined) continue;
      if (this.#quarantined.has(session.clientId)) continue;
      if (count === pageCount) return count;
      count += 1;
      this.#inHand(session.clientId, () => this.#detachLost(session, nowMs));
    }
    this.#boot.settle();
    return count;
  }

  /** Detached as of now; a Will waits for the client to return, for a deploy must not fire every Will. */
  #detachLost(session: Session, nowMs: number): void {
    const { sessions, clock } = this.#context;
    session.detachedAtMs = nowMs;
    session.outbound.assumeAllSent();
    if (session.will !== undefined) {
      const delayMs = Math.min(session.will.willDelayIntervalSec, session.sessionExpiryIntervalSec) * 1000;
      session.willDueAtMs = nowMs + Math.max(Times.resetWillGraceMs, delayMs);
    }
    if (session.needsRow && (session.isPersistent || session.will !== undefined)) {
      sessions.saveRow(session);
      clock.watchSession(session);
    } else {
      sessions.end(session, nowMs);
    }
  }
}

function pardonSilence(connections: Iterable<Connection>, nowMs: number): void {
  for (const connection of connections) {
    const dueAtMs = connection.keepAliveDueAtMs;
    if (dueAtMs === undefined || dueAtMs >= nowMs + Times.alarmLateMs) continue;
    connection.lastSeenAtMs += nowMs + Times.alarmLateMs - dueAtMs;
  }
}
