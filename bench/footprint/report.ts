import { cpus, loadavg } from "node:os";
import { short, table, whole } from "../scaling/table.ts";
import type { Backlog } from "./backlog.ts";
import type { Memory } from "./memory.ts";
import { type Load, loads, type MessageTime } from "./message.ts";
import { subscriptionsPerSession } from "./population.ts";
import type { Wake } from "./wake.ts";
import { workerdVersion } from "./workerd.ts";

export function formatMachine(): string {
  const [first] = cpus();
  const model = first?.model.trim() ?? "unknown CPU";
  const load = loadavg()[0] ?? 0;
  return `${cpus().length} × ${model}, Node ${process.versions.node}, workerd ${workerdVersion}; load average ${short(load)}`;
}

export function formatMemory(memories: readonly Memory[]): string {
  const header = ["sessions", "number", "heap MB", "bytes a session", "MB at 20,000", "process MB"];
  const body = memories.map(({ kind, sessionCount, emptyMb, loadedMb, residentMb }) => {
    const sessionMb = (loadedMb - emptyMb) / sessionCount;
    return [
      kind,
      whole(sessionCount),
      short(loadedMb),
      whole(sessionMb * 1_000_000),
      short(emptyMb + sessionMb * 20_000),
      whole(residentMb),
    ];
  });
  const title = `Live heap with all sessions loaded, ${subscriptionsPerSession} subscriptions each:`;
  return `${title}\n\n${table(header, body)}`;
}

export function formatWakes(wakes: readonly Wake[]): string {
  const header = ["sessions", "number", "PINGREQ", "QoS 0 delivered", "QoS 1 acknowledged", "PINGREQ, awake"];
  const body = wakes.map(({ kind, sessionCount, pingMs, deliveryMs, pubackMs, awakePingMs }) => [
    kind,
    whole(sessionCount),
    short(pingMs),
    short(deliveryMs),
    short(pubackMs),
    short(awakePingMs),
  ]);
  const [first] = wakes;
  const title = `The first packet after an eviction, ms, median of ${first?.evictionCount ?? 0} evictions each:`;
  return `${title}\n\n${table(header, body)}`;
}

export function formatMessages(times: readonly MessageTime[]): string {
  const [base] = times;
  const header = ["to one subscriber", ...times.map(({ sessionCount }) => `${whole(sessionCount)} sessions`)];
  const rows = (cell: (time: MessageTime, load: Load) => string): string =>
    table(
      header,
      (Object.keys(loads) as Load[]).map((load) => [load, ...times.map((time) => cell(time, load))]),
    );
  const of = (time: MessageTime | undefined, load: Load): number => time?.byLoad.get(load) ?? NaN;
  return [
    "Time of a message by other sessions, half of them connected, µs:",
    "",
    rows((time, load) => short(of(time, load))),
    "",
    "The same as a ratio to the first column:",
    "",
    rows((time, load) => (of(time, load) / of(base, load)).toFixed(2)),
  ].join("\n");
}

export function formatBacklog(backlog: Backlog): string {
  const { messageCount, payloadBytes, receivedCount, isInOrder, drainSec } = backlog;
  const body = [
    ["live heap, MB", short(backlog.beforeMb), short(backlog.drainingMb)],
    ["process, MB", whole(backlog.residentBeforeMb), whole(backlog.residentDrainingMb)],
  ];
  return [
    `A backlog of ${whole(messageCount)} messages of ${payloadBytes} bytes, QoS 1: ${whole(receivedCount)} came in ` +
      `${short(drainSec)} s, ${isInOrder ? "all in order" : "NOT in order"}.`,
    "",
    table(["memory", "before the client returns", "most while it takes them"], body),
  ].join("\n");
}
