/** From measured costs of one message to the bill and the limits of many clients. Computed, not measured. */
import { defaultLimits } from "../../src/core/limits.ts";
import type { Bill } from "../pricing/cloudflare.ts";
import { billOf } from "../pricing/cloudflare.ts";
import { callsPerSecOfLane } from "./joining.ts";
import { expectedHeldShare } from "./links.ts";
import type { Locality } from "./workload.ts";

/** Nothing of this was measured on Cloudflare. */
export const assumptions = {
  keepAliveSec: 60,
  messageIntervalSec: 60,
  payloadBytes: 200,
  fanOut: 1,
  /** Each client comes once in so long, subscribes to one topic of its own, and leaves. */
  connectIntervalSec: 86_400,
  /** Between two shards in one location, there and back. */
  callMs: 10,
  /** An object is billed for so long for a frame or a call that comes alone. */
  awakeMsPerEvent: 2,
  /** Of the Worker, where it relays. */
  relayCpuMsPerFrame: 0.05,
  relayCpuMsMax: 300_000,
  relayCpuMsMaxFree: 10,
  /** What Cloudflare calls the soft limit of an object, and half of it. */
  eventsPerSecSoft: 1000,
  eventsPerSecCautious: 500,
  memoryBytes: 128 * 1024 * 1024,
  /** The part of it that clients may take. */
  memoryShare: 0.5,
  flushesPerSecMax: 20,
  alarmsPerShardSec: 2 / 60,
  socketsPerShard: defaultLimits.connectionsMax,
} as const;

export interface Kind {
  readonly name: string;
  /** Measured, for one message. */
  readonly framesPerMessage: number;
  readonly rowsPerMessage: Readonly<Record<Locality, number>>;
}

export interface Projection {
  readonly kind: string;
  readonly clients: number;
  readonly shards: number;
  readonly framesPerSec: number;
  readonly callsPerSec: number;
  readonly eventsPerShardSec: number;
  /** Calls between two shards in one direction. */
  readonly callsPerPairSec: number;
  readonly itemsPerCall: number;
  readonly callsPerShardSec: number;
  /** The part of the calls that are made in sessions, where they are not billed. */
  readonly heldShare: number;
  readonly awake: number;
  readonly rowsPerSec: number;
  readonly bill: Bill;
  /** If no session were ever held. */
  readonly totalWithoutSessions: number;
}

interface Load {
  readonly messagesPerSec: number;
  readonly framesPerSec: number;
}

export function loadOf(kind: Kind, clients: number): Load {
  const messagesPerSec = clients / assumptions.messageIntervalSec;
  const pingsPerSec = clients / assumptions.keepAliveSec;
  return { messagesPerSec, framesPerSec: messagesPerSec * kind.framesPerMessage + pingsPerSec };
}

/**
 * Two lanes for each pair of shards and direction, each with its part of the messages; a topic beside its publisher
 * needs only the second.
 */
export function callsBetween(messagesPerSec: number, shards: number, locality: Locality = "random") {
  const pairs = shards * (shards - 1);
  const itemsPerLane = messagesPerSec / shards ** 2;
  const lanesPerPair = { random: 2, owner: 1, shard: 0 }[locality];
  if (pairs === 0 || lanesPerPair === 0) return { callsPerSec: 0, callsPerPairSec: 0, itemsPerCall: 0 };
  const perLane = callsPerSecOfLane(itemsPerLane, assumptions.callMs / 1000);
  const callsPerPairSec = lanesPerPair * perLane;
  return { callsPerSec: pairs * callsPerPairSec, callsPerPairSec, itemsPerCall: itemsPerLane / perLane };
}

export function project(
  kind: Kind,
  clients: number,
  shards: number,
  locality: Locality = "random",
): Projection {
  const { framesPerSec, messagesPerSec } = loadOf(kind, clients);
  const between = callsBetween(messagesPerSec, shards, locality);
  const eventsPerShardSec = (framesPerSec + between.callsPerSec) / shards;
  const callsPerShardSec = between.callsPerSec / shards;
  const heldShare = expectedHeldShare(callsPerShardSec);
  const inHand = inHandShare(eventsPerShardSec, callsPerShardSec);
  // A session keeps both ends awake.
  const awake = shards * (1 - (1 - heldShare) ** shards * (1 - inHand));
  const rowsPerSec = rowsOf(kind, messagesPerSec, shards, shards === 1 ? "shard" : locality);
  const { alarmsPerShardSec, connectIntervalSec } = assumptions;
  const connects = clients / connectIntervalSec;
  const alarms = shards * alarmsPerShardSec;
  // A route is set when a client comes, and removed when it goes.
  const routes = locality === "shard" ? 0 : 2 * connects * (1 - 1 / shards);
  const usage = {
    framesIn: framesPerSec,
    calls: between.callsPerSec * (1 - heldShare) + routes,
    alarms,
    connects,
    awake,
    rows: rowsPerSec + alarms + routes,
    workerCpuMs: 0,
  };
  return {
    kind: kind.name,
    clients,
    shards,
    framesPerSec,
    ...between,
    eventsPerShardSec,
    callsPerShardSec,
    heldShare,
    awake,
    rowsPerSec: usage.rows,
    bill: billOf(usage),
    totalWithoutSessions: billOf({
      ...usage,
      calls: between.callsPerSec + routes,
      awake: shards * inHand,
    }).total,
  };
}

/** Dollars a month for the Worker when it relays every frame. */
export function relayCost({ framesPerSec, clients, bill }: Projection): number {
  // As many frames come back.
  const workerCpuMs = 2 * framesPerSec * assumptions.relayCpuMsPerFrame;
  const none = { framesIn: 0, calls: 0, alarms: 0, awake: 0, rows: 0 };
  const connects = clients / assumptions.connectIntervalSec;
  return billOf({ ...none, connects, workerCpuMs }).worker - bill.worker;
}

/** Days that a relayed connection lasts, on the paid and the free plan. */
export function relayDays({ framesPerMessage }: Kind): { readonly paid: number; readonly free: number } {
  const { keepAliveSec, messageIntervalSec, relayCpuMsMax, relayCpuMsMaxFree, relayCpuMsPerFrame } =
    assumptions;
  const perDay = 86_400 * 2 * (framesPerMessage / messageIntervalSec + 1 / keepAliveSec) * relayCpuMsPerFrame;
  return { paid: relayCpuMsMax / perDay, free: relayCpuMsMaxFree / perDay };
}

/** Shards that each limit asks for by itself. */
export interface Needs {
  readonly sockets: number;
  readonly memory: number;
  readonly eventsSoft: number;
  readonly eventsCautious: number;
}

export function needsOf(kind: Kind, clients: number, bytesPerClient: number): Needs {
  const { eventsPerSecCautious, eventsPerSecSoft, memoryBytes, memoryShare, socketsPerShard } = assumptions;
  return {
    sockets: Math.ceil(clients / socketsPerShard),
    memory: Math.ceil((clients * bytesPerClient) / (memoryBytes * memoryShare)),
    eventsSoft: shardsForEvents(kind, clients, eventsPerSecSoft),
    eventsCautious: shardsForEvents(kind, clients, eventsPerSecCautious),
  };
}

/** The fewest shards of which a pair, in one direction, or a whole shard makes fewer calls than that. */
export function shardsBelow(callsPerSec: number, clients: number, by: "pair" | "shard"): number {
  const messagesPerSec = clients / assumptions.messageIntervalSec;
  for (let shards = 2; ; shards += 1) {
    const between = callsBetween(messagesPerSec, shards);
    const rate = by === "pair" ? between.callsPerPairSec : between.callsPerSec / shards;
    if (rate < callsPerSec) return shards;
  }
}

function shardsForEvents(kind: Kind, clients: number, eventsPerSec: number): number {
  const { framesPerSec, messagesPerSec } = loadOf(kind, clients);
  for (let shards = 1; ; shards += 1) {
    const { callsPerSec } = callsBetween(messagesPerSec, shards);
    if ((framesPerSec + callsPerSec) / shards <= eventsPerSec) return shards;
  }
}

/** The part of the time that an event or a call of the shard's own is under way. */
function inHandShare(eventsPerSec: number, callsPerSec: number): number {
  const { awakeMsPerEvent, callMs } = assumptions;
  return 1 - Math.exp(-(eventsPerSec * awakeMsPerEvent + callsPerSec * callMs) / 1000);
}

/** Rows a second: so many a message, but each shard writes no oftener than it flushes. */
function rowsOf(
  { rowsPerMessage }: Kind,
  messagesPerSec: number,
  shards: number,
  locality: Locality,
): number {
  return (
    shards * Math.min(assumptions.flushesPerSecMax, (rowsPerMessage[locality] * messagesPerSec) / shards)
  );
}
