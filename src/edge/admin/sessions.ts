import { z } from "@hono/zod-openapi";
import { nothingThere } from "./problem-error.ts";
import { type AddRoute, documented, route } from "./route.ts";
import { clientIdParam, pageAnswer, pageQuery, timeMs } from "./schemas.ts";

const sessionSchema = z.object({
  clientId: z.string(),
  isConnected: z.boolean(),
  sessionExpiryIntervalSec: z.number().int(),
  detachedAtMs: timeMs.optional(),
  expiresAtMs: timeMs.optional(),
  subscriptionCount: z.number().int(),
  waitingCount: z.number().int(),
  hasWill: z.boolean(),
  username: z.string().optional(),
});

const subscriptionSchema = z.object({
  clientId: z.string(),
  topicFilter: z.string(),
  maximumQos: documented(z.literal([0, 1, 2])),
  noLocal: z.boolean(),
  retainAsPublished: z.boolean(),
  retainHandling: documented(z.literal([0, 1, 2])),
  subscriptionIdentifier: z.number().int().optional(),
});

const noSession = "There is no session of that client";

export const sessionRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/sessions",
    needs: "sessions:read",
    summary: "Sessions, whether or not their clients are connected",
    query: pageQuery.extend({ clientIdPrefix: z.string().optional() }),
    answer: pageAnswer(sessionSchema),
    handle: ({ query: { clientIdPrefix, ...page }, shards }) =>
      shards.page(shards.all, page, (shard, request) =>
        shard.sessions({ ...request, ...(clientIdPrefix !== undefined && { clientIdPrefix }) }),
      ),
  }),
  route({
    method: "get",
    path: "/sessions/{clientId}",
    needs: "sessions:read",
    summary: "The session of a client",
    params: clientIdParam,
    answer: sessionSchema,
    handle: async ({ params: { clientId }, shards }) => {
      const session = await shards.askAbout(clientId, (shard) => shard.session(clientId));
      if (session === undefined) throw nothingThere(noSession);
      return session;
    },
  }),
  route({
    method: "delete",
    path: "/sessions/{clientId}",
    needs: "sessions:write",
    summary: "Ends a session: its connection, subscriptions and queued messages go, its Will is published",
    params: clientIdParam,
    handle: async ({ actor, params: { clientId }, registry, shards }) => {
      await registry.policies.recordChange(actor, "session.delete", clientId);
      const existed = await shards.askAbout(clientId, (shard) => shard.endSession(clientId));
      if (!existed) throw nothingThere(noSession);
    },
  }),
  route({
    method: "get",
    path: "/subscriptions",
    needs: "subscriptions:read",
    summary: "Subscriptions, of a client or with exactly that Topic Filter",
    query: pageQuery.extend({ clientId: z.string().optional(), topicFilter: z.string().optional() }),
    answer: pageAnswer(subscriptionSchema),
    handle: ({ config, query: { clientId, topicFilter, ...page }, shards }) => {
      const { placement } = config.core;
      const indexes = clientId === undefined ? shards.all : [placement.sessionShard(clientId)];
      return shards.page(indexes, page, (shard, request) =>
        shard.subscriptions({
          ...request,
          ...(clientId !== undefined && { clientId }),
          ...(topicFilter !== undefined && { topicFilter }),
        }),
      );
    },
  }),
];
