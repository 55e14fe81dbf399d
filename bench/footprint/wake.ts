import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { LeanClient } from "../load/lean-client.ts";
import { publishTemplate } from "../load/packets.ts";
import { commandTopicOf, endAll, type Kind, populate } from "./population.ts";
import { median } from "./statistics.ts";
import { type Host, startHost } from "./workerd.ts";

export interface Wake {
  readonly kind: Kind;
  readonly sessionCount: number;
  readonly evictionCount: number;
  /** From PINGREQ to PINGRESP, the first after an eviction, and one when the shard is awake; median, in ms. */
  readonly pingMs: number;
  readonly awakePingMs: number;
  /** From PUBLISH to its arrival at the one subscriber, QoS 0; and from PUBLISH to PUBACK, QoS 1. */
  readonly deliveryMs: number;
  readonly pubackMs: number;
}

/** The sockets of an evicted object, and all that waits on them, come to rest. */
const restMs = 30;

export async function measureWake(kind: Kind, sessionCount: number, evictionCount: number): Promise<Wake> {
  const host = await startHost({ isInspected: false });
  const clients = await populate(host.url, kind, sessionCount);
  const { publisher, subscriber } = await connectPair(host);
  const delivery = publishTemplate("wake/pair", Buffer.alloc(64), 0);
  const acknowledged = publishTemplate(commandTopicOf(sessionCount >> 1), Buffer.alloc(64), 1);
  const events: Record<"ping" | "delivery" | "puback", () => Promise<void>> = {
    ping: () => publisher.ping(),
    delivery: () =>
      new Promise((resolve) => {
        subscriber.onMessage = () => resolve();
        publisher.publish(delivery);
      }),
    puback: () =>
      new Promise((resolve) => {
        publisher.onAcknowledged = resolve;
        publisher.publish(acknowledged);
      }),
  };
  const first = async (event: () => Promise<void>): Promise<number> => {
    await host.evict();
    await sleep(restMs);
    return timeMs(event);
  };
  const samples: Record<"ping" | "awakePing" | "delivery" | "puback", number[]> = {
    ping: [],
    awakePing: [],
    delivery: [],
    puback: [],
  };
  for (let round = 0; round < evictionCount; round += 1) {
    samples.ping.push(await first(events.ping));
    samples.awakePing.push(await timeMs(events.ping));
    samples.delivery.push(await first(events.delivery));
    samples.puback.push(await first(events.puback));
  }
  endAll([...clients, publisher, subscriber]);
  await host.stop();
  return {
    kind,
    sessionCount,
    evictionCount,
    pingMs: median(samples.ping),
    awakePingMs: median(samples.awakePing),
    deliveryMs: median(samples.delivery),
    pubackMs: median(samples.puback),
  };
}

async function connectPair({ url }: Host): Promise<{ publisher: LeanClient; subscriber: LeanClient }> {
  const publisher = await LeanClient.connect(url, "publisher");
  const subscriber = await LeanClient.connect(url, "subscriber");
  await subscriber.subscribe("wake/pair", 0);
  return { publisher, subscriber };
}

async function timeMs(event: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await event();
  return performance.now() - startMs;
}
