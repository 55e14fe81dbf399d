/** A client that does not read from its TCP connection must not cost the broker memory. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RawClient } from "../support/raw-client.ts";
import {
  connectPersistentRaw,
  connectRaw,
  nextAck,
  publishRaw,
  receiveRaw,
  subscribeRaw,
} from "../support/raw-session.ts";
import { isPeer } from "../support/system-broker.ts";
import { unique } from "../support/unique.ts";
import { waitUntil } from "../support/wait.ts";
import { type Broker, startBroker } from "./broker.ts";

const MEBIBYTE = 1024 * 1024;
const PAYLOAD_BYTES = 16 * 1024;
/** Less than a session may have waiting. */
const FLOOD_COUNT = (60 * MEBIBYTE) / PAYLOAD_BYTES;
const WARM_UP_COUNT = (32 * MEBIBYTE) / PAYLOAD_BYTES;
const STALLED_COUNT = 4;
/** A quarter of what would wait in sockets without a window. */
const GROWTH_MAX_BYTES = 60 * MEBIBYTE;
const INFLIGHT_MAX = 100;
const BATCH_COUNT = 32;
/** Only there can be seen how much memory another process has. */
const isLinux = process.platform === "linux";

let broker: Broker;

beforeAll(async () => {
  broker = await startBroker();
}, 60_000);

afterAll(() => broker.kill());

const sessions = {
  "ends with the connection": async (clientId: string) => (await connectRaw(broker.url, { clientId })).client,
  lasts: async (clientId: string) => (await connectPersistentRaw(broker.url, clientId)).client,
};
type Session = keyof typeof sessions;

function residentBytes(): number {
  const status = readFileSync(`/proc/${broker.workerdPid()}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024;
}

/** Messages that begin with their number, from 1 on, as fast as they are acknowledged. */
async function flood(publisher: RawClient, topic: string, count: number): Promise<void> {
  const messageIds = Array.from({ length: BATCH_COUNT }, (_, index) => index + 1);
  for (let sent = 0; sent < count; sent += BATCH_COUNT) {
    for (const messageId of messageIds) {
      const payload = `${sent + messageId} `.padEnd(PAYLOAD_BYTES);
      publishRaw(publisher, { topic, payload, qos: 1, messageId });
    }
    for (const messageId of messageIds) await nextAck(publisher, "puback", messageId);
  }
}

/** The messages from 1 to `count`. */
async function receiveFlood(client: RawClient, count: number): Promise<void> {
  for (let number = 1; number <= count; number += 1) {
    expect(Number.parseInt((await receiveRaw(client)).payload.toString(), 10)).toBe(number);
  }
}

/** Clients that stop reading before so many messages are published for each of them. */
async function stall(session: Session, publisher: RawClient, count: number): Promise<RawClient[]> {
  const topic = unique("flood");
  const clients: RawClient[] = [];
  for (let index = 0; index < STALLED_COUNT; index += 1) {
    const client = await sessions[session](unique("stalled"));
    await subscribeRaw(client, topic, 1);
    client.socket.pause();
    clients.push(client);
  }
  await flood(publisher, topic, count);
  return clients;
}

test.skipIf(isPeer || !isLinux).each(["ends with the connection", "lasts"] as const)(
  "60 MiB of QoS 1 to each of 4 clients that read nothing, and whose session %s, cost at most 60 MiB; 100 are in flight",
  async (session) => {
    const publisher = await sessions.lasts(unique("publisher"));
    // What the process takes for so much traffic once and for all, it has then.
    await stall(session, publisher, WARM_UP_COUNT);
    const before = residentBytes();
    const [client] = (await stall(session, publisher, FLOOD_COUNT)) as [RawClient];
    expect(residentBytes() - before).toBeLessThan(GROWTH_MAX_BYTES);
    client.socket.resume();
    const countReceived = (): number => client.received.filter(({ cmd }) => cmd === "publish").length;
    await waitUntil(() => countReceived() >= INFLIGHT_MAX, "what was in flight");
    expect(countReceived()).toBe(INFLIGHT_MAX);
    if (session === "lasts") await receiveFlood(client, FLOOD_COUNT);
  },
);
