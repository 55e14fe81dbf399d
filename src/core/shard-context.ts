import type { Abuse } from "./abuse/abuse.ts";
import type { Access } from "./access/access.ts";
import type { Clock } from "./clock.ts";
import type { ParkingSpace } from "./connection/parked-input.ts";
import type { CoreConfig } from "./config.ts";
import type { Counters } from "./counters.ts";
import type { MessageLog } from "./queue/message-log.ts";
import type { Output } from "./output.ts";
import type { Refusal } from "./refusal.ts";
import type { Delivering } from "./session/delivering.ts";
import type { Replaying } from "./session/replaying.ts";
import type { Sessions } from "./session/sessions.ts";
import type { TopicOwners } from "./topics/topic-owners.ts";

/** The parts of a shard that the packet handlers work on. */
export interface ShardContext {
  readonly config: CoreConfig;
  readonly access: Access;
  readonly abuse: Abuse;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly parking: ParkingSpace;
  readonly output: Output;
  readonly log: MessageLog;
  readonly sessions: Sessions;
  readonly delivering: Delivering;
  readonly replaying: Replaying;
  readonly owners: TopicOwners;
  /** Why nobody is served; undefined when everybody is. */
  readonly unavailability: Refusal | undefined;
  /** Somebody is subscribed to topics of the server. */
  readonly isWatched: boolean;
  /** Number of the shard in its namespace, from 0. */
  readonly shardIndex: number;
  /** What would need more room in storage is to be refused. */
  readonly isStorageFull: boolean;
  /** Of the event in hand. */
  readonly nowMs: number;
  /** Reads what a sleep has made the shard forget; does nothing when it knows. */
  load(nowMs: number): void;
  /** Something has to be written before acknowledgements may leave. */
  readonly mustCommit: boolean;
}
