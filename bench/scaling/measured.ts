/** Everything that is measured, and its tables. */
import type { EventCosts } from "./events.ts";
import { logMessageCount, measureEvents, measureIdleAlarms, measureLogRows } from "./events.ts";
import type { Joining } from "./joining.ts";
import { joinings, measureJoining } from "./joining.ts";
import type { Memory } from "./memory.ts";
import { measureMemory } from "./memory.ts";
import { short, table, whole } from "./table.ts";
import type { Costs, Workload } from "./workload.ts";
import { measure, workloads } from "./workload.ts";

export const shardCounts = [1, 4, 16] as const;

/** By number of shards. */
type ByShards<T> = ReadonlyMap<number, T>;

export interface Measured {
  readonly messages: readonly { readonly workload: Workload; readonly costs: ByShards<Costs> }[];
  readonly joinings: readonly Joining[];
  readonly events: ByShards<readonly EventCosts[]>;
  readonly idleAlarms: ByShards<number>;
  readonly logRows: ByShards<number>;
  readonly memory: Memory;
}

export function measureAll(progress: (line: string) => void): Measured {
  progress("memory");
  const memory = measureMemory();
  const messages = workloads.map((workload) => {
    progress(nameOf(workload));
    return { workload, costs: byShards((shards) => measure(workload, shards)) };
  });
  progress("joining");
  const joined = joinings.map((parameters) => measureJoining(...parameters));
  progress("events");
  const events = byShards((shards) => measureEvents(shards));
  const idleAlarms = byShards((shards) => measureIdleAlarms(shards));
  const logRows = byShards((shards) => measureLogRows(shards));
  return { messages, joinings: joined, events, idleAlarms, logRows, memory };
}

/** What a message of that kind costs when it comes alone. */
export function costsOf({ messages }: Measured, wanted: Partial<Workload>, shards: number): Costs {
  const isWanted = (workload: Workload): boolean =>
    Object.entries(wanted).every(([key, value]) => workload[key as keyof Workload] === value);
  const found = messages.find(({ workload }) => isWanted(workload) && workload.joined === undefined);
  const costs = found?.costs.get(shards);
  if (costs === undefined) throw new Error("There is no such measurement");
  return costs;
}

export function formatMeasured(measured: Measured): string {
  const { bytesPerClient, bytesPerRoute } = measured.memory;
  const each = (figures: ByShards<number>): string =>
    shardCounts.map((shards) => `${short(figures.get(shards) ?? 0)} at ${shards}`).join(", ");
  return [
    "## Measured: one message",
    "",
    messagesTable(measured),
    "",
    "## Measured: messages in a call, by load and by the time that a call takes",
    "",
    joiningsTable(measured.joinings),
    "",
    "## Measured: clients",
    "",
    eventsTable(measured.events),
    "",
    `Alarms a minute and shard, of 400 idle clients with Keep Alive 60: ${each(measured.idleAlarms)} shards.`,
    "",
    `Rows of the message log at the fullest shard after ${whole(logMessageCount)} QoS 2 messages: ${each(measured.logRows)} shards.`,
    "",
    `Memory: ${kilobytes(bytesPerClient)} a client with one subscription, ${kilobytes(bytesPerRoute)} a route.`,
  ].join("\n");
}

function messagesTable({ messages }: Measured): string {
  const heads = ["calls", "messages a call", "rows"].flatMap((head) => [`${head}, 4 shards`, "16"]);
  const header = ["load", "frames in", "rows, 1 shard", ...heads];
  const body = messages.map(({ workload, costs }) => {
    const of = (shards: number): Costs => costs.get(shards) as Costs;
    const pairs = (read: (costs: Costs) => number): string[] => [short(read(of(4))), short(read(of(16)))];
    return [
      nameOf(workload),
      short(of(1).framesIn),
      short(of(1).rows),
      ...pairs(({ calls }) => calls),
      ...pairs(({ itemsPerCall }) => itemsPerCall),
      ...pairs(({ rows }) => rows),
    ];
  });
  return table(header, body);
}

function joiningsTable(joined: readonly Joining[]): string {
  const header = ["shards", "call takes", "messages/s", "calls a message", "by formula"];
  const body = joined.map(({ byFormula, callMs, callsPerMessage, messagesPerSec, shards }) => [
    shards,
    `${callMs} ms`,
    whole(messagesPerSec),
    short(callsPerMessage),
    short(byFormula),
  ]);
  return table(header, body, 0);
}

function eventsTable(events: ByShards<readonly EventCosts[]>): string {
  const first = events.get(1) ?? [];
  const heads = shardCounts.map((shards) => `${shards} ${shards === 1 ? "shard" : "shards"}`);
  const body = first.map(({ event }, index) => {
    const cells = shardCounts.map((shards) => {
      const { calls, rows } = (events.get(shards) as readonly EventCosts[])[index] as EventCosts;
      return `${short(calls)} / ${short(rows)}`;
    });
    return [event, ...cells];
  });
  return table(["calls / rows", ...heads], body);
}

function nameOf({ fanOut, isPersistent, joined, locality, qos }: Workload): string {
  const places = { random: "", owner: ", topic at its publisher's shard", shard: ", all on one shard" };
  const target = `QoS ${qos} to ${fanOut}${isPersistent ? " persistent" : ""}${places[locality]}`;
  return `${target}, ${joined === undefined ? "alone" : `${joined} in a turn`}`;
}

export function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

function byShards<T>(work: (shards: number) => T): ByShards<T> {
  return new Map(shardCounts.map((shards) => [shards, work(shards)] as const));
}
