import type { Members } from "../peers/message.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import type { Session } from "./session.ts";
import type { Recipient } from "./subscription-tree.ts";

/**
 * The members of one Shared Subscription (section 4.8.2). Each message goes to one: in turns among those that are
 * connected, and among the others only when none is.
 */
export class SharedGroup {
  /** `$share/{ShareName}/{filter}`. */
  readonly filter: string;
  /** In the order of their turns. */
  readonly #connected = new Map<Session, SubscriptionRecord>();
  readonly #away = new Map<Session, SubscriptionRecord>();

  constructor(filter: string) {
    this.filter = filter;
  }

  get members(): Members {
    return { online: this.#connected.size, total: this.#connected.size + this.#away.size };
  }

  add(session: Session, subscription: SubscriptionRecord): void {
    this.remove(session);
    this.#members(session).set(session, subscription);
  }

  remove(session: Session): "empty" | "inhabited" {
    this.#connected.delete(session);
    this.#away.delete(session);
    return this.#connected.size + this.#away.size === 0 ? "empty" : "inhabited";
  }

  /** True when the first member has come online, or the last one has gone. */
  updatePresence(session: Session): boolean {
    const wasOnline = this.#connected.size > 0;
    const subscription = this.#connected.get(session) ?? this.#away.get(session);
    if (subscription !== undefined) this.add(session, subscription);
    return this.#connected.size > 0 !== wasOnline;
  }

  /** The member whose turn it is. */
  choose(): Recipient | undefined {
    const members = this.#connected.size > 0 ? this.#connected : this.#away;
    for (const [session, subscription] of members) {
      members.delete(session);
      members.set(session, subscription);
      const { maximumQos, retainAsPublished, subscriptionIdentifier, topicFilter } = subscription;
      return {
        session,
        maximumQos,
        retainAsPublished,
        subscriptionIdentifiers: subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier],
        sharedFilter: topicFilter,
      };
    }
    return undefined;
  }

  #members(session: Session): Map<Session, SubscriptionRecord> {
    return session.connection === undefined ? this.#away : this.#connected;
  }
}
