/** The sending half of a client: what waits for an answer, and in which order answers must come. */
import type { PublishPacket, PublishResponsePacket } from "../src/core/packet.ts";
import type { Message } from "./history.ts";
import { Violation } from "./history.ts";

interface Unanswered {
  readonly message: Message;
  isReceived: boolean;
}

/** Of a client; below what the broker announces. */
const inflightMax = 30;

export class Outbound {
  readonly #name: string;
  readonly #reusesIdentifiers: boolean;
  /** SUBSCRIBE or UNSUBSCRIBE has the identifier. */
  readonly #isTaken: (packetIdentifier: number) => boolean;
  readonly #unanswered = new Map<number, Unanswered>();
  /** Identifiers of PUBLISHes of this connection that wait for PUBACK, and for PUBREC, in their order. */
  #awaited: { puback: number[]; pubrec: number[] } = { puback: [], pubrec: [] };
  #lastIdentifier = 0;

  constructor(name: string, reusesIdentifiers: boolean, isTaken: (packetIdentifier: number) => boolean) {
    this.#name = name;
    this.#reusesIdentifiers = reusesIdentifiers;
    this.#isTaken = isTaken;
  }

  get count(): number {
    return this.#unanswered.size;
  }

  get hasRoom(): boolean {
    return this.#unanswered.size < inflightMax;
  }

  newIdentifier(): number {
    let identifier = this.#reusesIdentifiers ? 0 : this.#lastIdentifier;
    do identifier = (identifier % 0xffff) + 1;
    while (this.#unanswered.has(identifier) || this.#isTaken(identifier));
    this.#lastIdentifier = identifier;
    return identifier;
  }

  connect(): void {
    this.#awaited = { puback: [], pubrec: [] };
  }

  /** The session is a new one: what was not acknowledged is given up. */
  forget(): void {
    for (const { message, isReceived } of this.#unanswered.values()) {
      if (!isReceived) message.isRefused = true;
    }
    this.#unanswered.clear();
  }

  publish(message: Message): PublishPacket {
    if (message.qos === 0) return packetOf(message, undefined, false);
    const packetIdentifier = this.newIdentifier();
    this.#unanswered.set(packetIdentifier, { message, isReceived: false });
    this.#expect(message, packetIdentifier);
    return packetOf(message, packetIdentifier, false);
  }

  messageOf(packetIdentifier: number): Message | undefined {
    return this.#unanswered.get(packetIdentifier)?.message;
  }

  /** [MQTT-4.4.0-1] in the order in which they were sent. */
  resend(): (PublishPacket | PublishResponsePacket)[] {
    return [...this.#unanswered].map(([packetIdentifier, { message, isReceived }]) => {
      if (isReceived) return { type: "pubrel", packetIdentifier, reasonCode: 0 };
      this.#expect(message, packetIdentifier);
      return packetOf(message, packetIdentifier, true);
    });
  }

  /** What is to be sent in return, if anything. */
  take(
    { type, packetIdentifier, reasonCode }: PublishResponsePacket,
    nowMs: number,
  ): PublishResponsePacket | undefined {
    const found = this.#unanswered.get(packetIdentifier);
    if (type === "puback" || type === "pubrec") this.#checkOrder(type, packetIdentifier);
    if (found === undefined) throw this.#complain(`${type} ${packetIdentifier} answers nothing`);
    if (type === "pubcomp") {
      this.#unanswered.delete(packetIdentifier);
      return undefined;
    }
    if ((found.message.qos === 1) !== (type === "puback")) throw this.#complain(`${type} for another QoS`);
    if (reasonCode >= 0x80) {
      found.message.isRefused = true;
      this.#unanswered.delete(packetIdentifier);
      return undefined;
    }
    found.message.ackedAtMs ??= nowMs;
    if (type === "puback") this.#unanswered.delete(packetIdentifier);
    found.isReceived = true;
    return type === "pubrec" ? { type: "pubrel", packetIdentifier, reasonCode: 0 } : undefined;
  }

  #expect({ qos }: Message, packetIdentifier: number): void {
    this.#awaited[qos === 1 ? "puback" : "pubrec"].push(packetIdentifier);
  }

  /** [MQTT-4.6.0-2], [MQTT-4.6.0-3]. */
  #checkOrder(type: "puback" | "pubrec", packetIdentifier: number): void {
    const first = this.#awaited[type].shift();
    if (first !== packetIdentifier) throw this.#complain(`${type} ${packetIdentifier} comes before ${first}`);
  }

  #complain(text: string): Violation {
    return new Violation("acknowledgements", `${this.#name}: ${text}`);
  }
}

function packetOf(message: Message, packetIdentifier: number | undefined, dup: boolean): PublishPacket {
  const { topicName, qos, retain, expirySec, id, isClearing } = message;
  return {
    type: "publish",
    dup,
    message: {
      topicName,
      payload: new TextEncoder().encode(isClearing ? "" : id),
      qos,
      retain,
      ...(expirySec !== undefined && { messageExpiryIntervalSec: expirySec }),
    },
    ...(packetIdentifier !== undefined && { packetIdentifier }),
  };
}
