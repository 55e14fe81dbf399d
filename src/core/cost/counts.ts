/** What an object is billed for, as it counts it itself. New names go to the end: positions are stored. */
export const costNames = [
  /** WebSocket upgrades. */
  "requests",
  /** WebSocket messages from clients; twenty are billed as one request. */
  "framesReceived",
  /** RPC calls received, each billed as a request. Those in a session are not: opening it is one. */
  "callsBilled",
  /** Calls made to other shards, in sessions or not: it is the other one that is billed for them. */
  "callsMade",
  /** Alarms that came, each billed as a request. */
  "alarms",
  "rowsRead",
  /** With those of the schema, and one for each time that the alarm was set. */
  "rowsWritten",
  /** Estimated. */
  "awakeMs",
] as const;

export type CostName = (typeof costNames)[number];
export type CostCounts = Readonly<Record<CostName, number>>;

export const noCounts: CostCounts = countsOf(() => 0);

export function countsOf(valueOf: (name: CostName, index: number) => number): CostCounts {
  const counts = {} as Record<CostName, number>;
  for (const [index, name] of costNames.entries()) counts[name] = valueOf(name, index);
  return counts;
}

export function plus(left: CostCounts, right: CostCounts): CostCounts {
  const sum = { ...left } as Record<CostName, number>;
  for (const name of costNames) sum[name] += right[name];
  return sum;
}

export function minus(left: CostCounts, right: CostCounts): CostCounts {
  const difference = { ...left } as Record<CostName, number>;
  for (const name of costNames) difference[name] -= right[name];
  return difference;
}
