import type { ApplicationMessage } from "./packet.ts";

/** An Application Message inside the broker: what the publisher sent, and when it stops being worth sending. */
export interface Publication {
  readonly message: ApplicationMessage;
  /** Set when the message has a Message Expiry Interval. */
  readonly expiresAtMs?: number;
}

export function toPublication(message: ApplicationMessage, nowMs: number): Publication {
  return message.messageExpiryIntervalSec === undefined
    ? { message }
    : { message, expiresAtMs: nowMs + message.messageExpiryIntervalSec * 1000 };
}

export function isExpired(publication: Publication, nowMs: number): boolean {
  return publication.expiresAtMs !== undefined && publication.expiresAtMs <= nowMs;
}

/** What is left of the Message Expiry Interval, in whole seconds, at least 1 ([MQTT-3.3.2-6]). */
export function remainingExpirySec(publication: Publication, nowMs: number): number | undefined {
  if (publication.expiresAtMs === undefined) return undefined;
  return Math.max(1, Math.ceil((publication.expiresAtMs - nowMs) / 1000));
}

/** About what the message takes in memory and storage; used for limits, not for billing. */
export function sizeOf(publication: Publication): number {
  const { message } = publication;
  let sizeBytes = 64 + message.topicName.length + message.payload.length;
  sizeBytes += message.correlationData?.length ?? 0;
  sizeBytes += (message.contentType?.length ?? 0) + (message.responseTopic?.length ?? 0);
  for (const [name, value] of message.userProperties ?? []) sizeBytes += name.length + value.length + 4;
  return sizeBytes;
}
