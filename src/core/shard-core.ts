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
import type { DeliverItem, Outcome, PeerItem, PublishItem } from "./peers/message.ts";
import type { Settle } from "./peers/lane.ts";
import { Peers } from "./peers/peers.ts";
import type { Layout } from "./placement.ts";
import { PeerDeliveries } from "./session/peer-deliveries.ts";
import { SubscriberRoutes } from "./session/subscriber-routes.ts";
import { Routes } from "./topics/routes.ts";
import { TopicOwner } from "./topics/topic-owner.ts";
import { TopicOwners } from "./topics/topic-owners.ts";
import { Retained } from "./topics/retained.ts";
import type { ServerFigures } from "./topics/server-topics.ts";
import { ServerTopics } from "./topics/server-topics.ts";
import { Upkeep } from "./upkeep.ts";

export interface ShardPorts {
  /** Number of the shard in its namespace, from 0. */
  readonly shardIndex: number;
  readonly storage: ShardStorage;
  readonly connections: SurvivingConnections;
  readonly sockets: SocketBuffers;
  readonly traffic: Traffic;
  /** Client Identifiers whose due work failed too often; it is left alone. */
  readonly quarantined: ReadonlySet<string>;
}

/** Inputs from outside, other than the alarm itself. */
const wakes: readonly Input["type"][] = ["open", "receive", "closed", "called"];

/** Inputs whose output may be joined with that of others: the host says when it is enough, by "settle". */
const joins: readonly Input["type"][] = ["settle", "receive", "called", "answered"];

const noItems: ReadonlySet<number> = new Set();

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
  readonly owners: TopicOwners;
  readonly #ports: ShardPorts;
  readonly #retained: Retained;
  readonly #serverTopics: ServerTopics;
  readonly #flushes: TokenBucket;
  readonly #connections = new Map<string, Connection>();
  readonly #boot: Boot;
  readonly #peers: Peers;
  readonly #subscriberRoutes: SubscriberRoutes;
  readonly #routes: Routes;
  readonly #owner: TopicOwner;
  readonly #peerDeliveries: PeerDeliveries;
  readonly #upkeep: Upkeep;
  #startedAtMs = 0;
  #nowMs = 0;
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
    this.#boot = new Boot(config.placement.layout);
    this.#peers = this.#newPeers();
    this.#subscriberRoutes = new SubscriberRoutes(ports.shardIndex, config.placement, this.#peers, {
      claim: () => this.#boot.claim(),
      number: () => this.#boot.number,
    });
    this.sessions = this.#newSessions();
    this.#retained = new Retained(ports.storage, config.limits, this.counters);
    this.#serverTopics = new ServerTopics((nowMs) => this.#figures(nowMs));
    this.#routes = new Routes(ports.storage);
    this.#owner = this.#newOwner();
    const { placement } = config;
    this.owners = new TopicOwners(ports.shardIndex, placement, this.#owner, this.#peers, this.#serverTopics);
    this.#peerDeliveries = new PeerDeliveries(
      this.#peers,
      this.sessions,
      this.delivering,
      this.#subscriberRoutes,
      this.owners,
    );
    this.#flushes = new TokenBucket(config.flushesPerSecMax, flushBurst);
    this.#upkeep = new Upkeep(this, this.#boot, this.#serverTopics, ports.quarantined);
    this.delivering.onVolatile = (session) => this.clock.watchVolatile(session);
  }

  get mustCommit(): boolean {
    return this.log.mustFlush || this.#retained.hasUnwritten || this.#hasUrgentRows;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get shardIndex(): number {
    return this.#ports.shardIndex;
  }

  get foreignLayout(): Layout | undefined {
    return this.#boot.foreignLayout;
  }

  /** The item of another shard's batch that is being applied: when {@link handle} throws, it is the one to leave out. */
  get peerItemInHand(): number | undefined {
    return this.#peers.itemInHand;
  }

  /** All routes that the shard has as an owner of topics. */
  routes(): { readonly filter: string; readonly shard: number }[] {
    return this.#routes.list();
  }

  /** When {@link handle} wants a "timer" input; undefined when nothing waits in memory. */
  get timerDueAtMs(): number | undefined {
    const dueAtMs = Math.min(
      this.clock.timerDueAtMs,
      this.#flushDueAtMs ?? Infinity,
      this.#peers.timerDueAtMs,
      this.#subscriberRoutes.dueAtMs,
      this.#replayDueAtMs ?? Infinity,
    );
    return dueAtMs === Infinity ? undefined : dueAtMs;
  }

  /** The client whose due work is in hand: when {@link handle} throws, it is the one to blame. */
  get clientIdInHand(): string | undefined {
    return this.#upkeep.clientIdInHand;
  }

  handle(input: Input, nowMs: number): Effect[] {
    this.#nowMs = nowMs;
    this.log.noteCommitted();
    this.#dispatch(input, nowMs);
    if (this.#wantsAlarm && wakes.includes(input.type)) {
      this.#wantsAlarm = false;
      this.clock.armNow(nowMs, this.output);
    }
    if (!joins.includes(input.type)) this.#settle(nowMs);
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
      const isUnsettled = this.output.outdatedAttachments.has(connection) || connection.isUnsettled;
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
      case "called":
        return this.#called(input, nowMs);
      case "answered":
        return this.#answered(input, nowMs);
      case "drain":
        return this.#drain(nowMs);
    }
  }

  /** Without sockets the object was reset or everybody had left: sessions that never detached lost their connection. */
  #start(input: Input & { type: "start" }, nowMs: number): void {
    this.#startedAtMs = nowMs;
    this.#peers.start(input.seed ?? 0);
    if (input.armedAlarmAtMs !== undefined) this.clock.noteArmed(input.armedAlarmAtMs);
    this.#boot.start(this.#ports.storage.readShard(), input.survivingBoot);
    this.#wantsAlarm = this.#boot.isUnsettled;
  }

  #called({ callId, batch, skip = noItems }: Input & { type: "called" }, nowMs: number): void {
    if (this.foreignLayout !== undefined) {
      this.counters.countPeerRefusal("layout");
      this.output.push({ type: "answer", callId, answer: { type: "refused", refusal: "layout" } });
      return;
    }
    this.load(nowMs);
    this.#peers.called(callId, batch, skip, nowMs);
  }

  #answered({ to, head, answer }: Input & { type: "answered" }, nowMs: number): void {
    this.load(nowMs);
    if (answer === undefined) this.#peers.failed(to, head, nowMs);
    else this.#peers.answered(to, head, answer, nowMs);
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
    this.#peers.tick(nowMs);
    this.#subscriberRoutes.tick(nowMs);
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
    this.clock.outboxDueAtMs = undefined;
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
      if (connection.session !== undefined) this.sessions.disconnect(connection.session, nowMs);
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

  #newPeers(): Peers {
    const { config, counters, log, output } = this;
    return new Peers({
      self: this.#ports.shardIndex,
      layout: config.placement.layout,
      limits: config.limits,
      log,
      output,
      counters,
      mustCommit: () => this.mustCommit,
      handlers: {
        handlePublishItem: (item: PublishItem, from: number, settle: Settle, nowMs: number): void =>
          this.#owner.handleItem(item, from, settle, nowMs),
        handleDeliverItem: (item: DeliverItem, from: number, nowMs: number): Outcome =>
          this.#peerDeliveries.handle(item, from, nowMs),
        handleOutcome: (item: PeerItem, outcome: Outcome, to: number, settle: Settle | undefined): void =>
          this.#owner.handleOutcome(item, outcome, to, settle, this.#nowMs),
      },
    });
  }

  #newSessions(): Sessions {
    const { config, counters, delivering, log } = this;
    return new Sessions({
      storage: this.#ports.storage,
      log,
      limits: config.limits,
      counters,
      delivering,
      peers: this.#peers,
      routes: this.#subscriberRoutes,
      claimBoot: () => this.#boot.claim(),
      handOver: (publication, sharedFilter, nowMs) => this.owners.handOver(publication, sharedFilter, nowMs),
    });
  }

  #newOwner(): TopicOwner {
    const { limits, placement } = this.config;
    return new TopicOwner({
      self: this.#ports.shardIndex,
      placement,
      limits,
      retained: this.#retained,
      serverTopics: this.#serverTopics,
      routes: this.#routes,
      peers: this.#peers,
      subscribers: this.sessions,
    });
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
    return this.sessions.hasChangedRows || this.#boot.hasUnwritten || this.#routes.hasUnwritten;
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
    this.#peers.pump(nowMs);
    this.clock.outboxDueAtMs ??= this.#peers.alarmDueAtMs(nowMs);
    const replayDelayMs = this.delivering.replayDelayMs(nowMs);
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
      routes: this.#routes.takeUnwritten(),
      ...(shard !== undefined && { shard }),
    };
    const before = this.output.take();
    const parked = this.output.takeAfterCommit();
    this.delivering.pumpCommitted(nowMs);
    this.#peers.pump(nowMs);
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
