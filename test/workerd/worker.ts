/** The Worker under test: the broker's own, with a Durable Object class whose clock and storage tests can reach. */
import { app } from "../../src/edge/app.ts";
import type { Usernames } from "../../src/core/access/identity.ts";
import type { Env } from "../../src/env.ts";
import { Registry, type ToldShard } from "../../src/registry/registry.ts";
import { Shard } from "../../src/shard/shard.ts";
import { PeerSession } from "../../src/shard/peer-session.ts";
import {
  callWatchOf,
  hasSettings,
  type Instruments,
  instrumentsOf,
  registryWatchOf,
  settingsOf,
  tellTime,
} from "./instruments.ts";

export default app;

export class TestShard extends Shard {
  readonly #instruments: Instruments;

  constructor(state: DurableObjectState, env: Env) {
    const instruments = instrumentsOf(state.id);
    instruments.lives += 1;
    instruments.timers.clear();
    watchSql(state.storage, instruments);
    watchAlarm(state.storage, instruments);
    watchSockets(state, instruments);
    super(state, environmentOf(state, env));
    this.#instruments = instruments;
  }

  protected override nowMs(): number {
    return tellTime(this.#instruments);
  }

  override alarm(): void {
    this.#instruments.alarmAtMs = undefined;
    super.alarm();
  }

  override peer(bytes: Uint8Array): Promise<Uint8Array> {
    this.#instruments.calls += 1;
    return super.peer(bytes);
  }

  override openSession(): PeerSession {
    const instruments = this.#instruments;
    instruments.sessionsOpened += 1;
    const session = super.openSession();
    return new PeerSession(
      (bytes) => {
        instruments.callsInSessions += 1;
        return session.peer(bytes);
      },
      () => {
        instruments.sessionsEnded += 1;
        session[Symbol.dispose]();
      },
    );
  }

  /** A crash of this object alone. */
  crash(): void {
    const { name = "" } = this.ctx.id;
    this.#instruments.timers.clear();
    callWatchOf(namespaceOf(name)).forget(name);
    this.ctx.abort("the test says so");
  }

  /** Lets the longest of the object's timers fire now. */
  fireTimer(): void {
    const timers = [...this.#instruments.timers];
    const [longest] = timers.toSorted(([, left], [, right]) => right.delayMs - left.delayMs);
    if (longest === undefined) throw new Error("no timer is pending");
    const [timer, { callback }] = longest;
    clearTimeout(timer);
    callback();
  }

  /** Does nothing but construct the object if it is not there. */
  touch(): void {}
}

/** Its shards take whatever they are told, but for those that a test has failing. */
export class TestRegistry extends Registry {
  /** By the index of the shard, in this life of the object: versions of policies, and names of users. */
  readonly #told = new Map<number, (number | Usernames)[]>();
  readonly #failing = new Set<number>();
  #isSilent = false;

  constructor(state: DurableObjectState, env: Env) {
    super(state, hasSettings(namespaceOf(state.id.name ?? "")) ? environmentOf(state, env) : env);
  }

  protected override shard(index: number): ToldShard {
    const take = async (news: number | Usernames): Promise<void> => {
      if (this.#failing.has(index)) throw new Error("the test has the shard fail");
      this.#told.set(index, [...(this.#told.get(index) ?? []), news]);
      if (this.#isSilent) await new Promise(() => {});
    };
    return {
      setPolicy: async ({ version }) => {
        await take(version);
        return version;
      },
      forgetUsers: async (usernames) => {
        await take(usernames);
        return true;
      },
    };
  }

  fail(indexes: readonly number[]): void {
    this.#failing.clear();
    for (const index of indexes) this.#failing.add(index);
  }

  /** Shards take what they are told, but do not answer. */
  silence(): void {
    this.#isSilent = true;
  }

  told(): ReadonlyMap<number, readonly (number | Usernames)[]> {
    return this.#told;
  }

  /** A crash of this object alone. */
  crash(): void {
    this.ctx.abort("the test says so");
  }

  async alarmAtMs(): Promise<number | null> {
    return this.ctx.storage.getAlarm();
  }
}

/** The environment as it would be with the test's namespace in it, and with its calls watched. */
function environmentOf({ id }: DurableObjectState, env: Env): Env {
  const namespace = namespaceOf(id.name ?? "");
  // Those of the default namespace are the environment itself.
  const others = namespace === "default" ? {} : { [namespace]: settingsOf(namespace) };
  const NAMESPACES = JSON.stringify(others);
  const SHARD = {
    getByName: (...address: Parameters<Env["SHARD"]["getByName"]>) => {
      const stub = env.SHARD.getByName(...address) as DurableObjectStub<TestShard>;
      return watchStub(stub, id.name ?? "", address[0]);
    },
  };
  const REGISTRY = {
    getByName: (...address: Parameters<Env["REGISTRY"]["getByName"]>) =>
      watchRegistry(env.REGISTRY.getByName(...address), namespace),
  };
  return { ...env, NAMESPACES, SHARD, REGISTRY } as unknown as Env;
}

function watchRegistry<Stub extends object>(stub: Stub, namespace: string): Stub {
  const watch = registryWatchOf(namespace);
  return new Proxy(stub, {
    get:
      (target, method) =>
      async (...parameters: unknown[]): Promise<unknown> => {
        watch.note(String(method));
        const answer = await (target as Record<PropertyKey, (...all: unknown[]) => unknown>)[method]?.(
          ...parameters,
        );
        await watch.beforeAnswer();
        return answer;
      },
  });
}

function watchStub(stub: DurableObjectStub<TestShard>, from: string, to: string) {
  const watch = callWatchOf(namespaceOf(to));
  const around = (deliver: () => Promise<Uint8Array>): Promise<Uint8Array> =>
    watch.around({ from, to, deliver, crash: () => stub.crash() });
  return {
    peer: (bytes: Uint8Array) => around(() => stub.peer(bytes)),
    openSession: async () => {
      const session = await stub.openSession();
      return {
        peer: (bytes: Uint8Array) => around(() => session.peer(bytes)),
        [Symbol.dispose]: () => session[Symbol.dispose](),
      };
    },
  };
}

function namespaceOf(objectName: string): string {
  return objectName.split("/")[0] ?? "";
}

/** Puts a counting method in front of the one that the object is about to use. */
function watchSql(storage: DurableObjectStorage, instruments: Instruments): void {
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  sql.exec = ((...query: Parameters<typeof exec>) => {
    instruments.meet("query");
    const cursor = exec(...query);
    instruments.count(cursor);
    return cursor;
  }) as typeof sql.exec;
  const transactionSync = storage.transactionSync.bind(storage);
  storage.transactionSync = (work) => {
    instruments.meet("commit");
    return transactionSync(work);
  };
}

function watchSockets(state: DurableObjectState, instruments: Instruments): void {
  const getWebSockets = state.getWebSockets.bind(state);
  state.getWebSockets = (tag) => {
    instruments.socketListings += 1;
    return getWebSockets(tag);
  };
}

/**
 * Notes when the alarm is due. An object that its alarm constructs does not see that alarm; runDurableObjectAlarm
 * would show it.
 */
function watchAlarm(storage: DurableObjectStorage, instruments: Instruments): void {
  const setAlarm = storage.setAlarm.bind(storage);
  storage.setAlarm = (dueAtMs, options) => {
    instruments.alarmWrites += 1;
    instruments.alarmAtMs = Number(dueAtMs);
    return setAlarm(dueAtMs, options);
  };
  const getAlarm = storage.getAlarm.bind(storage);
  let isHidden = instruments.isAlarmRunning;
  storage.getAlarm = (options) => {
    if (!isHidden) return getAlarm(options);
    isHidden = false;
    return Promise.resolve(null);
  };
}
