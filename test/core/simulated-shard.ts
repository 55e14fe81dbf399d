/** One shard of a simulated namespace: a ShardCore with storage in memory, sockets, a timer and an alarm. */
import { StorageRoom } from "../../src/core/storage-room.ts";
import { deserialize, serialize } from "node:v8";
import type { BackupAnswer } from "../../src/core/backup/record.ts";
import type { CoreConfig } from "../../src/core/config.ts";
import type { RowCounts } from "../../src/core/cost/cost-meter.ts";
import { CostMeter } from "../../src/core/cost/cost-meter.ts";
import type { CloseCode, ConnectionAttachment, Effect } from "../../src/core/effect.ts";
import type { Input } from "../../src/core/input.ts";
import type { ProtocolVersion } from "../../src/core/packet.ts";
import type { Batch, BatchAnswer } from "../../src/core/peers/message.ts";
import { ShardCore } from "../../src/core/shard-core.ts";
import type { ShardStorage, WriteSet } from "../../src/core/storage-port.ts";
import { decodeAttachment, encodeAttachment } from "../../src/shard/attachment-codec.ts";
import type { Peer, Question, Received } from "./harness.ts";

/**
 * How an object ends that is writing. "unwritten": before the write. "written": after it, and nothing that waited for it
 * leaves. "heard": once that has left. The others are bugs, for tests of the tests: "forgotten": all left, but nothing is
 * written. "dropped": the same, and the object lives on.
 */
export type Death = "unwritten" | "written" | "heard" | "forgotten" | "dropped";

/** What a shard needs of the world around it. */
export interface World {
  readonly nowMs: number;
  readonly trace: string[];
  readonly fullSockets: ReadonlySet<string>;
  readonly quarantined: ReadonlySet<string>;
  /** What becomes of the shard that is about to write; undefined: it goes on. */
  deathAtCommit(shardIndex: number, writes: WriteSet): Death | undefined;
  /** The object is to be gone with its sockets. */
  resetShard(shardIndex: number): void;
  onClosed(connectionId: string, peer: Peer, code: CloseCode, reason: string): void;
  onAuthenticate(question: Question): void;
  onCall(batch: Batch): void;
  onAnswer(callId: number, answer: BatchAnswer): void;
}

export interface AlarmWrite {
  readonly atMs: number;
  readonly dueAtMs: number;
  readonly unconfirmed: boolean;
}

/** Cloudflare's limit for what `serializeAttachment` takes. */
const attachmentBytesMax = 16_384;

export class SimulatedShard {
  readonly index: number;
  storage: ShardStorage;
  alarmAtMs: number | undefined;
  timerDueAtMs: number | undefined;
  readonly alarmWrites: AlarmWrite[] = [];
  readonly commits: WriteSet[] = [];
  /** By call. */
  readonly backupAnswers = new Map<number, BackupAnswer>();
  /** What passed through the sockets, as the host counts it. */
  readonly traffic = { bytesReceived: 0, bytesSent: 0 };
  readonly #config: CoreConfig;
  readonly #world: World;
  readonly #reopen: () => ShardStorage;
  readonly #peers = new Map<string, Peer>();
  readonly #attachments = new Map<string, Uint8Array>();
  #cost: CostMeter | undefined;
  #core: ShardCore | undefined;
  #lives = 0;
  /** The alarm as it is when the present event writes nothing. */
  #safeAlarmAtMs: number | undefined;
  /** Whether the last commit is in the storage. */
  #hasWritten = false;

  constructor(
    index: number,
    config: CoreConfig,
    world: World,
    storage: ShardStorage,
    reopen: () => ShardStorage,
  ) {
    this.index = index;
    this.#config = config;
    this.#world = world;
    this.storage = storage;
    this.#reopen = reopen;
  }

  /** The shard of the present life. The object is constructed when something happens to it, not before. */
  get core(): ShardCore {
    if (this.#core === undefined) this.#start();
    return this.#core as ShardCore;
  }

  /** What the shard has counted of its cost; to be asked when it has read what it forgot. */
  get cost(): CostMeter {
    if (this.#core === undefined) this.#start();
    return this.#cost as CostMeter;
  }

  get isConstructed(): boolean {
    return this.#core !== undefined;
  }

  get connectionIds(): string[] {
    return [...this.#peers.keys()];
  }

  has(connectionId: string): boolean {
    return this.#peers.has(connectionId);
  }

  /** Rows billed so far: those of the storage and one for each time the alarm was set. */
  get rowsWritten(): number {
    return this.storage.rowsWritten + this.alarmWrites.length;
  }

  /**
   * Segments of the log that hold something on its way. Where the numbering between two shards has come to must be
   * known for good, so those with its latest state are left out.
   */
  get segmentCount(): number {
    const newest = new Map<number, number>();
    for (const { seq, deliveryStates } of this.storage.readSegmentHeads()) {
      for (const [number] of deliveryStates) if (number < 0) newest.set(number, seq);
    }
    return this.core.log.segmentCount - new Set(newest.values()).size;
  }

  accept(connectionId: string, peer: Peer): void {
    this.#peers.set(connectionId, peer);
  }

  /** The socket is gone; the shard has yet to hear of it. */
  drop(connectionId: string): boolean {
    return this.#peers.delete(connectionId);
  }

  forget(connectionId: string): void {
    this.#attachments.delete(connectionId);
    this.#cost?.release(connectionId);
  }

  handle(input: Input): void {
    const { core, cost } = this;
    if (input.type === "open") cost.requests += 1;
    if (input.type === "receive") cost.framesReceived += 1;
    if (input.type === "called") cost.callsBilled += 1;
    if (input.type === "alarm") cost.alarms += 1;
    // An alarm whose handler does not end comes again.
    this.#safeAlarmAtMs = input.type === "alarm" ? this.#world.nowMs : this.alarmAtMs;
    this.#run(core.handle(input, this.#world.nowMs));
  }

  /** The turn is over. */
  rest(): void {
    this.timerDueAtMs = this.#core?.timerDueAtMs;
    this.#cost?.noteTime(this.timerDueAtMs !== undefined, this.#world.nowMs);
  }

  fireAlarm(): void {
    this.alarmAtMs = undefined;
    this.handle({ type: "alarm" });
  }

  /** Hibernation: memory goes, sockets stay. A pending timer would keep the object awake. */
  evict(): void {
    if (this.timerDueAtMs !== undefined) throw new Error("a timer keeps the shard awake");
    this.#keepCost();
    this.#restart();
  }

  /** Hosts do so whenever the shard may sleep: once is enough, before it does. */
  #keepCost(): void {
    if (this.#core === undefined) return;
    const [first] = this.#attachments.keys();
    const attachment = first === undefined ? undefined : this.#read(first);
    if (first === undefined || attachment === undefined) return;
    this.cost.shareWith(first);
    this.#attach({ connectionId: first, attachment });
  }

  /** The object is gone with its sockets, and nobody has been told. */
  reset(): Peer[] {
    const peers = [...this.#peers.values()];
    this.#peers.clear();
    this.#attachments.clear();
    this.#restart();
    return peers;
  }

  #restart(): void {
    this.storage = this.#reopen();
    this.#core = undefined;
    this.timerDueAtMs = undefined;
  }

  #start(): void {
    this.#cost = new CostMeter(rowsSince(this.storage));
    this.#core = this.#newCore();
    this.#lives += 1;
    const { alarmAtMs } = this;
    const seed = this.index + 31 * this.#lives;
    this.#cost.start(seed, this.#world.nowMs);
    const [survivor] = this.#attachments.keys();
    const survivingBoot = survivor === undefined ? undefined : this.#read(survivor)?.boot;
    this.handle({
      type: "start",
      seed,
      ...(survivingBoot !== undefined && { survivingBoot }),
      ...(alarmAtMs !== undefined && { armedAlarmAtMs: alarmAtMs }),
    });
  }

  #newCore(): ShardCore {
    const read = (connectionId: string) => this.#read(connectionId);
    const attachments = this.#attachments;
    const { fullSockets, quarantined } = this.#world;
    return new ShardCore(this.#config, {
      shardIndex: this.index,
      storage: this.storage,
      room: new StorageRoom(this.storage, this.#config.limits.storedBytesMax),
      connections: {
        *list() {
          for (const connectionId of attachments.keys()) {
            const attachment = read(connectionId);
            if (attachment !== undefined) yield [connectionId, attachment] as const;
          }
        },
        read,
      },
      traffic: this.traffic,
      cost: this.#cost as CostMeter,
      sockets: { isFull: (connectionId) => fullSockets.has(connectionId) },
      quarantined,
    });
  }

  /** An object that died carries nothing out. What it wrote is safe together with the alarm of the same event. */
  #run(effects: readonly Effect[]): void {
    const life = this.#core;
    for (const effect of effects) {
      const isAlarm = effect.type === "setAlarm" && this.#hasWritten;
      if (this.#core === life || isAlarm) this.#carryOut(effect);
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case "send":
        return this.#send(effect.connectionId, effect.packet, effect.protocolVersion);
      case "deliver":
        return this.#send(
          effect.connectionId,
          { type: "publish", ...effect.delivery },
          effect.protocolVersion,
        );
      case "close":
        return this.#close(effect);
      case "attach":
        return this.#attach(effect);
      case "commit":
        return this.#commit(effect);
      case "authenticate":
        return this.#world.onAuthenticate(effect);
      case "call":
        this.cost.callsMade += 1;
        return this.#world.onCall(effect.batch);
      case "answer":
        return this.#world.onAnswer(effect.callId, effect.answer);
      case "backup":
        this.backupAnswers.set(effect.callId, effect.answer);
        return;
      case "setAlarm": {
        const { dueAtMs, unconfirmed } = effect;
        this.alarmWrites.push({ atMs: this.#world.nowMs, dueAtMs, unconfirmed });
        this.alarmAtMs = dueAtMs;
        this.cost.alarmsSet += 1;
        return;
      }
    }
  }

  #commit({ writes, effects }: Effect & { type: "commit" }): void {
    this.commits.push(writes);
    this.#world.trace.push(`commit in ${this.index}`);
    const death = this.#world.deathAtCommit(this.index, writes);
    this.#hasWritten = death === undefined || death === "written" || death === "heard";
    if (this.#hasWritten) this.storage.commit(writes);
    if (death !== "unwritten" && death !== "written") this.#run(effects);
    if (death !== undefined && death !== "dropped") this.#die();
  }

  #die(): void {
    const isKept = this.#hasWritten && this.alarmAtMs !== undefined;
    if (!isKept) this.alarmAtMs = this.#safeAlarmAtMs;
    this.#world.resetShard(this.index);
  }

  #send(connectionId: string, packet: Received, protocolVersion: ProtocolVersion): void {
    const peer = this.#peers.get(connectionId);
    if (peer === undefined) return;
    this.#world.trace.push(`${packet.type} to ${connectionId}`);
    peer.onReceived(packet, protocolVersion);
  }

  /** The peer answers the close with its own. */
  #close({ connectionId, code, reason }: Effect & { type: "close" }): void {
    const peer = this.#peers.get(connectionId);
    if (peer === undefined) return;
    this.#world.trace.push(`close ${connectionId}`);
    this.#peers.delete(connectionId);
    this.forget(connectionId);
    this.#world.onClosed(connectionId, peer, code, reason);
  }

  /** Reading its attachment wakes the socket. */
  #read(connectionId: string): ConnectionAttachment | undefined {
    const bytes = this.#attachments.get(connectionId);
    const found = decodeAttachment(bytes && deserialize(bytes));
    this.cost.noteWoken(connectionId, found?.cost);
    return found?.attachment;
  }

  #attach({ connectionId, attachment }: Omit<Effect & { type: "attach" }, "type">): void {
    if (!this.#peers.has(connectionId)) return;
    const bytes = serialize(encodeAttachment(connectionId, attachment, this.cost.shareOf(connectionId)));
    if (bytes.length > attachmentBytesMax) throw new Error(`an attachment of ${bytes.length} bytes`);
    this.#attachments.set(connectionId, bytes);
  }
}

/** Rows of this life: storage in memory counts those of all. */
function rowsSince(storage: ShardStorage): RowCounts {
  const { rowsRead, rowsWritten } = storage;
  return {
    get rowsRead() {
      return storage.rowsRead - rowsRead;
    },
    get rowsWritten() {
      return storage.rowsWritten - rowsWritten;
    },
    get storedBytes() {
      return storage.storedBytes;
    },
  };
}
