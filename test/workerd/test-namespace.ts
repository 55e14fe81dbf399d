import { vi } from "vitest";
import type { ConnectPacket } from "../../src/core/packet.ts";
import { Placement } from "../../src/core/placement.ts";
import { Home } from "../support/home.ts";
import { unique } from "../support/unique.ts";
import type { Client } from "./client.ts";
import { type CallWatch, callWatchOf, setSettings } from "./instruments.ts";
import { TestObject } from "./test-object.ts";

/** Alarms that may be due at one time before something is wrong. */
const alarmsMax = 100;
/** Timers that are shorter belong to work at hand, such as the next try of a call; others to what is waited for. */
const workTimerMs = 1_000;

/** The shards of a namespace that no other test knows, on one clock. */
export class TestNamespace {
  readonly name = unique("namespace");
  readonly shards: readonly TestObject[];
  readonly calls: CallWatch = callWatchOf(this.name);
  readonly #placement: Placement;
  #tryingSinceMs: number | undefined;

  constructor(shardCount: number, settings: Readonly<Record<string, string>> = {}) {
    this.#placement = new Placement({ epoch: 1, shards: shardCount, topicKeyLevels: 2 });
    this.configure({ SHARDS: String(shardCount), ...settings });
    this.shards = Array.from({ length: shardCount }, (_, index) => new TestObject(`${this.name}/${index}`));
  }

  /** Objects that wake from now on have these settings. */
  configure(settings: Readonly<Record<string, string>>): void {
    setSettings(this.name, settings);
  }

  shard(index: number): TestObject {
    const shard = this.shards[index];
    if (shard === undefined) throw new Error(`there is no shard ${index}`);
    return shard;
  }

  shardOf(clientId: string): TestObject {
    return this.shard(this.#placement.sessionShard(clientId));
  }

  /** Names that are at home on that shard. */
  home(index: number): Home {
    return new Home(index, this.shards.length);
  }

  connect(clientId: string, options: Partial<ConnectPacket> = {}): Promise<Client> {
    return this.shardOf(clientId).connect(clientId, options);
  }

  /** A client whose session is on that shard. */
  connectOn(index: number, options: Partial<ConnectPacket> = {}): Promise<Client> {
    return this.connect(this.home(index).clientId("client"), options);
  }

  /** What is in memory only keeps an object awake. */
  get isAwake(): boolean {
    return this.shards.some(({ instruments }) => instruments.isAwake);
  }

  /** Waits for the work while the clock goes on for those who wait for their next try of something. */
  async during(work: Promise<void> | void): Promise<void> {
    let isDone = false;
    const end = (): void => void (isDone = true);
    const done = Promise.resolve(work).finally(end);
    if (this.shards.length > 1) {
      done.catch(() => {});
      await vi.waitUntil(() => isDone || (this.#letTry(), false), { timeout: 10_000, interval: 2 });
    }
    await done;
  }

  /** No shard has anything to say to another, or is about to. */
  async quiet(): Promise<void> {
    if (this.shards.length === 1) return;
    for (let isQuiet = false; !isQuiet;) {
      const { sent } = this.calls;
      await vi.waitUntil(() => !this.#letTry() && this.calls.underWay === 0, {
        timeout: 10_000,
        interval: 2,
      });
      // Who has just been answered may go on with the next call.
      await this.touch();
      isQuiet = this.calls.sent === sent && this.calls.underWay === 0;
    }
  }

  /** Evicts shards that have lived; the sockets stay, as in a hibernation, or go, as in a reset. */
  async evict(sockets: "kept" | "lost" = "kept", shards: readonly TestObject[] = this.shards): Promise<void> {
    await Promise.all(shards.filter(hasLived).map((shard) => shard.evict(sockets)));
    // An object does not wake in the same millisecond, and by the time its lives are told apart.
    this.skip(0.001);
  }

  /** Each shard crashes: memory, timers, sockets and calls are gone at once. */
  async crash(shards: readonly TestObject[] = this.shards): Promise<void> {
    // The call is lost with the object, so its failure says that it has crashed.
    await Promise.all(shards.filter(hasLived).map((shard) => shard.stub.crash().catch(() => {})));
    this.skip(0.001);
  }

  /** Constructs the shards that have lived and are not there. */
  async touch(): Promise<void> {
    await Promise.all(this.shards.filter(hasLived).map((shard) => shard.stub.touch()));
  }

  /** Moves the clock; alarms that fall due on the way do not run. */
  skip(sec: number): void {
    for (const shard of this.shards) shard.skip(sec);
  }

  /** Moves the clock and lets the alarms run that fall due on the way, each when it is due. */
  async advance(sec: number): Promise<void> {
    const [first] = this.shards;
    const untilMs = (first?.instruments.nowMs ?? 0) + sec * 1000;
    for (let count = 0; ; count += 1) {
      const next = this.#nextAlarm();
      if (next === undefined || next.atMs > untilMs) break;
      if (count === alarmsMax * Math.max(1, sec)) throw new Error("the alarms do not come to rest");
      this.#setClock(Math.max(next.atMs, next.shard.instruments.nowMs));
      await next.shard.runAlarm();
      await this.quiet();
    }
    this.#setClock(untilMs);
  }

  /** Rows that the work writes on each shard, alarms included, until no shard has anything left to do. */
  async rowsDuring(work: () => Promise<unknown>): Promise<number[]> {
    const before = this.shards.map(({ rows }) => rows);
    await work();
    await this.quiet();
    await this.evict();
    return this.shards.map(({ rows }, index) => rows - (before[index] ?? 0));
  }

  /** Lets the clock go while anybody waits for the next try of something; whether that is so. */
  #letTry(): boolean {
    const nowMs = Date.now();
    const elapsedMs = nowMs - (this.#tryingSinceMs ?? nowMs);
    const isTrying = this.shards.some(({ instruments }) => instruments.hasTimerBelow(workTimerMs));
    this.#tryingSinceMs = isTrying ? nowMs : undefined;
    if (isTrying) this.skip(elapsedMs / 1000);
    return isTrying;
  }

  #nextAlarm(): { shard: TestObject; atMs: number } | undefined {
    const due = this.shards.flatMap((shard) => {
      const atMs = shard.instruments.alarmAtMs;
      return atMs === undefined ? [] : [{ shard, atMs }];
    });
    return due.toSorted((left, right) => left.atMs - right.atMs)[0];
  }

  #setClock(nowMs: number): void {
    for (const { instruments } of this.shards) instruments.nowMs = Math.max(instruments.nowMs, nowMs);
  }
}

function hasLived({ instruments }: TestObject): boolean {
  return instruments.lives > 0;
}
