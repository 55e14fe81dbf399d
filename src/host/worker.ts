import { WorkerEntrypoint } from "cloudflare:workers";
import { configOf, namespacesOf } from "../config.ts";
import type { Env } from "../env.ts";
import { shardStub } from "../shard-address.ts";

export { default, Registry, Shard } from "../worker.ts";

/** Below the launcher's own patience, so that it gets an answer rather than a time-out. */
const ANSWER_MAX_MS = 3_000;

/** Shards that are asked at the same time. */
const CALLS_AT_ONCE = 64;

/** What the launcher asks of every shard that exists, by path. */
const COMMANDS: Readonly<Record<string, (shard: ShardStub) => Promise<void>>> = {
  "/drain": (shard) => shard.drain(),
  "/wake": (shard) => shard.wake(),
};

type ShardStub = ReturnType<typeof shardStub>;

/**
 * Commands of the launcher that runs this worker. A named entrypoint is only reachable through the
 * socket that is bound to it, a private unix socket; the public socket never leads here.
 */
export class Control extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const command = request.method === "POST" ? COMMANDS[pathname] : undefined;
    if (command === undefined) return new Response(null, { status: 404 });
    return answerTo(askAll(this.env, new Set(await request.json<string[]>()), command));
  }
}

/** Asks all shards that exist, by their object ids; one that fails must not keep the others from being asked. */
async function askAll(
  env: Env,
  existing: ReadonlySet<string>,
  command: (shard: ShardStub) => Promise<void>,
): Promise<number> {
  const shards = shardsOf(env, existing);
  const askInTurn = async (): Promise<number> => {
    let failures = 0;
    for (const shard of shards) failures += await ask(shard, command);
    return failures;
  };
  const failures = await Promise.all(Array.from({ length: CALLS_AT_ONCE }, askInTurn));
  return failures.reduce((sum, count) => sum + count, 0);
}

/** Shared by all who ask: each takes the next. To ask one that does not exist would make it. */
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
async function ask(shard: ShardStub, command: (shard: ShardStub) => Promise<void>): Promise<number> {
  try {
    await command(shard);
    return 0;
  } catch {
    return 1;
  }
}

async function answerTo(work: Promise<number>): Promise<Response> {
  const timeout = new Promise<"late">((resolve) => setTimeout(() => resolve("late"), ANSWER_MAX_MS));
  const failures = await Promise.race([work, timeout]);
  if (failures === "late") return new Response("not every shard answered in time", { status: 504 });
  if (failures > 0) return new Response(`${failures} shards failed`, { status: 500 });
  return new Response(null, { status: 204 });
}
