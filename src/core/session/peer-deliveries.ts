import type { DeliverItem, Outcome } from "../peers/message.ts";
import { queueFull } from "../topics/topic-owner.ts";
import type { Peers } from "../peers/peers.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Replaying } from "./replaying.ts";
import type { LocalSubscribers } from "./local-subscribers.ts";
import type { SubscriberRoutes } from "./subscriber-routes.ts";

type Deliver = DeliverItem & { readonly type: "deliver" };
type DeliverShared = DeliverItem & { readonly type: "deliverShared" };

const success: Outcome = { reasonCode: ReasonCode.Success };
const nobody: Outcome = { reasonCode: ReasonCode.NoMatchingSubscribers };

/** What owners of topics send to the sessions of this shard: applied and answered at once. */
export class PeerDeliveries {
  readonly #peers: Peers;
  readonly #subscribers: LocalSubscribers;
  readonly #replaying: Replaying;
  readonly #routes: SubscriberRoutes;

  constructor(peers: Peers, subscribers: LocalSubscribers, replaying: Replaying, routes: SubscriberRoutes) {
    this.#peers = peers;
    this.#subscribers = subscribers;
    this.#replaying = replaying;
    this.#routes = routes;
  }

  handle(item: DeliverItem, owner: number, nowMs: number): Outcome {
    switch (item.type) {
      case "deliver":
        return this.#once(item, owner, () => this.#deliver(item, nowMs));
      case "deliverShared":
        return this.#once(item, owner, () => this.#deliverShared(item, nowMs));
      case "retained":
        this.#replaying.receivePage(item, nowMs);
        return success;
    }
  }

  /** A numbered message is applied once; when it comes again, the answer is the same. */
  #once({ origin }: Deliver | DeliverShared, owner: number, apply: () => Outcome): Outcome {
    if (origin === undefined) return apply();
    const watermark = this.#peers.watermark(origin, owner);
    const earlier = watermark.outcomeOf(origin.sequence);
    if (earlier !== undefined) return earlier;
    const outcome = apply();
    // What was refused has not been applied, and is judged again when it comes again.
    if (outcome.isForPublisher === true) return outcome;
    watermark.note(origin.sequence, outcome.reasonCode === ReasonCode.Success);
    return outcome;
  }

  #deliver({ publication, publisherClientId }: Deliver, nowMs: number): Outcome {
    if (this.#subscribers.refusesUnshared(publication, publisherClientId, nowMs)) return queueFull;
    const matches = this.#subscribers.deliverUnshared(publication, publisherClientId, nowMs);
    if (matches.isMatched) return success;
    return matches.isSubscribed ? nobody : { ...nobody, staleThrough: this.#routes.staleThrough(nowMs) };
  }

  #deliverShared(item: DeliverShared, nowMs: number): Outcome {
    const { publication, sharedFilter, queues, origin } = item;
    const members = this.#subscribers.membersOf(sharedFilter);
    if (members === undefined) return { ...nobody, staleThrough: this.#routes.staleThrough(nowMs) };
    const message = { publication, sharedFilter, queues, isNumbered: origin !== undefined };
    const delivery = this.#subscribers.deliverShared(message, nowMs);
    // Another shard may have a member with room; the one that is asked last has the last word.
    if (delivery === "full" && queues) return queueFull;
    return { ...(delivery === "taken" ? success : nobody), members };
  }
}
