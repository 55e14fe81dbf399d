/** What clients did and saw, and nothing of what the broker thinks: what the checks go by. */
import type { QoS } from "../src/core/packet.ts";
import type { LinkRecord } from "./link.ts";
import type { ClientPlan } from "./plan.ts";

export interface Message {
  /** Its payload. */
  readonly id: string;
  /** Index of the client. */
  readonly publisher: number;
  /** The session of the publisher, counted. */
  epoch: number;
  /** Grows with every message. */
  readonly number: number;
  readonly topicName: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly isClearing: boolean;
  readonly expirySec?: number;
  /** The connection whose Will it is. */
  readonly willOf?: LinkRecord;
  /** First and last time that it was put on a socket; undefined while it has not been. */
  sentAtMs?: number;
  lastSentAtMs?: number;
  /** PUBACK or PUBREC came. */
  ackedAtMs?: number;
  /** Sent when all was quiet, to find out what resets left behind. */
  readonly isSwept?: true;
  /** Not taken, and the publisher has been told; or the publisher has given it up. */
  isRefused?: true;
}

/** A subscription of a client, as the client knows it. */
export interface Interest {
  readonly client: number;
  readonly epoch: number;
  readonly filter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly askedAtMs: number;
  /** SUBACK came. */
  sinceMs?: number;
  /** UNSUBSCRIBE was sent, or the session ended. */
  endedAtMs?: number;
}

export interface Receipt {
  readonly client: number;
  readonly epoch: number;
  readonly message: Message;
  readonly qos: QoS;
  readonly dup: boolean;
  readonly retain: boolean;
  readonly atMs: number;
  /** Not taken for a repetition by the rules of QoS 2. */
  readonly isFresh: boolean;
}

export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, text: string) {
    super(`${rule}: ${text}`);
    this.rule = rule;
  }
}

export class History {
  readonly messages = new Map<string, Message>();
  readonly interests: Interest[] = [];
  readonly receipts: Receipt[] = [];
  readonly links: LinkRecord[] = [];
  readonly lines: string[] = [];
  /** Clients whose session ended while they were members of Shared Subscriptions. */
  readonly endedSessions = new Set<number>();
  /** A shard has lost its memory, and with it what has come already. */
  mayRepeat = false;
  readonly nowMs: () => number;
  /** By index. */
  readonly plans = new Map<number, ClientPlan>();
  readonly #beginsAtMs: number;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
    this.#beginsAtMs = nowMs();
  }

  planOf(client: number): ClientPlan {
    return this.plans.get(client) as ClientPlan;
  }

  log(line: string): void {
    this.lines.push(`${this.nowMs() - this.#beginsAtMs} ${line}`);
  }

  newMessage(parts: Omit<Message, "id" | "number">): Message {
    const number = this.messages.size + 1;
    const message: Message = { ...parts, id: `m${number}`, number };
    this.messages.set(message.id, message);
    return message;
  }
}

/** Section 4.7, written for reading. */
export function matches(filter: string, topicName: string): boolean {
  const wanted = filter.split("/");
  const levels = topicName.split("/");
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true;
    if (index >= levels.length || (level !== "+" && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}

/** The filter of a Shared Subscription without its name; undefined for others. */
export function sharedPart(filter: string): string | undefined {
  return /^\$share\/[^/]+\/(.*)$/.exec(filter)?.[1];
}
