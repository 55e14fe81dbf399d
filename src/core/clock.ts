import type { Connection } from "./connection/connection.ts";
import { DueTimes } from "./due-times.ts";
import { Times } from "./limits.ts";
import type { Output } from "./output.ts";
import type { Session } from "./session/session.ts";

/**
 * All due times of the shard. Those that must come even if the shard sleeps or is reset stand behind the one
 * storage alarm (each arming is a row written, so it is armed lazily); those that end with the memory they guard
 * stand behind a timer (a pending timer keeps the shard awake and billed, so they are short).
 */
export class Clock {
  readonly #keepAlive = new DueTimes<Connection>(alarmDueOf);
  readonly #sessions = new DueTimes<Session>((session) => session.dueAtMs);
  readonly #incomplete = new DueTimes<Connection>((connection) => connection.incompleteDueAtMs);
  readonly #volatile = new DueTimes<Session>(volatileDueOf);
  /** When the topics of the server are published next; undefined while nobody is subscribed to them. */
  serverTopicsDueAtMs: number | undefined;
  /** When the outboxes to other shards are looked after; undefined while they are empty. */
  outboxDueAtMs: number | undefined;
  #armedAtMs: number | undefined;
  #firedAtMs = -Infinity;

  /** When the first connection must have been heard of. */
  get silenceDueAtMs(): number {
    return this.#keepAlive.earliestMs() ?? Infinity;
  }

  /** When the earliest of the timers is due. */
  get timerDueAtMs(): number {
    return Math.min(this.#incomplete.earliestMs() ?? Infinity, this.#volatile.earliestMs() ?? Infinity);
  }

  noteArmed(armedAtMs: number): void {
    this.#armedAtMs = armedAtMs;
  }

  noteFired(nowMs: number): void {
    this.#armedAtMs = undefined;
    this.#firedAtMs = nowMs;
  }

  watchConnection(connection: Connection): void {
    this.#keepAlive.schedule(connection);
    this.#incomplete.schedule(connection);
  }

  watchSession(session: Session): void {
    this.#sessions.schedule(session);
  }

  watchVolatile(session: Session): void {
    this.#volatile.schedule(session);
  }

  takeDueConnection(nowMs: number): Connection | undefined {
    return this.#keepAlive.take(nowMs);
  }

  takeDueSession(nowMs: number): Session | undefined {
    return this.#sessions.take(nowMs);
  }

  takeIncompleteConnection(nowMs: number): Connection | undefined {
    return this.#incomplete.take(nowMs);
  }

  takeVolatileSession(nowMs: number): Session | undefined {
    return this.#volatile.take(nowMs);
  }

  /** Arms the alarm at once, for work that a reset left. */
  armNow(nowMs: number, output: Output): void {
    this.#armedAtMs = nowMs;
    output.setAlarm(nowMs, false);
  }

  /** Arms the alarm if something is due before it. */
  arm(nowMs: number, output: Output): void {
    const sessionDueAtMs = Math.min(this.#sessions.earliestMs() ?? Infinity, this.outboxDueAtMs ?? Infinity);
    const dueAtMs = Math.min(
      sessionDueAtMs,
      this.#keepAlive.earliestMs() ?? Infinity,
      this.serverTopicsDueAtMs ?? Infinity,
    );
    if (dueAtMs === Infinity) return;
    const latestMs = dueAtMs + Times.alarmSlipMs;
    if (this.#armedAtMs !== undefined && this.#armedAtMs <= latestMs) return;
    // Alarms keep their distance as far as the slip allows.
    const armAtMs = Math.max(nowMs, dueAtMs, Math.min(latestMs, this.#firedAtMs + Times.alarmSpacingMs));
    this.#armedAtMs = armAtMs;
    output.setAlarm(armAtMs, sessionDueAtMs > dueAtMs);
  }
}

/** Keep alive, the end of the identity; and at least every hour a look at a connection whose session has a row. */
function alarmDueOf(connection: Connection): number | undefined {
  if (connection.isClosed) return undefined;
  const { expiresAtMs = Infinity, keepAliveDueAtMs = Infinity, session } = connection;
  const isLookedAfter = session?.needsRow === true;
  const heardAtMs = Math.max(connection.lastSeenAtMs, connection.lookedAtMs);
  const lookDueAtMs = isLookedAfter ? heardAtMs + Times.alarmHorizonMs : Infinity;
  const dueAtMs = Math.min(keepAliveDueAtMs, expiresAtMs, lookDueAtMs);
  return dueAtMs === Infinity ? undefined : dueAtMs;
}

function volatileDueOf(session: Session): number | undefined {
  const sinceMs = session.connection === undefined ? undefined : session.volatileSinceMs;
  return sinceMs === undefined ? undefined : sinceMs + Times.memoryQueueMs;
}
