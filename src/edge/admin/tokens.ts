import { z } from "@hono/zod-openapi";
import { tokenRequestSchema } from "../../registry/schemas.ts";
import { failure, nothingThere } from "./problem-error.ts";
import { type AddRoute, documented, route } from "./route.ts";
import { pageAnswer, timeMs } from "./schemas.ts";
import { tokenScopes } from "./scopes.ts";

const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(z.string()).readonly(),
  createdAtMs: timeMs,
  expiresAtMs: timeMs,
});

/** As many as the registry takes. */
const scopesMax = 16;
const scopesError = `must be some of ${tokenScopes.join(", ")}`;
const requestSchema = tokenRequestSchema.extend({
  scopes: z
    .array(z.enum(tokenScopes, { error: scopesError }))
    .min(1)
    .max(scopesMax),
});

export const tokenRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/tokens",
    needs: "operator",
    summary: "API tokens that have not expired, without their secrets",
    answer: pageAnswer(tokenSchema),
    handle: async ({ registry }) => ({ items: await registry.policies.listTokens() }),
  }),
  route({
    method: "post",
    path: "/tokens",
    needs: "operator",
    summary: "Makes an API token; its secret is told this once",
    body: documented(requestSchema),
    answer: z.object({ secret: z.string(), token: tokenSchema }),
    status: 201,
    handle: async ({ actor, body, registry }) => {
      const answer = await registry.policies.issueToken(actor, body);
      if (answer.type === "refused") throw failure(422, "Not possible", answer.reason);
      return { secret: answer.secret, token: answer.token };
    },
  }),
  route({
    method: "delete",
    path: "/tokens/{id}",
    needs: "operator",
    summary: "Revokes an API token",
    params: z.object({ id: z.string().max(64) }),
    handle: async ({ actor, params, registry }) => {
      const isRevoked = await registry.policies.revokeToken(actor, params.id);
      if (!isRevoked) throw nothingThere("There is no such token");
    },
  }),
];
