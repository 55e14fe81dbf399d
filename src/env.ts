import type { Shard } from "./shard/shard.ts";

/** The bindings of the Worker; its variables are read by `parseConfig`. */
export interface Env {
  readonly SHARD: DurableObjectNamespace<Shard>;
}
