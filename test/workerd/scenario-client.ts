import type {
  ConnectPacket,
  ProtocolVersion,
  PublishPacket,
  SubscribePacket,
} from "../../src/core/packet.ts";
import { encodeClientPacket } from "../codec/client-encode.ts";
import type { ReceivedPacket, ReceivedPublish } from "../codec/server-decode.ts";
import type { Client } from "./client.ts";
import { connectPacket, neverExpires, responsePacket, text } from "./packets.ts";
import type { TestObject } from "./test-object.ts";

export interface ClientSetup {
  /** As the client's name in the scenario, unless two share one. */
  readonly clientId?: string;
  /** Asks for its session back, and for one that does not expire unless `connect` says so. */
  readonly isPersistent?: boolean;
  readonly connect?: Partial<ConnectPacket>;
  /** False for a client that does not come back when its connection is lost. */
  readonly returns?: boolean;
}

type Response = "puback" | "pubrec" | "pubrel" | "pubcomp";

interface Unacknowledged {
  readonly packet: PublishPacket;
  isReleased: boolean;
}

/** A client with the Session State that section 4.1 asks of clients; it does one step at a time. */
export class ScenarioClient {
  readonly name: string;
  readonly setup: ClientSetup;
  /** Payloads of the messages that its user got, in order. */
  readonly deliveries: string[] = [];
  /** All that it got from the server, in order. */
  readonly transcript: string[] = [];
  /** Where the client is at home. */
  readonly object: TestObject;
  readonly #version: ProtocolVersion;
  readonly #unacknowledged = new Map<number, Unacknowledged>();
  /** Packet Identifiers of QoS 2 messages that it has and the server has not released. */
  readonly #received = new Set<number>();
  readonly #subscriptions = new Map<string, SubscribePacket>();
  readonly #aliases = new Map<number, string>();
  #connect: Partial<ConnectPacket>;
  #connection: Client | undefined;
  #owed: { type: Response; packetIdentifier: number }[] = [];
  #rest: Uint8Array | undefined;
  #hasSession = false;
  #lastIdentifier = 0;

  constructor(name: string, setup: ClientSetup, object: TestObject, version: ProtocolVersion) {
    this.name = name;
    this.setup = setup;
    this.object = object;
    this.#version = version;
    this.#connect = setup.connect ?? {};
  }

  get isConnected(): boolean {
    return this.#connection?.isClosed === false;
  }

  /** The server waits for the rest of a packet: nothing else can be sent. */
  get isInsidePacket(): boolean {
    return this.#rest !== undefined;
  }

  get connection(): Client {
    if (this.#connection === undefined) throw new Error(`${this.name} is not connected`);
    return this.#connection;
  }

  /** Connects anew; without a session at the server nothing of the older one is left here either. */
  async begin(sessionPresent: boolean, options?: Partial<ConnectPacket>): Promise<void> {
    if (!sessionPresent) this.#subscriptions.clear();
    await this.#open(sessionPresent, options);
  }

  /** Connects, and goes on with what was unfinished if the server has the session. */
  async #open(sessionPresent: boolean, options: Partial<ConnectPacket> = this.#connect): Promise<void> {
    this.#connect = options;
    this.#connection = await this.object.open(this.#version, (packet) => this.#record(packet));
    const { closed } = this.#connection;
    void closed.then(({ code, reason }) => this.transcript.push(`closed ${code} ${reason}`));
    const packet = this.#connectPacket();
    this.connection.send(packet);
    const connack = await this.connection.next("connack");
    if (connack.reasonCode !== 0) throw new Error(`${this.name} is refused with ${connack.reasonCode}`);
    if (connack.sessionPresent !== sessionPresent) {
      throw new Error(`Session Present is ${connack.sessionPresent} for ${this.name}`);
    }
    this.#hasSession = this.#version === 5 ? packet.sessionExpiryIntervalSec > 0 : !packet.cleanStart;
    this.#resume(sessionPresent);
  }

  /** Connects again after a loss. */
  async return(): Promise<void> {
    if (this.#hasSession) {
      const { cleanStart: _, ...options } = this.#connect;
      await this.#open(true, options);
      return;
    }
    await this.#open(false);
    for (const packet of this.#subscriptions.values()) await this.subscribe(packet);
  }

  /** The connection is lost, with what had arrived on it and was not taken. */
  lose(): void {
    this.#connection?.drop();
    this.#connection = undefined;
    this.#owed = [];
    this.#rest = undefined;
  }

  async disconnect(reasonCode: number, sessionExpiryIntervalSec?: number): Promise<void> {
    const expiry = sessionExpiryIntervalSec === undefined ? {} : { sessionExpiryIntervalSec };
    this.connection.send({ type: "disconnect", reasonCode: reasonCode as 0, ...expiry });
    if (sessionExpiryIntervalSec === 0) this.#hasSession = false;
    await this.connection.closed;
    this.#connection = undefined;
  }

  async vanish(): Promise<void> {
    await this.connection.vanish();
    this.lose();
  }

  async subscribe(packet: SubscribePacket): Promise<void> {
    for (const { topicFilter } of packet.requests) this.#subscriptions.set(topicFilter, packet);
    const packetIdentifier = this.#newIdentifier();
    const { requests } = packet;
    const plain = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    this.connection.send({
      ...packet,
      packetIdentifier,
      requests: this.#version === 5 ? requests : requests.map((request) => ({ ...request, ...plain })),
    });
    await this.connection.next("suback");
  }

  async unsubscribe(topicFilter: string): Promise<void> {
    this.#subscriptions.delete(topicFilter);
    const packetIdentifier = this.#newIdentifier();
    this.connection.send({ type: "unsubscribe", packetIdentifier, topicFilters: [topicFilter] });
    await this.connection.next("unsuback");
  }

  publish(packet: PublishPacket): void {
    this.connection.send(this.#shorten(this.#remember(packet)));
  }

  /** Sends a PUBLISH but for its last bytes. */
  publishFirstHalf(packet: PublishPacket): void {
    const bytes = encodeClientPacket(this.#remember(packet), this.#version);
    this.connection.sendBytes(bytes.subarray(0, bytes.length - 3));
    this.#rest = bytes.subarray(bytes.length - 3);
  }

  /** Sends the rest, unless the connection was lost in between: then the whole packet has been sent again. */
  publishRest(): void {
    if (this.#rest !== undefined) this.connection.sendBytes(this.#rest);
    this.#rest = undefined;
  }

  /** Takes the next packet, which must be of that type, and does not answer it yet. */
  async take(type: ReceivedPacket["type"], payload?: string): Promise<ReceivedPacket> {
    const packet = await this.connection.nextAny(type);
    if (packet.type !== type) throw new Error(`${this.name} got ${packet.type} instead of ${type}`);
    if (packet.type === "publish" && payload !== undefined && text(packet.payload) !== payload) {
      throw new Error(`${this.name} got "${text(packet.payload)}" instead of "${payload}"`);
    }
    this.#process(packet);
    return packet;
  }

  /** Sends the response that it owes longest. */
  answer(type: Response): void {
    const index = this.#owed.findIndex((owed) => owed.type === type);
    const [owed] = index < 0 ? [] : this.#owed.splice(index, 1);
    if (owed === undefined) throw new Error(`${this.name} owes no ${type}`);
    this.connection.send(responsePacket(type, owed.packetIdentifier));
  }

  /** Takes and answers all that has arrived; false when there was nothing. */
  async takeAll(): Promise<boolean> {
    if (!this.isConnected) return false;
    let count = 0;
    for (; this.connection.untaken.length > 0; count += 1) {
      this.#process(await this.connection.nextAny("packet"));
    }
    for (const { type, packetIdentifier } of this.#owed.splice(0)) {
      this.connection.send(responsePacket(type, packetIdentifier));
      count += 1;
    }
    return count > 0;
  }

  #connectPacket(): ConnectPacket {
    const { clientId = this.name, isPersistent = false } = this.setup;
    return connectPacket(clientId, {
      protocolVersion: this.#version,
      cleanStart: !isPersistent,
      sessionExpiryIntervalSec: isPersistent ? neverExpires : 0,
      ...this.#connect,
    });
  }

  #resume(sessionPresent: boolean): void {
    this.#aliases.clear();
    if (!sessionPresent) {
      this.#unacknowledged.clear();
      this.#received.clear();
      return;
    }
    for (const [packetIdentifier, { packet, isReleased }] of this.#unacknowledged) {
      const again = isReleased ? responsePacket("pubrel", packetIdentifier) : { ...packet, dup: true };
      this.connection.send(again);
    }
  }

  #remember(packet: PublishPacket): PublishPacket {
    if (packet.message.qos === 0) return packet;
    const packetIdentifier = this.#newIdentifier();
    const { topicAlias: _, ...rest } = packet;
    this.#unacknowledged.set(packetIdentifier, { packet: { ...rest, packetIdentifier }, isReleased: false });
    return { ...packet, packetIdentifier };
  }

  /** Leaves out a Topic Name that an alias of this connection stands for. */
  #shorten(packet: PublishPacket): PublishPacket {
    const { topicAlias, message } = packet;
    if (topicAlias === undefined) return packet;
    if (this.#aliases.get(topicAlias) === message.topicName)
      return { ...packet, message: { ...message, topicName: "" } };
    this.#aliases.set(topicAlias, message.topicName);
    return packet;
  }

  #newIdentifier(): number {
    this.#lastIdentifier += 1;
    return this.#lastIdentifier;
  }

  #process(packet: ReceivedPacket): void {
    switch (packet.type) {
      case "publish":
        return this.#processPublish(packet);
      case "puback":
      case "pubcomp":
        this.#unacknowledged.delete(packet.packetIdentifier);
        return;
      case "pubrec":
        return this.#processPubrec(packet.packetIdentifier);
      case "pubrel":
        this.#received.delete(packet.packetIdentifier);
        this.#owed.push({ type: "pubcomp", packetIdentifier: packet.packetIdentifier });
        return;
      default:
    }
  }

  #processPublish({ qos, packetIdentifier = 0, payload }: ReceivedPublish): void {
    if (qos === 2 && this.#received.has(packetIdentifier)) {
      this.#owed.push({ type: "pubrec", packetIdentifier });
      return;
    }
    this.deliveries.push(text(payload));
    if (qos === 0) return;
    if (qos === 2) this.#received.add(packetIdentifier);
    this.#owed.push({ type: qos === 1 ? "puback" : "pubrec", packetIdentifier });
  }

  #processPubrec(packetIdentifier: number): void {
    const unacknowledged = this.#unacknowledged.get(packetIdentifier);
    if (unacknowledged !== undefined) unacknowledged.isReleased = true;
    this.#owed.push({ type: "pubrel", packetIdentifier });
  }

  #record(packet: ReceivedPacket): void {
    this.transcript.push(
      JSON.stringify("payload" in packet ? { ...packet, payload: text(packet.payload) } : packet),
    );
  }
}
