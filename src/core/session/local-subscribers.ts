import type { QoS } from "../packet.ts";
import type { Members } from "../peers/message.ts";
import type { Publication } from "../publication.ts";
import { sizeOf } from "../publication.ts";
import type { QueuedMessage } from "../queue/segment.ts";
import type { SharedDelivery, SharedMessage, Subscribers } from "../topics/topic-owner.ts";
import type { Delivering } from "./delivering.ts";
import type { Session } from "./session.ts";
import type { Recipient, SubscriptionTree } from "./subscription-tree.ts";

/** Brings messages to those sessions of the shard that are subscribed. */
export class LocalSubscribers implements Subscribers {
  readonly #tree: SubscriptionTree;
  readonly #delivering: Delivering;
  readonly #handOverElsewhere: (publication: Publication, sharedFilter: string, nowMs: number) => void;

  /** `handOverElsewhere` gives a message of a Shared Subscription to a member of another shard. */
  constructor(
    tree: SubscriptionTree,
    delivering: Delivering,
    handOverElsewhere: (publication: Publication, sharedFilter: string, nowMs: number) => void,
  ) {
    this.#tree = tree;
    this.#delivering = delivering;
    this.#handOverElsewhere = handOverElsewhere;
  }

  refusesUnshared(publication: Publication, publisherClientId: string, nowMs: number): boolean {
    if (!this.#refusesSome(publication)) return false;
    const { recipients } = this.#tree.match(publication.message.topicName, publisherClientId);
    const sizeBytes = sizeOf(publication);
    return recipients.some(
      ({ session, maximumQos }) => maximumQos > 0 && this.#delivering.refuses(session, sizeBytes, nowMs),
    );
  }

  fullGroups(publication: Publication, nowMs: number): string[] {
    if (!this.#refusesSome(publication)) return [];
    const { groups } = this.#tree.match(publication.message.topicName, "");
    const hasRoom = this.#roomFor(publication, nowMs);
    return groups.filter((group) => !group.hasRoom(hasRoom)).map(({ filter }) => filter);
  }

  deliver(
    publication: Publication,
    publisherClientId: string,
    isRemembered: boolean,
    nowMs: number,
  ): boolean {
    const { recipients, groups } = this.#tree.match(publication.message.topicName, publisherClientId);
    for (const recipient of recipients) this.#deliverTo(recipient, publication, nowMs);
    for (const group of groups) {
      const recipient = group.choose(this.#roomFor(publication, nowMs)) ?? group.chooseAny();
      if (recipient !== undefined) this.#deliverTo(recipient, publication, nowMs, isRemembered);
    }
    return recipients.length + groups.length > 0;
  }

  deliverUnshared(
    publication: Publication,
    publisherClientId: string,
    nowMs: number,
  ): { isMatched: boolean; isSubscribed: boolean } {
    const { recipients, isSubscribed } = this.#tree.match(publication.message.topicName, publisherClientId);
    for (const recipient of recipients) this.#deliverTo(recipient, publication, nowMs);
    return { isMatched: recipients.length > 0, isSubscribed };
  }

  deliverShared(message: SharedMessage, nowMs: number): SharedDelivery {
    const { publication, sharedFilter, queues, isNumbered } = message;
    const group = this.#tree.group(sharedFilter);
    if (group === undefined || (!queues && group.members.online === 0)) return "nobody";
    const hasRoom = this.#roomFor(publication, nowMs);
    let recipient = queues ? group.choose(hasRoom) : group.chooseOnline(hasRoom);
    if (recipient === undefined && (!queues || this.#refusesSome(publication))) return "full";
    recipient ??= group.chooseAny();
    if (recipient === undefined) return "nobody";
    this.#deliverTo(recipient, publication, nowMs, isNumbered);
    return "taken";
  }

  sharedFiltersOf(topicName: string): string[] {
    return this.#tree.match(topicName, "").groups.map(({ filter }) => filter);
  }

  membersOf(sharedFilter: string): Members | undefined {
    return this.#tree.members(sharedFilter);
  }

  /** Publishers may have to be told that there is no room for such a message. */
  #refusesSome({ message }: Publication): boolean {
    return message.qos > 0 && this.#delivering.refusesSome;
  }

  #roomFor(publication: Publication, nowMs: number): (session: Session, maximumQos: QoS) => boolean {
    const sizeBytes = sizeOf(publication);
    const isQueued = publication.message.qos > 0;
    return (session, maximumQos) =>
      !isQueued || maximumQos === 0 || this.#delivering.hasRoom(session, sizeBytes, nowMs);
  }

  /** `awaitsCommit`: the message must not be seen before it is written that it went here. */
  #deliverTo(recipient: Recipient, publication: Publication, nowMs: number, awaitsCommit = false): void {
    const { session, maximumQos, retainAsPublished, subscriptionIdentifiers, sharedFilter } = recipient;
    const { qos, retain } = publication.message;
    const options = {
      qos: Math.min(qos, maximumQos) as 0 | 1 | 2,
      retain: retain && retainAsPublished,
      ...(subscriptionIdentifiers !== undefined && { subscriptionIdentifiers }),
      ...(sharedFilter !== undefined && { sharedFilter }),
      ...(awaitsCommit && { awaitsCommit }),
    };
    this.#delivering.deliver(session, publication, options, nowMs);
  }

  /** What an ended session had got by a Shared Subscription goes to another member (section 4.8.2). */
  handOver(messages: readonly QueuedMessage[], nowMs: number): void {
    for (const { publication, target } of messages) {
      const { sharedFilter } = target;
      if (sharedFilter === undefined) continue;
      const message = { publication, sharedFilter, queues: false, isNumbered: false };
      if (this.deliverShared(message, nowMs) === "taken") continue;
      this.#handOverElsewhere(publication, sharedFilter, nowMs);
    }
  }
}
