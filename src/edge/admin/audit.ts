import { z } from "@hono/zod-openapi";
import { costNames } from "../../core/cost/counts.ts";
import { type AddRoute, route } from "./route.ts";
import { pageAnswer, pageQuery, timeMs } from "./schemas.ts";

const entrySchema = z.object({
  seq: z.number().int(),
  atMs: timeMs,
  actor: z.string(),
  action: z.string(),
  target: z.string(),
});

const counts = Object.fromEntries(costNames.map((name) => [name, z.number()]));
const costSchema = z.object({
  shard: z.number().int(),
  sinceSec: z.number(),
  storedBytes: z.number(),
  usdEstimated: z.number(),
  ...counts,
});

/** What has been done, and what it has cost. */
export const auditRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/audit",
    needs: "audit:read",
    summary: "Changes by the administration, the newest first",
    query: pageQuery.extend({
      cursor: z
        .string()
        .regex(/^[1-9]\d{0,15}$/)
        .optional(),
    }),
    answer: pageAnswer(entrySchema),
    handle: async ({ query: { cursor, limit }, registry }) => {
      const items = await registry.policies.auditEntries(
        cursor === undefined ? undefined : Number(cursor),
        limit,
      );
      const oldest = items.at(-1);
      return oldest === undefined || items.length < limit ? { items } : { items, cursor: String(oldest.seq) };
    },
  }),
  route({
    method: "get",
    path: "/cost",
    needs: "cost:read",
    summary: "What each shard has cost; wakes those that sleep",
    query: pageQuery,
    answer: pageAnswer(costSchema),
    handle: ({ query, shards }) =>
      shards.page(shards.all, query, async (stub, _, shard) => ({
        items: [{ shard, ...(await stub.cost()) }],
      })),
  }),
];
