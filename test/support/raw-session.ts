import type { IConnectPacket, IPublishPacket, QoS } from "mqtt-packet";
import { RawClient, type PacketOf, type RawClientOptions } from "./raw-client.ts";

export interface RawConnectOptions extends RawClientOptions {
  readonly clientId: string;
  readonly clean?: boolean;
  readonly keepAliveSec?: number;
  readonly will?: NonNullable<IConnectPacket["will"]>;
  readonly properties?: NonNullable<IConnectPacket["properties"]>;
}
export interface RawConnection {
  readonly client: RawClient;
  readonly connack: PacketOf<"connack">;
}

/** Opens a raw connection and introduces it; fails unless the CONNACK says success. */
export async function connectRaw(url: string, options: RawConnectOptions): Promise<RawConnection> {
  const client = await RawClient.open(url, options);
  client.send(connectPacket(client, options));
  const connack = await client.expectNext("connack");
  const code = client.protocolVersion === 5 ? connack.reasonCode : connack.returnCode;
  if (code !== 0) throw new Error(`CONNACK refused the connection with ${code}`);
  return { client, connack };
}

function connectPacket(client: RawClient, options: RawConnectOptions): IConnectPacket {
  const isVersion3 = client.protocolVersion === 3;
  return {
    cmd: "connect",
    protocolId: isVersion3 ? "MQIsdp" : "MQTT",
    protocolVersion: client.protocolVersion,
    clientId: options.clientId,
    clean: options.clean ?? true,
    keepalive: options.keepAliveSec ?? 60,
    ...(options.will ? { will: options.will } : {}),
    ...(options.properties ? { properties: options.properties } : {}),
  };
}

/** A session that outlives the connection for an hour, in either protocol version's terms. */
export async function connectPersistentRaw(
  url: string,
  clientId: string,
  protocolVersion: 4 | 5 = 5,
  clean = false,
): Promise<RawConnection> {
  const properties = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {};
  return connectRaw(url, { clientId, protocolVersion, clean, ...properties });
}

export async function subscribeRaw(client: RawClient, topic: string, qos: QoS, messageId = 1): Promise<void> {
  client.send({ cmd: "subscribe", messageId, subscriptions: [{ topic, qos }] });
  const suback = await client.next("suback");
  if (suback.granted[0] !== qos) throw new Error(`SUBACK granted ${JSON.stringify(suback.granted)}`);
}

export interface RawMessage {
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly messageId?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
  readonly properties?: NonNullable<IPublishPacket["properties"]>;
}

export function publishRaw(client: RawClient, message: RawMessage): void {
  client.send({ cmd: "publish", dup: false, retain: false, ...message });
}

/** Publishes at QoS 2 and goes through the whole handshake. */
export async function publishExactlyOnceRaw(
  client: RawClient,
  message: Omit<RawMessage, "qos">,
): Promise<void> {
  publishRaw(client, { ...message, qos: 2 });
  await nextAck(client, "pubrec", message.messageId);
  client.send({ cmd: "pubrel", messageId: message.messageId ?? 0 });
  await nextAck(client, "pubcomp", message.messageId);
}

export async function nextAck<C extends "puback" | "pubrec" | "pubrel" | "pubcomp">(
  client: RawClient,
  type: C,
  messageId: number | undefined,
): Promise<PacketOf<C>> {
  const packet: PacketOf<C> = await client.next(type);
  const { messageId: actualId } = packet as { messageId?: number };
  if (actualId !== messageId) {
    throw new Error(`expected ${type} of ${messageId}, got that of ${actualId}`);
  }
  return packet;
}

/** Takes the next message and acknowledges it in full. */
export async function receiveRaw(client: RawClient): Promise<PacketOf<"publish">> {
  const message = await client.next("publish");
  const messageId = message.messageId ?? 0;
  if (message.qos === 1) client.send({ cmd: "puback", messageId });
  if (message.qos === 2) {
    client.send({ cmd: "pubrec", messageId });
    await nextAck(client, "pubrel", messageId);
    client.send({ cmd: "pubcomp", messageId });
  }
  return message;
}

/** Sends PINGREQ and waits for the answer: everything sent before has been handled then. */
export async function pingRaw(client: RawClient): Promise<void> {
  client.send({ cmd: "pingreq" });
  await client.next("pingresp");
}
