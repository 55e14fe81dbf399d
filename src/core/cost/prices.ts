/** What Cloudflare asks for Durable Objects, Workers Paid: developers.cloudflare.com, "Pricing" of Durable Objects. */
import type { CostCounts } from "./counts.ts";

export const pricesOf = "2026-11";

/** Frames of a WebSocket that count as one request. */
export const framesPerRequest = 20;
/** Memory that every object is billed for, whatever it uses. */
export const objectGb = 0.128;

export const usdPerMillion = { requests: 0.15, gbSeconds: 12.5, rowsRead: 0.001, rowsWritten: 1 } as const;

/** By the list: as if nothing were included in the price of a month, and without storage and the Worker. */
export function listPriceUsd(counts: CostCounts): number {
  const { requests, framesReceived, callsBilled, alarms, rowsRead, rowsWritten, awakeMs } = counts;
  const millionths =
    (requests + callsBilled + alarms + framesReceived / framesPerRequest) * usdPerMillion.requests +
    (awakeMs / 1000) * objectGb * usdPerMillion.gbSeconds +
    rowsRead * usdPerMillion.rowsRead +
    rowsWritten * usdPerMillion.rowsWritten;
  return millionths / 1e6;
}
