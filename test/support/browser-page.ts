/** Runs inside the page, as a plain script after those of the two libraries: their clients behind one interface. */
import type * as Mqtt from "mqtt";
import type * as PahoMqtt from "paho-mqtt";

export interface PagePublication {
  readonly topic: string;
  /** Text, or bytes. */
  readonly payload: string | readonly number[];
  readonly qos: number;
  readonly retain?: boolean;
  /** Version 5 only. */
  readonly userProperties?: Readonly<Record<string, string | string[]>>;
}

export interface PageMessage {
  readonly topic: string;
  readonly payload: string;
  readonly bytes: readonly number[];
  readonly qos: number;
  readonly retain: boolean;
  readonly userProperties?: Readonly<Record<string, string | string[]>>;
}

export interface PageOptions {
  readonly library: "MQTT.js" | "Paho";
  readonly port: number;
  readonly clientId: string;
  readonly protocolVersion: 3 | 4 | 5;
  /** A session that is kept for an hour, and gone on with if there is one. */
  readonly isPersistent?: boolean;
  readonly will?: PagePublication;
}

interface LibraryClient {
  sessionPresent: boolean | undefined;
  subscribe(topicFilter: string, qos: number): Promise<number>;
  unsubscribe(topicFilter: string): Promise<void>;
  publish(publication: PagePublication): Promise<void>;
  disconnect(): Promise<void>;
}

export interface MqttPage {
  connect(options: PageOptions): Promise<{ clientNumber: number; sessionPresent: boolean | undefined }>;
  subscribe(clientNumber: number, topicFilter: string, qos: number): Promise<number>;
  unsubscribe(clientNumber: number, topicFilter: string): Promise<void>;
  publish(clientNumber: number, publication: PagePublication): Promise<void>;
  nextMessage(clientNumber: number): Promise<PageMessage>;
  disconnect(clientNumber: number): Promise<void>;
}

declare global {
  /** What the scripts of the page define. */
  var mqttPage: MqttPage;
  var mqtt: typeof Mqtt;
  var Paho: typeof PahoMqtt;
}

/** Messages that arrived, or are awaited. */
class Mailbox {
  readonly #messages: PageMessage[] = [];
  readonly #takers: ((message: PageMessage) => void)[] = [];

  put(message: PageMessage): void {
    const taker = this.#takers.shift();
    if (taker) taker(message);
    else this.#messages.push(message);
  }

  take(): Promise<PageMessage> {
    const message = this.#messages.shift();
    return message ? Promise.resolve(message) : new Promise((resolve) => this.#takers.push(resolve));
  }
}

/** Neither library is given anything but what a page has: text and typed arrays. */
function payloadOf({ payload }: PagePublication): string | Uint8Array<ArrayBuffer> {
  return typeof payload === "string" ? payload : Uint8Array.from(payload);
}

function contentOf(bytes: Uint8Array): { payload: string; bytes: number[] } {
  return { payload: new TextDecoder().decode(bytes), bytes: Array.from(bytes) };
}

async function connectMqttJs(options: PageOptions, mailbox: Mailbox): Promise<LibraryClient> {
  const { port, clientId, protocolVersion, isPersistent = false, will } = options;
  const client = globalThis.mqtt.connect(`ws://127.0.0.1:${port}/mqtt`, {
    clientId,
    protocolVersion,
    clean: !isPersistent,
    // A session must not need to be subscribed again.
    resubscribe: false,
    reconnectPeriod: 0,
    ...(isPersistent && protocolVersion === 5 && { properties: { sessionExpiryInterval: 3600 } }),
    ...(will && {
      will: {
        topic: will.topic,
        payload: payloadOf(will) as never,
        qos: will.qos as 0 | 1 | 2,
        retain: will.retain ?? false,
      },
    }),
  });
  client.on("message", (topic, payload, { qos, retain, properties }) => {
    const { userProperties } = properties ?? {};
    mailbox.put({ topic, ...contentOf(payload), qos, retain, ...(userProperties && { userProperties }) });
  });
  const connack = await new Promise<Mqtt.IConnackPacket>((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
    client.once("close", () => reject(new Error("closed before CONNACK")));
  });
  return {
    sessionPresent: connack.sessionPresent,
    async subscribe(topicFilter, qos) {
      const [grant] = await client.subscribeAsync(topicFilter, { qos: qos as 0 | 1 | 2 });
      return grant?.qos ?? -1;
    },
    async unsubscribe(topicFilter) {
      await client.unsubscribeAsync(topicFilter);
    },
    async publish(publication) {
      const { topic, qos, retain = false, userProperties } = publication;
      await client.publishAsync(topic, payloadOf(publication) as never, {
        qos: qos as 0 | 1 | 2,
        retain,
        ...(userProperties && { properties: { userProperties } }),
      });
    },
    async disconnect() {
      await client.endAsync();
    },
  };
}

function pahoMessage(publication: PagePublication): PahoMqtt.Message {
  const payload = payloadOf(publication);
  const message = new globalThis.Paho.Message(typeof payload === "string" ? payload : payload.buffer);
  message.destinationName = publication.topic;
  message.qos = publication.qos;
  message.retained = publication.retain ?? false;
  return message;
}

async function connectPaho(options: PageOptions, mailbox: Mailbox): Promise<LibraryClient> {
  const { port, clientId, protocolVersion, isPersistent = false, will } = options;
  const client = new globalThis.Paho.Client("127.0.0.1", port, "/mqtt", clientId);
  /** One publisher at a time: the next delivery that is complete is the one that it waits for. */
  const deliveries: (() => void)[] = [];
  client.onMessageDelivered = () => deliveries.shift()?.();
  client.onMessageArrived = (message) => {
    const { destinationName, payloadBytes, qos, retained } = message as typeof message & {
      readonly payloadBytes: Uint8Array;
    };
    mailbox.put({ topic: destinationName, ...contentOf(payloadBytes), qos, retain: retained });
  };
  const done = <Success = void>(start: (callbacks: PahoMqtt.Callbacks) => void): Promise<Success> =>
    new Promise((resolve, reject) => {
      start({
        onSuccess: resolve as () => void,
        onFailure: (failure) => reject(new Error(failure.errorMessage)),
      });
    });
  await done((callbacks) =>
    client.connect({
      ...callbacks,
      mqttVersion: protocolVersion as 3 | 4,
      mqttVersionExplicit: true,
      cleanSession: !isPersistent,
      ...(will && { willMessage: pahoMessage(will) }),
    }),
  );
  return {
    sessionPresent: undefined,
    async subscribe(topicFilter, qos) {
      const { grantedQos } = await done<{ grantedQos: Uint8Array }>((callbacks) =>
        client.subscribe(topicFilter, { ...callbacks, qos }),
      );
      return grantedQos[0] ?? -1;
    },
    unsubscribe: (topicFilter) => done((callbacks) => client.unsubscribe(topicFilter, callbacks)),
    publish: (publication) =>
      new Promise((resolve) => {
        deliveries.push(resolve);
        client.send(pahoMessage(publication));
      }),
    disconnect: () =>
      new Promise((resolve) => {
        client.onConnectionLost = () => resolve();
        client.disconnect();
      }),
  };
}

const clients: { readonly client: LibraryClient; readonly mailbox: Mailbox }[] = [];

function clientOf(clientNumber: number): LibraryClient {
  const found = clients[clientNumber];
  if (!found) throw new Error(`no client ${clientNumber} in this page`);
  return found.client;
}

globalThis.mqttPage = {
  async connect(options) {
    const mailbox = new Mailbox();
    const connecting = options.library === "Paho" ? connectPaho : connectMqttJs;
    const client = await connecting(options, mailbox);
    const clientNumber = clients.push({ client, mailbox }) - 1;
    return { clientNumber, sessionPresent: client.sessionPresent };
  },
  subscribe: (clientNumber, topicFilter, qos) => clientOf(clientNumber).subscribe(topicFilter, qos),
  unsubscribe: (clientNumber, topicFilter) => clientOf(clientNumber).unsubscribe(topicFilter),
  publish: (clientNumber, publication) => clientOf(clientNumber).publish(publication),
  nextMessage: (clientNumber) => {
    const found = clients[clientNumber];
    if (!found) throw new Error(`no client ${clientNumber} in this page`);
    return found.mailbox.take();
  },
  disconnect: (clientNumber) => clientOf(clientNumber).disconnect(),
};
