import type { CostMeter } from "../cost/cost-meter.ts";
import { ReasonCode } from "../reason-code.ts";
import type { Refusal } from "../refusal.ts";
import type { AbuseLimits } from "./abuse-limits.ts";
import type { DailyCount } from "./daily-count.ts";
import { countOn, dayOf } from "./daily-count.ts";
import { RecentMap } from "./recent-map.ts";

/** Clients that have left whose counts are remembered; to push one out takes as many others. */
export const leftClientsMax = 10_000;

/** One who publishes. */
export interface Publisher {
  messagesToday: DailyCount | undefined;
}

/**
 * What clients publish in a UTC day. The count of a client is in its socket's attachment, and here while it is away;
 * that of the shard goes with what the shard has cost, into attachments and into rows that are written anyway.
 */
export class DailyMessages {
  readonly #limits: AbuseLimits;
  readonly #meter: CostMeter;
  readonly #left = new RecentMap<DailyCount>(leftClientsMax);

  constructor(limits: AbuseLimits, meter: CostMeter) {
    this.#limits = limits;
    this.#meter = meter;
  }

  get isCounting(): boolean {
    return this.#limits.messagesPerDayMax > 0 || this.#limits.shardMessagesPerDayMax > 0;
  }

  /** Counts a message, or says why it is one too many. */
  refusalOf(publisher: Publisher, nowMs: number): Refusal | undefined {
    const { messagesPerDayMax, shardMessagesPerDayMax } = this.#limits;
    const day = dayOf(nowMs);
    const ofClient = countOn(day, publisher.messagesToday);
    const ofShard = countOn(day, this.#meter.messagesToday);
    if (messagesPerDayMax > 0 && ofClient >= messagesPerDayMax) return clientQuota;
    if (shardMessagesPerDayMax > 0 && ofShard >= shardMessagesPerDayMax) return namespaceQuota;
    if (messagesPerDayMax > 0) publisher.messagesToday = { day, count: ofClient + 1 };
    if (shardMessagesPerDayMax > 0) this.#meter.messagesToday = { day, count: ofShard + 1 };
    return undefined;
  }

  /** The client of that name is back. */
  join(publisher: Publisher, clientId: string): void {
    publisher.messagesToday = this.#left.get(clientId);
  }

  leave({ messagesToday }: Publisher, clientId: string): void {
    if (messagesToday !== undefined) this.#left.set(clientId, messagesToday);
  }
}

const clientQuota: Refusal = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "The client has published what it may in a day",
};

const namespaceQuota: Refusal = {
  reasonCode: ReasonCode.QuotaExceeded,
  reasonString: "The namespace has published what it may in a day",
};
