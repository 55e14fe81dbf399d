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
  /** How often the object asked for all its sockets. */
  socketListings = 0;
  /** Whether what constructs the object now is its alarm. */
  isAlarmRunning = false;
  failNext: Failure | undefined;
  /** Calls of other shards that have come, and those that came in a session. */
  calls = 0;
  callsInSessions = 0;
  /** Sessions that other shards have opened, and those of them that they have ended. */
  sessionsOpened = 0;
  sessionsEnded = 0;
  /** Timers of the present life that have not fired. */
  readonly timers = new Map<Timer, PendingTimer>();
  #cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  #rowsRead = 0;
  #rowsWritten = 0;

  /** Rows read in all lives. */
  get rowsRead(): number {
    this.#addCursors();
    return this.#rowsRead;
  }

  /** Rows written in all lives, alarms apart. */
  get rowsWritten(): number {
    this.#addCursors();
    return this.#rowsWritten;
  }

  /** A timer keeps the object awake. Those of zero length do not count: they are over before anybody can ask. */
  get isAwake(): boolean {
    return [...this.timers.values()].some(({ delayMs }) => delayMs > 0);
  }

  /** Something is about to be tried or done. */
  hasTimerBelow(limitMs: number): boolean {
    return [...this.timers.values()].some(({ delayMs }) => delayMs < limitMs);
  }

  count(cursor: SqlStorageCursor<Record<string, SqlStorageValue>>): void {
    this.#cursors.push(cursor);
  }

  #addCursors(): void {
    for (const { rowsRead, rowsWritten } of this.#cursors) {
      this.#rowsRead += rowsRead;
      this.#rowsWritten += rowsWritten;
    }
    this.#cursors = [];
  }

  /** Throws if that is what a test asked for. */
  meet(failure: Failure): void {
    if (this.failNext !== failure) return;
    this.failNext = undefined;
    throw new Error(`${failure} fails because a test says so`);
  }
}

/** What a test does to a call: it is lost, or its answer is, or the other shard crashes before it or after it. */
export type CallFate = "delivered" | "lost" | "answer lost" | "crash before" | "crash after";

interface Call {
  /** Names of the objects. */
  readonly from: string;
  readonly to: string;
  deliver(): Promise<Uint8Array>;
  /** Lets the other object crash. */
  crash(): Promise<void>;
}

/** Calls between the shards of a namespace, as those see them who call. */
export class CallWatch {
  sent = 0;
  /** Decides about the call of that number, from 1. */
  fateOf: (call: number) => CallFate = () => "delivered";
  /** Told the name of an object that is about to crash. */
  onCrash: (objectName: string) => void = () => {};
  readonly #underWay = new Set<Call>();

  get underWay(): number {
    return this.#underWay.size;
  }

  /** The object has crashed: none of its calls comes back. */
  forget(objectName: string): void {
    for (const call of this.#underWay) if (call.from === objectName) this.#underWay.delete(call);
  }

  async around(call: Call): Promise<Uint8Array> {
    this.sent += 1;
    const fate = this.fateOf(this.sent);
    this.#underWay.add(call);
    try {
      if (fate === "delivered") return await call.deliver();
      if (fate === "answer lost" || fate === "crash after") await call.deliver();
      if (fate === "crash before" || fate === "crash after") {
        this.onCrash(call.to);
        await call.crash();
      }
      throw new Error("the call fails because a test says so");
    } finally {
      this.#underWay.delete(call);
    }
  }
}

const callWatches = new Map<string, CallWatch>();

export function callWatchOf(namespace: string): CallWatch {
  const known = callWatches.get(namespace);
  if (known !== undefined) return known;
  const created = new CallWatch();
  callWatches.set(namespace, created);
  return created;
}

/** Calls of the shards of a namespace to its registry. */
export class RegistryWatch {
  /** Names of the methods, in order. */
  readonly calls: string[] = [];
  /** No call gets there. */
  isDown = false;
  /** What happens while an answer is on its way. */
  beforeAnswer: () => Promise<unknown> = () => Promise.resolve();

  note(method: string): void {
    this.calls.push(method);
    if (this.isDown) throw new Error("the registry is down because a test says so");
  }
}

const registryWatches = new Map<string, RegistryWatch>();

export function registryWatchOf(namespace: string): RegistryWatch {
  const known = registryWatches.get(namespace);
  if (known !== undefined) return known;
  const created = new RegistryWatch();
  registryWatches.set(namespace, created);
  return created;
}

/** Settings of the namespaces that tests have made; objects read them when they are constructed. */
const settingsByNamespace = new Map<string, Readonly<Record<string, string>>>();

export function setSettings(namespace: string, settings: Readonly<Record<string, string>>): void {
  settingsByNamespace.set(namespace, settings);
}

/** From now on there is that namespace, with the default settings if a test has not set others. */
export function declareNamespace(namespace: string): void {
  settingsByNamespace.set(namespace, settingsOf(namespace));
}

export function settingsOf(namespace: string): Readonly<Record<string, string>> {
  return settingsByNamespace.get(namespace) ?? {};
}

/** Whether a test has made that namespace. */
export function hasSettings(namespace: string): boolean {
  return settingsByNamespace.has(namespace);
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
