import { afterEach } from "vitest";
import { closeAllClients } from "./clients.ts";
import {
  connectPersistentRaw,
  publishRaw,
  receiveRaw,
  subscribeRaw,
  type RawConnection,
} from "./raw-session.ts";
import { startSystemBroker, type StartOptions, type SystemBroker } from "./system-broker.ts";
import { unique } from "./unique.ts";

const brokers = new Set<SystemBroker>();

/** Makes brokers that the test may kill; they are stopped after it in any case. */
export function useCrashableBrokers(): (options?: StartOptions) => Promise<SystemBroker> {
  afterEach(async () => {
    await closeAllClients();
    await Promise.all([...brokers].map((broker) => broker.stop()));
    brokers.clear();
  });
  return async (options) => {
    const broker = await startSystemBroker(options);
    brokers.add(broker);
    return broker;
  };
}

/** kill -9, and start again on the same data: all connections are gone, what is durable is there. */
export async function crash(broker: SystemBroker): Promise<void> {
  await broker.kill();
  await broker.restart();
}

/** A session that subscribed to `topic` at QoS 2 and went offline. */
export async function leaveSubscription(
  url: string,
  topic: string,
  clientId = unique("sleeper"),
): Promise<string> {
  const { client } = await connectPersistentRaw(url, clientId);
  await subscribeRaw(client, topic, 2);
  client.send({ cmd: "disconnect" });
  await client.closed();
  return clientId;
}

/** Resumes a session, which must be there. */
export async function resume(url: string, clientId: string): Promise<RawConnection["client"]> {
  const { client, connack } = await connectPersistentRaw(url, clientId);
  if (!connack.sessionPresent) throw new Error(`the session of ${clientId} is lost`);
  return client;
}

/** All that a session gets before a message published now; each one acknowledged in full. */
export async function receiveAll(url: string, clientId: string, topic: string): Promise<string[]> {
  const client = await resume(url, clientId);
  publishRaw(client, { topic, payload: "marker", qos: 1, messageId: 60_000 });
  const payloads: string[] = [];
  for (;;) {
    const payload = (await receiveRaw(client)).payload.toString();
    if (payload === "marker") break;
    payloads.push(payload);
  }
  client.send({ cmd: "disconnect" });
  await client.closed();
  return payloads;
}
