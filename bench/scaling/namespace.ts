/** The real core, N shards of it, with storage in memory, in one process. What it counts is what Cloudflare bills. */
import type { Call } from "../../test/core/harness.ts";
import { Harness } from "../../test/core/harness.ts";

/** The default of one shard; several have fewer each. The harness itself has none. */
const flushesPerSec = 20;

export interface Totals {
  /** Calls between shards, and the items in them. */
  readonly calls: number;
  readonly items: number;
  /** Without alarms. */
  readonly rows: number;
  /** Times that an alarm was set: a row each, and a request when it fires. */
  readonly alarms: number;
}

export class Namespace extends Harness {
  constructor(shards: number, transport?: (call: Call) => void, flushesPerSecMax = flushesPerSec) {
    super({ shards, flushesPerSecMax, ...(transport !== undefined && { transport }) });
  }

  totals(): Totals {
    let [items, rows, alarms] = [0, 0, 0];
    for (const shard of this.shards) {
      if (shard.isConstructed) items += shard.core.counters.peerItems;
      rows += shard.storage.rowsWritten;
      alarms += shard.alarmWrites.length;
      // What tests look at would fill the memory.
      shard.commits.length = 0;
    }
    this.trace.length = 0;
    return { calls: this.callCount, items, rows, alarms };
  }

  since(before: Totals): Totals {
    const after = this.totals();
    return {
      calls: after.calls - before.calls,
      items: after.items - before.items,
      rows: after.rows - before.rows,
      alarms: after.alarms - before.alarms,
    };
  }
}
