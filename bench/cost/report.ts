import { awsPricesOf } from "../pricing/aws.ts";
import { monthSec, objectGb, prices, pricesOf } from "../pricing/cloudflare.ts";
import { percent, short, table, whole } from "../scaling/table.ts";
import { assumptions } from "./assumptions.ts";
import { measuredMs } from "./measure.ts";
import type { ProcessorTimes } from "./processor.ts";
import { ratePerSec } from "./processor.ts";
import type { Result } from "./result.ts";
import { clientsAtAll, keepAliveSec, payloadBytes, workloads } from "./workloads.ts";

/** What the bill would be if something were otherwise. */
export interface Variant {
  readonly what: string;
  readonly result: Result;
}

export function formatReport(
  results: readonly Result[],
  variants: readonly Variant[],
  times: ProcessorTimes,
): string {
  return [
    ...assumptionLines(times),
    "",
    "## Counted: what a message costs (of idle-10k: a ping)",
    "",
    eventsTable(results),
    "",
    `## Computed: dollars a month, Cloudflare's prices of ${pricesOf}, those of AWS IoT Core of ${awsPricesOf}`,
    "",
    billTable(results),
    "",
    `An object that never sleeps takes ${whole(monthSec * objectGb)} GB-s a month; ${whole(prices.gbSeconds.included)} are included.`,
    "",
    "## Computed: if something were otherwise",
    "",
    variantsTable(variants),
    "",
    "## Targets",
    "",
    targetsTable(results),
  ].join("\n");
}

function assumptionLines(times: ProcessorTimes): string[] {
  const { answerMs, callMs, commitMs, connectIntervalSec, cpuMsPerConnect, storedGb, turnMs } = assumptions;
  const { perMessage, perPing } = times;
  const where = times.isMeasured ? "measured here on workerd" : "measured elsewhere on workerd";
  const messages = Object.entries(perMessage).map(([name, ms]) => `${short(ms)} ms a message of ${name}`);
  return [
    `${whole(clientsAtAll)} clients, Keep Alive and a PINGREQ every ${keepAliveSec} s, a message of ${payloadBytes} bytes a minute to one subscriber;`,
    `names anywhere, all ${whole(clientsAtAll)} simulated for ${measuredMs / 1000} s after a warm-up; flushes at the rate of the defaults.`,
    "",
    `Processor time, ${where} at ${ratePerSec} events a second: ${short(perPing)} ms a ping, ${messages.join(", ")}.`,
    `Assumed: ${turnMs} ms more after each event, ${commitMs} ms for a write, ${callMs} ms for a call between shards, ${answerMs} ms until a client acknowledges;`,
    `each client comes anew every ${whole(connectIntervalSec)} s and subscribes again, ${cpuMsPerConnect} ms of the Worker each; ${storedGb} GB stored; no relay.`,
  ];
}

function eventsTable(results: readonly Result[]): string {
  const header = ["load", "shards", "frames in", "frames ÷ 20", "calls", "calls billed", "rows"];
  const month = ["rows a month", "alarms a month", "awake"];
  const body = results.map((result) => [
    result.workload,
    result.shards,
    short(result.framesPerMessage),
    short(result.framesPerMessage / 20),
    short(result.rpcPerMessage),
    result.rpcBilledPerMessage === 0 ? "0" : result.rpcBilledPerMessage.toFixed(5),
    short(result.rowsPerMessage),
    millions(result.rowsPerMonth),
    whole(result.alarmsPerMonth),
    percent(result.awakeFraction),
  ]);
  return table([...header, ...month], body);
}

function billTable(results: readonly Result[]): string {
  const header = [
    "load",
    "shards",
    "base",
    "frames",
    "calls, alarms",
    "duration",
    "rows",
    "Worker",
    "**total**",
  ];
  const body = results.map(({ awsUsdPerMonth, parts, shards, usdPerMonth, workload }) => [
    workload,
    shards,
    ...[parts.base, parts.frames, parts.calls, parts.duration, parts.rows, parts.worker].map(cents),
    `**${cents(usdPerMonth)}**`,
    awsUsdPerMonth === null ? "–" : cents(awsUsdPerMonth),
  ]);
  return table([...header, "AWS IoT Core"], body);
}

function variantsTable(variants: readonly Variant[]): string {
  const body = variants.map(({ result, what }) => [
    what,
    result.workload,
    result.shards,
    millions(result.rowsPerMonth),
    cents(result.usdPerMonth),
  ]);
  return table(["what", "load", "shards", "rows a month", "total"], body, 2);
}

/** By the layout that the documentation recommends. */
function targetsTable(results: readonly Result[]): string {
  const body = results
    .filter(({ isRecommended }) => isRecommended)
    .map(({ meetsTarget, shards, targetUsdPerMonth, usdPerMonth, workload }) => [
      workload,
      workloads.find(({ name }) => name === workload)?.describe ?? "",
      shards,
      cents(usdPerMonth),
      cents(targetUsdPerMonth),
      meetsTarget ? "met" : "MISSED",
    ]);
  return table(["load", "what", "shards recommended", "total", "target", "result"], body, 2);
}

function cents(value: number): string {
  const [before = "", after = ""] = value.toFixed(2).split(".");
  return `$${whole(Number(before))}.${after}`;
}

function millions(value: number): string {
  return `${(value / 1e6).toFixed(2)} M`;
}
