/** What happens in a run, all of it drawn from the seed before it begins: what is left out of it changes nothing else. */
import type { QoS } from "../src/core/packet.ts";
import type { Span } from "./random.ts";
import type { Weather } from "./shard-network.ts";

export interface Wanted {
  readonly filter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export interface ClientPlan {
  readonly index: number;
  readonly clientId: string;
  readonly protocolVersion: 4 | 5;
  /** 0: the session ends with the connection. */
  readonly sessionExpiryIntervalSec: number;
  readonly keepAliveSec: number;
  readonly receiveMaximums: readonly number[];
  /** The lowest Packet Identifier that is free comes next; otherwise each comes once in 65,535 times. */
  readonly reusesIdentifiers: boolean;
  readonly ackMs: Span;
  readonly comesBackMs: Span;
  readonly willQos: QoS | undefined;
  readonly willDelaySec: number;
  readonly wants: readonly Wanted[];
  /** Shared Subscriptions have members that have no other subscription. */
  readonly isMember: boolean;
  readonly startsAtMs: number;
}

export type Step =
  | {
      readonly type: "publish";
      readonly atMs: number;
      readonly client: number;
      readonly topicName: string;
      readonly qos: QoS;
      readonly count: number;
      readonly retain: boolean;
      readonly isClearing: boolean;
      readonly expirySec?: number;
    }
  | {
      readonly type: "subscribe" | "unsubscribe";
      readonly atMs: number;
      readonly client: number;
      readonly wanted: Wanted;
    }
  | {
      readonly type: "leave";
      readonly atMs: number;
      readonly client: number;
      readonly manner: "disconnect" | "disconnectWithWill" | "cut";
      /** When the shard hears of it; never, if undefined. */
      readonly noticeMs?: number;
      /** Until the client notices. */
      readonly unawareMs: number;
      readonly awayMs: number;
      readonly cleanStart: boolean;
    }
  | { readonly type: "stall"; readonly atMs: number; readonly client: number; readonly forMs: number }
  | {
      readonly type: "reset";
      readonly atMs: number;
      readonly shard: number;
      readonly restartMs: number;
      /** Not at once, but as soon as something is written, before it is safe. */
      readonly whileWriting: boolean;
    }
  | { readonly type: "evict"; readonly atMs: number; readonly shard: number }
  /** An exception: after the next event, or where storage is read next. */
  | {
      readonly type: "fail";
      readonly atMs: number;
      readonly shard: number;
      readonly where: "event" | "read";
    }
  | { readonly type: "deploy"; readonly atMs: number; readonly restartMs: number }
  | { readonly type: "weather"; readonly atMs: number; readonly weather: Weather }
  | {
      readonly type: "partition";
      readonly atMs: number;
      readonly side: readonly number[];
      /** Those are not heard by the others, but hear them. */
      readonly isOneWay: boolean;
      readonly forMs: number;
    };

export interface Plan {
  readonly seed: number;
  readonly shards: number;
  readonly flushesPerSecMax: number;
  /** At 0 the message log is packed whenever there is something to pack. */
  readonly logSparseBytesMax: number;
  readonly callMs: Span;
  readonly socketMs: Span;
  readonly commitMs: Span;
  readonly topicNames: readonly string[];
  readonly clients: readonly ClientPlan[];
  readonly steps: readonly Step[];
  /** When the faults are over. */
  readonly endsAtMs: number;
}

export function describeStep(step: Step): string {
  const { type, atMs, ...rest } = step;
  return `+${atMs} ms ${type} ${JSON.stringify(rest)}`;
}
