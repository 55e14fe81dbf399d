import { z } from "zod";
import { backupContentType, endLine, headerLine } from "../backup/format.ts";
import type { Config } from "../config.ts";
import type { BackupCursor } from "../core/backup/record.ts";
import type { Env } from "../env.ts";
import { shardStub } from "../shard-address.ts";
import { problem } from "../problem.ts";

/** A part of a backup: few enough calls for any plan. The end mark says where the next part begins. */
const pagesPerPart = 16;

/** Where a page begins: on which shard, and where on it. */
interface Place {
  readonly shard: number;
  readonly cursor?: BackupCursor | undefined;
}

interface Page {
  readonly lines: string;
  readonly count: number;
  readonly next: Place | undefined;
}

const placeSchema = z.object({
  shard: z.int().min(0),
  cursor: z
    .discriminatedUnion("type", [
      z.object({ type: z.literal("retained"), after: z.string().optional() }),
      z.object({ type: z.literal("session"), after: z.string().optional() }),
      z.object({
        type: z.literal("messages"),
        clientId: z.string(),
        sessionNumber: z.int(),
        after: z.int(),
        through: z.int(),
        fromSeq: z.int(),
      }),
    ])
    .optional(),
});

/** A part of a backup of the namespace, shard after shard. */
export async function exportPart(request: Request, env: Env, config: Config): Promise<Response> {
  const place = placeOf(new URL(request.url).searchParams.get("cursor"));
  const { shards } = config.core.placement.layout;
  if (place === undefined || place.shard >= shards) {
    return problem(400, "Bad cursor", "cursor must be as the end mark of the part before says");
  }
  // Before there is an answer it can still be another one.
  const first = await readPage(env, config, place);
  if ("unavailable" in first) return problem(503, "Service unavailable", first.unavailable);
  const header = headerLine({
    id: crypto.randomUUID(),
    namespace: config.namespace,
    exportedAt: new Date().toISOString(),
  });
  const body = streamOf(linesOfPart(header, first, (next) => readPage(env, config, next)));
  return new Response(body, { headers: { "content-type": backupContentType, "cache-control": "no-store" } });
}

async function* linesOfPart(
  header: string,
  first: Page,
  read: (place: Place) => Promise<Page | { readonly unavailable: string }>,
): AsyncGenerator<string> {
  yield header + first.lines;
  let { count, next } = first;
  for (let pages = 1; next !== undefined && pages < pagesPerPart; pages += 1) {
    const page = await read(next);
    // Without an end mark the file is seen to be cut off.
    if ("unavailable" in page) throw new Error(page.unavailable);
    yield page.lines;
    count += page.count;
    next = page.next;
  }
  yield endLine(count, next && JSON.stringify(next));
}

async function readPage(
  env: Env,
  config: Config,
  { shard, cursor }: Place,
): Promise<Page | { readonly unavailable: string }> {
  const answer = await shardStub(env, config, shard).exportPage(cursor);
  if (answer.type === "unavailable") return { unavailable: answer.reason };
  const { lines, count } = answer;
  const after = shard + 1 < config.core.placement.layout.shards ? { shard: shard + 1 } : undefined;
  return { lines, count, next: answer.next === undefined ? after : { shard, cursor: answer.next } };
}

function placeOf(cursor: string | null): Place | undefined {
  if (cursor === null) return { shard: 0 };
  try {
    return placeSchema.parse(JSON.parse(cursor));
  } catch {
    return undefined;
  }
}

/** Read as it is taken: a page is asked for when the one before has gone. */
function streamOf(lines: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      let { done, value } = await lines.next();
      // An empty shard has an empty page.
      while (value === "") ({ done, value } = await lines.next());
      if (done === true || value === undefined) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await lines.return(undefined);
    },
  });
}
