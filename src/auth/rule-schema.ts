/** Rules as they come from tokens, hooks, settings and the administration. */
import { z } from "zod";
import type { Rule } from "../core/access/rule.ts";
import { isRuleFilter } from "../core/access/template.ts";

/** Characters of a rule's Topic Filter. */
const topicFilterLengthMax = 1024;

/** Of a credential or a user; a policy may have more. */
const ownRulesMax = 100;
const rolesMax = 32;

/** Characters of a user name, and of a Client Identifier. */
export const identifierLengthMax = 256;

const notAFilter = "must be a Topic Filter";

export const ruleSchema = z.strictObject(
  {
    effect: z.enum(["allow", "deny"], { error: 'must be "allow" or "deny"' }),
    action: z.enum(["publish", "subscribe", "all"], { error: 'must be "publish", "subscribe" or "all"' }),
    topicFilter: z
      .string({ error: notAFilter })
      .max(topicFilterLengthMax, { error: notAFilter })
      .refine(isRuleFilter, { error: notAFilter }),
    qosMax: z.literal([0, 1, 2], { error: "must be 0, 1 or 2" }).exactOptional(),
    retain: z.boolean({ error: "must be true or false" }).exactOptional(),
  },
  { error: "must be a rule, with nothing more than a rule has" },
) satisfies z.ZodType<Rule>;

export const roleNameSchema = z.string().min(1).max(64);

export const rolesSchema = z.array(roleNameSchema).max(rolesMax);

export const ownRulesSchema = z.array(ruleSchema).max(ownRulesMax);
