import { z } from "@hono/zod-openapi";
import { configOf, namespacesOf } from "../../config.ts";
import { type AddRoute, route } from "./route.ts";
import { pageAnswer } from "./schemas.ts";

const namespaceSchema = z.object({ namespace: z.string(), shards: z.number().int() });

export const namespaceRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/namespaces",
    needs: "operator",
    summary: "The namespaces of the settings",
    answer: pageAnswer(namespaceSchema),
    handle: async ({ variables }) => ({
      items: namespacesOf(variables).map((namespace) => ({
        namespace,
        shards: configOf(variables, namespace)?.core.placement.layout.shards ?? 0,
      })),
    }),
  }),
];
