import type { Registry } from "./registry/registry.ts";
import type { Shard } from "./shard/shard.ts";

/** The bindings of the Worker; its variables are read by `configOf`. */
export interface Env {
  readonly SHARD: DurableObjectNamespace<Shard>;
  readonly REGISTRY: DurableObjectNamespace<Registry>;
  /** Upgrade requests by address, counted by Cloudflare; absent when there is no such limit. */
  readonly CONNECT_RATE?: RateLimit;
}
