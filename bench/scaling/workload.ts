/** Messages through 1, 4 and 16 shards: what one of them costs. */
import type { QoS } from "../../src/core/packet.ts";
import { LoadClient } from "./load-client.ts";
import { Namespace } from "./namespace.ts";
import { Random } from "./random.ts";

/**
 * "random": publishers, topics and subscribers are wherever their names put them. "owner": topics begin with their
 * publisher's Client Identifier, so that its shard owns them. "shard": their subscribers are on that shard, too.
 */
export type Locality = "random" | "owner" | "shard";

export interface Workload {
  readonly qos: QoS;
  readonly fanOut: number;
  /** Subscribers have sessions that outlive their connections; they are online. */
  readonly isPersistent: boolean;
  readonly locality: Locality;
  /** Messages in one turn of all shards, per shard; undefined: one message in the whole namespace, and then a second's rest. */
  readonly joined: number | undefined;
}

/** For one message. */
export interface Costs {
  readonly calls: number;
  readonly itemsPerCall: number;
  readonly rows: number;
  readonly alarms: number;
  readonly framesIn: number;
}

export const payloadBytes = 200;
const topicCount = 256;
const publisherCount = 256;
const sparseCount = 1000;
const busyTurns = 25;
/** Twenty turns a second: as often as a deployed shard writes. */
const turnMs = 50;
const restMs = 1000;

interface Cast {
  readonly namespace: Namespace;
  readonly clients: readonly LoadClient[];
  /** Publishes a message to a topic. */
  readonly publish: (random: Random) => void;
}

export function measure(workload: Workload, shards: number): Costs {
  const { joined } = workload;
  const random = new Random(1);
  const cast = setUp(workload, shards, random);
  const { namespace } = cast;
  namespace.advance(60_000);
  const before = namespace.totals();
  const framesBefore = framesOf(cast);
  const turns = joined === undefined ? sparseCount : busyTurns;
  const perTurn = joined === undefined ? 1 : joined * shards;
  for (let turn = 0; turn < turns; turn += 1) {
    namespace.joined(() => {
      for (let count = 0; count < perTurn; count += 1) cast.publish(random);
    });
    namespace.advance(joined === undefined ? restMs : turnMs);
  }
  // What is written lazily belongs to it.
  namespace.advance(60_000);
  const messages = turns * perTurn;
  checkDelivered(cast, messages * workload.fanOut);
  const { calls, items, rows, alarms } = namespace.since(before);
  return {
    calls: calls / messages,
    itemsPerCall: calls === 0 ? 0 : items / calls,
    rows: (rows + alarms) / messages,
    alarms: alarms / messages,
    framesIn: (framesOf(cast) - framesBefore) / messages,
  };
}

function setUp(workload: Workload, shards: number, random: Random): Cast {
  const { fanOut, isPersistent, locality, qos } = workload;
  const namespace = new Namespace(shards);
  const clients: LoadClient[] = [];
  const client = (clientId: string, persists: boolean): LoadClient => {
    const added = new LoadClient(namespace, { clientId, isPersistent: persists });
    clients.push(added);
    return added;
  };
  const publishers = Array.from({ length: publisherCount }, (_, index) => client(`device/${index}`, false));
  const topics = Array.from({ length: topicCount }, (_, index) =>
    locality === "random" ? `room/${index}/temperature` : `device/${index % publisherCount}/temperature`,
  );
  for (const [index, topicName] of topics.entries()) {
    for (let copy = 0; copy < fanOut; copy += 1) {
      const name = `app-${index}-${copy}`;
      const clientId = locality === "shard" ? nameBeside(namespace, name, topicName) : name;
      client(clientId, isPersistent).subscribe(topicName, qos);
    }
  }
  const payload = new Uint8Array(payloadBytes);
  const publish = (): void => {
    const index = random.below(topicCount);
    const publisher = locality === "random" ? random.pick(publishers) : publishers[index % publisherCount];
    publisher?.publish(topics[index] as string, payload, qos);
  };
  return { namespace, clients, publish };
}

/** A Client Identifier on the shard that owns the topic. */
function nameBeside({ placement }: Namespace, name: string, topicName: string): string {
  for (let index = 0; ; index += 1) {
    const clientId = `${name}-${index}`;
    if (placement.sessionShard(clientId) === placement.topicShard(topicName)) return clientId;
  }
}

function framesOf({ clients }: Cast): number {
  return clients.reduce((sum, { framesSent }) => sum + framesSent, 0);
}

function checkDelivered({ clients }: Cast, expected: number): void {
  const received = clients.reduce((sum, { messagesReceived }) => sum + messagesReceived, 0);
  if (received !== expected) throw new Error(`${received} messages came of ${expected}`);
}

/** The messages that the projection is made for. */
const kinds: readonly Pick<Workload, "qos" | "isPersistent">[] = [
  { qos: 0, isPersistent: false },
  { qos: 1, isPersistent: false },
  { qos: 1, isPersistent: true },
  { qos: 2, isPersistent: false },
  { qos: 2, isPersistent: true },
];

function variants(
  localities: readonly Locality[],
  fanOuts: readonly number[],
  turns: readonly (number | undefined)[],
): Workload[] {
  return localities.flatMap((locality) =>
    kinds.flatMap((kind) =>
      fanOuts.flatMap((fanOut) => turns.map((joined) => ({ ...kind, fanOut, locality, joined }))),
    ),
  );
}

export const workloads: readonly Workload[] = [
  ...variants(["random"], [1, 10], [undefined, 10, 100]),
  ...variants(["owner", "shard"], [1], [undefined, 100]),
];
