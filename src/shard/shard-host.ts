import type { Config } from "../config.ts";
import type { Usernames } from "../core/access/identity.ts";
import type { Policy } from "../core/access/policy.ts";
import type { CostFigures } from "../core/cost/cost-meter.ts";
import { CostMeter } from "../core/cost/cost-meter.ts";
import type { ConnectionAttachment, Effect } from "../core/effect.ts";
import type { Input } from "../core/input.ts";
import type { Batch } from "../core/peers/message.ts";
import type { Layout } from "../core/placement.ts";
import { ReasonCode } from "../core/reason-code.ts";
import { ShardCore } from "../core/shard-core.ts";
import { StorageRoom } from "../core/storage-room.ts";
import { StorageFullError } from "../storage/storage-full-error.ts";
import { UnreadableError } from "../storage/unreadable-error.ts";
import { Authentications } from "./authentications.ts";
import { BackupCalls } from "./backup-calls.ts";
import type { ClientSocket } from "./client-socket.ts";
import { DueTimer } from "./due-timer.ts";
import { randomNumber } from "./random-number.ts";
import { PeerCalls } from "./peer-calls.ts";
import { decodeBatch, encodeAnswer } from "./peer-codec.ts";
import { Quarantine } from "./quarantine.ts";
import { ShardAdministration } from "./shard-administration.ts";
import type { Arrival, ShardPlatform } from "./shard-platform.ts";
import { Sockets } from "./sockets.ts";
import { Turns } from "./turns.ts";

/** Runs a {@link ShardCore}: feeds it what happens, carries out its effects, and counts what that costs. */
export class ShardHost {
  readonly #config: Config;
  readonly #platform: ShardPlatform;
  readonly #sockets: Sockets;
  readonly #quarantine = new Quarantine();
  readonly #calls: PeerCalls;
  readonly backups = new BackupCalls((input) => this.#handle(input));
  readonly administration = new ShardAdministration(
    () => this.#core.administration,
    (input) => this.#handle(input),
  );
  readonly #authentications: Authentications;
  readonly #cost: CostMeter;
  readonly #turns = new Turns(
    () => this.#settle(),
    (hasJoined) => (hasJoined ? this.#endEvent() : this.#rest()),
  );
  readonly #timer = new DueTimer(() => this.#fireTimer());
  readonly #room: StorageRoom;
  #core: ShardCore;
  #isRecovering = false;
  /** What is stored cannot be read: everybody is refused, so that nothing is overwritten. */
  #isUnreadable = false;
  #armedAlarmAtMs: number | undefined;

  constructor(config: Config, platform: ShardPlatform) {
    this.#config = config;
    this.#platform = platform;
    this.#cost = new CostMeter(platform.storage);
    this.#sockets = new Sockets(this.#cost);
    this.#calls = new PeerCalls(platform.callPeer, (input) => this.#handle(input));
    this.#authentications = new Authentications(platform.authenticate, (input) => this.#handle(input));
    this.#room = new StorageRoom(platform.storage, config.core.limits.storedBytesMax);
    this.#core = this.#newCore();
  }

  /** To be called once, before anything else. */
  start(armedAlarmAtMs: number | undefined): void {
    this.#armedAlarmAtMs = armedAlarmAtMs;
    this.#cost.start(randomNumber(), this.#platform.nowMs());
    this.#handle(this.#startInput());
  }

  /** The layout that the shard's data belong to, when it is not the present one. */
  get foreignLayout(): Layout | undefined {
    return this.#core.foreignLayout;
  }

  /** Whether one more socket may be accepted; one that is not is billed and counted all the same. */
  admitSocket(): boolean {
    if (this.#sockets.hasRoom) return true;
    this.#cost.requests += 1;
    this.#core.counters.countRefusal(ReasonCode.ServerBusy);
    return false;
  }

  open(socket: ClientSocket, arrival: Arrival): void {
    this.#cost.requests += 1;
    this.#sockets.add(socket);
    const randomClientId = arrival.randomClientId ?? `duramq-${crypto.randomUUID()}`;
    this.#handle({ type: "open", connectionId: socket.connectionId, ...arrival, randomClientId });
  }

  /** A socket that slept has something to say. */
  wake(socket: ClientSocket): ClientSocket {
    return this.#sockets.wake(socket);
  }

  receive(socket: ClientSocket, data: ArrayBuffer | string): void {
    this.#cost.framesReceived += 1;
    const sizeBytes = typeof data === "string" ? data.length : data.byteLength;
    if (typeof data !== "string") this.#sockets.traffic.bytesReceived += sizeBytes;
    const { packets, fault } = socket.decode(data);
    this.#handle({
      type: "receive",
      connectionId: socket.connectionId,
      packets,
      sizeBytes,
      unfinishedBytes: socket.unfinishedBytes,
      ...(fault !== undefined && { fault }),
    });
  }

  closed(socket: ClientSocket): void {
    this.#handle({ type: "closed", connectionId: socket.connectionId });
    this.#sockets.forget(socket);
  }

  alarm(): void {
    this.#cost.alarms += 1;
    this.lookAfter();
  }

  /** Does what an alarm does. */
  lookAfter(): void {
    this.#armedAlarmAtMs = undefined;
    this.#handle({ type: "alarm" });
  }

  drain(): void {
    this.#handle({ type: "drain" });
  }

  /** A call came that is billed as a request. */
  noteBilledCall(): void {
    this.#cost.callsBilled += 1;
  }

  /** What has held the object awake does so no longer. */
  noteReleased(): void {
    this.#rest();
  }

  /** What the shard has cost since counting began. */
  cost(): CostFigures {
    this.#handle({ type: "load" });
    return this.#cost.figures();
  }

  /** Whether the policy has still to be learnt; a shard that takes nobody needs none. */
  get lacksPolicy(): boolean {
    try {
      return this.#core.unavailability === undefined && !this.#core.access.isPolicyKnown;
    } catch (error) {
      this.#recover({ type: "load" }, error);
      return !this.#isUnreadable;
    }
  }

  /** Ends the connections of users. False after a defect. */
  revoke(usernames: Usernames): boolean {
    return this.#handle({ type: "revoke", usernames });
  }

  /** Returns the version of the policy that holds now: an older one means that this one has to come again. */
  setPolicy(policy: Policy): number {
    this.#handle({ type: "policy", policy });
    return this.#core.access.policy.version;
  }

  /** Another shard calls; the promise fails when a defect made the shard forget the call. */
  called(bytes: Uint8Array): Promise<Uint8Array> {
    if (this.#isUnreadable) return Promise.reject(new Error("The shard cannot read its data"));
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
        isDone ||= this.#isUnreadable;
        this.#calls.failAll(isDone ? undefined : callId);
      }
    }
    this.#endEvent();
  }

  #newCore(): ShardCore {
    return new ShardCore(this.#config.core, {
      shardIndex: this.#platform.shardIndex,
      storage: this.#platform.storage,
      connections: {
        list: () => this.#attachments(),
        read: (connectionId) => this.#sockets.get(connectionId)?.attachment,
      },
      traffic: this.#sockets.traffic,
      cost: this.#cost,
      sockets: { isFull: (connectionId) => this.#sockets.get(connectionId)?.isFull ?? false },
      room: this.#room,
      quarantined: this.#quarantine.clientIds,
      isUnreadable: this.#isUnreadable,
    });
  }

  #startInput(): Input {
    const armedAlarmAtMs = this.#armedAlarmAtMs;
    const [survivor] = this.#attachments();
    return {
      type: "start",
      seed: randomNumber(),
      ...(armedAlarmAtMs !== undefined && { armedAlarmAtMs }),
      ...(survivor !== undefined && { survivingBoot: survivor[1].boot }),
    };
  }

  #attachments(): Iterable<readonly [string, ConnectionAttachment]> {
    return this.#sockets.attachments(this.#platform.sockets());
  }

  /** False after a defect. */
  #handle(input: Input): boolean {
    const isHandled = this.#tryHandling(input);
    this.#endEvent();
    return isHandled;
  }

  #endEvent(): void {
    this.#turns.settleOrJoin();
    const nowMs = this.#platform.nowMs();
    this.#armTimer(nowMs);
    // The turn is open.
    this.#cost.noteTime(true, nowMs);
  }

  /** Nothing has come for a turn: the object may sleep, and then what it has counted is with one of its sockets. */
  #rest(): void {
    const isHeld =
      this.#timer.isPending ||
      this.#calls.isPending ||
      this.#authentications.isPending ||
      this.#platform.isHeld();
    this.#cost.noteTime(isHeld, this.#platform.nowMs());
    if (this.#config.socketMode === "resident" || !this.#cost.hasUnshared) return;
    for (const { attachment, connectionId } of this.#sockets.values()) {
      if (attachment === undefined) continue;
      this.#cost.shareWith(connectionId);
      this.#sockets.carryOut({ type: "attach", connectionId, attachment });
      return;
    }
  }

  #tryHandling(input: Input): boolean {
    try {
      this.#run(this.#core.handle(input, this.#platform.nowMs()));
      return true;
    } catch (error) {
      this.#recover(input, error);
      return false;
    }
  }

  #run(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === "commit") this.#commit(effect);
      else if (effect.type === "setAlarm") this.#setAlarm(effect.dueAtMs, effect.unconfirmed);
      else if (effect.type === "call") this.#call(effect.batch);
      else if (effect.type === "authenticate") this.#authentications.ask(effect);
      else if (effect.type === "backup") this.backups.answer(effect.callId, effect.answer);
      else if (effect.type === "answer") this.#calls.answer(effect.callId, effect.answer);
      else this.#sockets.carryOut(effect);
    }
  }

  #call(batch: Batch): void {
    this.#cost.callsMade += 1;
    this.#calls.send(batch);
  }

  #setAlarm(dueAtMs: number, unconfirmed: boolean): void {
    this.#cost.alarmsSet += 1;
    this.#armedAlarmAtMs = dueAtMs;
    this.#platform.setAlarm(dueAtMs, unconfirmed);
  }

  /** What does not depend on the write leaves before it: the runtime holds back what follows. */
  #commit({ writes, effects }: Effect & { type: "commit" }): void {
    this.#sendAll();
    try {
      this.#platform.storage.commit(writes);
    } catch (error) {
      for (const effect of effects) this.#sockets.noteUnanswered(effect);
      this.#endCommit(error);
    }
    this.#run(effects);
  }

  /** Without room the event is undone, and no more work is taken that needs some; any other failure ends this life. */
  #endCommit(error: unknown): never {
    const hasRoom = !(error instanceof StorageFullError) || this.#isRecovering;
    if (!hasRoom) {
      this.#room.noteFull(this.#platform.nowMs());
      throw error;
    }
    console.error("duramq: commit failed, the shard resets", error);
    this.#platform.reset("commit failed");
  }

  #settle(): void {
    this.#tryHandling({ type: "settle" });
    this.#sendAll();
    // Each of these ends at least one connection, so this ends.
    while (this.#sockets.hasBroken || this.#sockets.unsent.hasOverflowing) {
      for (const { connectionId } of this.#sockets.unsent.takeOverflowing())
        this.#tryHandling({ type: "stalled", connectionId });
      this.#dismissBroken();
      this.#sendAll();
    }
  }

  #dismissBroken(): void {
    for (const connectionId of this.#sockets.takeBroken()) {
      this.#tryHandling({ type: "closed", connectionId });
      this.#sockets.dismiss(connectionId);
    }
  }

  #sendAll(): void {
    this.#sockets.sendAll(this.#platform.nowMs());
  }

  /** Only a pending timer, no alarm, for what is in memory only: it keeps the object awake, and memory with it. */
  #armTimer(nowMs: number): void {
    const { timerDueAtMs = Infinity } = this.#core;
    const { checkDueAtMs = Infinity } = this.#sockets.unsent;
    this.#timer.arm(Math.min(timerDueAtMs, checkDueAtMs), nowMs);
  }

  #fireTimer(): void {
    for (const { connectionId } of this.#sockets.unsent.takeStalled(this.#platform.nowMs()))
      this.#handle({ type: "stalled", connectionId });
    this.#handle({ type: "timer" });
  }

  /**
   * A defect: nothing of the event is kept. All memory is rebuilt from storage and attachments; the connection at
   * fault is closed, and so are those whose state was in memory only.
   */
  #recover(input: Input, error: unknown): void {
    this.#isUnreadable ||= error instanceof UnreadableError;
    console.error(this.#isUnreadable ? unreadableReport : `duramq: handling "${input.type}" failed`, error);
    const { clientIdInHand } = this.#core;
    const isBlamed = clientIdInHand !== undefined && !(error instanceof StorageFullError);
    if (isBlamed) this.#quarantine.blame(clientIdInHand);
    const lost = new Set(this.#isUnreadable ? this.#connectedIds() : this.#core.unsafeConnectionIds());
    // Who has had no CONNACK gets one that says so.
    const isAnswerable = this.#isUnreadable && input.type === "receive" && !lost.has(input.connectionId);
    if ("connectionId" in input) lost.add(input.connectionId);
    this.#core = this.#newCore();
    this.backups.failAll();
    if (input.type !== "called") this.#calls.failAll();
    if (input.type === "alarm") this.#setAlarm(this.#platform.nowMs() + alarmRetryMs, false);
    this.#isRecovering = true;
    this.#replay(this.#startInput());
    if (isAnswerable) this.#replay(input);
    for (const connectionId of lost) {
      this.#replay({ type: "closed", connectionId, isLost: true });
      this.#sockets.dismiss(connectionId);
    }
    this.#isRecovering = false;
  }

  #connectedIds(): string[] {
    return [...this.#attachments()].flatMap(([id, { client }]) => (client === undefined ? [] : [id]));
  }

  #replay(input: Input): void {
    try {
      this.#run(this.#core.handle(input, this.#platform.nowMs()));
    } catch (error) {
      console.error(`duramq: handling "${input.type}" failed again`, error);
    }
  }
}

const unreadableReport = "duramq: every CONNECT is refused until the data can be read:";

/** How soon the alarm tries again after a defect. */
const alarmRetryMs = 2_000;
