import type { ShardContext } from "../shard-context.ts";
import { giveUp } from "./authenticating.ts";
import type { Connections } from "./connections.ts";
import { disconnect } from "./disconnecting.ts";

/** Ends connections that have not come to a whole packet, or to an end of their authentication, in time. */
export function endIncomplete(context: ShardContext, connections: Connections, nowMs: number): void {
  const { clock } = context;
  for (
    let one = clock.takeIncompleteConnection(nowMs);
    one !== undefined;
    one = clock.takeIncompleteConnection(nowMs)
  ) {
    if (one.client !== undefined) context.load(nowMs);
    const { reasonCode, reasonString } = one.incompleteness;
    if (!giveUp(context, one, nowMs)) disconnect(context, one, reasonCode, reasonString, nowMs);
    connections.delete(one.connectionId);
  }
}
