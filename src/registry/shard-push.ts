import { inTime } from "../in-time.ts";
import type { Round, ShardNews, Subjects } from "./shard-news.ts";

export interface ShardPushPorts {
  /** Tells a shard what has changed. Whether it has taken it; rejects when it cannot be reached. */
  readonly tell: (shard: number, subjects: Subjects) => Promise<boolean>;
  readonly setAlarm: (delayMs: number) => void;
  readonly clearAlarm: () => void;
}

/** Of one round. An event may make 50 calls on Cloudflare's free plan. */
export const tellingsMax = 32;

const callMsMax = 5_000;
const pauseMsMin = 1_000;
const pauseMsMax = 30_000;

/** The first round is made at once; the alarm is for the case that the object does not live to see its end. */
export const guardMs = 15_000;

/** Tells every shard what has changed, until each has heard it. */
export class ShardPush {
  readonly #news: ShardNews;
  readonly #ports: ShardPushPorts;
  #lastRound: Promise<unknown> = Promise.resolve();
  /** It has not begun. */
  #nextRound: Promise<number> | undefined;

  constructor(news: ShardNews, ports: ShardPushPorts) {
    this.#news = news;
    this.#ports = ports;
  }

  /** To be called in the turn that has written the change, so that both are kept or none. */
  guard(): void {
    this.#ports.setAlarm(guardMs);
  }

  /** One round, after the one that is under way; all who ask meanwhile share it. How many shards are left. */
  push(): Promise<number> {
    if (this.#nextRound !== undefined) return this.#nextRound;
    const round = this.#lastRound.then(() => {
      this.#nextRound = undefined;
      return this.#makeRound();
    });
    this.#nextRound = round;
    this.#lastRound = round.catch(() => {});
    return round;
  }

  /** What the alarm is for. Never rejects: the runtime tries an alarm that fails again, but not for ever. */
  async goOn(): Promise<void> {
    try {
      await this.push();
    } catch (error) {
      console.error("duramq: shards could not be told of a change", error);
      this.guard();
    }
  }

  async #makeRound(): Promise<number> {
    const round = this.#news.nextRound(tellingsMax);
    const heardBy = await this.#tell(round);
    const isPause = this.#news.pendingCount > 0 && this.#news.note(round, heardBy);
    const left = this.#news.pendingCount;
    // A change meanwhile has a round of its own, and has armed the alarm for it.
    if (this.#news.number !== round.number) return left;
    if (left === 0) this.#ports.clearAlarm();
    else this.#ports.setAlarm(isPause ? pauseMs(this.#news.pauses) : 0);
    return left;
  }

  async #tell({ tellings }: Round): Promise<ReadonlySet<number>> {
    const answers = tellings.map(async ({ shard, subjects }) =>
      (await this.#isTaken(shard, subjects)) ? [shard] : [],
    );
    return new Set((await Promise.all(answers)).flat());
  }

  async #isTaken(shard: number, subjects: Subjects): Promise<boolean> {
    try {
      return await inTime(this.#ports.tell(shard, subjects), callMsMax);
    } catch {
      return false;
    }
  }
}

function pauseMs(pauses: number): number {
  return Math.min(pauseMsMin * 2 ** (pauses - 1), pauseMsMax);
}
