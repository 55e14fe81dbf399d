import Paho, { type Message } from "paho-mqtt";
import { Inbox } from "./inbox.ts";
import { withDeadline } from "./wait.ts";

const openClients = new Set<PahoClient>();

export type PahoVersion = 3 | 4;

/** Paho's callbacks as promises. */
export class PahoClient {
  readonly messages = new Inbox<Message>();
  readonly delivered = new Inbox<Message>();
  readonly #client: Paho.Client;

  /** `url`: of the broker, with or without a hint. */
  constructor(url: string, clientId: string) {
    this.#client = new Paho.Client(url, clientId);
    this.#client.onMessageArrived = (message) => this.messages.push(message);
    this.#client.onMessageDelivered = (message) => this.delivered.push(message);
  }

  async connect(mqttVersion: PahoVersion, cleanSession = true): Promise<this> {
    await this.#done("connect", (callbacks) =>
      this.#client.connect({ ...callbacks, mqttVersion, mqttVersionExplicit: true, cleanSession }),
    );
    openClients.add(this);
    return this;
  }

  subscribe(filter: string, qos: number): Promise<void> {
    return this.#done("subscribe", (callbacks) => this.#client.subscribe(filter, { ...callbacks, qos }));
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#done("unsubscribe", (callbacks) => this.#client.unsubscribe(filter, callbacks));
  }

  async publish(topic: string, payload: string, qos: number, retained = false): Promise<void> {
    const message = new Paho.Message(payload);
    message.destinationName = topic;
    message.qos = qos;
    message.retained = retained;
    this.#client.send(message);
    await this.delivered.take(`delivery of ${payload}`);
  }

  async disconnect(): Promise<void> {
    openClients.delete(this);
    const lost = new Promise<void>((resolve) => {
      this.#client.onConnectionLost = () => resolve();
    });
    this.#client.disconnect();
    await withDeadline(lost, "Paho to disconnect");
  }

  #done(what: string, start: (callbacks: Paho.Callbacks) => void): Promise<void> {
    const outcome = new Promise<void>((resolve, reject) => {
      start({ onSuccess: resolve, onFailure: (failure) => reject(new Error(failure.errorMessage)) });
    });
    return withDeadline(outcome, `Paho to ${what}`);
  }
}

/** For afterEach: all that a test left open. */
export async function closeAllPahoClients(): Promise<void> {
  await Promise.all([...openClients].map((client) => client.disconnect()));
}
