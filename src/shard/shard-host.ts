import type { Decoded } from "../codec/index.ts";
import { encodePacket, PublishEncoder } from "../codec/index.ts";
import type { Config } from "../config.ts";
import type { Policy } from "../core/access/policy.ts";
import type { ConnectionAttachment, Effect } from "../core/effect.ts";
import type { Input } from "../core/input.ts";
import type { Batch } from "../core/peers/message.ts";
import type { Layout } from "../core/placement.ts";
import { ReasonCode } from "../core/reason-code.ts";
import { ShardCore } from "../core/shard-core.ts";
import type { ClientSocket } from "./client-socket.ts";
import { Authentications } from "./authentications.ts";
import { PeerCalls } from "./peer-calls.ts";
import { decodeBatch, encodeAnswer } from "./peer-codec.ts";
import { Quarantine } from "./quarantine.ts";
import type { Arrival, ShardPlatform } from "./shard-platform.ts";
import { StalledSockets } from "./stalled-sockets.ts";
import { WakeTimer } from "./wake-timer.ts";

type SocketEffect = Effect & { type: "send" | "deliver" | "close" | "attach" };

/**
 * Runs a {@link ShardCore}: feeds it what happens, carries out its effects, and decides when output is joined. A
 * quiet shard settles at the end of each event; a busy one after all the events that one turn of the event loop
 * brings.
 */
export class ShardHost {
  readonly #config: Config;
  readonly #platform: ShardPlatform;
  readonly #encoder = new PublishEncoder();
  readonly #sockets = new Map<string, ClientSocket>();
  /** Sockets with something written and not yet sent. */
  readonly #unsent = new Set<ClientSocket>();
  readonly #traffic = { bytesReceived: 0, bytesSent: 0 };
  /** Connections for which an effect failed. */
  readonly #broken = new Set<string>();
  readonly #stalled = new StalledSockets();
  /** Sockets with more untaken than any client may have. */
  readonly #overflowing = new Set<ClientSocket>();
  readonly #quarantine = new Quarantine();
  readonly #calls: PeerCalls;
  readonly #authentications: Authentications;
  #core: ShardCore;
  #armedAlarmAtMs: number | undefined;
  /** Set while events join those before them. */
  #joinTimer: ReturnType<typeof setTimeout> | undefined;
  #hasJoined = false;
  /** Only a pending timer, no alarm, for what is in memory only: it keeps the object awake, and memory with it. */
  readonly #timer: WakeTimer;

  constructor(config: Config, platform: ShardPlatform) {
    this.#config = config;
    this.#platform = platform;
    this.#calls = new PeerCalls(platform.callPeer, (input) => this.#handle(input));
    this.#authentications = new Authentications(platform.authenticate, (input) => this.#handle(input));
    this.#timer = new WakeTimer(
      () => platform.nowMs(),
      () => this.#fireTimer(),
    );
    this.#core = this.#newCore();
  }

  /** To be called once, before anything else. */
  start(armedAlarmAtMs: number | undefined): void {
    this.#armedAlarmAtMs = armedAlarmAtMs;
    this.#handle(this.#startInput());
  }

  /** The layout that the shard's data belong to, when it is not the present one. */
  get foreignLayout(): Layout | undefined {
    return this.#core.foreignLayout;
  }

  open(socket: ClientSocket, arrival: Arrival): void {
    const { connectionId } = socket;
    this.#sockets.set(connectionId, socket);
    const randomClientId = arrival.randomClientId ?? `duramq-${crypto.randomUUID()}`;
    this.#handle({ type: "open", connectionId, ...arrival, randomClientId });
  }

  /** A socket that slept has something to say. */
  wake(socket: ClientSocket): ClientSocket {
    const known = this.#sockets.get(socket.connectionId);
    if (known !== undefined) return known;
    this.#sockets.set(socket.connectionId, socket);
    return socket;
  }

  receive(socket: ClientSocket, data: ArrayBuffer | string): void {
    if (typeof data !== "string") this.#traffic.bytesReceived += data.byteLength;
    this.#receive(socket, socket.decode(data));
  }

  closed(socket: ClientSocket): void {
    this.#handle({ type: "closed", connectionId: socket.connectionId });
    this.#sockets.delete(socket.connectionId);
    this.#unsent.delete(socket);
    this.#stalled.forget(socket);
  }

  alarm(): void {
    this.#armedAlarmAtMs = undefined;
    this.#handle({ type: "alarm" });
  }

  drain(): void {
    this.#handle({ type: "drain" });
  }

  /** Returns the version of the policy that holds now: an older one means that this one has to come again. */
  setPolicy(policy: Policy): number {
    this.#handle({ type: "policy", policy });
    return this.#core.access.policy.version;
  }

  /** Another shard calls; the promise fails when a defect made the shard forget the call. */
  called(bytes: Uint8Array): Promise<Uint8Array> {
    const decoded = decodeBatch(bytes);
    if ("refusal" in decoded) return Promise.resolve(encodeAnswer(decoded.refusal));
    const { callId, answered } = this.#calls.open();
    this.#handleBatch(callId, decoded.batch);
    return answered;
  }

  /** An item at which the core fails is left out when the batch is handled again. */
  #handleBatch(callId: number, batch: Batch): void {
    const skip = new Set<number>();
    for (let isDone = false; !isDone;) {
      const input: Input = { type: "called", callId, batch, skip };
      try {
        this.#run(this.#core.handle(input, this.#platform.nowMs()));
        isDone = true;
      } catch (error) {
        const item = this.#core.peerItemInHand;
        isDone = item === undefined || skip.has(item);
        if (item !== undefined) skip.add(item);
        this.#recover(input, error);
        this.#calls.failAll(isDone ? undefined : callId);
      }
    }
    this.#settleOrJoin();
    this.#armTimer();
  }

  #receive(socket: ClientSocket, { packets, fault }: Decoded): void {
    this.#handle({
      type: "receive",
      connectionId: socket.connectionId,
      packets,
      unfinished: socket.decoder.isInsidePacket,
      ...(fault !== undefined && { fault }),
    });
  }

  #newCore(): ShardCore {
    return new ShardCore(this.#config.core, {
      shardIndex: this.#platform.shardIndex,
      storage: this.#platform.storage,
      connections: {
        list: () => this.#attachments(),
        read: (connectionId) => this.#sockets.get(connectionId)?.attachment,
      },
      traffic: this.#traffic,
      sockets: { isFull: (connectionId) => this.#sockets.get(connectionId)?.isFull ?? false },
      quarantined: this.#quarantine.clientIds,
    });
  }

  #startInput(): Input {
    const armedAlarmAtMs = this.#armedAlarmAtMs;
    const [survivor] = this.#attachments();
    return {
      type: "start",
      seed: crypto.getRandomValues(new Uint32Array(1))[0] as number,
      ...(armedAlarmAtMs !== undefined && { armedAlarmAtMs }),
      ...(survivor !== undefined && { survivingBoot: survivor[1].boot }),
    };
  }

  /** The connections of all sockets that may have one, each woken when it is come to. */
  *#attachments(): Iterable<readonly [string, ConnectionAttachment]> {
    const seen = new Set<ClientSocket>();
    for (const found of this.#platform.sockets()) {
      const socket = this.wake(found);
      seen.add(socket);
      if (socket.attachment !== undefined) yield [socket.connectionId, socket.attachment];
    }
    // A socket whose close woke the object is not among the platform's any more.
    for (const socket of this.#sockets.values()) {
      if (socket.attachment !== undefined && !seen.has(socket))
        yield [socket.connectionId, socket.attachment];
    }
  }

  #handle(input: Input): void {
    this.#tryHandling(input);
    this.#settleOrJoin();
    this.#armTimer();
  }

  #tryHandling(input: Input): void {
    try {
      this.#run(this.#core.handle(input, this.#platform.nowMs()));
    } catch (error) {
      this.#recover(input, error);
    }
  }

  #run(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === "commit") this.#commit(effect);
      else if (effect.type === "setAlarm") this.#setAlarm(effect.dueAtMs, effect.unconfirmed);
      else if (effect.type === "call") this.#calls.send(effect.batch);
      else if (effect.type === "authenticate") this.#authentications.ask(effect);
      else if (effect.type === "answer") this.#calls.answer(effect.callId, effect.answer);
      else this.#runForConnection(effect);
    }
  }

  /** What fails for one connection ends that one only. */
  #runForConnection(effect: SocketEffect): void {
    const { connectionId } = effect;
    try {
      if (effect.type === "send")
        this.#write(connectionId, encodePacket(effect.packet, effect.protocolVersion));
      else if (effect.type === "deliver")
        this.#write(connectionId, this.#encoder.encode(effect.delivery, effect.protocolVersion));
      else if (effect.type === "close") this.#close(effect);
      else this.#sockets.get(connectionId)?.attach(effect.attachment);
    } catch (error) {
      console.error(`duramq: "${effect.type}" failed`, error);
      this.#broken.add(connectionId);
    }
  }

  #setAlarm(dueAtMs: number, unconfirmed: boolean): void {
    this.#armedAlarmAtMs = dueAtMs;
    this.#platform.setAlarm(dueAtMs, unconfirmed);
  }

  /** What does not depend on the write leaves before it: the runtime holds back what follows. */
  #commit({ writes, effects }: Effect & { type: "commit" }): void {
    this.#sendAll();
    try {
      this.#platform.storage.commit(writes);
    } catch (error) {
      console.error("duramq: commit failed, the shard resets", error);
      this.#platform.reset("commit failed");
    }
    this.#run(effects);
  }

  #write(connectionId: string, bytes: Uint8Array): void {
    const socket = this.#sockets.get(connectionId);
    if (socket === undefined) return;
    socket.write(bytes);
    this.#traffic.bytesSent += bytes.length;
    this.#unsent.add(socket);
  }

  #close({ connectionId, code, reason }: Effect & { type: "close" }): void {
    const socket = this.#sockets.get(connectionId);
    if (socket === undefined) return;
    this.#unsent.delete(socket);
    this.#stalled.forget(socket);
    socket.close(code, reason);
    this.#sockets.delete(connectionId);
  }

  #settleOrJoin(): void {
    if (this.#joinTimer !== undefined) {
      this.#hasJoined = true;
      return;
    }
    this.#settle();
    this.#joinTimer = setTimeout(() => this.#endJoining(), 0);
  }

  /** Goes on joining as long as every turn brings events. */
  #endJoining(): void {
    this.#joinTimer = undefined;
    if (!this.#hasJoined) return;
    this.#hasJoined = false;
    this.#settleOrJoin();
    this.#armTimer();
  }

  #settle(): void {
    this.#tryHandling({ type: "settle" });
    this.#sendAll();
    // Each of these ends at least one connection, so this ends.
    while (this.#broken.size + this.#overflowing.size > 0) {
      this.#endOverflowing();
      this.#dismissBroken();
      this.#sendAll();
    }
  }

  #endOverflowing(): void {
    const sockets = [...this.#overflowing];
    this.#overflowing.clear();
    for (const { connectionId } of sockets) this.#tryHandling({ type: "stalled", connectionId });
  }

  #dismissBroken(): void {
    const connectionIds = [...this.#broken];
    this.#broken.clear();
    for (const connectionId of connectionIds) {
      this.#tryHandling({ type: "closed", connectionId });
      this.#dismiss(connectionId);
    }
  }

  #sendAll(): void {
    const nowMs = this.#platform.nowMs();
    for (const socket of this.#unsent) {
      this.#flush(socket);
      this.#stalled.note(socket, nowMs);
      if (this.#stalled.isOverflowing(socket)) this.#overflowing.add(socket);
    }
    this.#unsent.clear();
  }

  #flush(socket: ClientSocket): void {
    try {
      socket.flush();
    } catch (error) {
      console.error("duramq: sending failed", error);
      this.#broken.add(socket.connectionId);
    }
  }

  #armTimer(): void {
    this.#timer.arm(Math.min(this.#core.timerDueAtMs ?? Infinity, this.#stalled.checkDueAtMs ?? Infinity));
  }

  #fireTimer(): void {
    const nowMs = this.#platform.nowMs();
    if ((this.#stalled.checkDueAtMs ?? Infinity) <= nowMs) {
      for (const { connectionId } of this.#stalled.takeStalled(nowMs)) {
        this.#handle({ type: "stalled", connectionId });
      }
    }
    this.#handle({ type: "timer" });
  }

  /**
   * A defect: nothing of the event is kept. All memory is rebuilt from storage and attachments; the connection at
   * fault is closed, and so are those whose state was in memory only.
   */
  #recover(input: Input, error: unknown): void {
    console.error(`duramq: handling "${input.type}" failed`, error);
    const { clientIdInHand } = this.#core;
    if (clientIdInHand !== undefined) this.#quarantine.blame(clientIdInHand);
    const lost = new Set(this.#core.unsafeConnectionIds());
    if ("connectionId" in input) lost.add(input.connectionId);
    this.#core = this.#newCore();
    if (input.type !== "called") this.#calls.failAll();
    if (input.type === "alarm") this.#setAlarm(this.#platform.nowMs() + alarmRetryMs, false);
    this.#replay(this.#startInput());
    for (const connectionId of lost) {
      this.#replay({ type: "closed", connectionId });
      this.#dismiss(connectionId);
    }
  }

  #replay(input: Input): void {
    try {
      this.#run(this.#core.handle(input, this.#platform.nowMs()));
    } catch (error) {
      console.error(`duramq: handling "${input.type}" failed again`, error);
    }
  }

  #dismiss(connectionId: string): void {
    const socket = this.#sockets.get(connectionId);
    if (socket === undefined) return;
    if (socket.attachment?.client?.protocolVersion === 5) {
      const { ImplementationSpecificError: reasonCode } = ReasonCode;
      this.#write(connectionId, encodePacket({ type: "disconnect", reasonCode }, 5));
    }
    this.#close({ type: "close", connectionId, code: 1011, reason: "Internal error" });
  }
}

/** How soon the alarm tries again after a defect. */
const alarmRetryMs = 2_000;
