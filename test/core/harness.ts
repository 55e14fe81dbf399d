/**
 * Runs the shards of a namespace as their hosts do, but without sockets: effects are carried out on storage in memory,
 * and the test holds the clock, the timers, the alarms and what happens to calls between shards. `SHARDS` in the
 * environment says how many there are where a test does not.
 */
import { encodePacket, isUtf8, publishSizeBytes } from "../../src/codec/index.ts";
import type { Usernames } from "../../src/core/access/identity.ts";
import type { Policy } from "../../src/core/access/policy.ts";
import { emptyPolicy } from "../../src/core/access/policy.ts";
import type { Rule } from "../../src/core/access/rule.ts";
import type { Identity } from "../../src/core/access/identity.ts";
import type { AuthenticationRequest, AuthenticationStep } from "../../src/core/authentication.ts";
import type { Order } from "../../src/core/administration/administration.ts";
import type { CoreConfig } from "../../src/core/config.ts";
import { Counters } from "../../src/core/counters.ts";
import type { CloseCode, Effect } from "../../src/core/effect.ts";
import type { Fault, Input } from "../../src/core/input.ts";
import type { Limits } from "../../src/core/limits.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import type { ClientPacket, Delivery, ProtocolVersion, ServerPacket } from "../../src/core/packet.ts";
import type { Batch, BatchAnswer } from "../../src/core/peers/message.ts";
import { Placement } from "../../src/core/placement.ts";
import type { SessionRecord, ShardStorage, WriteSet } from "../../src/core/storage-port.ts";
import { RetainedBlocks } from "../../src/core/topics/retained-blocks.ts";
import { decodeAnswer, decodeBatch, encodeAnswer, encodeBatch } from "../../src/shard/peer-codec.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";
import type { AlarmWrite, Death, World } from "./simulated-shard.ts";
import { SimulatedShard } from "./simulated-shard.ts";

/** What a client is sent: a packet, or a PUBLISH as the core describes it. */
export type Received = ServerPacket | ReceivedPublish;
export interface ReceivedPublish extends Delivery {
  readonly type: "publish";
}

/** What the upgrade request said. */
export interface Arrival {
  readonly clientIdHint?: string;
  readonly address?: string;
  readonly identity?: Identity;
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

export type Question = Effect & { readonly type: "authenticate" };

export interface HarnessOptions {
  readonly allowsAnonymous?: boolean;
  readonly authenticates?: boolean;
  readonly authenticationMethods?: readonly string[];
  /** The host's answers to questions about credentials; they come with the next turn, unless they are held. */
  readonly authenticate?: (request: AuthenticationRequest) => AuthenticationStep;
  readonly permissions?: readonly Rule[];
  readonly serverTopicsFor?: CoreConfig["serverTopicsFor"];
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
  readonly unfinishedBytes?: number;
  readonly sizeBytes?: number;
}

const stepsMax = 100_000;
const shardsByDefault = Number(process.env["SHARDS"] ?? "1");
/** The tests use as many wildcards as they like. */
const limitsOfTests: Partial<Limits> = { subscriptionsOnAllShardsMax: 1_000_000 };

export class Harness implements World {
  nowMs = 1_800_000_000_000;
  readonly shards: readonly SimulatedShard[];
  readonly placement: Placement;
  /** What was done in which order: "commit in SHARD", "TYPE to CONNECTION", "close CONNECTION". */
  readonly trace: string[] = [];
  readonly fullSockets = new Set<string>();
  readonly quarantined = new Set<string>();
  /** Calls between shards so far. */
  callCount = 0;
  /** Questions about credentials that wait for {@link answer}; undefined when they are answered by themselves. */
  questions: Question[] | undefined;
  readonly #config: CoreConfig;
  readonly #authenticate: HarnessOptions["authenticate"];
  readonly #transport: (call: Call) => void;
  /** Sockets that have said nothing from which their shard follows. */
  readonly #unplaced = new Map<string, { readonly peer: Peer; readonly arrival: Arrival }>();
  readonly #shardOf = new Map<string, SimulatedShard>();
  readonly #answers = new Map<number, (answer: BatchAnswer) => void>();
  #pending: (() => void)[] = [];
  #isJoining = false;
  #opened = 0;
  #policyVersion = 0;
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
      authenticates: options.authenticates ?? false,
      authenticationMethods: new Set(options.authenticationMethods),
      permissions: options.permissions ?? [],
      serverTopicsFor: options.serverTopicsFor ?? "everybody",
      version: "test",
    };
    this.#authenticate = options.authenticate;
    this.shards = Array.from({ length: shards }, (_, index) => {
      const storage = options.storage ?? new MemoryShardStorage();
      return new SimulatedShard(index, this.#config, this, storage, options.reopen ?? (() => storage));
    });
  }

  /** What the living shards have counted, added up. */
  get counters(): Counters {
    const sum = new Counters();
    for (const { core } of this.#living) addUp(sum, core.counters);
    return sum;
  }

  /** Sessions that the living shards have. */
  get sessionCount(): number {
    return this.#living.reduce((sum, { core }) => sum + core.sessions.size, 0);
  }

  get sessionRecords(): SessionRecord[] {
    return this.shards.flatMap(({ storage }) => [...storage.readSessions()]);
  }

  sessionRecord(clientId: string): SessionRecord | undefined {
    return this.sessionRecords.find((record) => record.clientId === clientId);
  }

  get retainedNames(): string[] {
    const topics = this.shards.flatMap(({ storage }) => new RetainedBlocks(storage).load());
    return topics.map(({ topicName }) => topicName);
  }

  /** Segments of the logs of the living shards, without what shards must always know of one another. */
  get segmentCount(): number {
    return this.#living.reduce((sum, { segmentCount }) => sum + segmentCount, 0);
  }

  /** When the first alarm of any shard is due. */
  get alarmAtMs(): number | undefined {
    const alarms = this.shards.flatMap(({ alarmAtMs }) => alarmAtMs ?? []);
    return alarms.length === 0 ? undefined : Math.min(...alarms);
  }

  get alarmWrites(): AlarmWrite[] {
    return this.shards.flatMap(({ alarmWrites }) => alarmWrites);
  }

  get commits(): WriteSet[] {
    return this.shards.flatMap(({ commits }) => commits);
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

  get rowsRead(): number {
    return this.shards.reduce((sum, { storage }) => sum + storage.rowsRead, 0);
  }

  /** A new WebSocket; returns its connection. */
  open(peer: Peer, arrival: Arrival = {}): string {
    this.#opened += 1;
    const connectionId = `connection-${this.#opened}`;
    const { clientIdHint } = arrival;
    this.#unplaced.set(connectionId, { peer, arrival });
    const [only, ...others] = this.shards;
    if (only !== undefined && others.length === 0) this.#place(connectionId, only);
    else if (clientIdHint !== undefined) this.#place(connectionId, this.shardOfClient(clientIdHint));
    return connectionId;
  }

  /** One WebSocket message. */
  receive(connectionId: string, packets: readonly ClientPacket[], options: ReceiveOptions = {}): void {
    const { fault, sizeBytes = 0, unfinishedBytes = 0 } = options;
    this.#placeByPacket(connectionId, packets[0], fault !== undefined);
    const shard = this.#shardOf.get(connectionId);
    if (shard?.has(connectionId) !== true) return;
    const input = { type: "receive", connectionId, packets, sizeBytes, unfinishedBytes } as const;
    this.#event(shard, fault === undefined ? input : { ...input, fault });
  }

  /** The client's answer to what it is being sent: it comes with the next turn. */
  receiveNext(connectionId: string, packet: ClientPacket): void {
    this.soon(() => {
      const shard = this.#shardOf.get(connectionId);
      if (shard?.has(connectionId) !== true) return;
      shard.handle({ type: "receive", connectionId, packets: [packet], sizeBytes: 0, unfinishedBytes: 0 });
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
      if (this.#isJoining) next.shard.rest();
      else this.#endTurn();
    }
    this.nowMs = untilMs;
  }

  /** Moves the clock alone: timers and alarms that are due come late. */
  oversleep(ms: number): void {
    this.nowMs += ms;
  }

  /** The alarms are gone, as after too many failures. */
  loseAlarms(): void {
    for (const shard of this.shards) shard.alarmAtMs = undefined;
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

  /** Somebody comes by at every shard: an object is constructed when there is an event for it. */
  wake(): void {
    for (const { index } of this.shards) {
      this.lose(this.open({ onReceived() {}, onClosed() {} }, { clientIdHint: this.clientIdOn(index) }));
    }
  }

  /** Every write passes here; a test of crashes says which of them the object does not survive. */
  deathAtCommit(_shardIndex: number, _writes: WriteSet): Death | undefined {
    return undefined;
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

  /** The host tells the shard of the connection something. */
  tell(input: Input & { readonly connectionId: string }): void {
    const shard = this.#shardOf.get(input.connectionId);
    if (shard === undefined) throw new Error(`${input.connectionId} has no shard`);
    this.#event(shard, input);
  }

  shardOfClient(clientId: string): SimulatedShard {
    return this.shards[this.placement.sessionShard(clientId)] as SimulatedShard;
  }

  shardOfTopic(topicName: string): SimulatedShard {
    return this.shards[this.placement.topicShard(topicName)] as SimulatedShard;
  }

  /** A Client Identifier whose session is on the shard of another one. */
  clientIdBeside(clientId: string): string {
    return this.clientIdOn(this.shardOfClient(clientId).index);
  }

  /** A Client Identifier whose session is on that shard; each call has the same one. */
  clientIdOn(shardIndex: number): string {
    for (let number = 1; ; number += 1) {
      const clientId = `resident-${number}`;
      if (this.placement.sessionShard(clientId) === shardIndex) return clientId;
    }
  }

  onClosed(connectionId: string, peer: Peer, code: CloseCode, reason: string): void {
    peer.onClosed(code, reason);
    this.soon(() => this.#shardOf.get(connectionId)?.handle({ type: "closed", connectionId }));
  }

  onAuthenticate(question: Question): void {
    if (this.questions === undefined) this.soon(() => this.#answer(question));
    else this.questions.push(question);
  }

  /** Answers the oldest question about credentials; like this if the host is not asked. */
  answer(step?: AuthenticationStep): void {
    const question = this.questions?.shift();
    if (question === undefined) throw new Error("nothing was asked");
    this.soon(() => this.#answer(question, step));
    if (!this.#isJoining) this.#endTurn();
  }

  #answer({ attempt, connectionId, request }: Question, step = this.#authenticate?.(request)): void {
    if (step === undefined) throw new Error("nobody knows the answer");
    this.#shardOf.get(connectionId)?.handle({ type: "authenticated", connectionId, attempt, step });
  }

  /** The namespace has a new policy; every shard is told. */
  setPolicy(policy: Partial<Policy>): void {
    this.#policyVersion += 1;
    const whole = { ...emptyPolicy, ...policy, version: policy.version ?? this.#policyVersion };
    for (const shard of this.shards) shard.handle({ type: "policy", policy: whole });
    this.#endTurn();
  }

  /** Users have changed; every shard is told. */
  revoke(usernames: Usernames): void {
    for (const shard of this.shards) shard.handle({ type: "revoke", usernames });
    this.#endTurn();
  }

  /** An operator gives an order to the shard. */
  administer(shard: SimulatedShard, order: Order): void {
    this.#event(shard, { type: "administer", order });
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

  /** Those of which there is an object at the moment; looking at them constructs none. */
  get #living(): SimulatedShard[] {
    return this.shards.filter(({ isConstructed }) => isConstructed);
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
    if (this.#isJoining) shard.rest();
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
    const { arrival, peer } = socket;
    this.#unplaced.delete(connectionId);
    this.#shardOf.set(connectionId, shard);
    shard.accept(connectionId, peer);
    this.#event(shard, {
      type: "open",
      connectionId,
      randomClientId: randomClientId(connectionId),
      ...arrival,
    });
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
    for (const shard of this.shards) shard.rest();
  }
}

function randomClientId(connectionId: string): string {
  return `random-${connectionId.slice("connection-".length)}`;
}

function addUp(sum: Counters, more: Counters): void {
  for (const [name, count] of Object.entries(more)) {
    const key = name as keyof Counters;
    const total = sum[key];
    if (total instanceof Map) {
      for (const [code, times] of count as Map<never, number>)
        total.set(code, (total.get(code) ?? 0) + times);
    } else {
      Object.assign(sum, { [key]: total + count });
    }
  }
}
