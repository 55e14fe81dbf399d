import type { Input } from "../core/input.ts";
import type { ShardStorage } from "../core/storage-port.ts";
import type { Authenticate } from "./authentications.ts";
import type { ClientSocket } from "./client-socket.ts";
import type { CallPeer } from "./peer-calls.ts";

/** What the host of a shard needs of the platform. */
export interface ShardPlatform {
  /** Number of the shard in its namespace. */
  readonly shardIndex: number;
  readonly storage: ShardStorage;
  nowMs(): number;
  readonly callPeer: CallPeer;
  readonly authenticate: Authenticate;
  /** Whether something that the host does not know of keeps the object awake. */
  isHeld(): boolean;
  setAlarm(dueAtMs: number, unconfirmed: boolean): void;
  /** Every socket that may carry a connection, known or not. */
  sockets(): Iterable<ClientSocket>;
  /** Ends this life of the object at once: its memory can no longer be trusted. */
  reset(reason: string): never;
}

/** What is known of a client when its socket opens. */
export type Arrival = Partial<Omit<Input & { type: "open" }, "type" | "connectionId">>;
