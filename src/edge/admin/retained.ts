import { z } from "@hono/zod-openapi";
import { toBase64 } from "../../auth/bytes.ts";
import type { ApplicationMessage } from "../../core/packet.ts";
import type { Publication } from "../../core/publication.ts";
import { nothingThere } from "./problem-error.ts";
import { type AddRoute, documented, route } from "./route.ts";
import { pageAnswer, pageQuery, timeMs, topicFilterSchema } from "./schemas.ts";

const topicSchema = z.object({ topicName: z.string() });

const messageSchema = z.object({
  topicName: z.string(),
  qos: documented(z.literal([0, 1, 2])),
  payloadBase64: z.string(),
  contentType: z.string().optional(),
  responseTopic: z.string().optional(),
  correlationDataBase64: z.string().optional(),
  payloadFormatIndicator: z.number().int().optional(),
  userProperties: z.array(z.array(z.string()).readonly()).readonly().optional(),
  expiresAtMs: timeMs.optional(),
});

const filterQuery = pageQuery.extend({ topicFilter: topicFilterSchema });

export const retainedRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/retained",
    needs: "retained:read",
    summary: "Topics with a retained message that match a Topic Filter",
    query: filterQuery,
    answer: pageAnswer(topicSchema),
    handle: async ({ config, query: { topicFilter, ...page }, shards }) => {
      const indexes = config.core.placement.filterShards(topicFilter);
      const { items, ...rest } = await shards.page(indexes, page, (shard, request) =>
        shard.retainedNames({ ...request, topicFilter }),
      );
      return { ...rest, items: items.map((topicName) => ({ topicName })) };
    },
  }),
  route({
    method: "get",
    path: "/retained/message",
    needs: "retained:read",
    summary: "The retained message of a topic",
    query: z.object({ topicName: z.string().min(1) }),
    answer: messageSchema,
    handle: async ({ config, query: { topicName }, shards }) => {
      const index = config.core.placement.topicShard(topicName);
      const publication = await shards.ask(index, (shard) => shard.retainedMessage(topicName));
      if (publication === undefined) throw nothingThere("The topic has no retained message");
      return messageOf(publication);
    },
  }),
  route({
    method: "delete",
    path: "/retained",
    needs: "retained:write",
    summary: "Deletes a page of the retained messages that match; to be repeated while there is a cursor",
    query: filterQuery,
    answer: z.object({ deletedCount: z.number().int(), cursor: z.string().optional() }),
    handle: async ({ actor, config, query: { topicFilter, ...page }, registry, shards }) => {
      await registry.policies.recordChange(actor, "retained.delete", topicFilter);
      const indexes = config.core.placement.filterShards(topicFilter);
      const { items, ...rest } = await shards.page(indexes, page, (shard, request) =>
        shard.deleteRetained({ ...request, topicFilter }),
      );
      return { ...rest, deletedCount: items.length };
    },
  }),
];

/** As calls between objects have it. */
interface CalledPublication extends Omit<Publication, "message"> {
  readonly message: Omit<ApplicationMessage, "userProperties"> & {
    readonly userProperties?: readonly (readonly string[])[];
  };
}

function messageOf({ message, expiresAtMs }: CalledPublication): z.input<typeof messageSchema> {
  const { contentType, correlationData, payload, payloadFormatIndicator, qos, responseTopic } = message;
  const { topicName, userProperties } = message;
  return {
    topicName,
    qos,
    payloadBase64: toBase64(payload),
    contentType,
    responseTopic,
    correlationDataBase64: correlationData && toBase64(correlationData),
    payloadFormatIndicator,
    userProperties,
    expiresAtMs,
  };
}
