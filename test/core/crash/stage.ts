/** A namespace of which a shard dies at a write, with clients that always come back. */
import type { ProtocolVersion, QoS } from "../../../src/core/packet.ts";
import type { WriteSet } from "../../../src/core/storage-port.ts";
import type { Received } from "../harness.ts";
import { Publisher } from "../shards/actors.ts";
import { isAtRest, Network, routesOf } from "../shards/network.ts";
import type { ClientOptions } from "../simulated-client.ts";
import { SimulatedClient } from "../simulated-client.ts";
import type { Death } from "../simulated-shard.ts";

/** Where a shard dies: at the write of that number, and at so many writes on end. */
export interface CrashPoint {
  readonly commit: number;
  readonly death: Death;
  readonly times: 1 | 2;
}

const triesMax = 12;
const answerWaitSec = 7;
const subscriptionOptions = { noLocal: false, retainAsPublished: false, retainHandling: 2 } as const;

/** A client whose session lasts, unless it says otherwise; it watches that the server does not forget it. */
export class Actor extends Publisher {
  /** Where it lost its session though it had one. */
  readonly complaints: string[] = [];
  /** Connections that it has lost. */
  lossCount = 0;
  isAway = false;
  readonly #isPersistent: boolean;
  #hasSession = false;

  constructor(stage: Stage, clientId: string, options: ClientOptions = {}) {
    super(stage, clientId, options);
    this.#isPersistent = options.sessionExpiryIntervalSec !== 0;
  }

  /** The socket breaks, and the client stays away. */
  leave(): this {
    this.isAway = true;
    return this.isConnected ? this.lose() : this;
  }

  /** Its session has expired or is given up: nobody expects it any more. */
  forgetSession(): this {
    this.#hasSession = false;
    return this;
  }

  override onReceived(packet: Received, protocolVersion: ProtocolVersion): void {
    if (packet.type === "connack") {
      if (this.#hasSession && !packet.sessionPresent)
        this.complaints.push(`${this.clientId} lost its session`);
      this.#hasSession = this.#isPersistent;
    }
    super.onReceived(packet, protocolVersion);
  }

  override onLost(): void {
    this.lossCount += 1;
    super.onLost();
  }
}

export class Stage extends Network {
  commitCount = 0;
  /** The numbers of the writes that hold messages. */
  readonly carrierCommits: number[] = [];
  readonly #point: CrashPoint | undefined;
  readonly #actors: Actor[] = [];

  constructor(shards: number, point?: CrashPoint) {
    super({ shards });
    this.#point = point;
  }

  override deathAtCommit(_shardIndex: number, { segments }: WriteSet): Death | undefined {
    this.commitCount += 1;
    if (segments.some(({ publications }) => publications.length > 0))
      this.carrierCommits.push(this.commitCount);
    if (this.#point === undefined) return undefined;
    const { commit, death, times } = this.#point;
    return this.commitCount >= commit && this.commitCount < commit + times ? death : undefined;
  }

  /** A connected client at home on that shard. */
  cast(shard: number, name: string, options: ClientOptions = {}): Actor {
    const actor = new Actor(this, this.clientOn(shard, name), options);
    this.#actors.push(actor);
    this.gather();
    return actor;
  }

  /** Whoever lost the connection comes back at once. */
  gather(): void {
    for (let tries = 0; tries < triesMax; tries += 1) {
      const lost = this.#actors.filter(({ isAway, isConnected }) => !isAway && !isConnected);
      if (lost.length === 0) return;
      for (const actor of lost) actor.comeBack();
    }
    throw new Error("the clients do not get in");
  }

  subscribe(actor: Actor, topicFilter: string, maximumQos: QoS): void {
    this.#request(actor, "suback", (packetIdentifier) => {
      const requests = [{ topicFilter, maximumQos, ...subscriptionOptions }];
      actor.send({ type: "subscribe", packetIdentifier, requests });
    });
  }

  unsubscribe(actor: Actor, topicFilter: string): void {
    this.#request(actor, "unsuback", (packetIdentifier) => {
      actor.send({ type: "unsubscribe", packetIdentifier, topicFilters: [topicFilter] });
    });
  }

  /** Ends the session for one that ends with its connection, and goes. */
  endSession(actor: Actor): void {
    actor.isAway = true;
    this.#insist(() => {
      actor.forgetSession().connect({ cleanStart: true, sessionExpiryIntervalSec: 0 });
      return () => actor.isConnected && actor.all("connack").length > 0;
    });
    actor.leave();
  }

  /** What a newcomer is sent of the retained messages. */
  retainedFor(shard: number, topicFilter: string): string[] {
    const clientId = this.clientOn(shard, "reader");
    const options = { ...subscriptionOptions, retainHandling: 0 } as const;
    const requests = [{ topicFilter, maximumQos: 1, ...options } as const];
    let reader = new SimulatedClient(this, { clientId });
    this.#insist(() => {
      reader = new SimulatedClient(this, { clientId }).connect();
      reader.send({ type: "subscribe", packetIdentifier: 1, requests });
      return () => reader.all("suback").length > 0;
    });
    this.advance(10_000);
    reader.lose();
    return reader.payloads;
  }

  /** Time passes, while everybody comes back who can. */
  pass(ms: number): void {
    this.gather();
    const stepMs = Math.max(10_000, ms / 60);
    for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
      this.advance(Math.min(leftMs, stepMs));
      this.gather();
    }
  }

  /** Everything that is under way comes to its end. */
  rest(): void {
    for (const ms of [200, 10_000, 600_000, 60_000]) this.pass(ms);
  }

  /** Throws when something is wrong that is wrong in any flow. */
  finish(): void {
    this.rest();
    const complaints = this.#actors.flatMap((actor) => actor.complaints);
    for (const { clientId, unacknowledgedCount } of this.#actors) {
      if (unacknowledgedCount > 0) complaints.push(`${clientId} lacks ${unacknowledgedCount} answers`);
    }
    const { actual, expected } = routesOf(this);
    if (actual.join() !== expected.join())
      complaints.push(`routes are ${actual.join()}, not ${expected.join()}`);
    if (!isAtRest(this)) complaints.push("not at rest");
    if (complaints.length > 0) throw new Error(complaints.join("; "));
  }

  #request(actor: Actor, type: "suback" | "unsuback", ask: (packetIdentifier: number) => void): void {
    this.#insist(() => {
      const packetIdentifier = actor.nextIdentifier();
      ask(packetIdentifier);
      return () =>
        actor
          .all(type)
          .some(
            (answer) => answer.packetIdentifier === packetIdentifier && (answer.reasonCodes[0] ?? 0) < 0x80,
          );
    });
  }

  /** Asks until it is answered, as a client does whose connection broke meanwhile. */
  #insist(ask: () => () => boolean): void {
    for (let tries = 0; tries < triesMax; tries += 1) {
      this.gather();
      const isAnswered = ask();
      for (let waitedSec = 0; waitedSec < answerWaitSec && !isAnswered(); waitedSec += 1) this.advance(1000);
      if (isAnswered()) return this.gather();
    }
    throw new Error("no answer");
  }
}
