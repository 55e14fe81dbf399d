import type { ClientPacket, ProtocolVersion, QoS } from "../../src/core/packet.ts";
import type { Harness, Peer, Received } from "../../test/core/harness.ts";

export interface LoadClientOptions {
  readonly clientId: string;
  readonly isPersistent?: boolean;
  readonly keepAliveSec?: number;
}

/** A client that acknowledges everything at once, each packet in a frame of its own, and remembers nothing. */
export class LoadClient implements Peer {
  readonly clientId: string;
  /** WebSocket messages that the client has sent. */
  framesSent = 0;
  messagesReceived = 0;
  readonly #harness: Harness;
  readonly #connectionId: string;
  #lastIdentifier = 0;

  constructor(harness: Harness, options: LoadClientOptions) {
    const { clientId, isPersistent = false, keepAliveSec = 0 } = options;
    this.#harness = harness;
    this.clientId = clientId;
    this.#connectionId = harness.open(this);
    this.#send({
      type: "connect",
      protocolVersion: 5,
      clientId,
      keepAliveSec,
      cleanStart: !isPersistent,
      sessionExpiryIntervalSec: isPersistent ? 86_400 : 0,
    });
  }

  subscribe(topicFilter: string, maximumQos: QoS): void {
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const packetIdentifier = this.#nextIdentifier();
    const requests = [{ topicFilter, maximumQos, ...options }];
    this.#send({ type: "subscribe", packetIdentifier, requests });
  }

  publish(topicName: string, payload: Uint8Array, qos: QoS, retain = false): void {
    const identifier = qos > 0 && { packetIdentifier: this.#nextIdentifier() };
    const message = { topicName, payload, qos, retain };
    this.#send({ type: "publish", message, dup: false, ...identifier });
  }

  ping(): void {
    this.#send({ type: "pingreq" });
  }

  disconnect(): void {
    this.#send({ type: "disconnect", reasonCode: 0 });
  }

  onReceived(packet: Received, _version: ProtocolVersion): void {
    if (packet.type === "publish") this.messagesReceived += 1;
    const answer = answerTo(packet);
    if (answer === undefined) return;
    this.framesSent += 1;
    this.#harness.receiveNext(this.#connectionId, answer);
  }

  onClosed(_code: number, reason: string): void {
    if (reason !== "") throw new Error(`${this.clientId} was closed: ${reason}`);
  }

  #send(packet: ClientPacket): void {
    this.framesSent += 1;
    this.#harness.receive(this.#connectionId, [packet]);
  }

  #nextIdentifier(): number {
    this.#lastIdentifier = (this.#lastIdentifier % 0xffff) + 1;
    return this.#lastIdentifier;
  }
}

function answerTo(packet: Received): ClientPacket | undefined {
  if (packet.type === "publish" && packet.packetIdentifier !== undefined) {
    const { packetIdentifier } = packet;
    return { type: packet.qos === 1 ? "puback" : "pubrec", packetIdentifier, reasonCode: 0 };
  }
  if (packet.type === "pubrec" || packet.type === "pubrel") {
    const { packetIdentifier } = packet;
    return { type: packet.type === "pubrec" ? "pubrel" : "pubcomp", packetIdentifier, reasonCode: 0 };
  }
  return undefined;
}
