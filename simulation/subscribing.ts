/** The subscriptions of a client: what it wants, what it has asked for, and what it knows that it has. */
import type { SubscribePacket, SubscribeResponsePacket, UnsubscribePacket } from "../src/core/packet.ts";
import type { History, Interest } from "./history.ts";
import { Violation } from "./history.ts";
import type { Wanted } from "./plan.ts";

interface Asked {
  readonly type: "suback" | "unsuback";
  readonly packetIdentifier: number;
  readonly wanted: Wanted;
  readonly interest: Interest | undefined;
}

export class Subscribing {
  readonly #history: History;
  readonly #client: number;
  /** By filter: what the client wants to have. */
  readonly #wanted = new Map<string, Wanted>();
  /** By filter: what it may have. */
  readonly #interests = new Map<string, Interest>();
  /** Filters that it wants to be rid of, and has not been told that it is. */
  readonly #unwanted = new Map<string, Wanted>();
  readonly #asked: Asked[] = [];
  #epoch = 0;

  constructor(history: History, client: number, wants: readonly Wanted[]) {
    this.#history = history;
    this.#client = client;
    for (const wanted of wants) this.#wanted.set(wanted.filter, wanted);
  }

  get isSettled(): boolean {
    return this.#asked.length === 0 && this.missing.length === 0;
  }

  /** What the client wants and has not been granted. */
  get missing(): Wanted[] {
    return [...this.#wanted.values()].filter(
      ({ filter }) => this.#interests.get(filter)?.sinceMs === undefined,
    );
  }

  /** To be asked for again: nothing is known of them. */
  get unwanted(): Wanted[] {
    return [...this.#unwanted.values()];
  }

  want(wanted: Wanted): void {
    this.#wanted.set(wanted.filter, wanted);
    this.#unwanted.delete(wanted.filter);
  }

  unwant(wanted: Wanted): void {
    this.#wanted.delete(wanted.filter);
    this.#unwanted.set(wanted.filter, wanted);
    this.#end(wanted.filter);
  }

  isAsking(filter: string): boolean {
    return this.#asked.some(({ wanted }) => wanted.filter === filter);
  }

  awaits(packetIdentifier: number): boolean {
    return this.#asked.some((asked) => asked.packetIdentifier === packetIdentifier);
  }

  connect(): void {
    this.#asked.length = 0;
  }

  /** The session is a new one. */
  begin(epoch: number): void {
    this.#epoch = epoch;
    for (const filter of this.#interests.keys()) this.#end(filter);
    this.#unwanted.clear();
  }

  end(): void {
    for (const filter of this.#interests.keys()) this.#end(filter);
  }

  subscribe(wanted: Wanted, packetIdentifier: number): SubscribePacket {
    const { filter, qos, noLocal, retainHandling } = wanted;
    // What is subscribed anew may from now on be either of the two.
    this.#end(filter);
    const interest: Interest = {
      client: this.#client,
      epoch: this.#epoch,
      filter,
      qos,
      noLocal,
      askedAtMs: this.#history.nowMs(),
    };
    this.#interests.set(filter, interest);
    this.#history.interests.push(interest);
    this.#asked.push({ type: "suback", packetIdentifier, wanted, interest });
    const options = { maximumQos: qos, noLocal, retainAsPublished: false, retainHandling };
    return { type: "subscribe", packetIdentifier, requests: [{ topicFilter: filter, ...options }] };
  }

  unsubscribe(wanted: Wanted, packetIdentifier: number): UnsubscribePacket {
    this.#asked.push({ type: "unsuback", packetIdentifier, wanted, interest: undefined });
    return { type: "unsubscribe", packetIdentifier, topicFilters: [wanted.filter] };
  }

  /** False when it was refused. */
  take({ type, packetIdentifier, reasonCodes }: SubscribeResponsePacket): boolean {
    const asked = this.#asked.shift();
    if (asked?.type !== type || asked.packetIdentifier !== packetIdentifier) {
      throw new Violation(
        "acknowledgements",
        `client ${this.#client}: ${type} ${packetIdentifier} out of turn`,
      );
    }
    const { interest, wanted } = asked;
    const isGranted = (reasonCodes[0] ?? 0x80) < 0x80;
    if (type === "unsuback") {
      if (isGranted && !this.#wanted.has(wanted.filter)) this.#unwanted.delete(wanted.filter);
      return isGranted;
    }
    if (interest === undefined || interest.endedAtMs !== undefined) return isGranted;
    if (isGranted) interest.sinceMs = this.#history.nowMs();
    else this.#end(wanted.filter);
    return isGranted;
  }

  #end(filter: string): void {
    const interest = this.#interests.get(filter);
    if (interest === undefined) return;
    interest.endedAtMs ??= this.#history.nowMs();
    this.#interests.delete(filter);
  }
}
