/** From what was counted to dollars a month. */
import { awsMonthly } from "../pricing/aws.ts";
import type { Bill } from "../pricing/cloudflare.ts";
import { billOf, monthSec, prices, pricesOf } from "../pricing/cloudflare.ts";
import { assumptions } from "./assumptions.ts";
import type { Measurement } from "./measure.ts";
import type { Workload, WorkloadName } from "./workloads.ts";
import { awsUsageOf } from "./workloads.ts";

/** What `--json` prints, one a line. The message of a load without messages is a ping. */
export interface Result {
  readonly workload: WorkloadName;
  readonly shards: number;
  /** Whether docs/scaling.md asks for that many shards at this load. */
  readonly isRecommended: boolean;
  readonly usdPerMonth: number;
  readonly awsUsdPerMonth: number | null;
  readonly targetUsdPerMonth: number;
  readonly meetsTarget: boolean;
  /** Without alarms. */
  readonly rowsPerMessage: number;
  /** Calls between shards, and those that are billed. */
  readonly rpcPerMessage: number;
  readonly rpcBilledPerMessage: number;
  readonly framesPerMessage: number;
  readonly rowsPerMonth: number;
  readonly framesPerMonth: number;
  readonly alarmsPerMonth: number;
  readonly commitsPerMonth: number;
  /** Of the time of an object. */
  readonly awakeFraction: number;
  readonly parts: Omit<Bill, "total"> & { readonly base: number };
  readonly pricesOf: string;
}

export function resultOf(workload: Workload, measurement: Measurement): Result {
  const { messages, ofVisits, seconds, shards, steady, visits } = measurement;
  const connects = workload.clients / assumptions.connectIntervalSec;
  const ofVisit = (count: number): number => (count / visits) * connects;
  const alarms = steady.alarms / seconds;
  const framesIn = steady.frames / seconds + ofVisit(ofVisits.frames);
  const rows = steady.rows / seconds + alarms + ofVisit(ofVisits.rows + ofVisits.alarms);
  const { total, ...parts } = billOf({
    framesIn,
    rows,
    alarms: alarms + ofVisit(ofVisits.alarms),
    calls: steady.callsBilled / seconds + ofVisit(ofVisits.calls),
    connects,
    awake: steady.awakeMs / 1000 / seconds,
    workerCpuMs: connects * assumptions.cpuMsPerConnect,
    storedGb: assumptions.storedGb,
  });
  const events = messages === 0 ? steady.pings : messages;
  const frames = messages === 0 ? steady.frames : steady.frames - steady.pings;
  const { comparesWithAws, name, shardsRecommended, targetUsdPerMonth } = workload;
  return {
    workload: name,
    shards,
    isRecommended: shards === shardsRecommended,
    usdPerMonth: total,
    awsUsdPerMonth: comparesWithAws ? awsMonthly(awsUsageOf(workload)) : null,
    targetUsdPerMonth,
    meetsTarget: total <= targetUsdPerMonth,
    rowsPerMessage: steady.rows / events,
    rpcPerMessage: steady.calls / events,
    rpcBilledPerMessage: steady.callsBilled / events,
    framesPerMessage: frames / events,
    rowsPerMonth: rows * monthSec,
    framesPerMonth: framesIn * monthSec,
    alarmsPerMonth: alarms * monthSec,
    commitsPerMonth: (steady.commits / seconds) * monthSec,
    awakeFraction: steady.awakeMs / 1000 / seconds / shards,
    parts: { base: prices.base, ...parts },
    pricesOf,
  };
}
