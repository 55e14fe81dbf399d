import { z } from "@hono/zod-openapi";
import { roleNameSchema, ruleSchema } from "../../auth/rule-schema.ts";
import { normalBan } from "../../core/access/normal-form.ts";
import type { Policy } from "../../core/access/policy.ts";
import { banSchema, banTargetSchema, policyContentSchema } from "../../registry/schemas.ts";
import { changePolicy, etagOf } from "./policy-change.ts";
import { failure, nothingThere } from "./problem-error.ts";
import { type AddRoute, descriptionOf, documented, route } from "./route.ts";
import { pageAnswer } from "./schemas.ts";

const rulesSchema = z.array(documented(ruleSchema));
const policyAnswer: z.ZodType<unknown, Policy> = z
  .custom<Policy>()
  .openapi(descriptionOf(policyContentSchema.extend({ version: z.number().int() })));
const changedAnswer = z.object({ version: z.number().int(), pendingShards: z.number().int() });
// An object of roles cannot have one of that name: it would be left out without a word.
const roleParam = z.object({
  role: roleNameSchema.refine((name) => name !== "__proto__", { error: "must be another name" }),
});
const roleSchema = z.object({ role: z.string(), rules: z.array(documented(ruleSchema)).readonly() });
/** Every change of the policy takes it. */
const headers = z.object({ "if-match": z.string().optional() });

const wholeRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/policy",
    needs: "policy:read",
    summary: "All rules, roles and bans; ETag is their version",
    answer: policyAnswer,
    handle: async ({ registry, setHeader }) => {
      const policy = await registry.policies.policy();
      setHeader("etag", etagOf(policy.version));
      return policy;
    },
  }),
  route({
    method: "put",
    path: "/policy",
    needs: "policy:write",
    summary: "Replaces all rules, roles and bans; If-Match must name the version that was seen",
    headers,
    body: documented(policyContentSchema),
    answer: changedAnswer,
    handle: async (request) => {
      if (request.ifMatch === undefined) {
        throw failure(
          428,
          "Precondition required",
          "If-Match must have the ETag of the policy that was seen",
        );
      }
      return changePolicy(request, { action: "policy.put", target: "policy", edit: () => request.body });
    },
  }),
  route({
    method: "get",
    path: "/rules",
    needs: "policy:read",
    summary: "The rules for everybody",
    answer: z.object({ items: rulesSchema.readonly() }),
    handle: async ({ registry }) => ({ items: (await registry.policies.policy()).rules }),
  }),
  route({
    method: "put",
    path: "/rules",
    needs: "policy:write",
    summary: "Replaces the rules for everybody",
    headers,
    body: z.object({ rules: rulesSchema }),
    answer: changedAnswer,
    handle: (request) => {
      const { rules } = request.body;
      return changePolicy(request, {
        action: "rules.put",
        target: "everybody",
        edit: (policy) => ({ ...policy, rules }),
      });
    },
  }),
];

const roleRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/roles",
    needs: "policy:read",
    summary: "Roles and their rules",
    answer: pageAnswer(roleSchema),
    handle: async ({ registry }) => {
      const { roles } = await registry.policies.policy();
      return { items: Object.entries(roles).map(([role, rules]) => ({ role, rules })) };
    },
  }),
  route({
    method: "put",
    path: "/roles/{role}",
    needs: "policy:write",
    summary: "Makes or replaces a role",
    headers,
    params: roleParam,
    body: z.object({ rules: rulesSchema }),
    answer: changedAnswer,
    handle: (request) => {
      const { role } = request.params;
      const { rules } = request.body;
      const edit = (policy: Policy) => ({ ...policy, roles: { ...policy.roles, [role]: rules } });
      return changePolicy(request, { action: "role.put", target: role, edit });
    },
  }),
  route({
    method: "delete",
    path: "/roles/{role}",
    needs: "policy:write",
    summary: "Deletes a role",
    headers,
    params: roleParam,
    answer: changedAnswer,
    handle: (request) => {
      const { role } = request.params;
      const edit = (policy: Policy) => {
        if (!Object.hasOwn(policy.roles, role)) throw nothingThere("There is no such role");
        const others = Object.entries(policy.roles).filter(([name]) => name !== role);
        return { ...policy, roles: Object.fromEntries(others) };
      };
      return changePolicy(request, { action: "role.delete", target: role, edit });
    },
  }),
];

const banRoutes: readonly AddRoute[] = [
  route({
    method: "get",
    path: "/bans",
    needs: "policy:read",
    summary: "Who may not connect",
    answer: pageAnswer(documented(banSchema)),
    handle: async ({ registry }) => ({ items: (await registry.policies.policy()).bans }),
  }),
  route({
    method: "post",
    path: "/bans",
    needs: "policy:write",
    summary: "Bans a client, a user or an address; its connections end. Bans that are over are forgotten",
    headers,
    body: documented(banSchema),
    answer: changedAnswer,
    status: 201,
    handle: (request) => {
      const { by, value } = request.body;
      const nowMs = Date.now();
      const edit = (policy: Policy) => {
        const others = without(policy, by, value).filter(({ untilMs = Infinity }) => untilMs > nowMs);
        return { ...policy, bans: [...others, request.body] };
      };
      return changePolicy(request, { action: "ban.put", target: `${by} ${value}`, edit });
    },
  }),
  route({
    method: "delete",
    path: "/bans",
    needs: "policy:write",
    summary: "Lifts a ban",
    headers,
    query: banTargetSchema,
    answer: changedAnswer,
    handle: (request) => {
      const { by, value } = normalBan(request.query) ?? request.query;
      const edit = (policy: Policy) => {
        const bans = without(policy, by, value);
        if (bans.length === policy.bans.length) throw nothingThere("There is no such ban");
        return { ...policy, bans };
      };
      return changePolicy(request, { action: "ban.delete", target: `${by} ${value}`, edit });
    },
  }),
];

export const policyRoutes: readonly AddRoute[] = [...wholeRoutes, ...roleRoutes, ...banRoutes];

function without({ bans }: Policy, by: string, value: string): Policy["bans"] {
  return bans.filter((ban) => ban.by !== by || ban.value !== value);
}
