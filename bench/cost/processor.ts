/** Processor time that one event takes of a real workerd, at about the rate of the workloads. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { duramq } from "../brokers/duramq.ts";
import { LeanClient } from "../load/lean-client.ts";
import type { PublishTemplate, QoS } from "../load/packets.ts";
import { frame, publishTemplate } from "../load/packets.ts";
import { flushesPerSecOf } from "../../src/config.ts";
import type { WorkloadName } from "./workloads.ts";
import { payloadBytes } from "./workloads.ts";

export interface WorkMs {
  readonly workMsPerPing: number;
  readonly workMsPerFrame: number;
  readonly workMsPerCall: number;
}

/** Milliseconds of all threads of workerd, with what the kernel does for its sockets. */
export interface ProcessorTimes {
  /** False where there is no /proc: then they are from another machine. */
  readonly isMeasured: boolean;
  readonly perPing: number;
  /** For one message through the broker, with its acknowledgements. */
  readonly perMessage: Readonly<Record<Exclude<WorkloadName, "idle-10k">, number>>;
}

const clientCount = 200;
export const ratePerSec = 200;
const warmUpMs = 2000;
const measuredMs = 6000;
const tickMs = 10;

/** Of a machine with two cores. */
const recorded: ProcessorTimes = {
  isMeasured: false,
  perPing: 0.27,
  perMessage: { "qos0-10k": 0.3, "qos1-10k": 0.49, "retained-10k": 0.38 },
};

export async function measureProcessor(): Promise<ProcessorTimes> {
  if (process.platform !== "linux") return recorded;
  process.env["FLUSHES_PER_SEC_MAX"] = String(flushesPerSecOf(1));
  const broker = await duramq("hibernating", "disk").start();
  try {
    const time = (qos: QoS, retain: boolean, isPersistent: boolean): Promise<number> =>
      timeMessages(broker.url, workerdOf(broker.pid), { qos, retain, isPersistent });
    return {
      isMeasured: true,
      perPing: await timePings(broker.url, workerdOf(broker.pid)),
      perMessage: {
        "qos0-10k": await time(0, false, false),
        "qos1-10k": await time(1, false, true),
        "retained-10k": await time(0, true, false),
      },
    };
  } finally {
    await broker.stop();
  }
}

/** For the simulation, where a QoS 1 message is two frames. A call between shards is taken to be as much as a message. */
export function workMsOf({ perMessage, perPing }: ProcessorTimes, name: WorkloadName): WorkMs {
  if (name === "idle-10k") return { workMsPerPing: perPing, workMsPerFrame: perPing, workMsPerCall: perPing };
  const frames = name === "qos1-10k" ? 2 : 1;
  return {
    workMsPerPing: perPing,
    workMsPerFrame: perMessage[name] / frames,
    workMsPerCall: perMessage[name],
  };
}

async function timePings(url: string, pid: number): Promise<number> {
  const ping: PublishTemplate = { bytes: frame(Buffer.from([0xc0, 0])), packetIdOffset: undefined };
  const clients = await connectAll(url, "pinger", false);
  const cost = await timeEach(pid, (index) => clients[index % clientCount]?.publish(ping));
  await Promise.all(clients.map((client) => client.end()));
  return cost;
}

interface Kind {
  readonly qos: QoS;
  readonly retain: boolean;
  readonly isPersistent: boolean;
}

async function timeMessages(url: string, pid: number, { isPersistent, qos, retain }: Kind): Promise<number> {
  const name = `client-${qos}-${String(retain)}`;
  const clients = await connectAll(url, name, isPersistent);
  const topicOf = (index: number): string => `${name}/${index % clientCount}/temperature`;
  for (const [index, client] of clients.entries()) await client.subscribe(topicOf(index + 1), qos);
  const payload = new Uint8Array(payloadBytes);
  const templates = clients.map((_, index) => publishTemplate(topicOf(index), payload, qos, retain));
  const cost = await timeEach(pid, (index) => {
    const template = templates[index % clientCount];
    if (template !== undefined) clients[index % clientCount]?.publish(template);
  });
  await Promise.all(clients.map((client) => client.end()));
  return cost;
}

async function connectAll(url: string, name: string, isPersistent: boolean): Promise<LeanClient[]> {
  const clients: LeanClient[] = [];
  for (let index = 0; index < clientCount; index += 1)
    clients.push(await LeanClient.connect(url, `${name}-${index}`, !isPersistent));
  return clients;
}

/** Does it at an even rate; processor time for one. */
async function timeEach(pid: number, work: (index: number) => void): Promise<number> {
  const startMs = performance.now();
  let done = 0;
  const keepUp = async (untilMs: number): Promise<void> => {
    while (performance.now() - startMs < untilMs) {
      for (; done < ((performance.now() - startMs) * ratePerSec) / 1000; done += 1) work(done);
      await sleep(1);
    }
  };
  await keepUp(warmUpMs);
  const [doneBefore, before] = [done, processorMs(pid)];
  await keepUp(warmUpMs + measuredMs);
  return (processorMs(pid) - before) / (done - doneBefore);
}

/** The launcher's only child. */
function workerdOf(launcherPid: number): number {
  const children = readFileSync(`/proc/${launcherPid}/task/${launcherPid}/children`, "utf8").trim();
  const workerd = children
    .split(" ")
    .find((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("workerd"));
  if (workerd === undefined) throw new Error("workerd does not run");
  return Number(workerd);
}

/** By the scheduler's nanoseconds where the kernel has them, else by its ticks. */
function processorMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.reduce((sum, thread) => sum + onProcessorNs(pid, thread), 0);
  if (nanoseconds > 0) return nanoseconds / 1e6;
  const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const [user = 0, system = 0] = fields.split(" ").slice(11, 13).map(Number);
  return (user + system) * tickMs;
}

function onProcessorNs(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  } catch {
    return 0;
  }
}
