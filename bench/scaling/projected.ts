/** The projection to many clients, and its tables. */
import { pricesOf } from "../pricing/cloudflare.ts";
import { callsPerSecMax } from "./links.ts";
import type { Measured } from "./measured.ts";
import { costsOf, kilobytes } from "./measured.ts";
import type { Kind, Needs, Projection } from "./projection.ts";
import { assumptions, needsOf, project, relayCost, relayDays, shardsBelow } from "./projection.ts";
import { dollars, percent, short, table, whole } from "./table.ts";
import type { Locality, Workload } from "./workload.ts";

export const sizes = [10_000, 100_000, 1_000_000] as const;

export interface Projected {
  readonly kinds: readonly Kind[];
  readonly rows: readonly ProjectedRow[];
}

interface ProjectedRow {
  readonly kind: Kind;
  readonly clients: number;
  readonly needs: Needs;
  /** With the shards that all limits ask for, events by the cautious one. */
  readonly projection: Projection;
  /** The same, with topics at their publishers' shards, and with everything on one shard. */
  readonly totalByOwner: number;
  readonly totalByShard: number;
}

export function projectAll(measured: Measured): Projected {
  const kind = (name: string, wanted: Pick<Workload, "qos" | "isPersistent">): Kind => {
    const of = (locality: Locality) => costsOf(measured, { ...wanted, fanOut: 1, locality }, 16);
    const [random, owner, shard] = [of("random"), of("owner"), of("shard")];
    return {
      name,
      framesPerMessage: random.framesIn,
      rowsPerMessage: { random: random.rows, owner: owner.rows, shard: shard.rows },
    };
  };
  const kinds = [
    kind("QoS 0", { qos: 0, isPersistent: false }),
    kind("QoS 1", { qos: 1, isPersistent: false }),
    kind("QoS 1, persistent", { qos: 1, isPersistent: true }),
    kind("QoS 2", { qos: 2, isPersistent: false }),
  ];
  const rows = sizes.flatMap((clients) =>
    kinds.map((each) => rowOf(each, clients, measured.memory.bytesPerClient)),
  );
  return { kinds, rows };
}

function rowOf(kind: Kind, clients: number, bytesPerClient: number): ProjectedRow {
  const needs = needsOf(kind, clients, bytesPerClient);
  const shards = Math.max(needs.sockets, needs.memory, needs.eventsCautious);
  return {
    kind,
    clients,
    needs,
    projection: project(kind, clients, shards),
    totalByOwner: project(kind, clients, shards, "owner").bill.total,
    totalByShard: project(kind, clients, shards, "shard").bill.total,
  };
}

export function formatProjected(projected: Projected, { memory }: Measured): string {
  return [
    `Assumptions: ${JSON.stringify(assumptions)}`,
    "",
    "## Computed: shards that each limit asks for",
    "",
    needsTable(projected),
    "",
    `## Computed: dollars a month, prices of ${pricesOf}`,
    "",
    billTable(projected),
    "",
    "## Computed: calls between shards",
    "",
    loadTable(projected),
    "",
    pairsTable(),
    "",
    "## Computed: the relay",
    "",
    relayTable(projected),
    "",
    "## Computed: subscriptions with a wildcard in the first levels",
    "",
    wildcardTable(projected, memory.bytesPerRoute),
    "",
    "## Computed: what comes first",
    "",
    firstTable(projected),
  ].join("\n");
}

function needsTable({ rows }: Projected): string {
  const { eventsPerSecCautious, eventsPerSecSoft, memoryShare, socketsPerShard } = assumptions;
  const header = [
    "clients",
    "messages",
    `${whole(socketsPerShard)} sockets`,
    `${percent(memoryShare)} of memory`,
    `${eventsPerSecSoft} events/s`,
    `${eventsPerSecCautious} events/s`,
  ];
  const body = rows.map(({ clients, kind, needs }) => [
    whole(clients),
    kind.name,
    needs.sockets,
    needs.memory,
    needs.eventsSoft,
    needs.eventsCautious,
  ]);
  return table(header, body, 2);
}

function billTable({ rows }: Projected): string {
  const header = ["clients", "messages", "shards", "frames", "calls", "duration", "rows", "**total**"];
  const others = ["without sessions", "topic at its publisher's shard", "all on one shard"];
  const body = rows.map(({ clients, kind, projection, totalByOwner, totalByShard }) => {
    const { bill, shards, totalWithoutSessions } = projection;
    const parts = [bill.frames, bill.calls, bill.duration, bill.rows].map(dollars);
    const rest = [totalWithoutSessions, totalByOwner, totalByShard].map(dollars);
    return [whole(clients), kind.name, shards, ...parts, `**${dollars(bill.total)}**`, ...rest];
  });
  return table([...header, ...others], body, 2);
}

function loadTable({ rows }: Projected): string {
  const header = ["clients", "messages", "shards", "frames/s", "calls/s", "events/s a shard"];
  const pairs = ["calls/s a shard", "a pair", "messages a call", "in sessions", "objects awake"];
  const body = rows.map(({ clients, kind, projection }) => [
    whole(clients),
    kind.name,
    projection.shards,
    whole(projection.framesPerSec),
    whole(projection.callsPerSec),
    whole(projection.eventsPerShardSec),
    short(projection.callsPerShardSec),
    short(projection.callsPerPairSec),
    short(projection.itemsPerCall),
    percent(projection.heldShare),
    short(projection.awake),
  ]);
  return table([...header, ...pairs], body, 2);
}

/** From which number of shards on calls are too few to be worth a session. */
function pairsTable(): string {
  const from = (clients: number, by: "pair" | "shard"): string =>
    `${whole(shardsBelow(callsPerSecMax, clients, by))} shards`;
  const limit = `below ${callsPerSecMax} calls/s`;
  const header = ["clients", "messages/s", `a pair ${limit} from`, `a shard ${limit} from`];
  const body = sizes.map((clients) => [
    whole(clients),
    whole(clients / assumptions.messageIntervalSec),
    from(clients, "pair"),
    from(clients, "shard"),
  ]);
  return table(header, body, 0);
}

function relayTable({ kinds, rows }: Projected): string {
  const header = ["messages", ...sizes.map((clients) => `${whole(clients)} clients, a month`)];
  const body = kinds.map((kind) => {
    const costs = rows.filter((row) => row.kind === kind).map((row) => dollars(relayCost(row.projection)));
    const { free, paid } = relayDays(kind);
    return [kind.name, ...costs, `${whole(paid)} days`, `${whole(free * 24 * 60)} minutes`];
  });
  return table([...header, "budget of a connection lasts", "on the free plan"], body);
}

function wildcardTable({ rows, kinds }: Projected, bytesPerRoute: number): string {
  const header = ["clients", "shards", "calls and rows of the first SUBSCRIBE"];
  const perShard = (assumptions.memoryBytes * assumptions.memoryShare) / 10 / bytesPerRoute;
  const body = rows
    .filter(({ kind }) => kind === kinds[0])
    .map(({ clients, projection: { shards } }) => [
      whole(clients),
      shards,
      shards - 1,
      shards === 1 ? "–" : whole(perShard / (shards - 1)),
    ]);
  const note = `(a route takes ${kilobytes(bytesPerRoute)} on every shard; a tenth of the memory for clients)`;
  return `${table([...header, "filters a shard's clients may have"], body, 0)}\n\n${note}`;
}

/** The limit that asks for the most shards, and what costs most. */
function firstTable({ rows }: Projected): string {
  const header = [
    "clients",
    "messages",
    "shards",
    "for",
    "costs most",
    "its part of the bill",
    "lanes a shard",
  ];
  const body = rows.map(({ clients, kind, needs, projection }) => {
    const { bill, shards } = projection;
    const limits = {
      events: needs.eventsCautious,
      memory: needs.memory,
      sockets: needs.sockets,
    };
    const limit = shards === 1 ? "–" : largest(limits);
    const { calls, duration, frames, rows: written } = bill;
    const part = largest({ frames, calls, duration, rows: written });
    const share = Math.max(frames, calls, duration, written) / bill.total;
    return [whole(clients), kind.name, shards, limit, part, percent(share), 4 * (shards - 1)];
  });
  return table(header, body, 2);
}

function largest(parts: Readonly<Record<string, number>>): string {
  const [first] = Object.entries(parts).toSorted(([, left], [, right]) => right - left);
  return first?.[0] ?? "";
}
