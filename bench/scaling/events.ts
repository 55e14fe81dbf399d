/** What clients cost apart from messages: coming, subscribing, going, and being idle. */
import { LoadClient } from "./load-client.ts";
import type { Totals } from "./namespace.ts";
import { Namespace } from "./namespace.ts";
import { Random } from "./random.ts";
import { payloadBytes } from "./workload.ts";

export interface EventCosts {
  readonly event: string;
  /** For one event. */
  readonly calls: number;
  /** With alarms. */
  readonly rows: number;
}

const clientCount = 400;
const idleMinutes = 10;
export const logMessageCount = 5000;

/** Of sessions that end with their connections. Every shard has been in use before. */
export function measureEvents(shards: number): EventCosts[] {
  const namespace = new Namespace(shards);
  const clients: LoadClient[] = [];
  const connect = (prefix: string): void => {
    for (let index = 0; index < clientCount; index += 1) {
      clients.push(new LoadClient(namespace, { clientId: `${prefix}-${index}` }));
    }
  };
  connect("first");
  for (const [index, client] of clients.entries()) client.subscribe(`first/${index}`, 1);
  for (const client of clients.splice(0)) client.disconnect();
  const costs: EventCosts[] = [];
  const measure = (event: string, work: () => void): void => {
    const before = namespace.totals();
    work();
    costs.push(perEvent(event, namespace.since(before), clientCount));
  };
  measure("CONNECT", () => connect("client"));
  measure("PINGREQ", () => clients.forEach((client) => client.ping()));
  measure("SUBSCRIBE, to a topic of its own", () =>
    clients.forEach((client, index) => client.subscribe(`room/${index}`, 1)),
  );
  measure("DISCONNECT, with it", () => clients.splice(0).forEach((client) => client.disconnect()));
  connect("watcher");
  measure("SUBSCRIBE, with a wildcard in the first levels, its own", () =>
    clients.forEach((client, index) => client.subscribe(`+/${index}`, 1)),
  );
  measure("DISCONNECT, with it", () => clients.splice(0).forEach((client) => client.disconnect()));
  return costs;
}

/** Alarms a minute and shard, of clients that say PINGREQ as often as they must. */
export function measureIdleAlarms(shards: number): number {
  const namespace = new Namespace(shards);
  const keepAliveSec = 60;
  const clients = Array.from(
    { length: clientCount },
    (_, index) => new LoadClient(namespace, { clientId: `client-${index}`, keepAliveSec }),
  );
  const before = namespace.totals();
  for (let step = 0; step < idleMinutes * clientCount; step += 1) {
    clients[step % clientCount]?.ping();
    namespace.advance((keepAliveSec * 1000) / clientCount);
  }
  return namespace.since(before).alarms / idleMinutes / shards;
}

/**
 * Rows of the message log at the shard that has most, after so many QoS 2 messages that came alone: what has been
 * applied is remembered for each pair of a publisher's shard and an owner.
 */
export function measureLogRows(shards: number): number {
  const namespace = new Namespace(shards);
  const random = new Random(3);
  for (let index = 0; index < clientCount; index += 1) {
    new LoadClient(namespace, { clientId: `app-${index}` }).subscribe(`room/${index}`, 2);
  }
  const publishers = Array.from(
    { length: clientCount },
    (_, index) => new LoadClient(namespace, { clientId: `device/${index}` }),
  );
  const payload = new Uint8Array(payloadBytes);
  for (let count = 0; count < logMessageCount; count += 1) {
    random.pick(publishers).publish(`room/${random.below(clientCount)}`, payload, 2);
    namespace.advance(1000);
  }
  return Math.max(...namespace.shards.map(({ core }) => core.log.segmentCount));
}

function perEvent(event: string, { alarms, calls, rows }: Totals, count: number): EventCosts {
  return { event, calls: calls / count, rows: (rows + alarms) / count };
}
