/**
 * Runs a ShardCore as the shard's host does, but without sockets: effects are carried out on storage in memory, and
 * the test holds the clock, the timer and the alarm.
 */
import { encodePacket, isUtf8, publishSizeBytes } from "../../src/codec/index.ts";
import type { CoreConfig } from "../../src/core/config.ts";
import type { CloseCode, Effect } from "../../src/core/effect.ts";
import type { Fault, Input } from "../../src/core/input.ts";
import type { Limits } from "../../src/core/limits.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import { Placement } from "../../src/core/placement.ts";
import type { ClientPacket, Delivery, ProtocolVersion, ServerPacket } from "../../src/core/packet.ts";
import { ShardCore } from "../../src/core/shard-core.ts";
import type { ShardStorage, WriteSet } from "../../src/core/storage-port.ts";
import { decodeAttachment, encodeAttachment } from "../../src/shard/attachment-codec.ts";
import { MemoryShardStorage } from "../../src/storage/memory-shard-storage.ts";

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

export interface HarnessOptions {
  readonly allowsAnonymous?: boolean;
  readonly authenticationMethods?: CoreConfig["authenticationMethods"];
  readonly limits?: Partial<Limits>;
  readonly flushesPerSecMax?: number;
  readonly storage?: ShardStorage;
  /** Opens the storage again, for the next life of the shard. */
  readonly reopen?: () => ShardStorage;
}

export interface ReceiveOptions {
  readonly fault?: Fault;
  readonly unfinished?: boolean;
}

/** Cloudflare's limit for what `serializeAttachment` takes. */
const attachmentBytesMax = 16_384;
const stepsMax = 100_000;

export class Harness {
  nowMs = 1_800_000_000_000;
  storage: ShardStorage;
  alarmAtMs: number | undefined;
  /** All calls of setAlarm, each billed as a row. */
  readonly alarmWrites: { readonly atMs: number; readonly dueAtMs: number; readonly unconfirmed: boolean }[] =
    [];
  readonly commits: WriteSet[] = [];
  /** What was done in which order: "commit", "send CLIENT TYPE", "close". */
  readonly trace: string[] = [];
  readonly fullSockets = new Set<string>();
  readonly quarantined = new Set<string>();
  /** What passed through the sockets, as the host counts it. */
  readonly traffic = { bytesReceived: 0, bytesSent: 0 };
  readonly #config: CoreConfig;
  readonly #reopen: () => ShardStorage;
  readonly #peers = new Map<string, Peer>();
  readonly #attachments = new Map<string, Uint8Array>();
  #core: ShardCore | undefined;
  #pending: Input[] = [];
  #isJoining = false;
  #opened = 0;
  #timerDueAtMs: number | undefined;

  constructor(options: HarnessOptions = {}) {
    this.#config = {
      placement: new Placement({ epoch: 1, shards: 1, topicKeyLevels: 2 }),
      limits: { ...defaultLimits, ...options.limits },
      flushesPerSecMax: options.flushesPerSecMax ?? Infinity,
      allowsAnonymous: options.allowsAnonymous ?? true,
      publishSizeBytes,
      packetSizeBytes: (packet, protocolVersion) => encodePacket(packet, protocolVersion).length,
      isUtf8,
      authenticationMethods: options.authenticationMethods ?? new Map(),
      version: "test",
    };
    this.storage = options.storage ?? new MemoryShardStorage();
    this.#reopen = options.reopen ?? (() => this.storage);
  }

  /** The shard of the present life. The object is constructed when something happens to it, not before. */
  get core(): ShardCore {
    if (this.#core === undefined) this.#start();
    return this.#core as ShardCore;
  }

  get limits(): Limits {
    return this.#config.limits;
  }

  get openConnectionIds(): string[] {
    return [...this.#peers.keys()];
  }

  /** Rows billed so far: those of the storage and one for each time the alarm was set. */
  get rowsWritten(): number {
    return this.storage.rowsWritten + this.alarmWrites.length;
  }

  /** A new WebSocket; returns its connection. */
  open(peer: Peer, clientIdHint?: string): string {
    this.#opened += 1;
    const connectionId = `connection-${this.#opened}`;
    this.#peers.set(connectionId, peer);
    this.event({
      type: "open",
      connectionId,
      randomClientId: `random-${this.#opened}`,
      ...(clientIdHint !== undefined && { clientIdHint }),
    });
    return connectionId;
  }

  /** One WebSocket message. */
  receive(connectionId: string, packets: readonly ClientPacket[], options: ReceiveOptions = {}): void {
    if (!this.#peers.has(connectionId)) return;
    const { fault, unfinished = false } = options;
    this.event({
      type: "receive",
      connectionId,
      packets,
      unfinished,
      ...(fault !== undefined && { fault }),
    });
  }

  /** The client's answer to what it is being sent: it comes with the next turn. */
  receiveNext(connectionId: string, packet: ClientPacket): void {
    this.#pending.push({ type: "receive", connectionId, packets: [packet], unfinished: false });
  }

  /** The WebSocket is gone. */
  lose(connectionId: string): void {
    if (!this.#peers.delete(connectionId)) return;
    this.event({ type: "closed", connectionId });
    this.#attachments.delete(connectionId);
  }

  /** The events of `work` come in one turn of the event loop: the shard settles once, after all of them. */
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

  /** Moves the clock, and lets the timer and the alarm come when they are due. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let step = 0; ; step += 1) {
      if (step > stepsMax) throw new Error("the timer or the alarm comes again and again");
      const timerAtMs = this.#timerDueAtMs ?? Infinity;
      const alarmAtMs = this.alarmAtMs ?? Infinity;
      const nextAtMs = Math.min(timerAtMs, alarmAtMs);
      if (nextAtMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, nextAtMs);
      if (timerAtMs <= alarmAtMs) this.event({ type: "timer" });
      else this.fireAlarm();
    }
    this.nowMs = untilMs;
  }

  /** Moves the clock alone: timers and alarms that are due come late. */
  oversleep(ms: number): void {
    this.nowMs += ms;
  }

  fireAlarm(): void {
    this.alarmAtMs = undefined;
    this.event({ type: "alarm" });
  }

  get isAwake(): boolean {
    return this.#timerDueAtMs !== undefined;
  }

  /** Hibernation: memory goes, sockets stay. A pending timer would keep the object awake. */
  evict(): void {
    if (this.isAwake) throw new Error("a timer keeps the shard awake");
    this.#restart();
  }

  /** The object is gone with its sockets, and nobody has been told. */
  reset(): void {
    const peers = [...this.#peers.values()];
    this.#pending = [];
    this.#isJoining = false;
    this.#peers.clear();
    this.#attachments.clear();
    this.#restart();
    for (const peer of peers) peer.onLost?.();
  }

  /** SIGTERM, and the next start. */
  drain(): void {
    this.event({ type: "drain" });
    this.reset();
  }

  event(input: Input): void {
    this.#run(this.core.handle(input, this.nowMs));
    if (this.#isJoining) this.#noteTimer();
    else this.#endTurn();
  }

  #restart(): void {
    this.storage = this.#reopen();
    this.#core = undefined;
    this.#timerDueAtMs = undefined;
  }

  #start(): void {
    this.#core = this.#newCore();
    const { alarmAtMs } = this;
    const [survivor] = this.#attachments.values();
    const survivingBoot = decodeAttachment(survivor)?.attachment.boot;
    const effects = this.#core.handle(
      {
        type: "start",
        ...(survivingBoot !== undefined && { survivingBoot }),
        ...(alarmAtMs !== undefined && { armedAlarmAtMs: alarmAtMs }),
      },
      this.nowMs,
    );
    this.#run(effects);
  }

  #newCore(): ShardCore {
    const read = (connectionId: string) => decodeAttachment(this.#attachments.get(connectionId))?.attachment;
    const attachments = this.#attachments;
    return new ShardCore(this.#config, {
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
      sockets: { isFull: (connectionId) => this.fullSockets.has(connectionId) },
      quarantined: this.quarantined,
    });
  }

  /** Settles, and goes on as long as clients have something to answer. */
  #endTurn(): void {
    for (let step = 0; ; step += 1) {
      if (step > stepsMax) throw new Error("the clients and the shard never come to rest");
      this.#run(this.core.handle({ type: "settle" }, this.nowMs));
      if (this.#pending.length === 0) break;
      const inputs = this.#pending;
      this.#pending = [];
      for (const input of inputs) {
        const isGone = input.type === "receive" && !this.#peers.has(input.connectionId);
        if (!isGone) this.#run(this.core.handle(input, this.nowMs));
      }
    }
    this.#noteTimer();
  }

  #noteTimer(): void {
    this.#timerDueAtMs = this.core.timerDueAtMs;
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
        this.trace.push("commit");
        this.storage.commit(effect.writes);
        return this.#run(effect.effects);
      case "setAlarm": {
        const { dueAtMs, unconfirmed } = effect;
        this.alarmWrites.push({ atMs: this.nowMs, dueAtMs, unconfirmed });
        this.alarmAtMs = dueAtMs;
        return;
      }
    }
  }

  #send(connectionId: string, packet: Received, protocolVersion: ProtocolVersion): void {
    const peer = this.#peers.get(connectionId);
    if (peer === undefined) return;
    this.trace.push(`${packet.type} to ${connectionId}`);
    peer.onReceived(packet, protocolVersion);
  }

  /** The peer answers the close with its own. */
  #close({ connectionId, code, reason }: Effect & { type: "close" }): void {
    const peer = this.#peers.get(connectionId);
    if (peer === undefined) return;
    this.trace.push(`close ${connectionId}`);
    this.#peers.delete(connectionId);
    this.#attachments.delete(connectionId);
    peer.onClosed(code, reason);
    this.#pending.push({ type: "closed", connectionId });
  }

  #attach({ connectionId, attachment }: Effect & { type: "attach" }): void {
    if (!this.#peers.has(connectionId)) return;
    const bytes = encodeAttachment(connectionId, attachment);
    if (bytes.length > attachmentBytesMax) throw new Error(`an attachment of ${bytes.length} bytes`);
    this.#attachments.set(connectionId, bytes);
  }
}
