import { z } from "@hono/zod-openapi";
import { identifierLengthMax, ruleSchema } from "../../auth/rule-schema.ts";
import { userChangeSchema } from "../../registry/schemas.ts";
import { failure, nothingThere, wrongCursor } from "./problem-error.ts";
import { type AddRoute, documented, route } from "./route.ts";
import { pageAnswer, pageQuery, timeMs } from "./schemas.ts";

const params = z.object({ username: z.string().min(1).max(identifierLengthMax) });

const userSchema = z.object({
  username: z.string(),
  roles: z.array(z.string()).readonly(),
  rules: z.array(documented(ruleSchema)).readonly(),
  disabled: z.boolean(),
  clientId: z.string().optional(),
  updatedAtMs: timeMs,
});

/** Shards that have not heard of the change yet; they are told again and again. */
const pendingShards = z.number().int();

export const userRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/users",
    needs: "users:read",
    summary: "Users, in no particular order",
    query: pageQuery,
    answer: pageAnswer(userSchema),
    handle: async ({ registry, query }) => {
      const page = await registry.listUsers(query.limit, query.cursor);
      if (page === undefined) throw wrongCursor();
      const { users, cursor } = page;
      return { items: users, ...(cursor !== undefined && { cursor }) };
    },
  }),
  route({
    method: "get",
    path: "/users/{username}",
    needs: "users:read",
    summary: "A user",
    params,
    answer: userSchema,
    handle: async ({ registry, params: { username } }) => {
      const user = await registry.getUser(username);
      if (user === undefined) throw nothingThere("There is no such user");
      return user;
    },
  }),
  route({
    method: "put",
    path: "/users/{username}",
    needs: "users:write",
    summary:
      "Makes a user, or replaces one, whose connections end. Without a password it keeps the one it has",
    params,
    body: documented(userChangeSchema),
    answer: z.object({ user: userSchema, pendingShards }),
    handle: async ({ actor, body, params: { username }, registry }) => {
      const answer = await registry.putUser(actor, username, body);
      if (answer.type === "refused") throw failure(422, "Not possible", answer.reason);
      return { user: answer.user, pendingShards: answer.pendingShards };
    },
  }),
  route({
    method: "delete",
    path: "/users/{username}",
    needs: "users:write",
    summary: "Deletes a user; its connections end",
    params,
    answer: z.object({ existed: z.boolean(), pendingShards }),
    handle: ({ actor, params: { username }, registry }) => registry.deleteUser(actor, username),
  }),
];
