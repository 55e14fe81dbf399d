import { LeanClient } from "../load/lean-client.ts";
import { publishTemplate } from "../load/packets.ts";
import { publishAll } from "../load/window.ts";
import { type Host, startHost } from "./workerd.ts";

export interface Backlog {
  readonly messageCount: number;
  readonly payloadBytes: number;
  /** Live heap before the client returns, and the most of it while the client takes the messages. */
  readonly beforeMb: number;
  readonly drainingMb: number;
  readonly residentBeforeMb: number;
  readonly residentDrainingMb: number;
  readonly drainSec: number;
  readonly receivedCount: number;
  readonly isInOrder: boolean;
}

const topic = "backlog/queue";
const clientId = "sleeper";
const payloadBytes = 200;
const outstandingMax = 500;
/** So often is the heap weighed while the client takes messages. */
const weighingCount = 10;
const drainTimeoutMs = 120_000;

/** A client returns to messages that fill its queue; the shard has been evicted, so that they are in storage only. */
export async function measureBacklog(messageCount: number): Promise<Backlog> {
  const host = await startHost({ isInspected: true });
  const watcher = await LeanClient.connect(host.url, "watcher");
  await fill(host, messageCount);
  await host.evict();
  await watcher.ping();
  const beforeMb = await host.liveHeapMb();
  const residentBeforeMb = host.residentMb();
  const drained = await drain(host, messageCount);
  watcher.destroy();
  await host.stop();
  return { messageCount, payloadBytes, beforeMb, residentBeforeMb, ...drained };
}

async function fill({ url }: Host, messageCount: number): Promise<void> {
  const sleeper = await LeanClient.connect(url, clientId, false);
  await sleeper.subscribe(topic, 1);
  await sleeper.end();
  const publisher = await LeanClient.connect(url, "publisher");
  const templates = Array.from({ length: messageCount }, (_, index) => {
    const payload = Buffer.alloc(payloadBytes);
    payload.writeUInt32BE(index, payloadBytes - 4);
    return publishTemplate(topic, payload, 1);
  });
  await publishAll(publisher, templates, outstandingMax);
  await publisher.end();
}

type Drained = Pick<
  Backlog,
  "drainingMb" | "residentDrainingMb" | "drainSec" | "receivedCount" | "isInOrder"
>;

async function drain(host: Host, messageCount: number): Promise<Drained> {
  const client = await LeanClient.open(host.url);
  const weighings: Promise<number>[] = [];
  let receivedCount = 0;
  let isInOrder = true;
  let residentDrainingMb = 0;
  const startMs = performance.now();
  const done = new Promise<void>((resolve, reject) => {
    setTimeout(() => reject(new Error(`Only ${receivedCount} messages came`)), drainTimeoutMs).unref();
    client.onMessage = (packet) => {
      isInOrder &&= packet.readUInt32BE(packet.length - 4) === receivedCount;
      receivedCount += 1;
      if (receivedCount % Math.floor(messageCount / weighingCount) === 1) {
        weighings.push(host.liveHeapMb());
        residentDrainingMb = Math.max(residentDrainingMb, host.residentMb());
      }
      if (receivedCount === messageCount) resolve();
    };
  });
  await Promise.all([client.introduce(clientId, false), done]);
  const drainSec = (performance.now() - startMs) / 1000;
  const drainingMb = Math.max(...(await Promise.all(weighings)));
  await client.end();
  return { drainingMb, residentDrainingMb, drainSec, receivedCount, isInOrder };
}
