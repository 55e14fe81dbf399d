/** One shard of a simulated namespace: a ShardCore with storage in memory, sockets, a timer and an alarm. */
import type { CoreConfig } from "../../src/core/config.ts";
import type { CloseCode, Effect } from "../../src/core/effect.ts";
import type { Input } from "../../src/core/input.ts";
import type { ProtocolVersion } from "../../src/core/packet.ts";
import type { Batch, BatchAnswer } from "../../src/core/peers/message.ts";
import { ShardCore } from "../../src/core/shard-core.ts";
import type { ShardStorage, WriteSet } from "../../src/core/storage-port.ts";
import { decodeAttachment, encodeAttachment } from "../../src/shard/attachment-codec.ts";
import type { Peer, Question, Received } from "./harness.ts";

/** What a shard needs of the world around it. */
export interface World {
  readonly nowMs: number;
  readonly trace: string[];
  readonly fullSockets: ReadonlySet<string>;
  readonly quarantined: ReadonlySet<string>;
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
  /** What passed through the sockets, as the host counts it. */
  readonly traffic = { bytesReceived: 0, bytesSent: 0 };
  readonly #config: CoreConfig;
  readonly #world: World;
  readonly #reopen: () => ShardStorage;
  readonly #peers = new Map<string, Peer>();
  readonly #attachments = new Map<string, Uint8Array>();
  #core: ShardCore | undefined;
  #lives = 0;

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
  }

  handle(input: Input): void {
    this.#run(this.core.handle(input, this.#world.nowMs));
  }

  noteTimer(): void {
    this.timerDueAtMs = this.#core?.timerDueAtMs;
  }

  fireAlarm(): void {
    this.alarmAtMs = undefined;
    this.handle({ type: "alarm" });
  }

  /** Hibernation: memory goes, sockets stay. A pending timer would keep the object awake. */
  evict(): void {
    if (this.timerDueAtMs !== undefined) throw new Error("a timer keeps the shard awake");
    this.#restart();
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
    this.#core = this.#newCore();
    this.#lives += 1;
    const { alarmAtMs } = this;
    const [survivor] = this.#attachments.values();
    const survivingBoot = decodeAttachment(survivor)?.attachment.boot;
    this.handle({
      type: "start",
      seed: this.index + 31 * this.#lives,
      ...(survivingBoot !== undefined && { survivingBoot }),
      ...(alarmAtMs !== undefined && { armedAlarmAtMs: alarmAtMs }),
    });
  }

  #newCore(): ShardCore {
    const read = (connectionId: string) => decodeAttachment(this.#attachments.get(connectionId))?.attachment;
    const attachments = this.#attachments;
    const { fullSockets, quarantined } = this.#world;
    return new ShardCore(this.#config, {
      shardIndex: this.index,
      storage: this.storage,
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
      sockets: { isFull: (connectionId) => fullSockets.has(connectionId) },
      quarantined,
    });
  }

  #run(effects: readonly Effect[]): void {
    for (const effect of effects) this.#carryOut(effect);
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
        this.commits.push(effect.writes);
        this.#world.trace.push(`commit in ${this.index}`);
        this.storage.commit(effect.writes);
        return this.#run(effect.effects);
      case "authenticate":
        return this.#world.onAuthenticate(effect);
      case "call":
        return this.#world.onCall(effect.batch);
      case "answer":
        return this.#world.onAnswer(effect.callId, effect.answer);
      case "setAlarm": {
        const { dueAtMs, unconfirmed } = effect;
        this.alarmWrites.push({ atMs: this.#world.nowMs, dueAtMs, unconfirmed });
        this.alarmAtMs = dueAtMs;
        return;
      }
    }
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
    this.#attachments.delete(connectionId);
    this.#world.onClosed(connectionId, peer, code, reason);
  }

  #attach({ connectionId, attachment }: Effect & { type: "attach" }): void {
    if (!this.#peers.has(connectionId)) return;
    const bytes = encodeAttachment(connectionId, attachment);
    if (bytes.length > attachmentBytesMax) throw new Error(`an attachment of ${bytes.length} bytes`);
    this.#attachments.set(connectionId, bytes);
  }
}
