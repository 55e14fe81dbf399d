/** What the administration may ask the registry to keep. */
import { z } from "zod";
import { ownRulesSchema, roleNameSchema, rolesSchema, ruleSchema } from "../auth/rule-schema.ts";
import type { Policy } from "../core/access/policy.ts";

const rulesPerListMax = 1_000;
const listsMax = 10_000;
const bansMax = 10_000;
const nameLengthMax = 256;

/** A policy travels to every shard, and lies there in one row. */
export const policyBytesMax = 512 * 1024;

const name = z.string().min(1).max(nameLengthMax);
const rules = z.array(ruleSchema).max(rulesPerListMax);
const rulesByName = (key: z.ZodString) =>
  z.record(key, rules).refine((lists) => Object.keys(lists).length <= listsMax, { error: "too many names" });

export const banSchema = z.strictObject({
  by: z.enum(["client", "username", "address"]),
  value: name,
  untilMs: z.number().int().positive().exactOptional(),
});

/** A policy as it is asked for: its version is for the registry to give. */
export const policyContentSchema = z.strictObject({
  rules: rules.default([]),
  roles: rulesByName(roleNameSchema).default({}),
  users: rulesByName(name).default({}),
  clients: rulesByName(name).default({}),
  bans: z.array(banSchema).max(bansMax).default([]),
}) satisfies z.ZodType<PolicyContent>;

export type PolicyContent = Omit<Policy, "version">;

export const userChangeSchema = z.strictObject({
  /** Absent: as it is. */
  password: z.string().exactOptional(),
  roles: rolesSchema.default([]),
  rules: ownRulesSchema.default([]),
  disabled: z.boolean().default(false),
  /** The only Client Identifier that the user may use. Absent: any. */
  clientId: name.exactOptional(),
});

export type UserChange = z.output<typeof userChangeSchema>;

export const tokenRequestSchema = z.strictObject({
  name,
  /** What the token is good for, by names that the administration gives a meaning. */
  scopes: z
    .array(z.string().regex(/^[a-z][a-z:-]{0,31}$/))
    .min(1)
    .max(16),
  expiresAtMs: z.number().int().positive(),
});

export type TokenRequest = z.output<typeof tokenRequestSchema>;
