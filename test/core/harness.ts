/**
 * Runs the shards of a namespace as their hosts do, but without sockets: effects are carried out on storage in memory,
 * and the test holds the clock, the timers, the alarms and what happens to calls between shards. `SHARDS` in the
 * environment says how many there are where a test does not.
 */
import { encodePacket, isUtf8, publishSizeBytes } from "../../src/codec/index.ts";
import type { CoreConfig } from "../../src/core/config.ts";
import type { CloseCode } from "../../src/core/effect.ts";
import type { Fault, Input } from "../../src/core/input.ts";
import type { Limits } from "../../src/core/limits.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import type { ClientPacket, Delivery, ProtocolVersion, ServerPacket } from "../../src/core/packet.ts";
import type { Batch, BatchAnswer } from "../../src/core/peers/message.ts";
import { Placement } from "../../src/core/placement.ts";
import type { ShardCore } from "../../src/core/shard-core.ts";
import type { ShardStorage, WriteSet } from "../../src/core/storage-port.ts";
import { decodeAnswer, decodeBatch, encodeAnswer, encodeBatch } from "../../src/shard/peer-codec.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";
import type { AlarmWrite, World } from "./simulated-shard.ts";
import { SimulatedShard } from "./simulated-shard.ts";

/** What a client is sent: a packet, or a PUBLISH as the core describes it. */
export type Received = ServerPacket | ReceivedPublish;
export interface ReceivedPublish extends Delivery {
  readonly type: "publish";
}

/** The client's end of a connection. */
export interface Peer {
  onReceived(packet: Received, protocolVersion: ProtocolVersion): void;
  onClosed(code: CloseCode, reason: string): void;
  /** The socket went with the object. */
  onLost?(): void;
}

/** A call between two shards, under way. */
export interface Call {
  readonly batch: Batch;
  /** The other shard gets it now; what it answers comes back by itself, unless `isDeaf`. */
  arrive(options?: { readonly isDeaf?: boolean }): void;
  /** The caller is told that the call failed. */
  fail(): void;
}

export interface HarnessOptions {
  readonly allowsAnonymous?: boolean;
  readonly authenticationMethods?: CoreConfig["authenticationMethods"];
  readonly limits?: Partial<Limits>;
  readonly flushesPerSecMax?: number;
  readonly shards?: number;
  readonly storage?: ShardStorage;
  /** Opens the storage again, for the next life of the shard. */
  readonly reopen?: () => ShardStorage;
  /** What happens to calls between shards; by default they arrive with the next turn. */
  readonly transport?: (call: Call) => void;
}

export interface ReceiveOptions {
  readonly fault?: Fault;
  readonly unfinished?: boolean;
}

const stepsMax = 100_000;
const shardsByDefault = Number(process.env["SHARDS"] ?? "1");
/** The tests use as many wildcards as they like. */
const limitsOfTests: Partial<Limits> = { subscriptionsOnAllShardsMax: 1_000_000 };

export class Harness implements World {
  nowMs = 1_800_000_000_000;
  readonly shards: readonly SimulatedShard[];
  readonly placement: Placement;
  /** What was done in which order: "commit", "send CLIENT TYPE", "close". */
  readonly trace: string[] = [];
  readonly fullSockets = new Set<string>();
  readonly quarantined = new Set<string>();
  /** What passed through the sockets, as the host counts it. */
  readonly traffic = { bytesReceived: 0, bytesSent: 0 };
  /** Calls between shards so far. */
  callCount = 0;
  readonly #config: CoreConfig;
  readonly #transport: (call: Call) => void;
  /** Sockets that have said nothing from which their shard follows. */
  readonly #unplaced = new Map<string, { readonly peer: Peer; readonly clientIdHint: string | undefined }>();
  readonly #shardOf = new Map<string, SimulatedShard>();
  readonly #answers = new Map<number, (answer: BatchAnswer) => void>();
  #pending: (() => void)[] = [];
  #isJoining = false;
  #opened = 0;
  #calls = 0;

  constructor(options: HarnessOptions = {}) {
    const shards = options.storage === undefined ? (options.shards ?? shardsByDefault) : 1;
    this.placement = new Placement({ epoch: 1, shards, topicKeyLevels: 2 });
    this.#transport = options.transport ?? ((call) => this.soon(() => call.arrive()));
    this.#config = {
      placement: this.placement,
      limits: { ...defaultLimits, ...limitsOfTests, ...options.limits },
      flushesPerSecMax: options.flushesPerSecMax ?? Infinity,
      allowsAnonymous: options.allowsAnonymous ?? true,
      publishSizeBytes,
      packetSizeBytes: (packet, protocolVersion) => encodePacket(packet, protocolVersion).length,
      isUtf8,
      authenticationMethods: options.authenticationMethods ?? new Map(),
      version: "test",
    };
    this.shards = Array.from({ length: shards }, (_, index) => {
      const storage = options.storage ?? new MemoryShardStorage();
      return new SimulatedShard(index, this.#config, this, storage, options.reopen ?? (() => storage));
    });
  }

  /** The first shard, which is the only one in most tests. */
  get first(): SimulatedShard {
    return this.shards[0] as SimulatedShard;
  }

  get core(): ShardCore {
    return this.first.core;
  }

  get storage(): ShardStorage {
    return this.first.storage;
  }

  get alarmAtMs(): number | undefined {
    return this.first.alarmAtMs;
  }

  set alarmAtMs(alarmAtMs: number | undefined) {
    this.first.alarmAtMs = alarmAtMs;
  }

  get alarmWrites(): AlarmWrite[] {
    return this.first.alarmWrites;
  }

  get commits(): WriteSet[] {
    return this.first.commits;
  }

  get limits(): Limits {
    return this.#config.limits;
  }

  get openConnectionIds(): string[] {
    return [...this.#unplaced.keys(), ...this.shards.flatMap(({ connectionIds }) => connectionIds)];
  }

  get rowsWritten(): number {
    return this.shards.reduce((sum, shard) => sum + shard.rowsWritten, 0);
  }

  /** A new WebSocket; returns its connection. */
  open(peer: Peer, clientIdHint?: string): string {
    this.#opened += 1;
    const connectionId = `connection-${this.#opened}`;
    this.#unplaced.set(connectionId, { peer, clientIdHint });
    if (this.shards.length === 1) this.#place(connectionId, this.first);
    else if (clientIdHint !== undefined) this.#place(connectionId, this.shardOfClient(clientIdHint));
    return connectionId;
  }

  /** One WebSocket message. */
  receive(connectionId: string, packets: readonly ClientPacket[], options: ReceiveOptions = {}): void {
    const { fault, unfinished = false } = options;
    this.#placeByPacket(connectionId, packets[0], fault !== undefined);
    const shard = this.#shardOf.get(connectionId);
    if (shard?.has(connectionId) !== true) return;
    const input = { type: "receive", connectionId, packets, unfinished } as const;
    this.#event(shard, fault === undefined ? input : { ...input, fault });
  }

  /** The client's answer to what it is being sent: it comes with the next turn. */
  receiveNext(connectionId: string, packet: ClientPacket): void {
    this.soon(() => {
      const shard = this.#shardOf.get(connectionId);
      if (shard?.has(connectionId) !== true) return;
      shard.handle({ type: "receive", connectionId, packets: [packet], unfinished: false });
    });
  }

  /** The WebSocket is gone. */
  lose(connectionId: string): void {
    this.#unplaced.delete(connectionId);
    const shard = this.#shardOf.get(connectionId);
    if (shard?.drop(connectionId) !== true) return;
    this.#event(shard, { type: "closed", connectionId });
    shard.forget(connectionId);
  }

  /** The events of `work` come in one turn of the event loop: the shards settle once, after all of them. */
  joined(work: () => void): void {
    this.hold();
    try {
      work();
    } finally {
      this.settle();
    }
  }

  /** From now on events join one turn. */
  hold(): void {
    this.#isJoining = true;
  }

  /** The turn ends. */
  settle(): void {
    this.#isJoining = false;
    this.#endTurn();
  }

  /** Does something with the next turn. */
  soon(work: () => void): void {
    this.#pending.push(work);
  }

  /** Moves the clock, and lets timers and alarms come when they are due. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let step = 0; ; step += 1) {
      if (step > stepsMax) throw new Error("the timers or the alarms come again and again");
      const next = this.#nextDue();
      if (next === undefined || next.dueAtMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next.dueAtMs);
      if (next.isAlarm) next.shard.fireAlarm();
      else next.shard.handle({ type: "timer" });
      if (this.#isJoining) next.shard.noteTimer();
      else this.#endTurn();
    }
    this.nowMs = untilMs;
  }

  /** Moves the clock alone: timers and alarms that are due come late. */
  oversleep(ms: number): void {
    this.nowMs += ms;
  }

  fireAlarm(): void {
    this.first.fireAlarm();
    this.#endTurn();
  }

  get isAwake(): boolean {
    return this.shards.some(({ timerDueAtMs }) => timerDueAtMs !== undefined);
  }

  /** Hibernation: memory goes, sockets stay. */
  evict(): void {
    for (const shard of this.shards) shard.evict();
  }

  /** All objects are gone with their sockets, as in a deploy, and nobody has been told. */
  reset(): void {
    this.#pending = [];
    this.#isJoining = false;
    const peers = [...this.#unplaced.values()].map(({ peer }) => peer);
    this.#unplaced.clear();
    for (const shard of this.shards) peers.push(...shard.reset());
    for (const peer of peers) peer.onLost?.();
  }

  /** One object is gone with its sockets. */
  resetShard(index: number): void {
    for (const peer of (this.shards[index] as SimulatedShard).reset()) peer.onLost?.();
  }

  /** SIGTERM, and the next start. */
  drain(): void {
    for (const shard of this.shards) shard.handle({ type: "drain" });
    this.#endTurn();
    this.reset();
  }

  event(input: Input): void {
    this.#event(this.first, input);
  }

  shardOfClient(clientId: string): SimulatedShard {
    return this.shards[this.placement.sessionShard(clientId)] as SimulatedShard;
  }

  onClosed(connectionId: string, peer: Peer, code: CloseCode, reason: string): void {
    peer.onClosed(code, reason);
    this.soon(() => this.#shardOf.get(connectionId)?.handle({ type: "closed", connectionId }));
  }

  onCall(batch: Batch): void {
    this.callCount += 1;
    const bytes = encodeBatch(batch);
    const { from, to, lane, stream, sequence } = batch;
    const tell = (answer?: BatchAnswer): void => {
      const input = { type: "answered", to, head: { lane, stream, sequence } } as const;
      this.soon(() => this.shards[from]?.handle(answer === undefined ? input : { ...input, answer }));
    };
    this.#transport({
      batch,
      arrive: ({ isDeaf = false } = {}) => this.#arrive(to, bytes, isDeaf ? undefined : tell),
      fail: () => tell(),
    });
  }

  onAnswer(callId: number, answer: BatchAnswer): void {
    this.#answers.get(callId)?.(decodeAnswer(encodeAnswer(answer)));
    this.#answers.delete(callId);
  }

  #arrive(to: number, bytes: Uint8Array, tell: ((answer: BatchAnswer) => void) | undefined): void {
    this.#calls += 1;
    const callId = this.#calls;
    const decoded = decodeBatch(bytes);
    if ("refusal" in decoded) {
      tell?.(decoded.refusal);
      return;
    }
    if (tell !== undefined) this.#answers.set(callId, tell);
    this.shards[to]?.handle({ type: "called", callId, batch: decoded.batch });
  }

  #event(shard: SimulatedShard, input: Input): void {
    shard.handle(input);
    if (this.#isJoining) shard.noteTimer();
    else this.#endTurn();
  }

  /** As the Worker does: by the Client Identifier of CONNECT, else anywhere. */
  #placeByPacket(connectionId: string, packet: ClientPacket | undefined, isFault: boolean): void {
    if (!this.#unplaced.has(connectionId)) return;
    if (packet === undefined && !isFault) return;
    const isNamed = packet?.type === "connect" && packet.clientId !== "";
    const clientId = isNamed ? packet.clientId : randomClientId(connectionId);
    this.#place(connectionId, this.shardOfClient(clientId));
  }

  #place(connectionId: string, shard: SimulatedShard): void {
    const socket = this.#unplaced.get(connectionId);
    if (socket === undefined) return;
    const { peer, clientIdHint } = socket;
    this.#unplaced.delete(connectionId);
    this.#shardOf.set(connectionId, shard);
    shard.accept(connectionId, peer);
    const input = { type: "open", connectionId, randomClientId: randomClientId(connectionId) } as const;
    this.#event(shard, clientIdHint === undefined ? input : { ...input, clientIdHint });
  }

  #nextDue(): { shard: SimulatedShard; dueAtMs: number; isAlarm: boolean } | undefined {
    let next: { shard: SimulatedShard; dueAtMs: number; isAlarm: boolean } | undefined;
    for (const shard of this.shards) {
      const { timerDueAtMs = Infinity, alarmAtMs = Infinity } = shard;
      const dueAtMs = Math.min(timerDueAtMs, alarmAtMs);
      if (dueAtMs >= (next?.dueAtMs ?? Infinity)) continue;
      next = { shard, dueAtMs, isAlarm: alarmAtMs < timerDueAtMs };
    }
    return next;
  }

  /** Settles, and goes on as long as clients or other shards have something to answer. */
  #endTurn(): void {
    for (let step = 0; ; step += 1) {
      if (step > stepsMax) throw new Error("the clients and the shards never come to rest");
      for (const shard of this.shards) if (shard.isConstructed) shard.handle({ type: "settle" });
      if (this.#pending.length === 0) break;
      const pending = this.#pending;
      this.#pending = [];
      for (const work of pending) work();
    }
    for (const shard of this.shards) shard.noteTimer();
  }
}

function randomClientId(connectionId: string): string {
  return `random-${connectionId.slice("connection-".length)}`;
}
