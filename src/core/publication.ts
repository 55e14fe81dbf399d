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

/** About what the message takes in memory and storage, and not less; used for limits, not for billing. */
export function sizeOf({ message }: Pick<Publication, "message">): number {
  let sizeBytes = 64 + utf8BytesMax(message.topicName) + message.payload.length;
  sizeBytes += message.correlationData?.length ?? 0;
  sizeBytes += utf8BytesMax(message.contentType ?? "") + utf8BytesMax(message.responseTopic ?? "");
  for (const [name, value] of message.userProperties ?? []) {
    sizeBytes += utf8BytesMax(name) + utf8BytesMax(value) + 8;
  }
  return sizeBytes;
}

/** UTF-8 takes at most three bytes for each UTF-16 code unit. */
export function utf8BytesMax(text: string): number {
  return text.length * 3;
}

/** The message without what it was read with: its payload may be a view of the whole row. */
export function byItself(publication: Publication): Publication {
  const { message } = publication;
  const { correlationData, payload } = message;
  if (payload.buffer.byteLength <= 2 * payload.length && correlationData === undefined) return publication;
  const copies = {
    payload: payload.slice(),
    ...(correlationData !== undefined && { correlationData: correlationData.slice() }),
  };
  return { ...publication, message: { ...message, ...copies } };
}
