/** How many messages a call carries when calls take time: simulated, and by the formula that the projection uses. */
import type { Call } from "../../test/core/harness.ts";
import { LoadClient } from "./load-client.ts";
import { Namespace } from "./namespace.ts";
import { Random } from "./random.ts";
import { payloadBytes } from "./workload.ts";

export interface Joining {
  readonly shards: number;
  readonly messagesPerSec: number;
  readonly callMs: number;
  readonly callsPerMessage: number;
  readonly byFormula: number;
}

/** What happens next: a message comes, or a call arrives. */
interface Due {
  readonly atMs: number;
  readonly call: Call;
}

const topicCount = 256;
const messageCount = 10_000;

/**
 * Calls a second of one lane that items enter at a steady rate: one call is under way at a time, and what comes
 * meanwhile makes the next one; if nothing comes, the next item does.
 */
export function callsPerSecOfLane(itemsPerSec: number, callSec: number): number {
  return 1 / (callSec + Math.exp(-itemsPerSec * callSec) / itemsPerSec);
}

/** QoS 0 to one subscriber each, publishers, topics and subscribers anywhere; messages come by themselves. */
export function measureJoining(shards: number, messagesPerSec: number, callMs: number): Joining {
  const random = new Random(2);
  let underWay: Due[] = [];
  let isStarted = false;
  const namespace: Namespace = new Namespace(shards, (call) => {
    if (isStarted) underWay.push({ atMs: namespace.nowMs + callMs, call });
    else namespace.soon(() => call.arrive());
  });
  const clients = castOf(namespace);
  const payload = new Uint8Array(payloadBytes);
  isStarted = true;
  const before = namespace.totals();
  let nextAtMs = namespace.nowMs;
  for (let sent = 0; sent < messageCount || underWay.length > 0;) {
    const callAtMs = underWay[0]?.atMs ?? Infinity;
    if (callAtMs <= nextAtMs) {
      moveTo(namespace, callAtMs);
      const arrived = underWay.filter(({ atMs }) => atMs <= callAtMs);
      underWay = underWay.filter(({ atMs }) => atMs > callAtMs);
      namespace.joined(() => arrived.forEach(({ call }) => call.arrive()));
    } else {
      moveTo(namespace, nextAtMs);
      random.pick(clients).publish(`room/${random.below(topicCount)}/temperature`, payload, 0);
      sent += 1;
      nextAtMs = sent < messageCount ? nextAtMs + 1000 * random.waitSec(messagesPerSec) : Infinity;
    }
  }
  const failures = namespace.shards.reduce((sum, { core }) => sum + core.counters.peerFailures, 0);
  if (failures > 0) throw new Error(`${failures} calls failed`);
  const callsPerMessage = namespace.since(before).calls / messageCount;
  const laneRate = messagesPerSec / shards ** 2;
  const lanes = 2 * shards * (shards - 1);
  const byFormula = (lanes * callsPerSecOfLane(laneRate, callMs / 1000)) / messagesPerSec;
  return { shards, messagesPerSec, callMs, callsPerMessage, byFormula };
}

/** To a whole millisecond, as clocks show it. */
function moveTo(namespace: Namespace, atMs: number): void {
  namespace.advance(Math.max(0, Math.floor(atMs) - namespace.nowMs));
}

function castOf(namespace: Namespace): LoadClient[] {
  for (let index = 0; index < topicCount; index += 1) {
    new LoadClient(namespace, { clientId: `app-${index}` }).subscribe(`room/${index}/temperature`, 0);
  }
  return Array.from(
    { length: topicCount },
    (_, index) => new LoadClient(namespace, { clientId: `device/${index}` }),
  );
}

export const joinings = [4, 16].flatMap((shards) =>
  [5, 50].flatMap((callMs) => [10, 100, 1000, 10_000].map((rate) => [shards, rate, callMs] as const)),
);
