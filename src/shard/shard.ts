import { DurableObject } from "cloudflare:workers";
import { Authenticator } from "../auth/authenticator.ts";
import { identityOf } from "../auth/identity-header.ts";
import type { Config } from "../config.ts";
import type { Usernames } from "../core/access/identity.ts";
import type { Policy } from "../core/access/policy.ts";
import type { RetainedQuery } from "../core/administration/administration.ts";
import type { Page } from "../core/administration/page.ts";
import type { ClientInfo, ClientQuery, SessionInfo } from "../core/administration/session-queries.ts";
import type { SessionQuery, SubscriptionInfo } from "../core/administration/session-queries.ts";
import type { SubscriptionQuery } from "../core/administration/session-queries.ts";
import type { BackupCursor, BackupUnavailable, ImportRequest } from "../core/backup/record.ts";
import type { CostFigures } from "../core/cost/cost-meter.ts";
import { Times } from "../core/limits.ts";
import type { Layout } from "../core/placement.ts";
import type { Publication } from "../core/publication.ts";
import {
  assignedClientIdHeader,
  clientAddressHeader,
  isShard,
  parseShardName,
  shardStub,
} from "../shard-address.ts";
import { RegistryClient } from "../registry-client.ts";
import { inTime } from "../in-time.ts";
import { problem } from "../problem.ts";
import { settingsOf } from "../settings.ts";
import { chooseSubprotocol } from "../subprotocol.ts";
import type { Env } from "../env.ts";
import { DurableObjectSql } from "../storage/durable-object-sql.ts";
import { SqliteShardStorage } from "../storage/sqlite-shard-storage.ts";
import type { Outcomes, PageOfLines } from "./backup-calls.ts";
import { ClientSocket } from "./client-socket.ts";
import { PeerLinks } from "./peer-links.ts";
import { PeerSession } from "./peer-session.ts";
import type { ShardAdministration } from "./shard-administration.ts";
import { ShardHost } from "./shard-host.ts";
import type { Arrival } from "./shard-platform.ts";

/** A shard of a namespace: the Durable Object around a {@link ShardHost}. */
export class Shard extends DurableObject<Env> {
  readonly #config: Config;
  readonly #index: number;
  /** Started by the first event: see {@link #awake}. */
  readonly #host: ShardHost;
  #isStarted = false;
  #armedAlarmAtMs: number | undefined;
  readonly #links: PeerLinks;
  readonly #registry: RegistryClient;
  readonly #authenticator: Authenticator;
  #policyAsked: Promise<void> | undefined;
  /** Resident sockets, which the runtime does not list. */
  readonly #resident = new Set<ClientSocket>();
  /** The sockets that events have been about since the object woke. */
  readonly #known = new WeakMap<WebSocket, ClientSocket>();
  /** Sessions that other shards hold. */
  readonly #sessions = new Set<PeerSession>();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { config, index } = placeOf(state, env);
    this.#config = config;
    this.#index = index;
    this.#links = new PeerLinks(
      (to) => shardStub(env, this.#config, to),
      () => this.#host.noteReleased(),
    );
    const { allowsAnonymous, authenticates } = this.#config.core;
    if (!allowsAnonymous && !authenticates) {
      console.warn(
        'duramq: every CONNECT is refused; set OPERATOR_TOKEN for users, JWT_SECRET or others for tokens, or ANONYMOUS to "true"',
      );
    }
    this.#registry = new RegistryClient(env, config);
    this.#authenticator = new Authenticator(config.namespace, config.authentication, {
      users: this.#registry,
      fetch: (url, options) => fetch(url, options),
      nowMs: () => this.nowMs(),
    });
    this.#host = new ShardHost(this.#config, {
      shardIndex: index,
      authenticate: (request) => this.#authenticator.authenticate(request),
      callPeer: (to, bytes) => this.#links.call(to, bytes),
      isHeld: () => this.#links.isHolding || this.#sessions.size > 0 || this.#resident.size > 0,
      storage: new SqliteShardStorage(new DurableObjectSql(state.storage)),
      nowMs: () => this.nowMs(),
      setAlarm: (dueAtMs, unconfirmed) => this.#setAlarm(dueAtMs, unconfirmed),
      sockets: () => this.#sockets(),
      reset: (reason) => this.#reset(reason),
    });
    // Which alarm is armed can only be asked asynchronously: once, before the first event.
    void state.blockConcurrencyWhile(async () => {
      this.#armedAlarmAtMs = (await state.storage.getAlarm()) ?? undefined;
    });
  }

  /** The time that all due times are told by, in ms since 1970. */
  protected nowMs(): number {
    return Date.now();
  }

  /** Accepts a WebSocket; the Worker has checked the request. */
  override async fetch(request: Request): Promise<Response> {
    const host = this.#awake();
    await this.#learnPolicy(host);
    // In one turn with the opening, or a crowd would pass that has waited for the policy.
    if (!host.admitSocket()) return crowded();
    const { 0: client, 1: server } = new WebSocketPair();
    const socket = new ClientSocket(
      crypto.randomUUID(),
      server,
      this.#config.socketMode,
      this.#config.core.limits.maximumPacketSizeBytes,
    );
    this.#known.set(server, socket);
    server.binaryType = "arraybuffer";
    if (this.#config.socketMode === "hibernating") this.ctx.acceptWebSocket(server);
    else this.#acceptResident(server, socket);
    host.open(socket, arrivalOf(request));
    const subprotocol = chooseSubprotocol(request.headers.get("sec-websocket-protocol"));
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "sec-websocket-protocol": subprotocol ?? "mqtt" },
    });
  }

  override webSocketMessage(server: WebSocket, data: ArrayBuffer | string): void {
    const socket = this.#socketOf(server);
    if (socket !== undefined) this.#awake().receive(socket, data);
  }

  override webSocketClose(server: WebSocket, code: number, reason: string): void {
    this.#forget(server);
    // The runtime does not answer the peer's close by itself; without the answer the peer sees 1006.
    if (isSendable(code)) server.close(code, reason);
    else server.close(1000);
  }

  override webSocketError(server: WebSocket): void {
    this.#forget(server);
  }

  override alarm(): void {
    this.#awake().alarm();
  }

  /** Sends every client away before the host shuts down; sessions and Wills stay for the next start. */
  drain(): void {
    const host = this.#awake();
    host.noteBilledCall();
    host.drain();
  }

  /** After a stop that nobody was told of: looks after the clients that it cut off, without waiting for an event. */
  wake(): void {
    const host = this.#awake();
    host.noteBilledCall();
    host.lookAfter();
  }

  /** What this shard has cost since counting began, this call included. Wakes the object, and reads what it forgot. */
  cost(): CostFigures {
    const host = this.#awake();
    host.noteBilledCall();
    return host.cost();
  }

  /** The policy of the namespace has changed. Returns the version that holds here, once it is written. */
  setPolicy(policy: Policy): number {
    const host = this.#awake();
    host.noteBilledCall();
    return host.setPolicy(policy);
  }

  /**
   * What is known of the users may no longer hold: connections end, and credentials are verified anew. False when not all
   * may have ended: it has to come again.
   */
  forgetUsers(usernames: Usernames): boolean {
    const host = this.#awake();
    host.noteBilledCall();
    this.#authenticator.forget(usernames);
    return host.revoke(usernames);
  }

  /** A page of the clients that are connected here, as of what operators ask in general. */
  clients(query: ClientQuery): Page<ClientInfo> {
    return this.#administration().questions.clients(query);
  }

  client(clientId: string): ClientInfo | undefined {
    return this.#administration().questions.client(clientId);
  }

  disconnect(clientId: string): boolean {
    return this.#administration().disconnect(clientId);
  }

  sessions(query: SessionQuery): Page<SessionInfo> {
    return this.#administration().questions.sessions(query);
  }

  session(clientId: string): SessionInfo | undefined {
    return this.#administration().questions.session(clientId);
  }

  endSession(clientId: string): boolean {
    return this.#administration().endSession(clientId);
  }

  subscriptions(query: SubscriptionQuery): Page<SubscriptionInfo> {
    return this.#administration().questions.subscriptions(query);
  }

  retainedNames(query: RetainedQuery): Page<string> {
    return this.#administration().questions.retainedNames(query);
  }

  retainedMessage(topicName: string): Publication | undefined {
    return this.#administration().questions.retained(topicName, this.nowMs());
  }

  deleteRetained(query: RetainedQuery): Page<string> {
    return this.#administration().deleteRetained(query);
  }

  /** A call of another shard of the namespace. */
  peer(bytes: Uint8Array): Promise<Uint8Array> {
    const host = this.#awake();
    host.noteBilledCall();
    return host.called(bytes);
  }

  /** A page of a backup, from the cursor on. */
  exportPage(cursor?: BackupCursor): Promise<PageOfLines | BackupUnavailable> {
    const host = this.#awake();
    host.noteBilledCall();
    return host.backups.exportPage(cursor);
  }

  /** Records of a backup that belong to this shard. */
  importRecords(request: ImportRequest): Promise<Outcomes | BackupUnavailable> {
    const host = this.#awake();
    host.noteBilledCall();
    return host.backups.importRecords(request);
  }

  /** For another shard that calls often. */
  openSession(): PeerSession {
    const host = this.#awake();
    host.noteBilledCall();
    const session = new PeerSession(
      (bytes) => host.called(bytes),
      () => this.#endSession(session),
    );
    this.#sessions.add(session);
    return session;
  }

  /** A shard whose data belong to another layout is not to be looked at, nor changed. */
  #administration(): ShardAdministration {
    const host = this.#awake();
    host.noteBilledCall();
    if (host.foreignLayout !== undefined) throw new Error("The data of the shard belong to another layout");
    return host.administration;
  }

  #endSession(session: PeerSession): void {
    this.#sessions.delete(session);
    this.#host.noteReleased();
  }

  /**
   * The host, ready for an event. A socket that wakes the object is restored before: it tells which life this goes on
   * with, and the others, of which there may be thousands, need not be listed for it.
   */
  #awake(): ShardHost {
    if (this.#isStarted) return this.#host;
    this.#isStarted = true;
    this.#host.start(this.#armedAlarmAtMs);
    reportLayout(this.#host.foreignLayout);
    return this.#host;
  }

  /**
   * A shard that is newer than the policy has not been told of it. It asks before it takes its first client, and keeps the
   * answer, also that there is none: later ones are told to every shard.
   */
  async #learnPolicy(host: ShardHost): Promise<void> {
    if (host.lacksPolicy) await (this.#policyAsked ??= this.#askForPolicy(host));
  }

  async #askForPolicy(host: ShardHost): Promise<void> {
    try {
      const policy = await inTime(this.#registry.policies.policy(this.#index), Times.incompletePacketMs);
      if (host.setPolicy(policy) < policy.version) throw new Error("The policy could not be kept");
    } catch (error) {
      this.#policyAsked = undefined;
      throw error;
    }
  }

  #forget(server: WebSocket): void {
    const socket = this.#socketOf(server);
    if (socket === undefined) return;
    this.#awake().closed(socket);
    this.#resident.delete(socket);
  }

  #socketOf(server: WebSocket): ClientSocket | undefined {
    const known = this.#known.get(server);
    if (known !== undefined) return known;
    const socket = this.#restore(server);
    if (socket !== undefined) this.#known.set(server, socket);
    return socket;
  }

  #restore(server: WebSocket): ClientSocket | undefined {
    const restored = ClientSocket.restore(server, this.#config.core.limits.maximumPacketSizeBytes);
    return restored && this.#host.wake(restored);
  }

  *#sockets(): Iterable<ClientSocket> {
    yield* this.#resident;
    for (const server of this.ctx.getWebSockets()) {
      // Not noted as known: a large WeakMap keeps the garbage collector busy.
      const socket = this.#known.get(server) ?? this.#restore(server);
      if (socket !== undefined) yield socket;
    }
  }

  #acceptResident(server: WebSocket, socket: ClientSocket): void {
    server.accept();
    this.#resident.add(socket);
    server.addEventListener("message", ({ data }) =>
      this.webSocketMessage(server, data as ArrayBuffer | string),
    );
    server.addEventListener("close", ({ code, reason }) => this.webSocketClose(server, code, reason));
    server.addEventListener("error", () => this.webSocketError(server));
  }

  #setAlarm(dueAtMs: number, unconfirmed: boolean): void {
    // The write joins the event's transaction; a failure of the store resets the object by itself.
    void this.ctx.storage.setAlarm(dueAtMs, { allowUnconfirmed: unconfirmed });
  }

  #reset(reason: string): never {
    this.ctx.abort(reason);
    throw new Error(reason);
  }
}

function arrivalOf({ headers, url }: Request): Arrival {
  const clientIdHint = new URL(url).searchParams.get("clientId");
  const randomClientId = headers.get(assignedClientIdHeader);
  const address = headers.get(clientAddressHeader);
  const identity = identityOf(headers);
  return {
    ...(clientIdHint !== null && { clientIdHint }),
    ...(randomClientId !== null && { randomClientId }),
    ...(identity !== undefined && { identity }),
    ...(address !== null && { address }),
  };
}

/** After that time none of those is left that wait now. */
function crowded(): Response {
  const retryAfterSec = Times.incompletePacketMs / 1000;
  return problem(503, "Unavailable", "Too many clients are waiting to be admitted", {
    "retry-after": String(retryAfterSec),
  });
}

/** A peer's close event may carry codes that cannot be sent (RFC 6455, section 7.4). */
function isSendable(code: number): boolean {
  return code >= 1000 && code < 5000 && ![1004, 1005, 1006, 1015].includes(code);
}

function reportLayout(foreign: Layout | undefined): void {
  if (foreign === undefined) return;
  const { epoch, shards, topicKeyLevels } = foreign;
  const made = `SHARDS ${shards}, TOPIC_KEY_LEVELS ${topicKeyLevels}, LAYOUT_EPOCH ${epoch}`;
  console.error(`duramq: every CONNECT is refused; the data were made with ${made}`);
}

/** Which shard the object is. Throws for one that the settings no longer have: nothing of it may go anywhere. */
function placeOf({ id }: DurableObjectState, env: Env): { config: Config; index: number } {
  const place = id.name === undefined ? undefined : parseShardName(id.name);
  if (place === undefined) throw new Error("A shard is found by its name only");
  const config = settingsOf(env, place.namespace);
  if (config === undefined) throw new Error(`There is no namespace ${place.namespace} in the settings`);
  // Also where it lives is a part of what it is.
  if (!isShard(id, config, place.index)) {
    throw new Error(`Shard ${id.name} is not where the settings have it`);
  }
  return { config, index: place.index };
}
