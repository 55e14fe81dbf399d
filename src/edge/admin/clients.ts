import { z } from "@hono/zod-openapi";
import { nothingThere } from "./problem-error.ts";
import { type AddRoute, documented, route } from "./route.ts";
import { clientIdParam, pageAnswer, pageQuery, timeMs } from "./schemas.ts";

const clientSchema = z.object({
  clientId: z.string(),
  protocolVersion: documented(z.literal([3, 4, 5])),
  connectedAtMs: timeMs,
  lastSeenAtMs: timeMs,
  keepAliveSec: z.number().int(),
  address: z.string().optional(),
  method: z.enum(["anonymous", "password", "token", "certificate", "scram", "hook"]),
  username: z.string().optional(),
  roles: z.array(z.string()).readonly(),
});

const noClient = "No client of that identifier is connected";

export const clientRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/clients",
    needs: "clients:read",
    summary: "Clients that are connected",
    query: pageQuery.extend({ clientIdPrefix: z.string().optional(), username: z.string().optional() }),
    answer: pageAnswer(clientSchema),
    handle: ({ query: { clientIdPrefix, username, ...page }, shards }) =>
      shards.page(shards.all, page, (shard, request) =>
        shard.clients({
          ...request,
          ...(clientIdPrefix !== undefined && { clientIdPrefix }),
          ...(username !== undefined && { username }),
        }),
      ),
  }),
  route({
    method: "get",
    path: "/clients/{clientId}",
    needs: "clients:read",
    summary: "A client that is connected",
    params: clientIdParam,
    answer: clientSchema,
    handle: async ({ params: { clientId }, shards }) => {
      const client = await shards.askAbout(clientId, (shard) => shard.client(clientId));
      if (client === undefined) throw nothingThere(noClient);
      return client;
    },
  }),
  route({
    method: "delete",
    path: "/clients/{clientId}",
    needs: "clients:write",
    summary: "Ends the connection of a client (0x98); it may come back",
    params: clientIdParam,
    handle: async ({ actor, params: { clientId }, registry, shards }) => {
      await registry.policies.recordChange(actor, "client.disconnect", clientId);
      const wasConnected = await shards.askAbout(clientId, (shard) => shard.disconnect(clientId));
      if (!wasConnected) throw nothingThere(noClient);
    },
  }),
];
