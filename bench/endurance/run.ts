import { setTimeout as sleep } from "node:timers/promises";
import { Publisher, Subscriber } from "./clients.ts";
import { KillableBroker } from "./killable-broker.ts";
import type { Run } from "./record.ts";

export interface RunOptions {
  readonly shards: number;
  readonly publishers: number;
  /** The broker lives so long at least, and until it has acknowledged so many messages. */
  readonly lifeMs: number;
  readonly acksPerLife: number;
  /** The run ends after this time, and not before so many kills. */
  readonly durationMs: number;
  readonly killsMin: number;
  readonly log: (line: string) => void;
}

const pollMs = 20;
const lifeMaxMs = 60_000;
const drainMaxMs = 60_000;

interface Cast {
  readonly publishers: readonly Publisher[];
  readonly subscribers: readonly Subscriber[];
}

/** Kills the broker again and again under load, lets everything arrive, and tells what was said and heard. */
export async function run(options: RunOptions): Promise<Run> {
  const broker = new KillableBroker(options.shards);
  const ends: (() => Promise<void>)[] = [() => broker.remove()];
  try {
    await broker.start();
    const cast = await enter(broker.url, options.publishers, ends);
    for (const publisher of cast.publishers) publisher.start();
    const kills = await killAgainAndAgain(broker, cast, options);
    for (const publisher of cast.publishers) publisher.stop();
    options.log("draining");
    await drain(cast);
    const states = cast.publishers.map(({ state }) => state);
    const reader = await Subscriber.subscribed(broker.url, "reader", "load/+", 1);
    ends.push(() => reader.end());
    // What cannot come is told apart from what came by the record, not here.
    await waitFor(() => states.every((state) => reader.hasLatest(state)), drainMaxMs);
    const retained = new Map([...reader.received].map(([name, numbers]) => [name, numbers.at(-1) ?? 0]));
    const streams = cast.publishers.flatMap((publisher) => publisher.streams);
    return { kills, streams, states, listeners: cast.subscribers, retained };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function enter(url: string, count: number, ends: (() => Promise<void>)[]): Promise<Cast> {
  const subscribers: Subscriber[] = [];
  const publishers: Publisher[] = [];
  const subscribe = async (name: string, topicFilter: string, maximumQos: 1 | 2): Promise<void> => {
    const subscriber = await Subscriber.subscribed(url, name, topicFilter, maximumQos);
    ends.push(() => subscriber.end());
    subscribers.push(subscriber);
  };
  await subscribe("all-2", "load/+/+", 2);
  await subscribe("all-1", "load/#", 1);
  for (let index = 0; index < count; index += 1) {
    const publisher = await Publisher.connected(url, `p${index}`);
    ends.push(() => publisher.end());
    publishers.push(publisher);
  }
  return { publishers, subscribers };
}

async function killAgainAndAgain(broker: KillableBroker, cast: Cast, options: RunOptions): Promise<number> {
  const countAcks = (): number =>
    cast.publishers.reduce((sum, { acknowledgedCount }) => sum + acknowledgedCount, 0);
  const endAtMs = Date.now() + options.durationMs;
  let kills = 0;
  while (Date.now() < endAtMs || kills < options.killsMin) {
    const acksBefore = countAcks();
    const isWorn = waitFor(() => countAcks() >= acksBefore + options.acksPerLife, lifeMaxMs);
    const [isLively] = await Promise.all([isWorn, sleep(options.lifeMs)]);
    if (!isLively) throw new Error(`only ${countAcks() - acksBefore} messages were acknowledged in one life`);
    await broker.kill();
    kills += 1;
    options.log(`kill ${kills}, ${countAcks()} messages acknowledged`);
    await broker.start();
  }
  return kills;
}

/** Until every message is acknowledged and everybody has the last of every stream, or it takes too long. */
async function drain({ publishers, subscribers }: Cast): Promise<void> {
  const streams = publishers.flatMap((publisher) => publisher.streams);
  await waitFor(
    () =>
      publishers.every(({ isAcknowledged }) => isAcknowledged) &&
      subscribers.every((subscriber) => streams.every((stream) => subscriber.hasLatest(stream))),
    drainMaxMs,
  );
}

/** Whether it came true in time. */
async function waitFor(condition: () => boolean, maxMs: number): Promise<boolean> {
  const endAtMs = Date.now() + maxMs;
  while (!condition()) {
    if (Date.now() >= endAtMs) return false;
    await sleep(pollMs);
  }
  return true;
}
