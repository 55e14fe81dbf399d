/** The receiving half of a client: what the specification lets a server send, checked as it comes. */
import type { PublishResponsePacket, QoS } from "../src/core/packet.ts";
import { Violation } from "./history.ts";
import type { ReceivedPublish } from "./link.ts";

interface Pending {
  readonly payload: string;
  readonly qos: QoS;
  /** PUBREL came: the same message would be another one. */
  isReleased: boolean;
}

/** Messages that a client has received and not done with. */
export class Inbound {
  readonly #name: string;
  /** Of the session. */
  readonly #pending = new Map<number, Pending>();
  /** What was last sent under an identifier, in the session. */
  readonly #sent = new Map<number, string>();
  /** Of the connection. */
  readonly #inflight = new Set<number>();
  #receiveMaximum = 0xffff;

  constructor(name: string) {
    this.#name = name;
  }

  get inflightCount(): number {
    return this.#inflight.size;
  }

  /** A new connection. */
  connect(receiveMaximum: number): void {
    this.#inflight.clear();
    this.#receiveMaximum = receiveMaximum;
  }

  /** The session is a new one. */
  forget(): void {
    this.#pending.clear();
    this.#sent.clear();
  }

  /** False when it is a repetition of a QoS 2 message that the client has already. */
  take({ message, qos, dup, packetIdentifier }: ReceivedPublish, payload: string): boolean {
    if (packetIdentifier === undefined) {
      if (qos > 0) this.#complain("packet identifier", `${payload} has none`);
      return true;
    }
    if (qos === 0) this.#complain("packet identifier", `${payload} of QoS 0 has one`);
    const what = `${payload} to ${message.topicName} under ${packetIdentifier}`;
    if (this.#inflight.has(packetIdentifier)) {
      this.#complain("packet identifier", `${what}, which is in flight`);
    }
    const pending = this.#pending.get(packetIdentifier);
    if (pending !== undefined && pending.payload !== payload) {
      this.#complain("packet identifier", `${what}, which belongs to ${pending.payload}`);
    }
    if (payload !== "" && !dup && this.#sent.get(packetIdentifier) === payload) {
      this.#complain("DUP", `${what} comes again without DUP`);
    }
    this.#sent.set(packetIdentifier, payload);
    this.#inflight.add(packetIdentifier);
    if (this.#inflight.size > this.#receiveMaximum) {
      this.#complain("Receive Maximum", `${what} is number ${this.#inflight.size} in flight`);
    }
    this.#pending.set(packetIdentifier, { payload, qos, isReleased: false });
    return !(qos === 2 && pending?.qos === 2 && !pending.isReleased);
  }

  /** PUBREL came ([MQTT-4.3.3-12]): from now on the client knows nothing of the message but its identifier. */
  release(packetIdentifier: number): void {
    const pending = this.#pending.get(packetIdentifier);
    if (pending?.qos === 1) this.#complain("packet identifier", `PUBREL ${packetIdentifier} for QoS 1`);
    if (pending !== undefined) pending.isReleased = true;
  }

  /** The answer goes out now. */
  answer({ type, packetIdentifier }: PublishResponsePacket): void {
    if (type === "puback" || type === "pubcomp") {
      this.#inflight.delete(packetIdentifier);
      this.#pending.delete(packetIdentifier);
    }
  }

  #complain(rule: string, text: string): never {
    throw new Violation(rule, `${this.#name} gets ${text}`);
  }
}
