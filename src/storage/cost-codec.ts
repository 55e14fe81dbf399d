/** What is kept of the count of what a shard costs, in rows and in sockets' attachments: positions instead of names. */
import type { DailyCount } from "../core/abuse/daily-count.ts";
import type { CostRecord } from "../core/cost/cost-meter.ts";
import type { CostCounts } from "../core/cost/counts.ts";
import { costNames, countsOf } from "../core/cost/counts.ts";

/** By the positions of {@link costNames}. */
export type CostCountsTuple = readonly number[];

export type DailyCountTuple = readonly [day: number, count: number];

export type CostTuple = [
  run: number,
  sinceSec: number,
  base: CostCountsTuple,
  total: CostCountsTuple,
  messagesToday?: DailyCountTuple | null | undefined,
];

export function toCostCountsTuple(counts: CostCounts): CostCountsTuple {
  return costNames.map((name) => counts[name]);
}

/** What an older release did not count is 0. */
export function fromCostCountsTuple(tuple: CostCountsTuple): CostCounts {
  return countsOf((_, index) => tuple[index] ?? 0);
}

export function toDailyCountTuple({ day, count }: DailyCount): DailyCountTuple {
  return [day, count];
}

export function fromDailyCountTuple([day, count]: DailyCountTuple): DailyCount {
  return { day, count };
}

/** Rows have it at their end, or not at all. */
export function toCostTail(cost: CostRecord | undefined): CostTuple[] {
  if (cost === undefined) return [];
  const { run, sinceSec, base, total, messagesToday } = cost;
  const tuple: CostTuple = [run, sinceSec, toCostCountsTuple(base), toCostCountsTuple(total)];
  if (messagesToday !== undefined) tuple.push(toDailyCountTuple(messagesToday));
  return [tuple];
}

export function fromCostTuple([run, sinceSec, base, total, messagesToday]: CostTuple): CostRecord {
  return {
    run,
    sinceSec,
    base: fromCostCountsTuple(base),
    total: fromCostCountsTuple(total),
    ...(messagesToday && { messagesToday: fromDailyCountTuple(messagesToday) }),
  };
}
