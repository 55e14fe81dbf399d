import { setTimeout as sleep } from "node:timers/promises";
import { LeanClient } from "../load/lean-client.ts";
import { publishTemplate, type QoS } from "../load/packets.ts";
import { Window } from "../load/window.ts";
import { endAll, populate } from "./population.ts";
import { median } from "./statistics.ts";
import { type Host, startHost } from "./workerd.ts";

/** What a message to one subscriber takes beside so many other sessions, half of them connected. */
export interface MessageTime {
  readonly sessionCount: number;
  /** Median of the rounds, in µs, by load. */
  readonly byLoad: ReadonlyMap<Load, number>;
}

export type Load = "QoS 0" | "QoS 1" | "QoS 1, persistent subscriber";

export const loads: Readonly<Record<Load, { readonly qos: QoS; readonly isPersistent: boolean }>> = {
  "QoS 0": { qos: 0, isPersistent: false },
  "QoS 1": { qos: 1, isPersistent: false },
  "QoS 1, persistent subscriber": { qos: 1, isPersistent: true },
};

const outstandingMax = 32;
const warmUpMs = 300;
const measureMs = 700;
const restMs = 100;

interface Crowd {
  readonly sessionCount: number;
  readonly host: Host;
  readonly clients: readonly LeanClient[];
  readonly samples: Map<Load, number[]>;
}

/** The crowds are measured in turns, so that a slow moment of the machine hits all of them. */
export async function measureMessages(
  sessionCounts: readonly number[],
  roundCount: number,
): Promise<MessageTime[]> {
  const crowds: Crowd[] = [];
  for (const sessionCount of sessionCounts) {
    const host = await startHost({ isInspected: false });
    const half = sessionCount / 2;
    const clients = await populate(host.url, "connected", half);
    await populate(host.url, "offline", half, half);
    crowds.push({ sessionCount, host, clients, samples: new Map() });
  }
  for (let round = 0; round < roundCount; round += 1) {
    for (const load of Object.keys(loads) as Load[]) {
      for (const { host, samples } of crowds) {
        const sample = await microsecondsPerMessage(host, load);
        samples.set(load, [...(samples.get(load) ?? []), sample]);
      }
    }
  }
  for (const { clients, host } of crowds) {
    endAll(clients);
    await host.stop();
  }
  return crowds.map(({ sessionCount, samples }) => ({
    sessionCount,
    byLoad: new Map([...samples].map(([load, values]) => [load, median(values)])),
  }));
}

async function microsecondsPerMessage({ url }: Host, load: Load): Promise<number> {
  const { isPersistent, qos } = loads[load];
  const subscriber = await LeanClient.connect(url, "subscriber", !isPersistent);
  const publisher = await LeanClient.connect(url, "publisher");
  await subscriber.subscribe("message/pair", qos);
  const window = new Window(
    publisher,
    publishTemplate("message/pair", Buffer.alloc(64), qos),
    qos,
    outstandingMax,
  );
  subscriber.onMessage = () => window.onDelivered();
  window.start();
  await sleep(warmUpMs);
  const before = window.deliveredCount;
  const startMs = performance.now();
  await sleep(measureMs);
  const microseconds = (1000 * (performance.now() - startMs)) / (window.deliveredCount - before);
  window.stop();
  await sleep(restMs);
  await Promise.all([subscriber.end(), publisher.end()]);
  return microseconds;
}
