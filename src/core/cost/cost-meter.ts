import type { DailyCount } from "../abuse/daily-count.ts";
import { laterOf } from "../abuse/daily-count.ts";
import type { ShardStorage } from "../storage-port.ts";
import type { CostCounts } from "./counts.ts";
import { costNames, minus, noCounts, plus } from "./counts.ts";
import { listPriceUsd } from "./prices.ts";

/**
 * What the attachment of a socket keeps of the count. A run is the lives of the object that sockets connect: it begins
 * when the object is constructed and no socket is there.
 */
export interface CostShare {
  /** A random number. */
  readonly run: number;
  /** When counting began, in s since 1970. */
  readonly sinceSec: number;
  readonly counts: CostCounts;
  readonly messagesToday?: DailyCount;
}

/** What a row keeps of the count. */
export interface CostRecord {
  /** The run in which it was written. */
  readonly run: number;
  readonly sinceSec: number;
  /** All that was counted before that run, as far as it was known. */
  readonly base: CostCounts;
  /** All that was counted before the row was written. */
  readonly total: CostCounts;
  readonly messagesToday?: DailyCount;
}

/** The count of one object, since {@link sinceSec}. */
export interface CostFigures extends CostCounts {
  readonly sinceSec: number;
  readonly storedBytes: number;
  /** At list prices, see {@link listPriceUsd}. */
  readonly usdEstimated: number;
}

/** Rows as the storage counts them since it was opened. */
export type RowCounts = Pick<ShardStorage, "rowsRead" | "rowsWritten" | "storedBytes">;

/**
 * Counts what the object costs. The host counts what happens in this life; what earlier lives have counted is
 *
 * - in the sockets: each attachment has a share, and the shares add up to all that the run has counted. An object that
 *   one of many sleeping sockets wakes adds to that socket's share, and need not look at the others.
 * - in rows: what was counted before the run is known from the newest row.
 */
export class CostMeter {
  /** Of this life, counted by the host: plain numbers, so that counting costs nothing. */
  requests = 0;
  framesReceived = 0;
  callsBilled = 0;
  callsMade = 0;
  alarms = 0;
  alarmsSet = 0;
  /** What has been published to the shard on the day of the last message, if that is limited. It costs nothing, but goes the same way. */
  messagesToday: DailyCount | undefined;
  readonly #rows: RowCounts;
  #awakeMs = 0;
  #notedAtMs = 0;
  #isHeld = false;
  #startedAtSec = 0;
  #randomRun = 0;
  #run: number | undefined;
  #sharesSinceSec = Infinity;
  /** By connection; without those of sockets that still sleep. */
  readonly #shares = new Map<string, CostCounts>();
  /** All those shares. */
  #shared = noCounts;
  /** The shares of woken sockets, as they were when they woke. */
  #woken = noCounts;
  #row: CostRecord | undefined;

  constructor(rows: RowCounts) {
    this.#rows = rows;
  }

  /** `random`: a random whole number. */
  start(random: number, nowMs: number): void {
    this.#randomRun = random;
    this.#startedAtSec = Math.floor(nowMs / 1000);
    this.#notedAtMs = nowMs;
  }

  /**
   * To be called when an event has been handled, and when something ends that holds the object awake. `isHeld`:
   * something does, from now until the next call. Time is that of I/O: a Worker's clock stands still while its code
   * runs, so processor time is not in the estimate.
   */
  noteTime(isHeld: boolean, nowMs: number): void {
    if (this.#isHeld) this.#awakeMs += Math.max(0, nowMs - this.#notedAtMs);
    this.#notedAtMs = nowMs;
    this.#isHeld = isHeld;
  }

  /** A socket has woken with that share, or with none. */
  noteWoken(connectionId: string, share: CostShare | undefined): void {
    if (share === undefined || this.#shares.has(connectionId)) return;
    this.messagesToday = laterOf(this.messagesToday, share.messagesToday);
    this.#run ??= share.run;
    // Of a run that has ended, all that is left is what a row has of it.
    if (share.run !== this.#run) return;
    this.#sharesSinceSec = Math.min(this.#sharesSinceSec, share.sinceSec);
    this.#shares.set(connectionId, share.counts);
    this.#shared = plus(this.#shared, share.counts);
    this.#woken = plus(this.#woken, share.counts);
  }

  /** A row has been read. */
  noteRow(record: CostRecord | undefined): void {
    if (record === undefined) return;
    this.messagesToday = laterOf(this.messagesToday, record.messagesToday);
    if (this.#row === undefined || isNewer(record.total, this.#row.total)) this.#row = record;
  }

  /** What the socket's attachment has to keep. */
  shareOf(connectionId: string): CostShare {
    const counts = this.#shares.get(connectionId) ?? noCounts;
    return { run: this.#claimRun(), sinceSec: this.sinceSec, counts, ...this.#day };
  }

  /** Something has been counted that is in no share. */
  get hasUnshared(): boolean {
    const known = this.#known;
    return costNames.some((name) => known[name] !== this.#shared[name]);
  }

  /** Adds all that is in no share to that of the socket. */
  shareWith(connectionId: string): void {
    const known = this.#known;
    const share = this.#shares.get(connectionId) ?? noCounts;
    this.#shares.set(connectionId, plus(share, minus(known, this.#shared)));
    this.#shared = known;
  }

  /** The socket is gone: its share is for another one. */
  release(connectionId: string): void {
    const share = this.#shares.get(connectionId);
    if (share === undefined) return;
    this.#shares.delete(connectionId);
    this.#shared = minus(this.#shared, share);
  }

  /** For a row that is about to be written. Only when all sockets have woken and rows have been read. */
  record(): CostRecord {
    // Which run it is decides what the base is.
    const run = this.#claimRun();
    return { run, sinceSec: this.sinceSec, base: this.#base, total: this.#total, ...this.#day };
  }

  /** As far as rows and sockets have been read. */
  figures(): CostFigures {
    const total = this.#total;
    const { sinceSec } = this;
    const { storedBytes } = this.#rows;
    return { ...total, sinceSec, storedBytes, usdEstimated: listPriceUsd(total) };
  }

  /** When counting began, in s since 1970. */
  get sinceSec(): number {
    return Math.min(this.#startedAtSec, this.#sharesSinceSec, this.#row?.sinceSec ?? Infinity);
  }

  get #day(): { readonly messagesToday?: DailyCount } {
    const { messagesToday } = this;
    return messagesToday === undefined ? {} : { messagesToday };
  }

  get #total(): CostCounts {
    return plus(this.#base, this.#known);
  }

  /** All that was counted before the run. */
  get #base(): CostCounts {
    if (this.#row === undefined) return noCounts;
    return this.#row.run === this.#run ? this.#row.base : this.#row.total;
  }

  /** Of this run, in this life and by the sockets that have woken. */
  get #known(): CostCounts {
    const { requests, framesReceived, callsBilled, callsMade, alarms } = this;
    return plus(this.#woken, {
      requests,
      framesReceived,
      callsBilled,
      callsMade,
      alarms,
      rowsRead: this.#rows.rowsRead,
      rowsWritten: this.#rows.rowsWritten + this.alarmsSet,
      awakeMs: this.#awakeMs,
    });
  }

  #claimRun(): number {
    this.#run ??= this.#randomRun;
    return this.#run;
  }
}

/** Counts only grow. */
function isNewer(left: CostCounts, right: CostCounts): boolean {
  const difference = minus(left, right);
  return costNames.reduce((sum, name) => sum + difference[name], 0) > 0;
}
