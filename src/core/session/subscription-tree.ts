import type { Members } from "../peers/message.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import { SmallMap } from "../small-map.ts";
import { parseSharedFilter } from "../topic.ts";
import { TopicFilters } from "../topics/topic-filters.ts";
import type { Session } from "./session.ts";
import { SharedGroup } from "./shared-group.ts";

/** A session that gets a message, and how, over all its subscriptions that match ([MQTT-3.3.4-2], [MQTT-3.3.4-4]). */
export interface Recipient {
  readonly session: Session;
  maximumQos: 0 | 1 | 2;
  retainAsPublished: boolean;
  subscriptionIdentifiers: number[] | undefined;
  /** The Shared Subscription by which it was chosen. */
  readonly sharedFilter?: string;
}

/** All subscriptions to one Topic Filter: those of sessions alone, and in `groups` those they share. */
class Subscribed extends SmallMap<Session, SubscriptionRecord> {
  /** By ShareName; absent while there is none. */
  groups: Map<string, SharedGroup> | undefined;
}

/** Who is subscribed to a topic. */
export interface Matches {
  readonly recipients: Recipient[];
  readonly groups: readonly SharedGroup[];
  /** Somebody is, even if No Local keeps the message from all of them; Shared Subscriptions apart. */
  readonly isSubscribed: boolean;
}

/** The subscriptions of all sessions of the shard, found by Topic Name. */
export class SubscriptionTree {
  readonly #tree = new TopicFilters<Subscribed>();

  add(session: Session, subscription: SubscriptionRecord): void {
    const { shareName, topicFilter } = partsOf(subscription.topicFilter);
    const subscribed = this.#tree.getOrMake(topicFilter, newSubscribed);
    if (shareName === undefined) {
      subscribed.set(session, subscription);
    } else {
      groupOf(subscribed, shareName, subscription.topicFilter).add(session, subscription);
    }
  }

  remove(session: Session, filter: string): void {
    const { shareName, topicFilter } = partsOf(filter);
    const subscribed = this.#tree.get(topicFilter);
    if (subscribed === undefined) return;
    if (shareName === undefined) {
      subscribed.delete(session);
    } else if (subscribed.groups?.get(shareName)?.remove(session) === "empty") {
      subscribed.groups.delete(shareName);
      if (subscribed.groups.size === 0) subscribed.groups = undefined;
    }
    if (subscribed.size === 0 && subscribed.groups === undefined) this.#tree.delete(topicFilter);
  }

  /** Somebody has exactly this filter, shared or not. */
  has(filter: string): boolean {
    const { shareName, topicFilter } = partsOf(filter);
    const subscribed = this.#tree.get(topicFilter);
    if (shareName !== undefined) return subscribed?.groups?.has(shareName) === true;
    return subscribed !== undefined && subscribed.size > 0;
  }

  /** The session has got or lost its connection: Shared Subscriptions prefer those that have one. */
  updatePresence(session: Session): SharedGroup[] {
    const changed: SharedGroup[] = [];
    for (const filter of session.subscriptions.keys()) {
      const group = filter.startsWith("$share/") ? this.group(filter) : undefined;
      if (group?.updatePresence(session)) changed.push(group);
    }
    return changed;
  }

  match(topicName: string, publisherClientId: string): Matches {
    const bySession = new Map<Session, Recipient>();
    const matchingGroups: SharedGroup[] = [];
    let isSubscribed = false;
    this.#tree.match(topicName, (subscribed) => {
      for (const [session, subscription] of subscribed) {
        isSubscribed = true;
        // [MQTT-3.8.3-3] No Local: not back to the client that published it.
        if (subscription.noLocal && session.clientId === publisherClientId) continue;
        merge(bySession, session, subscription);
      }
      if (subscribed.groups !== undefined) matchingGroups.push(...subscribed.groups.values());
    });
    return { recipients: [...bySession.values()], groups: matchingGroups, isSubscribed };
  }

  /** Of a Shared Subscription; undefined when it has none. */
  members(sharedFilter: string): Members | undefined {
    return this.group(sharedFilter)?.members;
  }

  group(sharedFilter: string): SharedGroup | undefined {
    const { shareName, topicFilter } = partsOf(sharedFilter);
    return shareName === undefined ? undefined : this.#tree.get(topicFilter)?.groups?.get(shareName);
  }
}

function newSubscribed(): Subscribed {
  return new Subscribed();
}

function partsOf(filter: string): { shareName?: string; topicFilter: string } {
  return parseSharedFilter(filter) ?? { topicFilter: filter };
}

function groupOf(subscribed: Subscribed, shareName: string, filter: string): SharedGroup {
  const groups = (subscribed.groups ??= new Map<string, SharedGroup>());
  let group = groups.get(shareName);
  if (group === undefined) groups.set(shareName, (group = new SharedGroup(filter)));
  return group;
}

function merge(
  bySession: Map<Session, Recipient>,
  session: Session,
  { maximumQos, retainAsPublished, subscriptionIdentifier }: SubscriptionRecord,
): void {
  const recipient = bySession.get(session);
  if (recipient === undefined) {
    const subscriptionIdentifiers =
      subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier];
    bySession.set(session, { session, maximumQos, retainAsPublished, subscriptionIdentifiers });
    return;
  }
  recipient.maximumQos = Math.max(recipient.maximumQos, maximumQos) as 0 | 1 | 2;
  recipient.retainAsPublished ||= retainAsPublished;
  if (subscriptionIdentifier !== undefined) {
    (recipient.subscriptionIdentifiers ??= []).push(subscriptionIdentifier);
  }
}
