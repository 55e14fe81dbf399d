/** The clients of the model-based test: they do what the specification wants of a client, and check what they get. */
import type { ProtocolVersion, PublishPacket, QoS } from "../../src/core/packet.ts";
import type { Harness, Received, ReceivedPublish } from "./harness.ts";
import { SimulatedClient, textOf } from "./simulated-client.ts";

export const topics = ["a", "b"] as const;
export type Topic = (typeof topics)[number];

/** One message of a publisher. */
export interface Message {
  readonly payload: string;
  readonly topic: Topic;
  readonly qos: QoS;
  readonly publisher: string;
  /** Grows with every message of all publishers. */
  readonly number: number;
  /** PUBACK or PUBREC came: the broker answers for it. */
  isAcknowledged: boolean;
  /** Subscribers that were subscribed whenever it was sent, and were not cleaned since. */
  readonly owedTo: Set<Subscriber>;
}

interface Unacknowledged {
  readonly message: Message;
  readonly packet: PublishPacket;
  phase: "sent" | "received";
}

abstract class Actor extends SimulatedClient {
  /** What CONNACK must say next about the session. */
  hasSession = false;
  readonly isPersistent: boolean;
  /** CONNACK has come on the present connection. */
  isReady = false;
  #wantsClean = false;
  #isCutOff = false;

  constructor(shard: Harness, clientId: string, isPersistent: boolean) {
    super(shard, { clientId, acks: "manual", sessionExpiryIntervalSec: isPersistent ? 0xffff_ffff : 0 });
    this.isPersistent = isPersistent;
  }

  /** Clean Start is asked for until CONNACK grants it: the client has forgotten its part of the session. */
  connectAs(kind: "clean" | "again", receiveMaximum = 2): void {
    this.#isCutOff = false;
    this.isReady = false;
    this.#wantsClean ||= kind === "clean";
    if (this.#wantsClean || !this.isPersistent) this.onForgotten();
    this.connect({ cleanStart: this.#wantsClean, receiveMaximum });
  }

  /** The network fails between client and server, and neither has noticed. */
  cutOff(): void {
    this.#isCutOff = true;
  }

  get isCutOff(): boolean {
    return this.#isCutOff;
  }

  get canTalk(): boolean {
    return this.isConnected && !this.#isCutOff;
  }

  override onReceived(packet: Received, protocolVersion: ProtocolVersion): void {
    if (packet.type === "connack") {
      const expected = this.hasSession && !this.#wantsClean;
      if (packet.sessionPresent !== expected) {
        throw new Error(`session present is ${packet.sessionPresent} for ${this.clientId}`);
      }
      this.hasSession = this.isPersistent;
      this.#wantsClean = false;
      this.isReady = true;
      if (!packet.sessionPresent) this.onSessionLost();
    }
    super.onReceived(packet, protocolVersion);
    if (packet.type === "connack" && packet.sessionPresent) this.onSessionResumed();
  }

  /** The client gives up its own part of the session. */
  protected onForgotten(): void {}
  /** The server has a new session. */
  protected onSessionLost(): void {}
  protected onSessionResumed(): void {}
}

export class Publisher extends Actor {
  readonly #shard: Harness;
  readonly #unacknowledged = new Map<number, Unacknowledged>();

  constructor(shard: Harness, clientId: string, isPersistent: boolean) {
    super(shard, clientId, isPersistent);
    this.#shard = shard;
  }

  get unacknowledgedCount(): number {
    return this.#unacknowledged.size;
  }

  publishMessage(message: Message): void {
    const packet = this.publishPacket(message.topic, message.payload, { qos: message.qos });
    const { packetIdentifier } = packet;
    if (packetIdentifier !== undefined) {
      this.#unacknowledged.set(packetIdentifier, { message, packet, phase: "sent" });
    }
    this.send(packet);
  }

  override onReceived(packet: Received, protocolVersion: ProtocolVersion): void {
    if (packet.type === "puback" || packet.type === "pubrec")
      this.#onAcknowledged(packet.type, packet.packetIdentifier);
    if (packet.type === "pubcomp") this.#unacknowledged.delete(packet.packetIdentifier);
    super.onReceived(packet, protocolVersion);
  }

  protected override onForgotten(): void {
    this.#unacknowledged.clear();
  }

  /** [MQTT-4.4.0-1] in the order in which they were sent. */
  protected override onSessionResumed(): void {
    for (const [packetIdentifier, { message, packet, phase }] of this.#unacknowledged) {
      for (const subscriber of message.owedTo) {
        if (subscriber.subscriptions.get(message.topic) !== "yes") message.owedTo.delete(subscriber);
      }
      this.#shard.receiveNext(
        this.connectionId,
        phase === "sent" ? { ...packet, dup: true } : { type: "pubrel", packetIdentifier, reasonCode: 0 },
      );
    }
  }

  #onAcknowledged(type: "puback" | "pubrec", packetIdentifier: number): void {
    const found = this.#unacknowledged.get(packetIdentifier);
    if (found === undefined) throw new Error(`${type} ${packetIdentifier} answers nothing`);
    if ((found.message.qos === 1) !== (type === "puback")) throw new Error(`${type} for the wrong QoS`);
    found.message.isAcknowledged = true;
    if (type === "puback") this.#unacknowledged.delete(packetIdentifier);
    else found.phase = "received";
  }
}

export class Subscriber extends Actor {
  /** By topic: whether SUBSCRIBE was acknowledged ("yes"), or is or was on its way ("perhaps"). */
  readonly subscriptions = new Map<Topic, "yes" | "perhaps">();
  readonly maximumQos: Readonly<Record<Topic, 1 | 2>>;
  readonly #shard: Harness;
  readonly #messages: Map<string, Message>;
  #pendingSubscribe: (() => void)[] = [];
  /** Messages of the present session, by payload. */
  readonly #counts = new Map<string, number>();
  /** What was last sent under a Packet Identifier in the present session. */
  readonly #sent = new Map<number, string>();
  /** Number of the newest message, by publisher, topic and QoS. */
  readonly #newest = new Map<string, number>();

  constructor(
    shard: Harness,
    clientId: string,
    isPersistent: boolean,
    messages: Map<string, Message>,
    maximumQos: Readonly<Record<Topic, 1 | 2>>,
  ) {
    super(shard, clientId, isPersistent);
    this.#shard = shard;
    this.#messages = messages;
    this.maximumQos = maximumQos;
  }

  subscribeTo(topicFilter: Topic): void {
    if (!this.subscriptions.has(topicFilter)) this.subscriptions.set(topicFilter, "perhaps");
    this.#pendingSubscribe.push(() => this.subscriptions.set(topicFilter, "yes"));
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 2 } as const;
    const requests = [{ topicFilter, maximumQos: this.maximumQos[topicFilter], ...options }];
    this.send({ type: "subscribe", packetIdentifier: this.nextIdentifier(), requests });
  }

  unsubscribeFrom(topicFilter: Topic): void {
    if (this.subscriptions.has(topicFilter)) this.subscriptions.set(topicFilter, "perhaps");
    if (this.#shard.shards.length > 1) this.#excuseWhatIsUnderWay(topicFilter);
    this.#pendingSubscribe.push(() => this.subscriptions.delete(topicFilter));
    this.send({ type: "unsubscribe", packetIdentifier: this.nextIdentifier(), topicFilters: [topicFilter] });
  }

  /** How often the present session has had the message. */
  countOf(message: Message): number {
    return this.#counts.get(message.payload) ?? 0;
  }

  override connectAs(kind: "clean" | "again", receiveMaximum?: number): void {
    this.#pendingSubscribe = [];
    super.connectAs(kind, receiveMaximum);
  }

  override onReceived(packet: Received, protocolVersion: ProtocolVersion): void {
    if (this.isCutOff) return;
    const before = this.messages.length;
    super.onReceived(packet, protocolVersion);
    if (packet.type === "suback" || packet.type === "unsuback") this.#pendingSubscribe.shift()?.();
    if (packet.type === "publish") this.#check(packet, this.messages.length > before);
  }

  protected override onSessionLost(): void {
    for (const message of this.#messages.values()) message.owedTo.delete(this);
    this.subscriptions.clear();
    this.#counts.clear();
    this.#sent.clear();
    this.#newest.clear();
  }

  /** Between shards the message may come after the UNSUBSCRIBE, though it was sent before. */
  #excuseWhatIsUnderWay(topic: Topic): void {
    for (const message of this.#messages.values()) {
      if (message.topic === topic && !message.isAcknowledged) message.owedTo.delete(this);
    }
  }

  #check({ message, qos, dup, packetIdentifier }: ReceivedPublish, isPassedOn: boolean): void {
    const payload = textOf(message.payload);
    const known = this.#messages.get(payload);
    if (known === undefined) throw new Error(`${payload} was never published`);
    if (packetIdentifier !== undefined) {
      // [MQTT-3.3.1-1]
      const isAgain = this.#sent.get(packetIdentifier) === payload;
      if (isAgain && !dup) throw new Error(`${payload} came again without DUP`);
      this.#sent.set(packetIdentifier, payload);
    }
    if (!isPassedOn) return;
    const count = this.countOf(known) + 1;
    this.#counts.set(payload, count);
    if (count > 1 && qos === 2) throw new Error(`${payload} came twice with QoS 2`);
    if (count > 1) return;
    const line = `${known.publisher} ${known.topic} ${known.qos}`;
    if ((this.#newest.get(line) ?? 0) > known.number) throw new Error(`${payload} came out of order`);
    this.#newest.set(line, known.number);
  }
}
