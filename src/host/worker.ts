import { WorkerEntrypoint } from "cloudflare:workers";
import type { Shard } from "../worker.ts";

export { default, Shard } from "../worker.ts";

/** Below the launcher's own patience, so that it gets an answer rather than a time-out. */
const DRAIN_MAX_MS = 3_000;

type ControlEnv = { readonly SHARD: DurableObjectNamespace<Shard>; readonly SHARDS: string };

/**
 * Commands of the launcher that runs this worker. A named entrypoint is only reachable through the
 * socket that is bound to it, a private unix socket; the public socket never leads here.
 */
export class Control extends WorkerEntrypoint<ControlEnv> {
  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST" || pathname !== "/drain") return new Response(null, { status: 404 });
    return drained(drainAll(this.env));
  }
}

/** Asks every shard at once; one that fails must not keep the others from draining. */
async function drainAll(env: ControlEnv): Promise<number> {
  const drains = Array.from({ length: Number(env.SHARDS) }, (_, index) =>
    env.SHARD.get(env.SHARD.idFromName(`default/${index}`)).drain(),
  );
  const outcomes = await Promise.allSettled(drains);
  return outcomes.filter((outcome) => outcome.status === "rejected").length;
}

async function drained(work: Promise<number>): Promise<Response> {
  const timeout = new Promise<"late">((resolve) => setTimeout(() => resolve("late"), DRAIN_MAX_MS));
  const failures = await Promise.race([work, timeout]);
  if (failures === "late") return new Response("not every shard drained in time", { status: 504 });
  if (failures > 0) return new Response(`${failures} shards failed to drain`, { status: 500 });
  return new Response(null, { status: 204 });
}
