import { Abuse } from "./abuse/abuse.ts";
import { Access } from "./access/access.ts";
import { Administration } from "./administration/administration.ts";
import { Backup } from "./backup/backup.ts";
import { Boot } from "./boot.ts";
import { Clock } from "./clock.ts";
import type { CoreConfig } from "./config.ts";
import { flushBurst } from "./config.ts";
import { Counters } from "./counters.ts";
import { endIdentities, judge } from "./connection/admitting.ts";
import { Connection } from "./connection/connection.ts";
import { Connections } from "./connection/connections.ts";
import { detach, disconnect, hangUp } from "./connection/disconnecting.ts";
import { endIncomplete } from "./connection/incomplete.ts";
import { ParkingSpace } from "./connection/parked-input.ts";
import { hangsUpLater, receive, receiveStep } from "./connection/receiving.ts";
import type { AttachedClient, Effect } from "./effect.ts";
import { figuresOf } from "./figures.ts";
import type { Input } from "./input.ts";
import { joins, wakes } from "./input.ts";
import { Times } from "./limits.ts";
import { Output } from "./output.ts";
import { MessageLog } from "./queue/message-log.ts";
import { ReasonCode } from "./reason-code.ts";
import type { Refusal } from "./refusal.ts";
import { foreignLayoutRefusal, unreadableRefusal } from "./refusal.ts";
import { Delivering } from "./session/delivering.ts";
import type { ShardContext } from "./shard-context.ts";
import { Settling } from "./settling.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { Layout } from "./placement.ts";
import type { Replaying } from "./session/replaying.ts";
import type { Sessions } from "./session/sessions.ts";
import type { ShardParts } from "./shard-parts.ts";
import { assemble } from "./shard-parts.ts";
import type { ShardPorts } from "./shard-ports.ts";
import type { TopicOwners } from "./topics/topic-owners.ts";
import type { ServerFigures } from "./topics/server-topics.ts";
import { ServerTopics } from "./topics/server-topics.ts";
import { Upkeep } from "./upkeep.ts";

const noItems: ReadonlySet<number> = new Set();

/**
 * One shard, without its I/O: inputs in, effects out, in one synchronous turn each. Wakes lazily: what sleeping
 * forgot is read again when a packet needs it, and PINGREQ needs nothing.
 */
export class ShardCore implements ShardContext {
  readonly config: CoreConfig;
  readonly access: Access;
  readonly abuse: Abuse;
  readonly counters = new Counters();
  readonly clock = new Clock();
  readonly parking = new ParkingSpace();
  readonly output: Output;
  readonly log: MessageLog;
  readonly sessions: Sessions;
  readonly delivering: Delivering;
  readonly owners: TopicOwners;
  readonly replaying: Replaying;
  readonly administration: Administration;
  readonly #ports: ShardPorts;
  readonly #parts: ShardParts;
  readonly #serverTopics: ServerTopics;
  readonly #settling: Settling;
  readonly #connections: Connections;
  readonly #boot: Boot;
  readonly #upkeep: Upkeep;
  readonly #backup: Backup;
  #startedAtMs = 0;
  #nowMs = 0;
  #isLoaded = false;
  /** Work was found at the start. The event that woke the object may be the alarm for it, so arming waits for that. */
  #wantsAlarm = false;

  constructor(config: CoreConfig, ports: ShardPorts) {
    this.config = config;
    this.#ports = ports;
    this.access = new Access(config, ports.storage);
    this.abuse = new Abuse(config.limits.abuse, ports.cost);
    this.output = new Output(config.packetSizeBytes);
    this.log = new MessageLog(ports.storage, config.limits);
    this.delivering = new Delivering(this, ports.sockets);
    this.#boot = new Boot(config.placement.layout);
    this.#serverTopics = new ServerTopics((nowMs) => this.#figures(nowMs));
    this.#parts = this.#assemble();
    this.sessions = this.#parts.sessions;
    this.owners = this.#parts.owners;
    this.replaying = this.#parts.replaying;
    this.#connections = new Connections(ports.connections, this.clock, this.output);
    this.#settling = new Settling({
      ...this.#parts,
      access: this.access,
      boot: this.#boot,
      clock: this.clock,
      cost: ports.cost,
      delivering: this.delivering,
      flushes: new TokenBucket(config.flushesPerSecMax, flushBurst),
      log: this.log,
      output: this.output,
    });
    const commit = (): void => this.#settling.commit(this.#nowMs);
    this.administration = new Administration(this, this.#parts.retained, commit);
    this.#upkeep = new Upkeep(this, this.#boot, this.#serverTopics, ports.quarantined);
    this.#backup = new Backup(this, this.#parts.retained, commit);
    this.delivering.onVolatile = (session) => this.clock.watchVolatile(session);
  }

  get mustCommit(): boolean {
    return this.#settling.mustCommit;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get isWatched(): boolean {
    return this.sessions.isWatched || (this.#isLoaded && this.owners.isWatched);
  }

  get isStorageFull(): boolean {
    return this.#ports.room.isFull(this.#nowMs);
  }

  get shardIndex(): number {
    return this.#ports.shardIndex;
  }

  get foreignLayout(): Layout | undefined {
    return this.#boot.foreignLayout;
  }

  get unavailability(): Refusal | undefined {
    if (this.#ports.isUnreadable) return unreadableRefusal;
    return this.foreignLayout && foreignLayoutRefusal;
  }

  /** The item of another shard's batch that is being applied: when {@link handle} throws, it is the one to leave out. */
  get peerItemInHand(): number | undefined {
    return this.#parts.peers.itemInHand;
  }

  /** All routes that the shard has as an owner of topics. */
  routes(): { readonly filter: string; readonly shard: number }[] {
    return this.#parts.routes.list();
  }

  /** When {@link handle} wants a "timer" input; undefined when nothing waits in memory. */
  get timerDueAtMs(): number | undefined {
    const dueAtMs = Math.min(
      this.clock.timerDueAtMs,
      this.#settling.dueAtMs,
      this.#parts.peers.timerDueAtMs,
      this.#parts.subscriberRoutes.dueAtMs,
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
    this.#parts.retained.noteCommitted();
    this.#dispatch(input, nowMs);
    if (this.#wantsAlarm && wakes.includes(input.type)) {
      this.#wantsAlarm = false;
      this.clock.armNow(nowMs, this.output);
    }
    if (!joins.includes(input.type)) this.#settling.settle(nowMs);
    this.#upkeep.watchServerTopics(nowMs);
    this.clock.arm(nowMs, this.output);
    this.output.endTurn();
    return this.output.take();
  }

  /** Connections that could not go on from their attachments if this core were thrown away now. */
  unsafeConnectionIds(): string[] {
    return this.#connections.unsafeIds();
  }

  #dispatch(input: Input, nowMs: number): void {
    switch (input.type) {
      case "start":
        return this.#start(input, nowMs);
      case "open":
        return this.#open(input, nowMs);
      case "receive":
        return this.#receive(input, nowMs);
      case "authenticated":
        return this.#authenticated(input, nowMs);
      case "policy":
        return this.#replacePolicy(input, nowMs);
      case "revoke":
        return this.#revoke(input, nowMs);
      case "administer":
        this.administration.carryOut(input.order, nowMs);
        return this.#connections.dropClosed();
      case "closed":
        return this.#closed(input, nowMs);
      case "load":
        return this.load(nowMs);
      case "settle":
        return this.#settling.settle(nowMs);
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
      case "export":
      case "import":
        return this.#backup.handle(input, nowMs);
      case "drain":
        return this.#drain(nowMs);
    }
  }

  /** Without sockets the object was reset or everybody had left: sessions that never detached lost their connection. */
  #start(input: Input & { type: "start" }, nowMs: number): void {
    this.#startedAtMs = nowMs;
    this.#parts.peers.start(input.seed ?? 0);
    if (input.armedAlarmAtMs !== undefined) this.clock.noteArmed(input.armedAlarmAtMs);
    if (!this.#ports.isUnreadable) this.#boot.start(this.#ports.storage.readShard(), input.survivingBoot);
    this.#wantsAlarm = this.#boot.isUnsettled;
  }

  #called({ callId, batch, skip = noItems }: Input & { type: "called" }, nowMs: number): void {
    if (this.foreignLayout !== undefined) {
      this.counters.countPeerRefusal("layout");
      this.output.push({ type: "answer", callId, answer: { type: "refused", refusal: "layout" } });
      return;
    }
    this.load(nowMs);
    this.#parts.peers.called(callId, batch, skip, nowMs);
  }

  #answered({ to, head, answer }: Input & { type: "answered" }, nowMs: number): void {
    this.load(nowMs);
    if (answer === undefined) this.#parts.peers.failed(to, head, nowMs);
    else this.#parts.peers.answered(to, head, answer, nowMs);
  }

  #open(input: Input & { type: "open" }, nowMs: number): void {
    const attachment = { ...input, boot: this.#boot.number, openedAtMs: nowMs };
    this.#connections.add(new Connection(input.connectionId, attachment));
  }

  #receive(input: Input & { type: "receive" }, nowMs: number): void {
    const connection = this.#connection(input.connectionId);
    // A connection that was ended from here may still have said something.
    if (connection === undefined || connection.isClosed) return;
    receive(this, connection, input, nowMs);
    if (connection.isClosed) this.#connections.delete(connection.connectionId);
  }

  #authenticated({ connectionId, attempt, step }: Input & { type: "authenticated" }, nowMs: number): void {
    this.parking.answered(connectionId);
    const connection = this.#connections.find(connectionId);
    // The client may have left, or the shard may have forgotten it.
    if (connection === undefined || connection.isClosed) return;
    receiveStep(this, connection, attempt, step, nowMs);
    if (connection.isClosed) this.#connections.delete(connectionId);
  }

  /** Everybody who is connected is judged again; who is away is when coming back. */
  #replacePolicy({ policy }: Input & { type: "policy" }, nowMs: number): void {
    if (this.unavailability !== undefined || !this.access.replacePolicy(policy)) return;
    this.load(nowMs);
    for (const connection of this.#connections) judge(this, connection, nowMs);
    this.#connections.dropClosed();
  }

  #revoke({ usernames }: Input & { type: "revoke" }, nowMs: number): void {
    this.load(nowMs);
    endIdentities(this, this.#connections, usernames, nowMs);
    this.#connections.dropClosed();
  }

  #closed({ connectionId, isLost }: Input & { type: "closed" }, nowMs: number): void {
    const connection = this.#connection(connectionId);
    if (connection === undefined || hangsUpLater(connection)) return;
    if (connection.client !== undefined) this.load(nowMs);
    if (isLost === true) connection.session?.outbound.assumeAllSent();
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
    endIncomplete(this, this.#connections, nowMs);
    this.#parts.peers.tick(nowMs);
    this.#parts.subscriberRoutes.tick(nowMs);
    for (let one = this.clock.takeVolatileSession(nowMs); one; one = this.clock.takeVolatileSession(nowMs)) {
      if (this.delivering.spill(one, nowMs)) this.replaying.spill(one, nowMs);
    }
    if (this.#settling.takeReplayDue(nowMs)) {
      this.delivering.continuePaused(nowMs);
      this.replaying.goOnWithAll(nowMs);
    }
  }

  #alarm(nowMs: number): void {
    this.#wantsAlarm = false;
    if (this.unavailability !== undefined) {
      // Whose Will goes where is not known; the settings or the release may be mended by then.
      this.output.setAlarm(nowMs + Times.alarmHorizonMs, false);
      return;
    }
    this.clock.outboxDueAtMs = undefined;
    this.load(nowMs);
    this.#upkeep.run(this.#connections, nowMs);
    this.#connections.dropClosed();
  }

  /** Sessions stay attached in their rows: the next start treats them as lost by a reset, with grace for the Wills. */
  #drain(nowMs: number): void {
    this.load(nowMs);
    // What was received is acknowledged first.
    if (this.mustCommit) this.#settling.commit(nowMs);
    for (const connection of this.#connections) {
      hangUp(this, connection, ReasonCode.ServerShuttingDown, "The server is shutting down");
      if (connection.session !== undefined) this.sessions.disconnect(connection.session, nowMs);
    }
    this.#connections.clear();
    this.log.noteDraining();
  }

  #connection(connectionId: string): Connection | undefined {
    const known = this.#connections.find(connectionId);
    if (known !== undefined) return known;
    const woken = this.#connections.wake(connectionId);
    if (woken?.client !== undefined && this.#isLoaded) {
      this.sessions.reattachLate(woken.connection, woken.client);
    }
    return woken?.connection;
  }

  /** Everything that sleeping forgot. */
  load(nowMs: number): void {
    if (this.#isLoaded || this.#ports.isUnreadable) return;
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
    for (const connection of this.#connections) this.clock.watchConnection(connection);
    for (const [{ session }] of survivors) if (session !== undefined) this.delivering.pump(session, nowMs);
  }

  #assemble(): ShardParts {
    const { config, counters, delivering, log, output } = this;
    const { cost, shardIndex, storage } = this.#ports;
    return assemble({
      shardIndex,
      config,
      storage,
      boot: this.#boot,
      counters,
      cost,
      output,
      log,
      delivering,
      serverTopics: this.#serverTopics,
      isStorageFull: () => this.isStorageFull,
      mustCommit: () => this.mustCommit,
      nowMs: () => this.#nowMs,
    });
  }

  #figures(nowMs: number): ServerFigures {
    const { counters, sessions, log } = this;
    const { version } = this.config;
    const { cost, traffic } = this.#ports;
    const { peers, retained } = this.#parts;
    const own = { version, startedAtMs: this.#startedAtMs, counters, sessions, log };
    return figuresOf({ ...own, retained, peers, traffic, cost }, nowMs);
  }
}
