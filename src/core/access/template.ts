/** Topic Filters with variables, for rules that speak of a client's own topics. */

import { isFilterWellFormed, parseSharedFilter } from "../topic.ts";

/** What the variables stand for. */
export interface Subject {
  readonly clientId: string;
  readonly username?: string;
  readonly claims: Readonly<Record<string, string>>;
}

const variable = /\$\{([^}]*)\}/g;
const knownVariable = /\$\{(?:clientId|username|claim\.[^}]+)\}/g;
const claimPrefix = "claim.";

export function isTemplate(topicFilter: string): boolean {
  return topicFilter.includes("${");
}

/**
 * The Topic Filter for a client; undefined when a variable has no value, or one that would stand for more than a
 * level or a part of it. Values are taken as they are: what looks like a variable in them is none.
 */
export function expandTemplate(template: string, subject: Subject): string | undefined {
  let isWhole = true;
  const topicFilter = template.replace(variable, (_, name: string) => {
    const value = valueOf(name, subject);
    isWhole &&= value !== undefined && isPartOfLevel(value);
    return value ?? "";
  });
  return isWhole ? topicFilter : undefined;
}

/** The Topic Filter for whatever value its variables may have. */
export function withAnyValues(template: string): string {
  const levels = template.split("/");
  return levels.map((level) => (isTemplate(level) ? "+" : level)).join("/");
}

/** Whether the Topic Filter of a rule can come to match anything. */
export function isRuleFilter(template: string): boolean {
  const sample = template.replace(knownVariable, "x");
  return !isTemplate(sample) && isFilterWellFormed(sample) && parseSharedFilter(sample) === undefined;
}

function valueOf(name: string, { clientId, username, claims }: Subject): string | undefined {
  if (name === "clientId") return clientId;
  if (name === "username") return username;
  if (!name.startsWith(claimPrefix)) return undefined;
  const claim = name.slice(claimPrefix.length);
  return Object.hasOwn(claims, claim) ? claims[claim] : undefined;
}

function isPartOfLevel(value: string): boolean {
  return value !== "" && !/[+#/\0]/.test(value);
}
