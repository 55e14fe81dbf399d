/** How often something has happened on a day. */
export interface DailyCount {
  /** UTC days since 1970. */
  readonly day: number;
  readonly count: number;
}

export function dayOf(nowMs: number): number {
  return Math.floor(nowMs / 86_400_000);
}

/** How often on that day, as far as it is known. */
export function countOn(day: number, known: DailyCount | undefined): number {
  return known?.day === day ? known.count : 0;
}

/** Of two counts of the same, the one that was made later. */
export function laterOf(left: DailyCount | undefined, right: DailyCount | undefined): DailyCount | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  const isLater = left.day === right.day ? left.count >= right.count : left.day > right.day;
  return isLater ? left : right;
}
