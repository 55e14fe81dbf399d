/** Short ways to say what a client sends. */
import type {
  ConnectPacket,
  PublishPacket,
  PublishResponsePacket,
  QoS,
  SubscribePacket,
  SubscriptionOptions,
  WillMessage,
} from "../../src/core/packet.ts";

export const neverExpires = 0xffffffff;

export const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);
export const binary = (payload: string): Uint8Array => new TextEncoder().encode(payload);

export function connectPacket(
  clientId: string,
  options: Partial<Omit<ConnectPacket, "type" | "clientId">> = {},
): ConnectPacket {
  const defaults = {
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSec: 0,
    sessionExpiryIntervalSec: 0,
  } as const;
  return { type: "connect", clientId, ...defaults, ...options };
}

/** For {@link connectPacket}: a session that outlives its connections. */
export const persistent = { cleanStart: false, sessionExpiryIntervalSec: neverExpires } as const;

export function will(topicName: string, options: Partial<WillMessage> = {}): WillMessage {
  return { topicName, payload: binary("will"), qos: 1, retain: false, willDelayIntervalSec: 0, ...options };
}

export interface PublishOptions {
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly packetIdentifier?: number;
  readonly dup?: boolean;
  readonly topicAlias?: number;
  readonly messageExpiryIntervalSec?: number;
}

export function publishPacket(
  topicName: string,
  payload: string,
  options: PublishOptions = {},
): PublishPacket {
  const { qos = 0, retain = false, packetIdentifier = 1, dup = false } = options;
  const { topicAlias, messageExpiryIntervalSec } = options;
  return {
    type: "publish",
    dup,
    message: {
      topicName,
      payload: binary(payload),
      qos,
      retain,
      ...(messageExpiryIntervalSec !== undefined && { messageExpiryIntervalSec }),
    },
    ...(qos > 0 && { packetIdentifier }),
    ...(topicAlias !== undefined && { topicAlias }),
  };
}

export function responsePacket(
  type: PublishResponsePacket["type"],
  packetIdentifier: number,
): PublishResponsePacket {
  return { type, packetIdentifier, reasonCode: 0 };
}

export interface SubscribeOptions extends Partial<SubscriptionOptions> {
  readonly subscriptionIdentifier?: number;
}

export function subscribePacket(
  topicFilter: string,
  maximumQos: QoS,
  { subscriptionIdentifier, ...options }: SubscribeOptions = {},
  packetIdentifier = 1,
): SubscribePacket {
  const defaults = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  return {
    type: "subscribe",
    packetIdentifier,
    requests: [{ topicFilter, maximumQos, ...defaults, ...options }],
    ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
  };
}
