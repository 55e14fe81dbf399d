/** Schemas that several resources share. */
import { z } from "@hono/zod-openapi";
import { isFilterWellFormed, parseSharedFilter } from "../../core/topic.ts";

const itemsPerPageMax = 500;
const topicLengthMax = 65_535;

export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(itemsPerPageMax).default(100),
  cursor: z.string().max(100_000).optional(),
});

export function pageAnswer<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item).readonly(), cursor: z.string().optional() });
}

export const clientIdParam = z.object({ clientId: z.string().min(1).max(topicLengthMax) });

export const topicFilterSchema = z
  .string()
  .max(topicLengthMax)
  .refine((filter) => isFilterWellFormed(filter) && parseSharedFilter(filter) === undefined, {
    error: "must be a Topic Filter",
  });

/** In ms since 1970. */
export const timeMs = z.number().int();
