/** A client as the core sees it: packets in and out, acknowledged by itself or by the test. */
import type { Identity } from "../../src/core/access/identity.ts";
import type { CloseCode } from "../../src/core/effect.ts";
import type {
  ApplicationMessage,
  ClientPacket,
  ConnackPacket,
  ConnectPacket,
  DisconnectPacket,
  ProtocolVersion,
  PublishPacket,
  PublishResponsePacket,
  QoS,
  SubscribeResponsePacket,
  SubscriptionOptions,
  WillMessage,
} from "../../src/core/packet.ts";
import type { ReasonCode } from "../../src/core/reason-code.ts";
import type { Arrival, Harness, Peer, Received, ReceivedPublish } from "./harness.ts";

export interface ClientOptions extends Partial<Omit<ConnectPacket, "type">> {
  /** "auto": answers every packet that wants an answer. */
  readonly acks?: "auto" | "manual";
  readonly clientIdHint?: string;
  readonly address?: string;
  readonly identity?: Identity;
}

export interface PublishOptions extends Partial<Omit<ApplicationMessage, "payload" | "topicName">> {
  readonly packetIdentifier?: number;
  readonly dup?: boolean;
  readonly topicAlias?: number;
}

export type SubscribeOptions = Partial<SubscriptionOptions> & { readonly subscriptionIdentifier?: number };

/** Where clients are placed follows from their names; `FIRST_CLIENT` in the environment gives them other ones. */
let clientCount = Number(process.env["FIRST_CLIENT"] ?? "0");

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function willMessage(topicName: string, options: Partial<WillMessage> = {}): WillMessage {
  return { topicName, payload: bytesOf("will"), qos: 0, retain: false, willDelayIntervalSec: 0, ...options };
}

export class SimulatedClient {
  readonly clientId: string;
  acks: "auto" | "manual";
  /** Everything sent on the present connection. */
  inbox: Received[] = [];
  /** Messages as the application sees them, over all connections: QoS 2 each once. */
  readonly messages: ReceivedPublish[] = [];
  /** What came on the present connection and wants an answer that the test has not let it give. */
  unanswered: Received[] = [];
  closed: { readonly code: CloseCode; readonly reason: string } | undefined;
  connectionId = "";
  readonly #shard: Harness;
  readonly #options: ClientOptions;
  #isFresh = false;
  #peer: Peer | undefined;
  #lastIdentifier = 0;
  #protocolVersion: ProtocolVersion = 5;
  #receiveMaximum = 0xffff;
  /** Packet Identifiers in flight towards this client. */
  readonly #inflight = new Set<number>();
  /** Packet Identifiers of QoS 2 messages that have been passed on. */
  readonly #receivedQos2 = new Map<number, string>();

  constructor(shard: Harness, options: ClientOptions = {}) {
    clientCount += 1;
    this.#shard = shard;
    this.#options = options;
    this.clientId = options.clientId ?? `client-${clientCount}`;
    this.acks = options.acks ?? "auto";
  }

  static connected(shard: Harness, options: ClientOptions = {}): SimulatedClient {
    return new SimulatedClient(shard, options).connect();
  }

  get isConnected(): boolean {
    return this.connectionId !== "" && this.closed === undefined;
  }

  get connack(): ConnackPacket {
    return this.only("connack");
  }

  get inflightCount(): number {
    return this.#inflight.size;
  }

  /** Payloads of all messages so far. */
  get payloads(): string[] {
    return this.messages.map(({ message }) => textOf(message.payload));
  }

  /** A socket, for a CONNECT that comes later. */
  open(): this {
    this.inbox = [];
    this.unanswered = [];
    this.closed = undefined;
    const peer: Peer = {
      onReceived: (packet, protocolVersion) =>
        this.#isPresent(peer) && this.onReceived(packet, protocolVersion),
      onClosed: (code, reason) => this.#isPresent(peer) && this.onClosed(code, reason),
      onLost: () => this.#isPresent(peer) && this.onLost(),
    };
    this.#peer = peer;
    this.connectionId = this.#shard.open(peer, arrivalOf(this.#options));
    this.#isFresh = true;
    return this;
  }

  connect(options: ClientOptions = {}): this {
    const {
      address: _,
      identity: __,
      clientIdHint: ___,
      acks: ____,
      ...settings
    } = { ...this.#options, ...options };
    if (!this.#isFresh) this.open();
    this.#isFresh = false;
    const packet: ConnectPacket = {
      type: "connect",
      protocolVersion: 5,
      cleanStart: true,
      keepAliveSec: 0,
      clientId: this.clientId,
      sessionExpiryIntervalSec: 0,
      ...settings,
    };
    this.#protocolVersion = packet.protocolVersion;
    this.#receiveMaximum = packet.receiveMaximum ?? 0xffff;
    this.#inflight.clear();
    return this.send(packet);
  }

  /** The messages of one WebSocket message. */
  send(...packets: ClientPacket[]): this {
    this.#shard.receive(this.connectionId, packets);
    return this;
  }

  publish(topicName: string, payload = "", options: PublishOptions = {}): number {
    const packet = this.publishPacket(topicName, payload, options);
    this.send(packet);
    return packet.packetIdentifier ?? 0;
  }

  publishPacket(topicName: string, payload = "", options: PublishOptions = {}): PublishPacket {
    const { packetIdentifier, dup = false, topicAlias, ...rest } = options;
    const message = { topicName, payload: bytesOf(payload), qos: 0 as QoS, retain: false, ...rest };
    return {
      type: "publish",
      message,
      dup,
      ...(message.qos > 0 && { packetIdentifier: packetIdentifier ?? this.nextIdentifier() }),
      ...(topicAlias !== undefined && { topicAlias }),
    };
  }

  subscribe(
    topicFilter: string,
    maximumQos: QoS = 0,
    options: SubscribeOptions = {},
  ): SubscribeResponsePacket {
    const { subscriptionIdentifier, ...rest } = options;
    this.send({
      type: "subscribe",
      packetIdentifier: this.nextIdentifier(),
      requests: [
        { topicFilter, maximumQos, noLocal: false, retainAsPublished: false, retainHandling: 0, ...rest },
      ],
      ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
    });
    return this.last("suback");
  }

  unsubscribe(...topicFilters: string[]): SubscribeResponsePacket {
    this.send({ type: "unsubscribe", packetIdentifier: this.nextIdentifier(), topicFilters });
    return this.last("unsuback");
  }

  ping(): this {
    return this.send({ type: "pingreq" });
  }

  disconnect(reasonCode: ReasonCode = 0, options: Partial<DisconnectPacket> = {}): this {
    return this.send({ type: "disconnect", reasonCode, ...options });
  }

  /** The socket is lost without a DISCONNECT. */
  lose(): this {
    this.#shard.lose(this.connectionId);
    this.connectionId = "";
    return this;
  }

  /** Answers PUBLISH, PUBREC or PUBREL as the specification wants it. */
  acknowledge(packet: Received, reasonCode: ReasonCode = 0): this {
    const response = this.#responseTo(packet, reasonCode);
    return response === undefined ? this : this.send(response);
  }

  /** Gives the answers to the first packets that wait for one. */
  answer(count: number): this {
    for (const packet of this.unanswered.splice(0, count)) this.acknowledge(packet);
    return this;
  }

  respond(type: PublishResponsePacket["type"], packetIdentifier: number, reasonCode: ReasonCode = 0): this {
    this.#noteResponse(type, packetIdentifier, reasonCode);
    return this.send({ type, packetIdentifier, reasonCode });
  }

  nextIdentifier(): number {
    this.#lastIdentifier = (this.#lastIdentifier % 0xffff) + 1;
    return this.#lastIdentifier;
  }

  /** The packets of a type on the present connection. */
  all<Type extends Received["type"]>(type: Type): (Received & { type: Type })[] {
    return this.inbox.filter((packet): packet is Received & { type: Type } => packet.type === type);
  }

  only<Type extends Received["type"]>(type: Type): Received & { type: Type } {
    const found = this.all(type);
    if (found.length !== 1) throw new Error(`${this.clientId} got ${found.length} ${type}`);
    return found[0] as Received & { type: Type };
  }

  last<Type extends Received["type"]>(type: Type): Received & { type: Type } {
    const found = this.all(type).at(-1);
    if (found === undefined) throw new Error(`${this.clientId} got no ${type}`);
    return found;
  }

  /** What came since the last call. */
  take(): Received[] {
    const taken = this.inbox;
    this.inbox = [];
    return taken;
  }

  onReceived(packet: Received, protocolVersion: ProtocolVersion): void {
    if (protocolVersion !== this.#protocolVersion && packet.type !== "connack") {
      throw new Error(`${packet.type} of version ${protocolVersion} for ${this.clientId}`);
    }
    this.inbox.push(packet);
    if (packet.type === "connack" && !packet.sessionPresent) this.#receivedQos2.clear();
    if (packet.type === "publish") this.#onPublish(packet);
    if (this.acks === "manual") {
      if (responseTo(packet, 0) !== undefined) this.unanswered.push(packet);
      return;
    }
    const response = this.#responseTo(packet, 0);
    if (response !== undefined) this.#shard.receiveNext(this.connectionId, response);
  }

  onClosed(code: CloseCode, reason: string): void {
    this.closed = { code, reason };
  }

  onLost(): void {
    this.connectionId = "";
  }

  /** What an older socket of this client is told does not concern it. */
  #isPresent(peer: Peer): boolean {
    return this.#peer === peer;
  }

  /** Every test checks the window and that no identifier is used twice at a time ([MQTT-2.2.1-4], [MQTT-3.3.4-9]). */
  #onPublish(packet: ReceivedPublish): void {
    const { packetIdentifier, qos } = packet;
    if ((packetIdentifier === undefined) !== (qos === 0)) throw new Error("Packet Identifier against QoS");
    if (packetIdentifier !== undefined) {
      if (this.#inflight.has(packetIdentifier))
        throw new Error(`identifier ${packetIdentifier} is in flight`);
      this.#inflight.add(packetIdentifier);
      if (this.#inflight.size > this.#receiveMaximum) throw new Error("more in flight than the client takes");
      if (qos === 2) {
        const payload = textOf(packet.message.payload);
        const known = this.#receivedQos2.get(packetIdentifier);
        if (known !== undefined && known !== payload) throw new Error(`${packetIdentifier} is not released`);
        this.#receivedQos2.set(packetIdentifier, payload);
        if (known !== undefined) return;
      }
    }
    this.messages.push(packet);
  }

  #responseTo(packet: Received, reasonCode: ReasonCode): PublishResponsePacket | undefined {
    const response = responseTo(packet, reasonCode);
    if (response !== undefined) this.#noteResponse(response.type, response.packetIdentifier, reasonCode);
    return response;
  }

  #noteResponse(type: PublishResponsePacket["type"], packetIdentifier: number, reasonCode: ReasonCode): void {
    const ends = type === "puback" || type === "pubcomp" || (type === "pubrec" && reasonCode >= 0x80);
    if (ends) this.#inflight.delete(packetIdentifier);
    if (type === "pubcomp" || (type === "pubrec" && reasonCode >= 0x80)) {
      this.#receivedQos2.delete(packetIdentifier);
    }
  }
}

function arrivalOf({ address, clientIdHint, identity }: ClientOptions): Arrival {
  return {
    ...(address !== undefined && { address }),
    ...(clientIdHint !== undefined && { clientIdHint }),
    ...(identity !== undefined && { identity }),
  };
}

function responseTo(packet: Received, reasonCode: ReasonCode): PublishResponsePacket | undefined {
  if (packet.type === "publish" && packet.packetIdentifier !== undefined) {
    const { packetIdentifier } = packet;
    return { type: packet.qos === 1 ? "puback" : "pubrec", packetIdentifier, reasonCode };
  }
  if (packet.type === "pubrel") {
    return { type: "pubcomp", packetIdentifier: packet.packetIdentifier, reasonCode };
  }
  if (packet.type === "pubrec" && packet.reasonCode < 0x80) {
    return { type: "pubrel", packetIdentifier: packet.packetIdentifier, reasonCode };
  }
  return undefined;
}
