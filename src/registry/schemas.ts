/** What the administration may ask the registry to keep. */
import { z } from "zod";
import { ownRulesSchema, roleNameSchema, rolesSchema, ruleSchema } from "../auth/rule-schema.ts";
import { normalBan, normalName } from "../core/access/normal-form.ts";
import type { Ban, Policy } from "../core/access/policy.ts";
import { nameBytesMax } from "../core/access/prepared.ts";

const rulesPerListMax = 1_000;
const listsMax = 10_000;
const bansMax = 10_000;
const nameLengthMax = 256;

/** A policy travels to every shard, and lies there in one row. */
export const policyBytesMax = 512 * 1024;

const name = z.string().min(1).max(nameLengthMax);
const rules = z.array(ruleSchema).max(rulesPerListMax);
const rulesByName = (key: z.ZodString) =>
  z.preprocess(
    refuseUnusableName,
    z
      .record(key, rules)
      .refine((lists) => Object.keys(lists).length <= listsMax, { error: "too many names" }),
  );

/** A record would leave it out without a word, and with it what it denies. */
function refuseUnusableName(lists: unknown, context: z.RefinementCtx): unknown {
  if (typeof lists === "object" && lists !== null && Object.hasOwn(lists, "__proto__"))
    context.addIssue({ code: "custom", message: '"__proto__" cannot be a name' });
  return lists;
}

const noUserName = `must be a user name: ${nameBytesMax} bytes at most, and no control character`;
const namedTwice = "is the same user name as another one, in another notation";
const userName = z.string().min(1).max(nameBytesMax);

const writtenBan = z.strictObject({
  by: z.enum(["client", "username", "address"]),
  value: userName,
  untilMs: z.number().int().positive().exactOptional(),
});

/** Of whom a ban is, in whatever notation. */
export const banTargetSchema = writtenBan.pick({ by: true, value: true });

export const banSchema = writtenBan.transform((ban, context): Ban => {
  const normal = normalBan(ban);
  if (normal !== undefined) return normal;
  const message =
    ban.by === "address"
      ? "must be an IP address or a network such as 203.0.113.0/24 or 2001:db8::/48"
      : noUserName;
  context.addIssue({ code: "custom", path: ["value"], message });
  return z.NEVER;
});

/** No user may be named twice, in two notations: which rules come first would be hidden. */
const rulesByUser = rulesByName(userName).transform((lists, context) => {
  const found = new Map<string, (typeof lists)[string]>();
  for (const [written, list] of Object.entries(lists)) {
    const normal = normalName(written);
    const isTwice = normal !== undefined && found.has(normal);
    if (normal !== undefined && !isTwice) found.set(normal, list);
    else context.addIssue({ code: "custom", path: [written], message: isTwice ? namedTwice : noUserName });
  }
  return Object.fromEntries(found);
});

/** A policy as it is asked for: its version is for the registry to give. */
export const policyContentSchema = z.strictObject({
  rules: rules.default([]),
  roles: rulesByName(roleNameSchema).default({}),
  users: rulesByUser.default({}),
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
  clientId: name.regex(/^[^\0]*$/, { error: "must have no U+0000" }).exactOptional(),
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
