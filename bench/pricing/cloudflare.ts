/** What Cloudflare asks, Workers Paid: developers.cloudflare.com, "Pricing" of Durable Objects and of Workers. */
import { framesPerRequest, objectGb, usdPerMillion } from "../../src/core/cost/prices.ts";

export { objectGb, pricesOf } from "../../src/core/cost/prices.ts";

export const monthSec = 2_592_000;
const million = 1e6;

/** Dollars above what is included in the monthly base price. */
export const prices = {
  base: 5,
  requests: { included: million, perMillion: usdPerMillion.requests },
  gbSeconds: { included: 400_000, perMillion: usdPerMillion.gbSeconds },
  rowsWritten: { included: 50 * million, perMillion: usdPerMillion.rowsWritten },
  workerRequests: { included: 10 * million, perMillion: 0.3 },
  workerCpuMs: { included: 30 * million, perMillion: 0.02 },
  storedGb: { included: 5, each: 0.2 },
} as const;

/** Everything by the second, in the whole namespace. */
export interface Usage {
  /** WebSocket messages from clients. */
  readonly framesIn: number;
  /** Calls between shards that are billed. */
  readonly calls: number;
  readonly alarms: number;
  readonly connects: number;
  /** Objects awake at a time. */
  readonly awake: number;
  /** Setting an alarm is one, too. */
  readonly rows: number;
  readonly workerCpuMs: number;
  /** Kept, not by the second. */
  readonly storedGb?: number;
}

/** Dollars a month of 30 days. */
export interface Bill {
  readonly frames: number;
  readonly calls: number;
  readonly duration: number;
  readonly rows: number;
  readonly worker: number;
  readonly storage: number;
  /** With the base price. */
  readonly total: number;
}

export function billOf(usage: Usage): Bill {
  const { alarms, awake, connects, framesIn, rows, storedGb = 0, workerCpuMs } = usage;
  const callsPerSec = usage.calls + alarms + connects;
  const framesPerSec = framesIn / framesPerRequest;
  const requests = dollars(prices.requests, callsPerSec + framesPerSec);
  // What is included is shared out by use.
  const calls = requests === 0 ? 0 : requests * (callsPerSec / (callsPerSec + framesPerSec));
  const duration = dollars(prices.gbSeconds, awake * objectGb);
  const rowsWritten = dollars(prices.rowsWritten, rows);
  const worker = dollars(prices.workerRequests, connects) + dollars(prices.workerCpuMs, workerCpuMs);
  const storage = Math.max(0, storedGb - prices.storedGb.included) * prices.storedGb.each;
  const total = prices.base + requests + duration + rowsWritten + worker + storage;
  return { frames: requests - calls, calls, duration, rows: rowsWritten, worker, storage, total };
}

function dollars(price: { readonly included: number; readonly perMillion: number }, perSec: number): number {
  return (Math.max(0, perSec * monthSec - price.included) / million) * price.perMillion;
}
