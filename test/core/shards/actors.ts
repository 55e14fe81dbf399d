/** Clients that come back with their sessions after a fault, and send again what was not acknowledged. */
import type { ProtocolVersion, PublishPacket, PublishResponsePacket, QoS } from "../../../src/core/packet.ts";
import type { Received } from "../harness.ts";
import type { ClientOptions, PublishOptions } from "../simulated-client.ts";
import { SimulatedClient } from "../simulated-client.ts";
import type { Network } from "./network.ts";

export const week = 7 * 24 * 3600;

/** A client with a session that lasts. */
export class Returning extends SimulatedClient {
  constructor(network: Network, clientId: string, options: ClientOptions = {}) {
    super(network, { clientId, sessionExpiryIntervalSec: week, ...options });
  }

  /** Connects to the session that it has, if it lost the connection. */
  comeBack(): this {
    return this.isConnected ? this : this.connect({ cleanStart: false });
  }
}

interface Unacknowledged {
  readonly packet: PublishPacket;
  readonly payload: string;
  isReceived: boolean;
}

export class Publisher extends Returning {
  /** Payloads in the order of their PUBACK or PUBREC. */
  readonly acknowledged: string[] = [];
  readonly reasonCodes = new Map<string, number>();
  readonly #network: Network;
  readonly #unacknowledged = new Map<number, Unacknowledged>();

  constructor(network: Network, clientId: string, options: ClientOptions = {}) {
    super(network, clientId, options);
    this.#network = network;
  }

  get unacknowledgedCount(): number {
    return this.#unacknowledged.size;
  }

  /** Publishes, now or when the client is back. */
  say(topicName: string, payload: string, qos: QoS, options: PublishOptions = {}): this {
    const packet = this.publishPacket(topicName, payload, { ...options, qos });
    const { packetIdentifier } = packet;
    if (packetIdentifier !== undefined) {
      this.#unacknowledged.set(packetIdentifier, { packet, payload, isReceived: false });
    }
    return this.isConnected ? this.send(packet) : this;
  }

  override onReceived(packet: Received, protocolVersion: ProtocolVersion): void {
    if (packet.type === "puback" || packet.type === "pubrec") this.#onAcknowledged(packet);
    if (packet.type === "pubcomp") this.#unacknowledged.delete(packet.packetIdentifier);
    super.onReceived(packet, protocolVersion);
    if (packet.type === "connack") this.#resend(packet.sessionPresent);
  }

  #onAcknowledged(packet: PublishResponsePacket): void {
    const found = this.#unacknowledged.get(packet.packetIdentifier);
    if (found === undefined) throw new Error(`${packet.type} ${packet.packetIdentifier} answers nothing`);
    if (found.isReceived) return;
    this.acknowledged.push(found.payload);
    this.reasonCodes.set(found.payload, packet.reasonCode);
    found.isReceived = true;
    const isOver = packet.type === "puback" || packet.reasonCode >= 0x80;
    if (isOver) this.#unacknowledged.delete(packet.packetIdentifier);
  }

  /** [MQTT-4.4.0-1] in the order in which they were sent. Without a session, QoS 2 would not be safe. */
  #resend(sessionPresent: boolean): void {
    const all = [...this.#unacknowledged];
    if (!sessionPresent) this.#unacknowledged.clear();
    for (const [packetIdentifier, one] of all) {
      const { packet, isReceived } = one;
      if (!sessionPresent && packet.message.qos === 2) continue;
      this.#unacknowledged.set(packetIdentifier, one);
      this.#network.receiveNext(
        this.connectionId,
        isReceived ? { type: "pubrel", packetIdentifier, reasonCode: 0 } : { ...packet, dup: sessionPresent },
      );
    }
  }
}

/** The payloads that come twice or more. */
export function repeatedOf(payloads: readonly string[]): string[] {
  return payloads.filter((payload, index) => payloads.indexOf(payload) !== index);
}

/** Each payload once, where it came first. */
export function firstsOf(payloads: readonly string[]): string[] {
  return [...new Set(payloads)];
}
