import type { Settle } from "../peers/lane.ts";
import type { Members, Outcome, RouteVersion } from "../peers/message.ts";
import type { Peers } from "../peers/peers.ts";
import type { Placement } from "../placement.ts";
import { utf8BytesMax } from "../publication.ts";
import { isFailure, ReasonCode } from "../reason-code.ts";
import { Times } from "../limits.ts";
import { parseSharedFilter } from "../topic.ts";
import { isServerFilter, serverTopicKey } from "../topics/server-topics.ts";

/** A route on its way to the owners. */
interface Pending {
  readonly settlers: SettleRoute[];
  readonly dueAtMs: number;
  /** Owners that have matching retained messages. */
  readonly retaining: number[];
  left: number;
}

/** `retaining`: the owners that have matching retained messages, if they have just told. */
export type SettleRoute = (outcome: Outcome, retaining: readonly number[] | undefined) => void;

/** What a route takes in memory besides its Topic Filter, about. */
const routeBytes = 64;

const established: Outcome = { reasonCode: ReasonCode.Success };
const unanswered: Outcome = {
  reasonCode: ReasonCode.UnspecifiedError,
  reasonString: "A part of the broker that has these topics does not answer",
};

/**
 * What the owners of topics are told about the subscriptions of this shard: that a Topic Filter has got its first
 * subscriber here, or lost its last. Owners remember it, so nothing is told again after a sleep or a deploy.
 */
export class SubscriberRoutes {
  readonly #self: number;
  readonly #placement: Placement;
  readonly #peers: Peers;
  /** The number of the object's present life, to be written before anybody is told. */
  readonly #claimBoot: () => number;
  readonly #bootNumber: () => number;
  readonly #pending = new Map<string, Pending>();
  #lastSerial = 0;

  constructor(
    self: number,
    placement: Placement,
    peers: Peers,
    boot: { readonly claim: () => number; readonly number: () => number },
  ) {
    this.#self = self;
    this.#placement = placement;
    this.#peers = peers;
    this.#claimBoot = boot.claim;
    this.#bootNumber = boot.number;
  }

  /** When a route has waited long enough. */
  get dueAtMs(): number {
    // All wait equally long: the first is the oldest.
    const [first] = this.#pending.values();
    return first?.dueAtMs ?? Infinity;
  }

  /** The Topic Filter has a subscriber. `isFirst`: it had none, here. */
  open(
    filter: string,
    isFirst: boolean,
    members: Members | undefined,
    settle: SettleRoute,
    nowMs: number,
  ): void {
    const pending = this.#pending.get(filter);
    if (pending !== undefined) {
      pending.settlers.push(settle);
      return;
    }
    const owners = isFirst ? this.#othersOf(filter) : [];
    if (owners.length === 0) {
      settle(established, undefined);
      return;
    }
    const version = { boot: this.#claimBoot(), serial: this.#nextSerial(nowMs) };
    const opened: Pending = {
      settlers: [settle],
      dueAtMs: nowMs + Times.routePatienceMs,
      retaining: [],
      left: owners.length,
    };
    this.#pending.set(filter, opened);
    for (const owner of owners) {
      const item = { type: "addRoute", filter, version, ...(members !== undefined && { members }) } as const;
      // An owner before it may have refused at once.
      if (this.#pending.get(filter) !== opened) return;
      const note: Settle = (outcome) => this.#note(filter, opened, owner, outcome);
      this.#peers.lane("publish", owner).post(item, "failed", note, routeBytes + utf8BytesMax(filter), nowMs);
    }
  }

  /** The Topic Filter has no subscriber any more. `isDurable`: nobody would ask for its removal again. */
  close(filter: string, isDurable: boolean, nowMs: number): void {
    const owners = this.#othersOf(filter);
    if (owners.length === 0) return;
    // Whoever waits for the route has gone; who comes next opens it anew.
    const pending = this.#pending.get(filter);
    if (pending !== undefined) this.#finish(filter, pending, established);
    const version = { boot: this.#bootNumber(), serial: this.#nextSerial(nowMs) };
    const item = { type: "removeRoute", filter, version } as const;
    for (const owner of owners) {
      const lane = this.#peers.lane("publish", owner);
      // What is written goes before what waits in memory, and the route must not come back.
      lane.withdrawRoute(filter);
      if (isDurable) lane.postDurable(item, undefined, nowMs);
      else lane.post(item, "kept", undefined, routeBytes + utf8BytesMax(filter), nowMs);
    }
  }

  /** The Shared Subscription has got its first member online, or lost the last one. */
  updateMembers(filter: string, members: Members, nowMs: number): void {
    for (const owner of this.#othersOf(filter)) {
      const item = { type: "updateMembers", filter, members } as const;
      const sizeBytes = routeBytes + utf8BytesMax(filter);
      this.#peers.lane("publish", owner).post(item, "failed", undefined, sizeBytes, nowMs);
    }
  }

  /** Later routes than any that the owner may have heard of so far. */
  staleThrough(nowMs: number): RouteVersion {
    return { boot: this.#bootNumber(), serial: this.#nextSerial(nowMs) };
  }

  /** Owners that have not answered in time have not answered. */
  tick(nowMs: number): void {
    for (const [filter, pending] of this.#pending) {
      if (pending.dueAtMs > nowMs) return;
      this.#finish(filter, pending, unanswered);
    }
  }

  #note(filter: string, pending: Pending, owner: number, outcome: Outcome): void {
    if (this.#pending.get(filter) !== pending) return;
    pending.left -= 1;
    if (outcome.retainsNothing !== true) pending.retaining.push(owner);
    if (isFailure(outcome.reasonCode)) this.#finish(filter, pending, outcome);
    else if (pending.left === 0) this.#finish(filter, pending, established);
  }

  #finish(filter: string, pending: Pending, outcome: Outcome): void {
    this.#pending.delete(filter);
    // Who came later may have missed what was retained in between, and has to ask.
    for (const [index, settle] of pending.settlers.entries()) {
      settle(outcome, index === 0 ? pending.retaining : undefined);
    }
  }

  #othersOf(filter: string): number[] {
    if (this.#placement.layout.shards === 1) return [];
    return this.#ownersOf(filter).filter((shard) => shard !== this.#self);
  }

  /** Every shard serves topics of the server itself, but only one knows who shares a subscription to them. */
  #ownersOf(filter: string): readonly number[] {
    if (!isServerFilter(filter)) return this.#placement.filterShards(filter);
    return parseSharedFilter(filter) === undefined ? [] : [this.#placement.topicShard(serverTopicKey)];
  }

  /** By the clock, so that it grows through sleeps without being written. */
  #nextSerial(nowMs: number): number {
    this.#lastSerial = Math.max(this.#lastSerial + 1, nowMs);
    return this.#lastSerial;
  }
}
