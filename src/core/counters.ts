import type { BatchRefusal } from "./peers/message.ts";
import type { ReasonCode } from "./reason-code.ts";

/** What happened since the shard was constructed. Plain numbers, so that counting costs nothing. */
export class Counters {
  messagesReceived = 0;
  messagesSent = 0;
  /** QoS 1 and 2 messages dropped because a session's queue was full. */
  droppedQueueFull = 0;
  /** QoS 0 messages dropped because the client did not take what was sent before. */
  droppedSlowConsumer = 0;
  droppedExpired = 0;
  /** Messages that waited for a client which may not have them any more. */
  droppedForbidden = 0;
  /** Messages not sent because they exceed the client's Maximum Packet Size ([MQTT-3.1.2-25]). */
  droppedTooLarge = 0;
  /** Messages dropped because another shard did not take what was sent before. */
  droppedPeerBusy = 0;
  /** Calls to other shards that failed. */
  peerFailures = 0;
  peerCalls = 0;
  peerItems = 0;
  retainedRefused = 0;
  sessionsExpired = 0;
  /** By Reason Code: connections, messages and subscriptions refused, and connections ended from this side. */
  readonly refusals = new Map<ReasonCode, number>();

  /** Batches that were not applied, here or by another shard. */
  readonly peerRefusals = new Map<BatchRefusal, number>();

  countPeerRefusal(refusal: BatchRefusal): void {
    this.peerRefusals.set(refusal, (this.peerRefusals.get(refusal) ?? 0) + 1);
  }

  get peerRefusedCount(): number {
    return sumOf(this.peerRefusals);
  }

  countRefusal(reasonCode: ReasonCode): void {
    this.refusals.set(reasonCode, (this.refusals.get(reasonCode) ?? 0) + 1);
  }

  get refusedCount(): number {
    return sumOf(this.refusals);
  }

  get droppedCount(): number {
    const { droppedQueueFull, droppedExpired, droppedForbidden } = this;
    const { droppedSlowConsumer, droppedTooLarge, droppedPeerBusy } = this;
    const unwanted = droppedExpired + droppedForbidden + droppedTooLarge;
    return droppedQueueFull + droppedSlowConsumer + droppedPeerBusy + unwanted;
  }
}

function sumOf(counts: ReadonlyMap<unknown, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}
