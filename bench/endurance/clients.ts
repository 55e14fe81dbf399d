import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import type { Listener, RetainedState, Stream } from "./record.ts";

const retryMs = 100;
/** Unacknowledged messages of one stream. */
const windowMax = 10;

/** A PUBREL that is sent again is answered so (0x92) when the first one had come: the message was received before. */
const packetIdentifierNotFound = 0x92;

function isReleased(error: Error): boolean {
  return "code" in error && error.code === packetIdentifierNotFound;
}

/** A client that comes back to its session by itself, and sends again what was not acknowledged. */
function connect(url: string, clientId: string): Promise<MqttClient> {
  const options: IClientOptions = {
    clientId,
    protocolVersion: 5,
    clean: false,
    // The broker must not need to be told again.
    resubscribe: false,
    properties: { sessionExpiryInterval: 3600 },
    reconnectPeriod: retryMs,
    connectTimeout: 5_000,
  };
  const client = mqtt.connect(url, options);
  // Connections that are lost are what this is about.
  client.on("error", () => undefined);
  return new Promise((resolve) => {
    client.once("connect", () => resolve(client));
  });
}

/** Publishes as fast as it is acknowledged: numbers to a topic of each QoS, and its latest state, retained. */
export class Publisher {
  readonly streams: readonly Stream[];
  readonly state: RetainedState;
  readonly #client: MqttClient;
  /** What is published when the client has sent again what was not acknowledged: MQTT.js gives up what comes before. */
  readonly #postponed: (() => void)[] = [];
  #isResumed = true;
  #isStopped = false;

  private constructor(client: MqttClient, name: string) {
    this.#client = client;
    client.on("close", () => (this.#isResumed = false));
    client.on("connect", () => this.#onResumed());
    this.streams = ([1, 2] as const).map((qos) => ({
      topicName: `load/${name}/${qos}`,
      qos,
      publishedCount: 0,
      acknowledgedCount: 0,
    }));
    this.state = { topicName: `load/${name}-state`, publishedCount: 0, acknowledgedCount: 0 };
  }

  static async connected(url: string, name: string): Promise<Publisher> {
    return new Publisher(await connect(url, name), name);
  }

  get acknowledgedCount(): number {
    return this.#all.reduce((sum, { acknowledgedCount }) => sum + acknowledgedCount, 0);
  }

  get isAcknowledged(): boolean {
    return this.#all.every(({ publishedCount, acknowledgedCount }) => publishedCount === acknowledgedCount);
  }

  start(): void {
    for (const stream of this.streams) {
      for (let count = 0; count < windowMax; count += 1) this.#publish(stream, stream.qos, false);
    }
    this.#publish(this.state, 1, true);
  }

  /** What is under way is still acknowledged. */
  stop(): void {
    this.#isStopped = true;
  }

  end(): Promise<void> {
    return this.#client.endAsync(true);
  }

  get #all(): readonly RetainedState[] {
    return [...this.streams, this.state];
  }

  #onResumed(): void {
    this.#isResumed = true;
    for (const publish of this.#postponed.splice(0)) publish();
  }

  #publish(stream: RetainedState, qos: 1 | 2, retain: boolean): void {
    if (this.#isStopped) return;
    if (!this.#isResumed) {
      this.#postponed.push(() => this.#publish(stream, qos, retain));
      return;
    }
    stream.publishedCount += 1;
    this.#client.publish(stream.topicName, String(stream.publishedCount), { qos, retain }, (error) => {
      if (error instanceof Error && !isReleased(error)) return;
      stream.acknowledgedCount += 1;
      this.#publish(stream, qos, retain);
    });
  }
}

/** Writes down what it receives. */
export class Subscriber implements Listener {
  readonly name: string;
  readonly maximumQos: 1 | 2;
  readonly received = new Map<string, number[]>();
  readonly #client: MqttClient;

  private constructor(client: MqttClient, name: string, maximumQos: 1 | 2) {
    this.#client = client;
    this.name = name;
    this.maximumQos = maximumQos;
    client.on("message", (topicName, payload) => this.#note(topicName, Number(payload.toString())));
  }

  static async subscribed(
    url: string,
    name: string,
    topicFilter: string,
    maximumQos: 1 | 2,
  ): Promise<Subscriber> {
    const client = await connect(url, name);
    const subscriber = new Subscriber(client, name, maximumQos);
    await client.subscribeAsync(topicFilter, { qos: maximumQos });
    return subscriber;
  }

  hasLatest({ topicName, publishedCount }: RetainedState): boolean {
    return publishedCount === 0 || this.received.get(topicName)?.includes(publishedCount) === true;
  }

  end(): Promise<void> {
    return this.#client.endAsync(true);
  }

  #note(topicName: string, number: number): void {
    const numbers = this.received.get(topicName);
    if (numbers === undefined) this.received.set(topicName, [number]);
    else numbers.push(number);
  }
}
