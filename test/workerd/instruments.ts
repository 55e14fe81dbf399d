/** What tests see and steer of each object. Kept in module scope, so it outlives evictions and resets. */

/** Objects live on a clock that stands still until a test moves it; so far ahead that no alarm fires by itself. */
export const startMs = Date.UTC(2100, 0, 1);

/** What an object is told to fail at, once. */
export type Failure = "commit" | "query";

type Timer = ReturnType<typeof setTimeout>;

interface PendingTimer {
  readonly delayMs: number;
  readonly callback: () => void;
}

export class Instruments {
  nowMs = startMs;
  /** Constructions of the object. */
  lives = 0;
  /** When the storage alarm is due; undefined when none is armed. */
  alarmAtMs: number | undefined;
  alarmWrites = 0;
  /** Whether what constructs the object now is its alarm. */
  isAlarmRunning = false;
  failNext: Failure | undefined;
  /** Timers of the present life that have not fired. */
  readonly timers = new Map<Timer, PendingTimer>();
  #cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  #rowsWritten = 0;

  /** Rows written in all lives, alarms apart. */
  get rowsWritten(): number {
    for (const cursor of this.#cursors) this.#rowsWritten += cursor.rowsWritten;
    this.#cursors = [];
    return this.#rowsWritten;
  }

  /** A timer keeps the object awake. Those of zero length do not count: they are over before anybody can ask. */
  get isAwake(): boolean {
    return [...this.timers.values()].some(({ delayMs }) => delayMs > 0);
  }

  count(cursor: SqlStorageCursor<Record<string, SqlStorageValue>>): void {
    this.#cursors.push(cursor);
  }

  /** Throws if that is what a test asked for. */
  meet(failure: Failure): void {
    if (this.failNext !== failure) return;
    this.failNext = undefined;
    throw new Error(`${failure} fails because a test says so`);
  }
}

const byId = new Map<string, Instruments>();

export function instrumentsOf(id: DurableObjectId): Instruments {
  const key = id.toString();
  const known = byId.get(key);
  if (known !== undefined) return known;
  const created = new Instruments();
  byId.set(key, created);
  return created;
}

const { setTimeout: startTimer, clearTimeout: stopTimer } = globalThis;

/** The object whose turn it is: the last that asked for the time. */
let running: Instruments | undefined;
const owners = new Map<Timer, Instruments>();

/** The object asks for the time in every event, before it starts a timer. */
export function tellTime(instruments: Instruments): number {
  running = instruments;
  queueMicrotask(() => (running = undefined));
  return instruments.nowMs;
}

function forgetTimer(timer: Timer): void {
  owners.get(timer)?.timers.delete(timer);
  owners.delete(timer);
}

globalThis.setTimeout = ((callback: () => void, delayMs = 0) => {
  const timer = startTimer(() => {
    forgetTimer(timer);
    callback();
  }, delayMs);
  if (running !== undefined) {
    running.timers.set(timer, { delayMs, callback });
    owners.set(timer, running);
  }
  return timer;
}) as typeof setTimeout;

globalThis.clearTimeout = ((timer: Timer) => {
  forgetTimer(timer);
  stopTimer(timer);
}) as typeof clearTimeout;
