import { performance } from "node:perf_hooks";
import { LeanClient } from "./lean-client.ts";
import { countdown, rate, timed, type Effort, type Measurement, type Timing } from "./measure.ts";
import { publishTemplate, type QoS } from "./packets.ts";
import { publishAll, Window } from "./window.ts";

export type Scenario = (url: string, effort: Effort) => Promise<Measurement>;

const PAYLOAD = Buffer.alloc(64, "duramq ");
const PAIR_COUNT = 10;
const PAIR_WINDOW = 32;
const FAN_OUT_WINDOW = 4;
const FAN_IN_PUBLISHER_COUNT = 50;
const FAN_IN_WINDOW = 8;
const CONNECTOR_COUNT = 20;
const LATENCY_WARM_UP_COUNT = 200;
const FILL_WINDOW = 32;
const BATCH_SIZE = 50;
const QUEUE_TOPIC = "bench/queue";
const RETAINED_BRANCH_COUNT = 50;
/** What takes milliseconds is measured so often in a row, for the median. */
const REPEAT_COUNT = 5;

export const scenarios = {
  connect: connectRate,
  latency,
  "pairs-qos0": pairs(0),
  "pairs-qos1": pairs(1),
  "pairs-qos2": pairs(2),
  "fan-out": fanOut,
  "fan-in": fanIn,
  queue: offlineQueue,
  retained: retainedReplay,
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof scenarios;

/** Twenty clients, each of which connects, disconnects, and connects again. */
async function connectRate(url: string, effort: Effort): Promise<Measurement> {
  let connectedCount = 0;
  const stop = new AbortController();
  const connectors = Array.from({ length: CONNECTOR_COUNT }, async (_, index) => {
    while (!stop.signal.aborted) {
      const client = await LeanClient.connect(url, `connect-${index}`);
      connectedCount += 1;
      await client.end();
    }
  });
  const measurement = await rate(() => connectedCount, effort);
  stop.abort();
  await Promise.all(connectors);
  return measurement;
}

/** One message at a time goes to another client, which sends one back. */
async function latency(url: string, effort: Effort): Promise<Measurement> {
  const [ping, pong] = await Promise.all([LeanClient.connect(url, "ping"), LeanClient.connect(url, "pong")]);
  await Promise.all([ping.subscribe("bench/pong", 0), pong.subscribe("bench/ping", 0)]);
  const toPong = publishTemplate("bench/ping", PAYLOAD, 0);
  const toPing = publishTemplate("bench/pong", PAYLOAD, 0);
  pong.onMessage = () => pong.publish(toPing);
  const roundTrip = (): Promise<number> =>
    new Promise((resolve) => {
      const startMs = performance.now();
      ping.onMessage = () => resolve((performance.now() - startMs) * 1000);
      ping.publish(toPong);
    });
  for (let count = 0; count < LATENCY_WARM_UP_COUNT; count += 1) await roundTrip();
  const { result: samples, cpuShare } = await timed(async () => {
    const roundTripsUs: number[] = [];
    while (roundTripsUs.length < effort.latencySampleCount) roundTripsUs.push(await roundTrip());
    return roundTripsUs.toSorted((a, b) => a - b);
  });
  endAll([ping, pong]);
  return {
    figures: { "median µs": percentile(samples, 0.5), "p99 µs": percentile(samples, 0.99) },
    loadCpuShare: cpuShare,
  };
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Ten publishers with a subscriber each. */
function pairs(qos: QoS): Scenario {
  return async (url, effort) => {
    const [publishers, subscribers] = await Promise.all([
      connectMany(url, "publisher", PAIR_COUNT),
      connectMany(url, "subscriber", PAIR_COUNT),
    ]);
    const windows = publishers.map((publisher, index) => {
      const template = publishTemplate(`bench/pair/${index}`, PAYLOAD, qos);
      return new Window(publisher, template, qos, PAIR_WINDOW);
    });
    await inBatches(subscribers, async (subscriber, index) => {
      subscriber.onMessage = () => windows[index]?.onDelivered();
      await subscriber.subscribe(`bench/pair/${index}`, qos);
    });
    return measureWindows(windows, [...publishers, ...subscribers], effort);
  };
}

/** One publisher, and hundreds of subscribers that each get every message. */
async function fanOut(url: string, effort: Effort): Promise<Measurement> {
  const topic = "bench/fan-out";
  const publisher = await LeanClient.connect(url, "publisher");
  const subscribers = await connectMany(url, "subscriber", effort.fanOutSubscriberCount);
  const window = new Window(
    publisher,
    publishTemplate(topic, PAYLOAD, 0),
    0,
    FAN_OUT_WINDOW,
    subscribers.length,
  );
  await inBatches(subscribers, async (subscriber) => {
    subscriber.onMessage = () => window.onDelivered();
    await subscriber.subscribe(topic, 0);
  });
  return measureWindows([window], [publisher, ...subscribers], effort);
}

/** Fifty publishers, and one subscriber that gets it all. */
async function fanIn(url: string, effort: Effort): Promise<Measurement> {
  const subscriber = await LeanClient.connect(url, "subscriber");
  await subscriber.subscribe("bench/fan-in/+", 0);
  const publishers = await connectMany(url, "publisher", FAN_IN_PUBLISHER_COUNT);
  const windows = publishers.map((publisher, index) => {
    // The last byte of the payload tells whose message came back, without parsing the topic.
    const payload = Buffer.concat([PAYLOAD, Buffer.from([index])]);
    return new Window(publisher, publishTemplate(`bench/fan-in/${index}`, payload, 0), 0, FAN_IN_WINDOW);
  });
  subscriber.onMessage = (packet) => windows[packet.at(-1) ?? -1]?.onDelivered();
  return measureWindows(windows, [subscriber, ...publishers], effort);
}

function connectMany(url: string, role: string, count: number): Promise<LeanClient[]> {
  return inBatches(Array.from({ length: count }), (_, index) => LeanClient.connect(url, `${role}-${index}`));
}

/** Some at a time: Mosquitto takes a tenth of a second for a connection, others would drown in hundreds at once. */
async function inBatches<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += BATCH_SIZE) {
    const batch = items.slice(start, start + BATCH_SIZE);
    results.push(...(await Promise.all(batch.map((item, offset) => work(item, start + offset)))));
  }
  return results;
}

async function measureWindows(
  windows: readonly Window[],
  clients: LeanClient[],
  effort: Effort,
): Promise<Measurement> {
  for (const window of windows) window.start();
  const measurement = await rate(
    () => windows.reduce((total, window) => total + window.deliveredCount, 0),
    effort,
  );
  for (const window of windows) window.stop();
  endAll(clients);
  return measurement;
}

/** A session is away while messages of QoS 1 are stored for it; then it returns and takes them all. */
async function offlineQueue(url: string, effort: Effort): Promise<Measurement> {
  const publisher = await LeanClient.connect(url, "publisher");
  const template = publishTemplate(QUEUE_TOPIC, PAYLOAD, 1);
  const templates = Array.from({ length: effort.queueMessageCount }, () => template);
  const fills: Timing[] = [];
  const drains: Timing[] = [];
  for (let index = 0; index < REPEAT_COUNT; index += 1) {
    await leaveSession(url, "sleeper", QUEUE_TOPIC);
    fills.push(await timed(() => publishAll(publisher, templates, FILL_WINDOW)));
    drains.push(await drainQueue(url, "sleeper", templates.length));
  }
  endAll([publisher]);
  return {
    figures: {
      "fill per second": templates.length / medianSec(fills),
      "drain per second": templates.length / medianSec(drains),
    },
    loadCpuShare: Math.max(...[...fills, ...drains].map(({ cpuShare }) => cpuShare)),
  };
}

async function leaveSession(url: string, clientId: string, topic: string): Promise<void> {
  const client = await LeanClient.connect(url, clientId, false);
  await client.subscribe(topic, 1);
  await client.end();
}

async function drainQueue(url: string, clientId: string, messageCount: number): Promise<Timing> {
  const client = await LeanClient.open(url);
  const { tick, done } = countdown(messageCount);
  client.onMessage = tick;
  const timing = await timed(() => Promise.all([client.introduce(clientId, false), done]));
  await client.end();
  // A clean session leaves nothing behind for the next run.
  await (await LeanClient.connect(url, clientId, true)).end();
  return timing;
}

/** A new subscription gets thousands of retained messages. */
async function retainedReplay(url: string, effort: Effort): Promise<Measurement> {
  const topics = Array.from(
    { length: effort.retainedMessageCount },
    (_, index) => `bench/retained/${index % RETAINED_BRANCH_COUNT}/${index}`,
  );
  const publisher = await LeanClient.connect(url, "publisher");
  const retain = (payload: Buffer): Promise<void> =>
    publishAll(
      publisher,
      topics.map((topic) => publishTemplate(topic, payload, 1, true)),
      FILL_WINDOW,
    );
  await retain(PAYLOAD);
  const replays: Timing[] = [];
  for (let index = 0; index < REPEAT_COUNT; index += 1) {
    const subscriber = await LeanClient.connect(url, `subscriber-${index}`);
    const { tick, done } = countdown(topics.length);
    subscriber.onMessage = tick;
    replays.push(await timed(() => Promise.all([subscriber.subscribe("bench/retained/#", 0), done])));
    endAll([subscriber]);
  }
  await retain(Buffer.alloc(0));
  endAll([publisher]);
  return {
    figures: { "per second": topics.length / medianSec(replays) },
    loadCpuShare: Math.max(...replays.map(({ cpuShare }) => cpuShare)),
  };
}

function medianSec(timings: readonly Timing[]): number {
  return percentile(
    timings.map(({ elapsedSec }) => elapsedSec).toSorted((a, b) => a - b),
    0.5,
  );
}

function endAll(clients: readonly LeanClient[]): void {
  for (const client of clients) client.destroy();
}
