import { Boot } from "./boot.ts";
import { Clock } from "./clock.ts";
import type { CoreConfig } from "./config.ts";
import { flushBurst } from "./config.ts";
import { Counters } from "./counters.ts";
import { Connection } from "./connection/connection.ts";
import { detach, disconnect, hangUp } from "./connection/disconnecting.ts";
import { handlePacket, refuseBytes } from "./connection/receiving.ts";
import type { AttachedClient, Effect, SurvivingConnections } from "./effect.ts";
import type { Traffic } from "./figures.ts";
import { figuresOf } from "./figures.ts";
import type { Input } from "./input.ts";
import { Output } from "./output.ts";
import { MessageLog } from "./queue/message-log.ts";
import { ReasonCode } from "./reason-code.ts";
import type { SocketBuffers } from "./session/delivering.ts";
import { Delivering } from "./session/delivering.ts";
import { Sessions } from "./session/sessions.ts";
import type { ShardContext } from "./shard-context.ts";
import type { ShardStorage, WriteSet } from "./storage-port.ts";
import { TokenBucket } from "./token-bucket.ts";
import { LocalTopicOwner } from "./topics/topic-owner.ts";
import { Retained } from "./topics/retained.ts";
import type { ServerFigures } from "./topics/server-topics.ts";
import { ServerTopics } from "./topics/server-topics.ts";
import { Upkeep } from "./upkeep.ts";

export interface ShardPorts {
  readonly storage: ShardStorage;
  readonly connections: SurvivingConnections;
  readonly sockets: SocketBuffers;
  readonly traffic: Traffic;
  /** Client Identifiers whose due work failed too often; it is left alone. */
  readonly quarantined: ReadonlySet<string>;
}

/** Inputs from outside, other than the alarm itself. */
const wakes: readonly Input["type"][] = ["open", "receive", "closed"];

/**
 * One shard, without its I/O: inputs in, effects out, in one synchronous turn each. Wakes lazily: what sleeping
 * forgot is read again when a packet needs it, and PINGREQ needs nothing.
 */
export class ShardCore implements ShardContext {
  readonly config: CoreConfig;
  readonly counters = new Counters();
  readonly clock = new Clock();
  readonly output: Output;
  readonly log: MessageLog;
  readonly sessions: Sessions;
  readonly delivering: Delivering;
  readonly owners: LocalTopicOwner;
  readonly #ports: ShardPorts;
  readonly #retained: Retained;
  readonly #serverTopics: ServerTopics;
  readonly #flushes: TokenBucket;
  readonly #connections = new Map<string, Connection>();
  readonly #boot = new Boot();
  readonly #upkeep: Upkeep;
  #startedAtMs = 0;
  #isLoaded = false;
  /** Work was found at the start. The event that woke the object may be the alarm for it, so arming waits for that. */
  #wantsAlarm = false;
  #flushDueAtMs: number | undefined;
  #replayDueAtMs: number | undefined;

  constructor(config: CoreConfig, ports: ShardPorts) {
    this.config = config;
    this.#ports = ports;
    this.output = new Output(config.packetSizeBytes);
    this.log = new MessageLog(ports.storage);
    this.delivering = new Delivering(config, this.output, this.log, this.counters, ports.sockets);
    this.sessions = new Sessions(ports.storage, this.log, config.limits, this.counters, this.delivering, () =>
      this.#boot.claim(),
    );
    this.#retained = new Retained(ports.storage, config.limits, this.counters);
    this.#serverTopics = new ServerTopics((nowMs) => this.#figures(nowMs));
    this.owners = new LocalTopicOwner(this.#retained, this.#serverTopics, this.sessions);
    this.#flushes = new TokenBucket(config.flushesPerSecMax, flushBurst);
    this.#upkeep = new Upkeep(this, this.#boot, this.#serverTopics, ports.quarantined);
    this.delivering.onVolatile = (session) => this.clock.watchVolatile(session);
  }

  get mustCommit(): boolean {
    return this.log.mustFlush || this.#retained.hasUnwritten || this.#hasUrgentRows;
  }

  /** When {@link handle} wants a "timer" input; undefined when nothing waits in memory. */
  get timerDueAtMs(): number | undefined {
    const dueAtMs = Math.min(
      this.clock.timerDueAtMs,
      this.#flushDueAtMs ?? Infinity,
      this.#replayDueAtMs ?? Infinity,
    );
    return dueAtMs === Infinity ? undefined : dueAtMs;
  }

  /** The client whose due work is in hand: when {@link handle} throws, it is the one to blame. */
  get clientIdInHand(): string | undefined {
    return this.#upkeep.clientIdInHand;
  }

  handle(input: Input, nowMs: number): Effect[] {
    this.log.noteCommitted();
    this.#dispatch(input, nowMs);
    if (this.#wantsAlarm && wakes.includes(input.type)) {
      this.#wantsAlarm = false;
      this.clock.armNow(nowMs, this.output);
    }
    if (input.type !== "settle" && input.type !== "receive") this.#settle(nowMs);
    this.#watchServerTopics(nowMs);
    this.clock.arm(nowMs, this.output);
    this.output.endTurn();
    return this.output.take();
  }

  /** Connections that could not go on from their attachments if this core were thrown away now. */
  unsafeConnectionIds(): string[] {
    const unsafe: string[] = [];
    for (const connection of this.#connections.values()) {
      const { session } = connection;
      const isVolatile = session !== undefined && (session.outbound.isVolatile || session.replays.length > 0);
      const isUnsettled = this.output.outdatedAttachments.has(connection) || connection.parkedAckCount > 0;
      if (isVolatile || isUnsettled || connection.unfinishedSinceMs !== undefined) {
        unsafe.push(connection.connectionId);
      }
    }
    return unsafe;
  }

  #dispatch(input: Input, nowMs: number): void {
    switch (input.type) {
      case "start":
        return this.#start(input, nowMs);
      case "open":
        return this.#open(input, nowMs);
      case "receive":
        return this.#receive(input, nowMs);
      case "closed":
        return this.#closed(input.connectionId, nowMs);
      case "settle":
        return this.#settle(nowMs);
      case "timer":
        return this.#timer(nowMs);
      case "alarm":
        return this.#alarm(nowMs);
      case "stalled":
        return this.#stalled(input.connectionId, nowMs);
      case "drain":
        return this.#drain(nowMs);
    }
  }

  /** Without sockets the object was reset or everybody had left: sessions that never detached lost their connection. */
  #start(input: Input & { type: "start" }, nowMs: number): void {
    this.#startedAtMs = nowMs;
    if (input.armedAlarmAtMs !== undefined) this.clock.noteArmed(input.armedAlarmAtMs);
    this.#boot.start(this.#ports.storage.readShard(), input.survivingBoot);
    this.#wantsAlarm = this.#boot.isUnsettled;
  }

  #open({ connectionId, randomClientId, clientIdHint }: Input & { type: "open" }, nowMs: number): void {
    const connection = new Connection(connectionId, {
      boot: this.#boot.number,
      openedAtMs: nowMs,
      randomClientId,
      ...(clientIdHint !== undefined && { clientIdHint }),
    });
    this.#connections.set(connectionId, connection);
    this.output.outdatedAttachments.add(connection);
    this.clock.watchConnection(connection);
  }

  #receive(input: Input & { type: "receive" }, nowMs: number): void {
    const connection = this.#connection(input.connectionId);
    // A connection that was ended from here may still have said something.
    if (connection === undefined || connection.isClosed) return;
    for (const packet of input.packets) {
      connection.lastSeenAtMs = nowMs;
      handlePacket(this, connection, packet, nowMs);
      if (connection.isClosed) break;
    }
    if (input.fault !== undefined && !connection.isClosed) refuseBytes(this, connection, input.fault, nowMs);
    if (connection.isClosed) {
      this.#connections.delete(connection.connectionId);
      return;
    }
    this.#noteUnfinished(connection, input.unfinished, input.packets.length > 0, nowMs);
    if (connection.isLastSeenStale) this.output.outdatedAttachments.add(connection);
  }

  #noteUnfinished(connection: Connection, unfinished: boolean, progressed: boolean, nowMs: number): void {
    if (!unfinished) {
      connection.unfinishedSinceMs = undefined;
    } else if (progressed || connection.unfinishedSinceMs === undefined) {
      connection.unfinishedSinceMs = nowMs;
      this.clock.watchConnection(connection);
    }
  }

  #closed(connectionId: string, nowMs: number): void {
    const connection = this.#connection(connectionId);
    if (connection === undefined) return;
    if (connection.client !== undefined) this.load(nowMs);
    detach(this, connection, nowMs);
    this.output.outdatedAttachments.delete(connection);
    this.#connections.delete(connectionId);
  }

  #stalled(connectionId: string, nowMs: number): void {
    const connection = this.#connection(connectionId);
    if (connection === undefined || connection.isClosed) return;
    this.load(nowMs);
    disconnect(this, connection, ReasonCode.QuotaExceeded, "The client does not take what it is sent", nowMs);
    this.#connections.delete(connectionId);
  }

  #timer(nowMs: number): void {
    for (
      let one = this.clock.takeIncompleteConnection(nowMs);
      one;
      one = this.clock.takeIncompleteConnection(nowMs)
    ) {
      if (one.client !== undefined) this.load(nowMs);
      const { reasonCode, reasonString } = one.incompleteness;
      disconnect(this, one, reasonCode, reasonString, nowMs);
    }
    this.#dropClosed();
    for (let one = this.clock.takeVolatileSession(nowMs); one; one = this.clock.takeVolatileSession(nowMs)) {
      this.delivering.spill(one, this.owners, nowMs);
    }
    if (this.#replayDueAtMs !== undefined && this.#replayDueAtMs <= nowMs) {
      this.#replayDueAtMs = undefined;
      this.delivering.continueReplays(this.owners, nowMs);
    }
  }

  #alarm(nowMs: number): void {
    this.#wantsAlarm = false;
    this.load(nowMs);
    this.#upkeep.run(this.#connections.values(), nowMs);
    this.#dropClosed();
  }

  /** Sessions stay attached in their rows: the next start treats them as lost by a reset, with grace for the Wills. */
  #drain(nowMs: number): void {
    this.load(nowMs);
    // What was received is acknowledged first.
    if (this.mustCommit) this.#commit(nowMs);
    for (const connection of this.#connections.values()) {
      hangUp(this, connection, ReasonCode.ServerShuttingDown, "The server is shutting down");
      if (connection.session !== undefined) this.sessions.disconnect(connection.session);
    }
    this.#connections.clear();
    this.log.noteDraining();
  }

  #dropClosed(): void {
    for (const [connectionId, { isClosed }] of this.#connections) {
      if (isClosed) this.#connections.delete(connectionId);
    }
  }

  #connection(connectionId: string): Connection | undefined {
    const known = this.#connections.get(connectionId);
    if (known !== undefined) return known;
    const attachment = this.#ports.connections.read(connectionId);
    if (attachment === undefined) return undefined;
    const connection = new Connection(connectionId, attachment);
    this.#connections.set(connectionId, connection);
    // Should its alarm be gone (it failed too often), this arms another.
    this.clock.watchConnection(connection);
    if (this.#isLoaded && attachment.client !== undefined) {
      this.sessions.reattachLate(connection, attachment.client);
    }
    return connection;
  }

  /** Everything that sleeping forgot. */
  load(nowMs: number): void {
    if (this.#isLoaded) return;
    const survivors: [Connection, AttachedClient][] = [];
    for (const [connectionId, attachment] of this.#ports.connections.list()) {
      const connection = this.#connection(connectionId);
      if (connection !== undefined && attachment.client !== undefined && !connection.isClosed) {
        survivors.push([connection, attachment.client]);
      }
    }
    this.#isLoaded = true;
    this.sessions.load(survivors);
    for (const session of this.sessions) this.clock.watchSession(session);
    for (const connection of this.#connections.values()) this.clock.watchConnection(connection);
    for (const [{ session }] of survivors) if (session !== undefined) this.delivering.pump(session, nowMs);
  }

  #figures(nowMs: number): ServerFigures {
    const { config, counters, sessions, log } = this;
    const { version } = config;
    const { traffic } = this.#ports;
    const sources = {
      version,
      startedAtMs: this.#startedAtMs,
      counters,
      sessions,
      log,
      retained: this.#retained,
    };
    return figuresOf({ ...sources, traffic }, nowMs);
  }

  /** `$SYS` costs nothing while nobody is subscribed to it. */
  #watchServerTopics(nowMs: number): void {
    const intervalMs = this.config.limits.serverTopicsIntervalSec * 1000;
    if (!this.sessions.isWatched) this.clock.serverTopicsDueAtMs = undefined;
    // Multiples of the interval, so that a sleep does not move them.
    else this.clock.serverTopicsDueAtMs ??= nowMs - (nowMs % intervalMs) + intervalMs;
  }

  get #hasUrgentRows(): boolean {
    return this.sessions.hasChangedRows || this.#boot.hasUnwritten;
  }

  /** Ends a turn: writes what is due, and brings the attachments up to date. */
  #settle(nowMs: number): void {
    this.log.noteTime(nowMs);
    this.#flushDueAtMs = undefined;
    if (this.#hasUrgentRows) {
      this.#commit(nowMs);
    } else if (this.mustCommit) {
      const tokenAtMs = this.#flushes.availableAtMs(nowMs);
      if (tokenAtMs <= nowMs) this.#commit(nowMs);
      else this.#flushDueAtMs = tokenAtMs;
    } else {
      // What was to be written has been taken back in the same turn: nothing is left to wait for.
      for (const effect of this.output.takeAfterCommit()) this.output.push(effect);
    }
    const replayDelayMs = this.delivering.replayDelayMs();
    this.#replayDueAtMs = replayDelayMs === undefined ? undefined : nowMs + replayDelayMs;
    this.#attach();
  }

  #commit(nowMs: number): void {
    this.#flushes.spend(nowMs);
    const sessions = this.sessions.takeChangedRows();
    const shard = this.#boot.takeUnwritten();
    const writes: WriteSet = {
      sessions,
      retained: this.#retained.takeUnwritten(),
      segments: this.log.flush(),
      ...(shard !== undefined && { shard }),
    };
    const before = this.output.take();
    const parked = this.output.takeAfterCommit();
    this.delivering.pumpCommitted(nowMs);
    const after = this.output.take();
    for (const effect of before) this.output.push(effect);
    this.output.push({ type: "commit", writes, effects: [...parked, ...after] });
  }

  #attach(): void {
    for (const connection of this.output.outdatedAttachments) {
      const { connectionId } = connection;
      if (!connection.isClosed) {
        this.output.push({ type: "attach", connectionId, attachment: connection.attachment() });
      }
    }
    this.output.outdatedAttachments.clear();
  }
}
