/** How a shard is found: its object's name says all that the object needs to know about itself. */
import type { Config } from "./config.ts";
import type { Env } from "./env.ts";
import { isPlaced, placedStub } from "./object-place.ts";

/**
 * Header of an upgrade request from the Worker to a shard, never from a client: the identifier that the Worker has made
 * up for a client that sends an empty one.
 */
export const assignedClientIdHeader = "duramq-assigned-client-id";

/** The same for the client's network address, as the Worker knows it. */
export const clientAddressHeader = "duramq-client-address";

function shardName({ namespace }: Config, index: number): string {
  return `${namespace}/${index}`;
}

/** The parts of a shard's name; undefined for a name that {@link shardStub} does not give. */
export function parseShardName(name: string): { namespace: string; index: number } | undefined {
  const match = /^([^/]+)\/(\d+)(?:@[^/]*)?$/.exec(name);
  return match === null ? undefined : { namespace: match[1] as string, index: Number(match[2]) };
}

export type ShardStub = ReturnType<Env["SHARD"]["get"]>;

/** Whether the object is where the settings have the shard. */
export function isShard(id: DurableObjectId, config: Config, index: number): boolean {
  return isPlaced(id, config, shardName(config, index));
}

/** A stub for the shard. Calls are never repeated by the runtime: who calls knows what may be done twice. */
export function shardStub(env: Pick<Env, "SHARD">, config: Config, index: number): ShardStub {
  return placedStub(env.SHARD, config, shardName(config, index), { retry: { maxRetries: 0 } });
}
