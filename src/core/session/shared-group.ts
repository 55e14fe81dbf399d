import type { Members } from "../peers/message.ts";
import type { QoS } from "../packet.ts";
import type { SubscriptionRecord } from "../storage-port.ts";
import type { Session } from "./session.ts";
import type { Recipient } from "./subscription-tree.ts";

/** Whether the queue of a session takes a message, with the QoS of its subscription at most. */
type HasRoom = (session: Session, maximumQos: QoS) => boolean;

type Member = readonly [Session, SubscriptionRecord];

/**
 * Members that are looked at for one message: a group whose queues are full does not slow down who publishes. Behind more
 * of them one that has room is found by a later message.
 */
const candidatesMax = 64;

/**
 * The members of one Shared Subscription (section 4.8.2). Each message goes to one that has room for it: in turns among
 * those that are connected, and among the others only when none of these takes it.
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

  /** The member whose turn it is, of those that have room; undefined when none has. */
  choose(hasRoom: HasRoom): Recipient | undefined {
    return this.#takeTurn(firstOf([this.#connected, this.#away], hasRoom));
  }

  chooseOnline(hasRoom: HasRoom): Recipient | undefined {
    return this.#takeTurn(firstOf([this.#connected], hasRoom));
  }

  /** The member whose turn it is, with room or without. */
  chooseAny(): Recipient | undefined {
    return this.choose(() => true);
  }

  hasRoom(hasRoom: HasRoom): boolean {
    return firstOf([this.#connected, this.#away], hasRoom) !== undefined;
  }

  #takeTurn(member: Member | undefined): Recipient | undefined {
    if (member === undefined) return undefined;
    const [session, subscription] = member;
    this.add(session, subscription);
    const { maximumQos, retainAsPublished, subscriptionIdentifier, topicFilter } = subscription;
    return {
      session,
      maximumQos,
      retainAsPublished,
      subscriptionIdentifiers: subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier],
      sharedFilter: topicFilter,
    };
  }

  #members(session: Session): Map<Session, SubscriptionRecord> {
    return session.connection === undefined ? this.#away : this.#connected;
  }
}

/** Those that have no room go behind the others: the next time others are looked at. */
function firstOf(lists: readonly Map<Session, SubscriptionRecord>[], hasRoom: HasRoom): Member | undefined {
  let left = candidatesMax;
  for (const members of lists) {
    for (let unseen = members.size; unseen > 0 && left > 0; unseen -= 1) {
      const [member] = members;
      if (member === undefined || hasRoom(member[0], member[1].maximumQos)) return member;
      members.delete(member[0]);
      members.set(...member);
      left -= 1;
    }
  }
  return undefined;
}
