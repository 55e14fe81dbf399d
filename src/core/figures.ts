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
}

/** The figures of `$SYS/broker/…`. Counts begin when the object is constructed, which may be after a sleep. */
export function figuresOf(sources: FigureSources, nowMs: number): ServerFigures {
  const { counters, sessions, log, retained, peers, traffic } = sources;
  let subscriptionCount = 0;
  let queuedCount = 0;
  for (const session of sessions) {
    subscriptionCount += session.subscriptions.size;
    queuedCount += session.outbound.waitingCount;
  }
  return {
    version: `duramq ${sources.version}`,
    uptime: Math.floor((nowMs - sources.startedAtMs) / 1000),
    "clients/connected": sessions.connectedCount,
    "clients/total": sessions.size,
    "clients/expired": counters.sessionsExpired,
    "messages/received": counters.messagesReceived,
    "messages/sent": counters.messagesSent,
    "messages/dropped": counters.droppedCount,
    refusals: counters.refusedCount,
    "bytes/received": traffic.bytesReceived,
    "bytes/sent": traffic.bytesSent,
    "subscriptions/count": subscriptionCount,
    "retained/count": retained.count,
    "queue/messages": queuedCount,
    "queue/segments": log.segmentCount,
    "peers/calls": counters.peerCalls,
    "peers/items": counters.peerItems,
    "peers/failures": counters.peerFailures,
    "peers/refusals": counters.peerRefusedCount,
    "peers/kept": peers.keptCount,
  };
}
