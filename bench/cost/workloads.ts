/** The loads that are priced, and what they may cost. */
import type { QoS } from "../../src/core/packet.ts";
import type { AwsUsage } from "../pricing/aws.ts";
import { monthSec } from "../pricing/cloudflare.ts";

export type WorkloadName = "qos0-10k" | "qos1-10k" | "retained-10k" | "idle-10k";

export interface Workload {
  readonly name: WorkloadName;
  readonly describe: string;
  readonly clients: number;
  /** What each client publishes once a minute, to one subscriber; nothing when undefined. */
  readonly message:
    | { readonly qos: QoS; readonly retain: boolean; readonly subscribersPersist: boolean }
    | undefined;
  /** With as many shards as docs/scaling.md asks for at this load. */
  readonly shardsRecommended: number;
  readonly targetUsdPerMonth: number;
  /** Whether there is a price of AWS to compare with. */
  readonly comparesWithAws: boolean;
}

export const clientsAtAll = 10_000;
export const keepAliveSec = 60;
export const messageIntervalSec = 60;
export const payloadBytes = 200;
export const shardCounts = [1, 4] as const;

const common = { clients: clientsAtAll, shardsRecommended: 1, comparesWithAws: true } as const;

export const workloads: readonly Workload[] = [
  {
    ...common,
    name: "qos0-10k",
    describe: "QoS 0",
    message: { qos: 0, retain: false, subscribersPersist: false },
    targetUsdPerMonth: 25,
  },
  {
    ...common,
    name: "qos1-10k",
    describe: "QoS 1, persistent subscribers",
    message: { qos: 1, retain: false, subscribersPersist: true },
    targetUsdPerMonth: 35,
  },
  {
    ...common,
    name: "retained-10k",
    describe: "QoS 0, retained",
    message: { qos: 0, retain: true, subscribersPersist: false },
    targetUsdPerMonth: 35,
    comparesWithAws: false,
  },
  { ...common, name: "idle-10k", describe: "pings only", message: undefined, targetUsdPerMonth: 8.5 },
];

/** The same load at AWS, in a month. */
export function awsUsageOf({ clients, message }: Workload): AwsUsage {
  const connectionMinutes = (clients * monthSec) / 60;
  if (message === undefined) return { connectionMinutes, messages: [] };
  const count = (clients * monthSec) / messageIntervalSec;
  // Once in, once out.
  const messages = [{ count: 2 * count, bytes: payloadBytes }];
  if (message.qos > 0) messages.push({ count, bytes: 0 });
  return { connectionMinutes, messages };
}
