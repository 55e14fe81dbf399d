import { WorkerEntrypoint } from "cloudflare:workers";
import { configOf, namespacesOf } from "../config.ts";
import type { Env } from "../env.ts";
import { shardStub } from "../shard-address.ts";

export { default, Shard } from "../worker.ts";

/** Below the launcher's own patience, so that it gets an answer rather than a time-out. */
const DRAIN_MAX_MS = 3_000;

/** Shards that drain at the same time. */
const DRAINS_AT_ONCE = 64;

type ShardStub = ReturnType<typeof shardStub>;

/**
 * Commands of the launcher that runs this worker. A named entrypoint is only reachable through the
 * socket that is bound to it, a private unix socket; the public socket never leads here.
 */
export class Control extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST" || pathname !== "/drain") return new Response(null, { status: 404 });
    return drained(drainAll(this.env, new Set(await request.json<string[]>())));
  }
}

/** Asks all shards that exist, by their object ids; one that fails must not keep the others from draining. */
async function drainAll(env: Env, existing: ReadonlySet<string>): Promise<number> {
  const shards = shardsOf(env, existing);
  const drainInTurn = async (): Promise<number> => {
    let failures = 0;
    for (const shard of shards) failures += await drain(shard);
    return failures;
  };
  const failures = await Promise.all(Array.from({ length: DRAINS_AT_ONCE }, drainInTurn));
  return failures.reduce((sum, count) => sum + count, 0);
}

/** Shared by all who drain: each takes the next. To ask one that does not exist would make it. */
function* shardsOf(env: Env, existing: ReadonlySet<string>): Generator<ShardStub> {
  for (const namespace of namespacesOf(env)) {
    const config = configOf(env, namespace);
    if (config === undefined) continue;
    for (let index = 0; index < config.core.placement.layout.shards; index += 1) {
      const shard = shardStub(env, config, index);
      if (existing.has(shard.id.toString())) yield shard;
    }
  }
}

/** How many failed: 0 or 1. */
async function drain(shard: ShardStub): Promise<number> {
  try {
    await shard.drain();
    return 0;
  } catch {
    return 1;
  }
}

async function drained(work: Promise<number>): Promise<Response> {
  const timeout = new Promise<"late">((resolve) => setTimeout(() => resolve("late"), DRAIN_MAX_MS));
  const failures = await Promise.race([work, timeout]);
  if (failures === "late") return new Response("not every shard drained in time", { status: 504 });
  if (failures > 0) return new Response(`${failures} shards failed to drain`, { status: 500 });
  return new Response(null, { status: 204 });
}
