import mqtt, {
  type IClientOptions,
  type IClientPublishOptions,
  type IClientSubscribeOptions,
  type IConnackPacket,
  type IDisconnectPacket,
  type IPublishPacket,
  type MqttClient,
} from "mqtt";
import { Inbox } from "./inbox.ts";
import { DEADLINE_MS, withDeadline } from "./wait.ts";

export { waitUntil } from "./wait.ts";

export interface Message {
  readonly topic: string;
  readonly payload: string;
  readonly packet: IPublishPacket;
}
export type ConnectOptions = IClientOptions & { readonly clientId: string };

const openClients = new Set<TestClient>();

/** MQTT.js with promises: messages wait in an inbox, from before the CONNECT on, so that none is missed. */
export class TestClient {
  readonly mqtt: MqttClient;
  /** The reason codes of the DISCONNECT packets that the broker sent. */
  readonly disconnects: IDisconnectPacket[] = [];
  connack!: IConnackPacket;
  readonly #inbox = new Inbox<Message>();
  readonly #closed: Promise<void>;

  constructor(url: string, options: ConnectOptions) {
    this.mqtt = mqtt.connect(url, {
      reconnectPeriod: 0,
      connectTimeout: DEADLINE_MS,
      protocolVersion: 4,
      ...options,
    });
    openClients.add(this);
    this.mqtt.on("message", (topic, payload, packet) => {
      this.#inbox.push({ topic, payload: payload.toString(), packet });
    });
    this.mqtt.on("disconnect", (packet) => this.disconnects.push(packet));
    this.mqtt.on("error", () => undefined);
    this.#closed = new Promise((resolve) => this.mqtt.once("close", resolve));
  }

  async connected(): Promise<this> {
    const outcome = new Promise<IConnackPacket>((resolve, reject) => {
      this.mqtt.once("connect", resolve);
      this.mqtt.once("error", reject);
      this.mqtt.once("close", () => reject(new Error("the connection closed before CONNACK")));
    });
    this.connack = await withDeadline(outcome, "CONNACK");
    return this;
  }

  /** How many messages at QoS 1 or 2 the broker takes at once; undefined: as many as there are identifiers. */
  get receiveMaximum(): number | undefined {
    return this.connack.properties?.receiveMaximum;
  }

  /** The granted QoS, or the Reason Code, of the subscription. */
  async subscribe(
    topic: string | string[],
    options: Partial<IClientSubscribeOptions> = {},
  ): Promise<number[]> {
    const asked = this.mqtt.subscribeAsync(topic, { qos: 0, ...options });
    const grants = await withDeadline(asked, `SUBACK for ${String(topic)}`);
    return grants.map((grant) => grant.qos);
  }

  async unsubscribe(topic: string): Promise<void> {
    await withDeadline(this.mqtt.unsubscribeAsync(topic), `UNSUBACK for ${topic}`);
  }

  /** Resolves when the broker has taken the message (QoS 0: when it has been sent). */
  async publish(topic: string, payload: string | Buffer, options: IClientPublishOptions = {}): Promise<void> {
    await withDeadline(this.mqtt.publishAsync(topic, payload, options), `the broker to take ${topic}`);
  }

  nextMessage(deadlineMs?: number): Promise<Message> {
    return this.#inbox.take("message", () => true, deadlineMs);
  }

  async nextPayloads(count: number): Promise<string[]> {
    const payloads: string[] = [];
    while (payloads.length < count) payloads.push((await this.nextMessage()).payload);
    return payloads;
  }

  get untaken(): readonly Message[] {
    return this.#inbox.items;
  }

  closed(deadlineMs?: number): Promise<void> {
    return withDeadline(this.#closed, "the connection to close", deadlineMs);
  }

  /** DISCONNECT (Normal disconnection), and wait for the socket. */
  async end(): Promise<void> {
    openClients.delete(this);
    await withDeadline(this.mqtt.endAsync(), "the client to end");
  }

  /** Breaks the TCP connection, with no DISCONNECT and no closing handshake. */
  async terminate(): Promise<void> {
    this.mqtt.stream.destroy();
    await this.closed();
    await this.kill();
  }

  async kill(): Promise<void> {
    openClients.delete(this);
    await this.mqtt.endAsync(true);
  }
}

export function connectClient(url: string, options: ConnectOptions): Promise<TestClient> {
  return new TestClient(url, options).connected();
}

/** A session that outlives the connection for an hour, in either protocol version's terms. */
export function persistent(protocolVersion: 4 | 5, clientId: string): ConnectOptions {
  const properties = protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {};
  // MQTT.js would subscribe again by itself, which is what these sessions must not need.
  return { clientId, protocolVersion, clean: false, resubscribe: false, ...properties };
}

/** For afterEach: a failed test must not leave clients that disturb the next. */
export async function closeAllClients(): Promise<void> {
  await Promise.all([...openClients].map((client) => client.kill()));
}
