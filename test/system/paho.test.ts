import { afterEach, describe, expect, test } from "vitest";
import Paho, { type Message } from "paho-mqtt";
import { Inbox } from "../support/inbox.ts";
import { useBroker } from "../support/suite.ts";
import { unique } from "../support/unique.ts";
import { withDeadline } from "../support/wait.ts";

const broker = useBroker();
const openClients = new Set<PahoClient>();

type Version = 3 | 4;

/** Paho's callbacks as promises. */
class PahoClient {
  readonly messages = new Inbox<Message>();
  readonly delivered = new Inbox<Message>();
  readonly #client: Paho.Client;

  constructor(clientId: string) {
    this.#client = new Paho.Client("127.0.0.1", broker.port, "/mqtt", clientId);
    this.#client.onMessageArrived = (message) => this.messages.push(message);
    this.#client.onMessageDelivered = (message) => this.delivered.push(message);
  }

  async connect(mqttVersion: Version, cleanSession = true): Promise<this> {
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

afterEach(async () => {
  await Promise.all([...openClients].map((client) => client.disconnect()));
});

describe.each([
  ["3.1.1", 4],
  ["3.1", 3],
] as const)("Paho's JavaScript client at version %s", (_name, version) => {
  const connect = (role: string): Promise<PahoClient> => new PahoClient(unique(role)).connect(version);

  test.each([0, 1, 2])("publishes and receives at QoS %i", async (qos) => {
    const [publisher, subscriber] = await Promise.all([connect("publisher"), connect("subscriber")]);
    const topic = unique("paho");
    await subscriber.subscribe(topic, qos);
    await publisher.publish(topic, "héllo", qos);
    const message = await subscriber.messages.take("message");
    expect([message.destinationName, message.payloadString, message.qos]).toEqual([topic, "héllo", qos]);
  });

  test("receives retained messages, and nothing after it unsubscribed", async () => {
    const [publisher, subscriber] = await Promise.all([connect("publisher"), connect("subscriber")]);
    const root = unique("paho");
    await publisher.publish(`${root}/a`, "retained", 1, true);
    await subscriber.subscribe(`${root}/+`, 1);
    const message = await subscriber.messages.take("retained message");
    expect([message.payloadString, message.retained]).toEqual(["retained", true]);
    await subscriber.unsubscribe(`${root}/+`);
    await subscriber.subscribe(`${root}/marker`, 1);
    await publisher.publish(`${root}/a`, "unwanted", 1);
    await publisher.publish(`${root}/marker`, "marker", 1);
    expect((await subscriber.messages.take("marker")).payloadString).toBe("marker");
  });

  test("gets what was queued for its persistent session", async () => {
    const clientId = unique("sleeper");
    const topic = unique("paho");
    const sleeper = await new PahoClient(clientId).connect(version, false);
    await sleeper.subscribe(topic, 2);
    await sleeper.disconnect();
    const publisher = await connect("publisher");
    for (const payload of ["1", "2", "3"]) await publisher.publish(topic, payload, 2);
    const returned = await new PahoClient(clientId).connect(version, false);
    for (const payload of ["1", "2", "3"]) {
      expect((await returned.messages.take("queued message")).payloadString).toBe(payload);
    }
  });
});
