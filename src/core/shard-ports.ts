import type { CostMeter } from "./cost/cost-meter.ts";
import type { SurvivingConnections } from "./effect.ts";
import type { Traffic } from "./figures.ts";
import type { SocketBuffers } from "./session/delivering.ts";
import type { ShardStorage } from "./storage-port.ts";
import type { StorageRoom } from "./storage-room.ts";

/** What a shard without I/O is given by its host. */
export interface ShardPorts {
  /** Number of the shard in its namespace, from 0. */
  readonly shardIndex: number;
  readonly storage: ShardStorage;
  readonly connections: SurvivingConnections;
  readonly sockets: SocketBuffers;
  readonly traffic: Traffic;
  readonly cost: CostMeter;
  readonly room: StorageRoom;
  /** What is stored cannot be read: nobody is served, and nothing is written. */
  readonly isUnreadable?: boolean;
  /** Client Identifiers whose due work failed too often; it is left alone. */
  readonly quarantined: ReadonlySet<string>;
}
