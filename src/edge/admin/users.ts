import { z } from "@hono/zod-openapi";
import { identifierLengthMax, ruleSchema } from "../../auth/rule-schema.ts";
import { userNameOf } from "../../registry-client.ts";
import { userChangeSchema } from "../../registry/schemas.ts";
import { failure, nothingThere, wrongCursor } from "./problem-error.ts";
import { type AddRoute, type AdminRequest, documented, route } from "./route.ts";
import { pageAnswer, pageQuery, timeMs } from "./schemas.ts";

const params = z.object({ username: z.string().min(1).max(identifierLengthMax) });

const userSchema = z.object({
  username: z.string(),
  roles: z.array(z.string()).readonly(),
  rules: z.array(documented(ruleSchema)).readonly(),
  disabled: z.boolean(),
  updatedAtMs: timeMs,
});

/** Shards that may go on with what they knew: for a minute at most as to passwords, but connections stay. */
const unheardShards = z.number().int();

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
    summary: "Makes or replaces a user; its connections end. Without a password it keeps the one it has",
    params,
    body: documented(userChangeSchema),
    answer: z.object({ user: userSchema, unheardShards }),
    handle: async (request) => {
      const { actor, body, params: named, registry } = request;
      const answer = await registry.putUser(actor, named.username, body);
      if (answer.type === "refused") throw failure(422, "Not possible", answer.reason);
      return { user: answer.user, unheardShards: await forget(request, answer.user.username) };
    },
  }),
  route({
    method: "delete",
    path: "/users/{username}",
    needs: "users:write",
    summary: "Deletes a user; its connections end. May be repeated for shards that did not hear it",
    params,
    answer: z.object({ existed: z.boolean(), unheardShards }),
    handle: async (request) => {
      const { actor, params: named, registry } = request;
      const existed = await registry.deleteUser(actor, named.username);
      return { existed, unheardShards: await forget(request, userNameOf(named.username)) };
    },
  }),
];

function forget({ shards }: Pick<AdminRequest<unknown, unknown, unknown>, "shards">, username: string) {
  return shards.tellAll((shard) => shard.forgetUser(username));
}
