import type { CostMeter } from "./cost/cost-meter.ts";
import type { Counters } from "./counters.ts";
import type { MessageLog } from "./queue/message-log.ts";
import type { Peers } from "./peers/peers.ts";
import type { Sessions } from "./session/sessions.ts";
import type { Retained } from "./topics/retained.ts";
import type { ServerFigures } from "./topics/server-topics.ts";

/** What passed through the sockets since the shard was constructed. */
export interface Traffic {
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

export interface FigureSources {
  readonly version: string;
  readonly startedAtMs: number;
  readonly counters: Counters;
  readonly sessions: Sessions;
  readonly log: MessageLog;
  readonly retained: Retained;
  readonly peers: Peers;
  readonly traffic: Traffic;
  readonly cost: CostMeter;
}

/** All that `$SYS` tells of this shard. */
export function figuresOf(sources: FigureSources, nowMs: number): ServerFigures {
  return { ...brokerFiguresOf(sources, nowMs), ...costFiguresOf(sources.cost) };
}

/** Counts begin when the object is constructed, which may be after a sleep. */
function brokerFiguresOf(sources: FigureSources, nowMs: number): ServerFigures {
  const { counters, sessions, log, retained, peers, traffic } = sources;
  let subscriptionCount = 0;
  let queuedCount = 0;
  for (const session of sessions) {
    subscriptionCount += session.subscriptions.size;
    queuedCount += session.outbound.waitingCount;
  }
  return {
    "broker/version": `duramq ${sources.version}`,
    "broker/uptime": Math.floor((nowMs - sources.startedAtMs) / 1000),
    "broker/clients/connected": sessions.connectedCount,
    "broker/clients/total": sessions.size,
    "broker/clients/expired": counters.sessionsExpired,
    "broker/messages/received": counters.messagesReceived,
    "broker/messages/sent": counters.messagesSent,
    "broker/messages/dropped": counters.droppedCount,
    "broker/refusals": counters.refusedCount,
    "broker/bytes/received": traffic.bytesReceived,
    "broker/bytes/sent": traffic.bytesSent,
    "broker/subscriptions/count": subscriptionCount,
    "broker/retained/count": retained.count,
    "broker/queue/messages": queuedCount,
    "broker/queue/segments": log.segmentCount,
    "broker/peers/calls": counters.peerCalls,
    "broker/peers/items": counters.peerItems,
    "broker/peers/failures": counters.peerFailures,
    "broker/peers/refusals": counters.peerRefusedCount,
    "broker/peers/kept": peers.keptCount,
  };
}

/** What the shard is billed for, by itself: since counting began, over all sleeps. */
function costFiguresOf(cost: CostMeter): ServerFigures {
  const figures = cost.figures();
  return {
    "cost/since": figures.sinceSec,
    "cost/requests": figures.requests,
    "cost/frames/received": figures.framesReceived,
    "cost/calls/billed": figures.callsBilled,
    "cost/calls/made": figures.callsMade,
    "cost/alarms": figures.alarms,
    "cost/rows/read": figures.rowsRead,
    "cost/rows/written": figures.rowsWritten,
    "cost/stored/bytes": figures.storedBytes,
    "cost/awake/seconds/estimated": Math.floor(figures.awakeMs / 1000),
    "cost/usd/estimated": figures.usdEstimated,
  };
}
