/** One shard: the core, and a host that treats it as the platform does, with its storage, sockets, timer and alarm. */
import { StorageRoom } from "../src/core/storage-room.ts";
import { encodePacket, PacketDecoder, PublishEncoder } from "../src/codec/index.ts";
import { deserialize, serialize } from "node:v8";
import type { CoreConfig } from "../src/core/config.ts";
import { CostMeter } from "../src/core/cost/cost-meter.ts";
import type { ConnectionAttachment, Effect } from "../src/core/effect.ts";
import type { Input } from "../src/core/input.ts";
import type { ClientPacket } from "../src/core/packet.ts";
import type { Batch, BatchAnswer } from "../src/core/peers/message.ts";
import { ShardCore } from "../src/core/shard-core.ts";
import { decodeAttachment, encodeAttachment } from "../src/shard/attachment-codec.ts";
import { Disk } from "./disk.ts";
import { Doubts } from "./doubts.ts";
import { FlakyStorage, PlannedFailure } from "./flaky-storage.ts";
import { Violation } from "./history.ts";
import type { Link } from "./link.ts";
import type { Random, Span } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

export interface ShardParts {
  readonly index: number;
  readonly config: CoreConfig;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly commitMs: Span;
  readonly log: (line: string) => void;
  readonly onCall: (batch: Batch, life: number) => void;
  readonly onAnswer: (callId: number, answer: BatchAnswer) => void;
  /** The object has forgotten calls that it had not answered. */
  readonly onForgotten: (callIds: readonly number[]) => void;
}

/** What waits until a write is safe. */
interface Held {
  readonly batch: number;
  readonly go: () => void;
}

const attachmentBytesMax = 16_384;
const alarmRetryMs = 2_000;
/** Inputs that do not end their turn. */
const joins: readonly Input["type"][] = ["receive", "called", "answered"];

export class ShardProcess {
  readonly index: number;
  readonly disk = new Disk();
  readonly links = new Map<string, Link>();
  /** Counts constructions of the object: nothing of one gets into the next. */
  life = 0;
  /** Counts its memories: of one life there may be several. */
  memory = 0;
  /** Objects, or their memory, lost. */
  lossCount = 0;
  /** When the object was constructed, each time. */
  readonly startedAtMs: number[] = [];
  readonly doubts = new Doubts();
  readonly #parts: ShardParts;
  readonly #attachments = new Map<string, Uint8Array>();
  readonly #decoders = new Map<string, PacketDecoder>();
  readonly #encoder = new PublishEncoder();
  #core: ShardCore | undefined;
  #downUntilMs = 0;
  #inbox: { readonly isOfSocket: boolean; readonly work: () => void }[] = [];
  #held: Held[] = [];
  /** Sockets that are about to be told that they are closed. */
  readonly #closing = new Set<Link>();
  #safeAtMs = 0;
  readonly #unanswered = new Set<number>();
  #isJoining = false;
  #hasJoined = false;
  #timerDueAtMs: number | undefined;
  #armedAtMs: number | undefined;
  #failsNext = false;
  /** At the next write the object is lost, and comes back after that. */
  #resetsWithMs: number | undefined;
  #storage: FlakyStorage | undefined;

  constructor(parts: ShardParts) {
    this.#parts = parts;
    this.index = parts.index;
  }

  get core(): ShardCore | undefined {
    return this.#core;
  }

  /** Nothing waits in memory. */
  get isAtRest(): boolean {
    const isQuiet = !this.#isJoining && this.#inbox.length === 0 && this.#unanswered.size === 0;
    return isQuiet && this.disk.isSafe && this.#timerDueAtMs === undefined;
  }

  get restlessness(): string {
    const { isSafe } = this.disk;
    return `timer ${this.#timerDueAtMs}, unanswered ${this.#unanswered.size}, written ${isSafe}`;
  }

  /** An event: it is handled now, or when the object is there. Events stay in order. */
  post(input: Input, before?: () => void, after?: () => void): void {
    this.#enqueue("connectionId" in input, () => {
      if (input.type === "called") this.#unanswered.add(input.callId);
      before?.();
      this.#event(input);
      after?.();
    });
  }

  /** A WebSocket message comes. `note` is told what is in it, before it is handled. */
  receive(connectionId: string, bytes: Uint8Array, note: (packets: readonly ClientPacket[]) => void): void {
    this.#enqueue(true, () => {
      if (!this.links.has(connectionId)) return;
      const decoder = this.#decoderOf(connectionId);
      const { packets, fault } = decoder.push(bytes);
      if (fault !== undefined)
        throw new Violation("wire", `${connectionId} is not read: ${fault.reasonString}`);
      note(packets);
      const { unfinishedBytes } = decoder;
      this.#event({ type: "receive", connectionId, packets, sizeBytes: bytes.length, unfinishedBytes });
    });
  }

  #enqueue(isOfSocket: boolean, work: () => void): void {
    if (this.#inbox.length === 0 && this.#parts.scheduler.nowMs >= this.#downUntilMs) return work();
    this.#inbox.push({ isOfSocket, work });
    if (this.#inbox.length === 1) this.#parts.scheduler.at(this.#downUntilMs, () => this.#drain());
  }

  /** Hibernation: memory goes, sockets and what is written stay. False when something keeps the object awake. */
  evict(): boolean {
    if (this.#core === undefined || !this.isAtRest) return false;
    this.#parts.log(`shard ${this.index} is evicted with ${this.links.size} sockets`);
    this.#end(1);
    return true;
  }

  /** The object is gone with its sockets and all that is not safe, and nobody has been told. */
  reset(restartMs: number): void {
    this.#parts.log(`shard ${this.index} is reset`);
    this.lossCount += 1;
    if (this.#hasJoined || !this.disk.isSafe) this.doubts.raise();
    this.#end(restartMs);
    this.disk.crash();
    // What sockets had to say goes with them.
    this.#inbox = this.#inbox.filter(({ isOfSocket }) => !isOfSocket);
    for (const link of [...this.links.values(), ...this.#closing]) link.onReset();
    this.links.clear();
    this.#closing.clear();
    this.#attachments.clear();
    this.#armAlarm();
  }

  /** The same while the next write is not safe. */
  resetWhileWriting(restartMs: number): void {
    this.#resetsWithMs = restartMs;
  }

  /** An exception comes with the next event, or where storage is read next. */
  fail(where: "event" | "read"): void {
    if (where === "event") this.#failsNext = true;
    else if (this.#storage !== undefined) this.#storage.failsNext = true;
  }

  /** No exceptions any more, and no resets. */
  heal(): void {
    this.#failsNext = false;
    this.#resetsWithMs = undefined;
    if (this.#storage !== undefined) this.#storage.failsNext = false;
  }

  /** For checks: the core with all that it knows, as it is or as it would wake. */
  awake(): ShardCore {
    if (this.#core === undefined) this.#event({ type: "settle" });
    const core = this.#core as unknown as ShardCore;
    core.load(this.#parts.scheduler.nowMs);
    return core;
  }

  #end(downMs: number): void {
    const { scheduler } = this.#parts;
    const forgotten = [...this.#unanswered];
    this.#unanswered.clear();
    this.#core = undefined;
    this.#decoders.clear();
    this.life += 1;
    // The next life begins later.
    this.#downUntilMs = Math.max(this.#downUntilMs, scheduler.nowMs + Math.max(1, downMs));
    this.#held = [];
    this.#safeAtMs = 0;
    this.#isJoining = false;
    this.#hasJoined = false;
    this.#failsNext = false;
    this.#timerDueAtMs = undefined;
    this.#parts.onForgotten(forgotten);
  }

  #drain(): void {
    const { scheduler } = this.#parts;
    if (scheduler.nowMs < this.#downUntilMs) return scheduler.at(this.#downUntilMs, () => this.#drain());
    const inbox = this.#inbox;
    this.#inbox = [];
    for (const { work } of inbox) work();
  }

  #event(input: Input): void {
    if (this.#core === undefined) this.#start();
    if (input.type === "alarm") this.disk.setAlarm(undefined, true);
    this.#handle(input);
    if (this.#isJoining) this.#hasJoined = true;
    else this.#settleAndJoin();
    this.#endEvent();
  }

  /** As long as every turn brings events, they share a settlement. */
  #settleAndJoin(): void {
    this.#handle({ type: "settle" });
    this.#isJoining = true;
    const { life } = this;
    this.#parts.scheduler.after(this.#parts.random.between(0, 1), () => {
      if (this.life !== life) return;
      this.#isJoining = false;
      if (!this.#hasJoined) return;
      this.#hasJoined = false;
      this.#settleAndJoin();
      this.#endEvent();
    });
  }

  #endEvent(): void {
    this.#secure();
    this.#armTimer();
    this.#armAlarm();
  }

  /** What the event wrote becomes safe after a while, in order. */
  #secure(): void {
    const number = this.disk.seal();
    if (number === undefined) return;
    const { scheduler, random, commitMs } = this.#parts;
    this.#safeAtMs = Math.max(this.#safeAtMs, scheduler.nowMs + random.in(commitMs));
    const { life } = this;
    const writtenAtMs = scheduler.nowMs;
    const restartMs = this.#resetsWithMs;
    if (restartMs !== undefined) {
      this.#resetsWithMs = undefined;
      const atMs = random.between(writtenAtMs, this.#safeAtMs);
      scheduler.at(atMs, () => this.life === life && this.reset(restartMs));
    }
    scheduler.at(this.#safeAtMs, () => {
      if (this.life !== life) return;
      this.disk.secure(number);
      this.doubts.noteSafe(writtenAtMs);
      for (let [first] = this.#held; first !== undefined && first.batch <= number; [first] = this.#held) {
        this.#held.shift();
        first.go();
      }
    });
  }

  /** The output gate: what follows a write leaves when the write is safe. */
  #emit(go: () => void): void {
    const batch = this.disk.pendingNumber;
    if (batch === 0) go();
    else this.#held.push({ batch, go });
  }

  #handle(input: Input): void {
    const fails = this.#failsNext && input.type !== "settle";
    // Where the turn goes on after the event the exception comes in the midst of it, else at its beginning.
    if (fails && !joins.includes(input.type)) return this.#recover(input);
    const core = this.#core as ShardCore;
    let effects: readonly Effect[];
    try {
      effects = core.handle(input, this.#parts.scheduler.nowMs);
    } catch (error) {
      if (error instanceof PlannedFailure) return this.#recover(input);
      throw new Error(`shard ${this.index} fails at "${input.type}"`, { cause: error });
    }
    if (fails) this.#recover(input);
    else this.#run(effects);
  }

  #start(): void {
    this.#core = this.#newCore();
    this.memory += 1;
    const { random, scheduler } = this.#parts;
    this.startedAtMs.push(scheduler.nowMs);
    const { alarmAtMs } = this.disk;
    const [survivor] = this.#attachments.keys();
    const survivingBoot = this.#attachmentOf(survivor ?? "")?.boot;
    const input: Input = {
      type: "start",
      seed: random.between(0, 2 ** 32 - 1),
      ...(survivingBoot !== undefined && { survivingBoot }),
      ...(alarmAtMs !== undefined && { armedAlarmAtMs: alarmAtMs }),
    };
    this.#run(this.#core.handle(input, scheduler.nowMs));
  }

  #newCore(): ShardCore {
    const read = (connectionId: string) => this.#attachmentOf(connectionId);
    const { links } = this;
    this.#storage = new FlakyStorage(this.disk.storage);
    return new ShardCore(this.#parts.config, {
      shardIndex: this.index,
      storage: this.#storage.storage,
      room: new StorageRoom(this.#storage.storage, this.#parts.config.limits.storedBytesMax),
      connections: {
        *list() {
          for (const [connectionId, { isGone, isHeard }] of links) {
            const attachment = isGone && !isHeard ? undefined : read(connectionId);
            if (attachment !== undefined) yield [connectionId, attachment] as const;
          }
        },
        read,
      },
      traffic: { bytesReceived: 0, bytesSent: 0 },
      cost: new CostMeter(this.#storage.storage),
      sockets: { isFull: () => false },
      quarantined: new Set(),
    });
  }

  /** As after a defect: nothing of the event is kept, and who cannot go on from an attachment is sent away. */
  #recover(input: Input): void {
    this.#parts.log(`shard ${this.index} recovers from a defect at "${input.type}"`);
    this.#failsNext = false;
    this.lossCount += 1;
    this.doubts.raise();
    const lost = new Set(this.#core?.unsafeConnectionIds());
    if ("connectionId" in input) lost.add(input.connectionId);
    const forgotten = [...this.#unanswered];
    this.#unanswered.clear();
    this.forgetMemory();
    this.#parts.onForgotten(forgotten);
    if (input.type === "alarm") this.disk.setAlarm(this.#parts.scheduler.nowMs + alarmRetryMs, true);
    for (const connectionId of lost) {
      this.#handle({ type: "closed", connectionId, isLost: true });
      this.#close(connectionId, "Internal error");
    }
  }

  /** The core is made anew of what is written and attached. */
  forgetMemory(): void {
    this.#start();
  }

  #run(effects: readonly Effect[]): void {
    for (const effect of effects) this.carryOut(effect);
  }

  carryOut(effect: Effect): void {
    switch (effect.type) {
      case "send": {
        const link = this.links.get(effect.connectionId);
        const bytes = encodePacket(effect.packet, effect.protocolVersion);
        return link && this.#emit(() => link.send(bytes));
      }
      case "deliver": {
        const link = this.links.get(effect.connectionId);
        const bytes = this.#encoder.encode(effect.delivery, effect.protocolVersion);
        return link && this.#emit(() => link.send(bytes));
      }
      case "close":
        return this.#close(effect.connectionId, effect.reason);
      case "attach":
        return this.#attach(effect);
      case "commit":
        this.disk.write(effect.writes);
        return this.#run(effect.effects);
      case "call": {
        const { life } = this;
        return this.#emit(() => this.#parts.onCall(effect.batch, life));
      }
      case "authenticate":
        throw new Error("a client has credentials");
      case "answer":
        return this.#emit(() => {
          if (this.#unanswered.delete(effect.callId)) this.#parts.onAnswer(effect.callId, effect.answer);
        });
      case "backup":
        return;
      case "setAlarm":
        return this.disk.setAlarm(effect.dueAtMs, !effect.unconfirmed);
    }
  }

  #close(connectionId: string, reason: string): void {
    const link = this.links.get(connectionId);
    if (link === undefined) return;
    this.forget(connectionId);
    link.onClosedByServer();
    this.#closing.add(link);
    this.#emit(() => {
      this.#closing.delete(link);
      link.close(reason);
    });
  }

  /** The socket has gone, and the object has heard of it. */
  forget(connectionId: string): void {
    this.links.delete(connectionId);
    this.#attachments.delete(connectionId);
    this.#decoders.delete(connectionId);
  }

  #attachmentOf(connectionId: string): ConnectionAttachment | undefined {
    const bytes = this.#attachments.get(connectionId);
    return bytes && decodeAttachment(deserialize(bytes))?.attachment;
  }

  /** What of a packet has come is memory; what wakes knows only the version of the protocol. */
  #decoderOf(connectionId: string): PacketDecoder {
    let decoder = this.#decoders.get(connectionId);
    if (decoder === undefined) {
      const { maximumPacketSizeBytes } = this.#parts.config.limits;
      const client = this.#attachmentOf(connectionId)?.client;
      const version = client && { protocolVersion: client.protocolVersion };
      decoder = new PacketDecoder({ maximumPacketSizeBytes, ...version });
      this.#decoders.set(connectionId, decoder);
    }
    return decoder;
  }

  #attach({ connectionId, attachment }: Effect & { type: "attach" }): void {
    if (!this.links.has(connectionId)) return;
    const bytes = serialize(encodeAttachment(connectionId, attachment));
    if (bytes.length > attachmentBytesMax) throw new Error(`an attachment of ${bytes.length} bytes`);
    this.#attachments.set(connectionId, bytes);
  }

  #armTimer(): void {
    const dueAtMs = this.#core?.timerDueAtMs;
    if (dueAtMs === this.#timerDueAtMs) return;
    this.#timerDueAtMs = dueAtMs;
    if (dueAtMs === undefined) return;
    const { life } = this;
    this.#parts.scheduler.at(dueAtMs, () => {
      if (this.life !== life || this.#timerDueAtMs !== dueAtMs) return;
      this.#timerDueAtMs = undefined;
      this.#event({ type: "timer" });
    });
  }

  #armAlarm(): void {
    const { alarmAtMs } = this.disk;
    if (alarmAtMs === this.#armedAtMs) return;
    this.#armedAtMs = alarmAtMs;
    if (alarmAtMs === undefined) return;
    this.#parts.scheduler.at(Math.max(alarmAtMs, this.#downUntilMs), () => this.#fireAlarm(alarmAtMs));
  }

  #fireAlarm(alarmAtMs: number): void {
    const { scheduler } = this.#parts;
    if (this.#armedAtMs !== alarmAtMs || this.disk.alarmAtMs !== alarmAtMs) return;
    if (scheduler.nowMs < this.#downUntilMs) {
      return scheduler.at(this.#downUntilMs, () => this.#fireAlarm(alarmAtMs));
    }
    this.#armedAtMs = undefined;
    this.post({ type: "alarm" });
  }
}
