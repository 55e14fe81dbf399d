import type { Members } from "../peers/message.ts";
import type { Routes } from "./routes.ts";

interface Candidate {
  readonly shard: number;
  readonly weight: number;
}

/** Shared Subscriptions whose turns are remembered. */
const rememberedMax = 10_000;

/** Members of Shared Subscriptions on this shard. */
export interface LocalMembers {
  membersOf(sharedFilter: string): Members | undefined;
}

/**
 * Picks the shard whose member of a Shared Subscription gets the next message: shards with somebody online in
 * proportion to their members, and only when there is none one where the message waits.
 */
export class SharedChoice {
  readonly #self: number;
  readonly #routes: Routes;
  readonly #local: LocalMembers;
  /** By Shared Subscription: how far each shard is ahead of its share. */
  readonly #credits = new Map<string, Map<number, number>>();

  constructor(self: number, routes: Routes, local: LocalMembers) {
    this.#self = self;
    this.#routes = routes;
    this.#local = local;
  }

  /** Undefined when no shard has a member. `tried`: shards that said nobody is online there, or has room. */
  choose(
    sharedFilter: string,
    tried: readonly number[],
    nowMs: number,
  ): { readonly shard: number; readonly queues: boolean } | undefined {
    const online: Candidate[] = [];
    const all: Candidate[] = [];
    const note = (shard: number, members: Members | undefined): void => {
      all.push({ shard, weight: Math.max(1, members?.total ?? 1) });
      // Until it is heard, somebody may be online.
      const weight = members?.online ?? 1;
      if (weight > 0 && !tried.includes(shard)) online.push({ shard, weight });
    };
    for (const [shard, route] of this.#routes.groupOf(sharedFilter)) {
      note(shard, this.#routes.membersOf(route, nowMs));
    }
    const local = this.#local.membersOf(sharedFilter);
    if (local !== undefined) note(this.#self, local);
    const queues = online.length === 0;
    const shard = this.#next(sharedFilter, queues ? all : online);
    return shard === undefined ? undefined : { shard, queues };
  }

  /** Smooth weighted round robin: everybody gains their weight, and the one that is ahead pays for all. */
  #next(sharedFilter: string, candidates: readonly Candidate[]): number | undefined {
    const [first, ...others] = candidates;
    if (first === undefined || others.length === 0) return first?.shard;
    const credits = this.#creditsOf(sharedFilter);
    let total = 0;
    let best = first.shard;
    let most = -Infinity;
    for (const { shard, weight } of candidates) {
      const credit = (credits.get(shard) ?? 0) + weight;
      credits.set(shard, credit);
      total += weight;
      if (credit > most) [best, most] = [shard, credit];
    }
    credits.set(best, most - total);
    return best;
  }

  #creditsOf(sharedFilter: string): Map<number, number> {
    let credits = this.#credits.get(sharedFilter);
    if (credits === undefined) {
      if (this.#credits.size >= rememberedMax) this.#credits.clear();
      this.#credits.set(sharedFilter, (credits = new Map()));
    }
    return credits;
  }
}
