import type { Shard } from "./shard/shard.ts";

/** The bindings of the Worker; its variables are read by `configOf`. */
export interface Env {
  readonly SHARD: DurableObjectNamespace<Shard>;
}
