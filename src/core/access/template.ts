/** Topic Filters with variables, for rules that speak of a client's own topics. */

import { isFilterWellFormed, parseSharedFilter } from "../topic.ts";
import type { FilterLevels } from "./topic-filter.ts";
import { filterLevelsOf } from "./topic-filter.ts";

/** What the variables stand for. */
export interface Subject {
  readonly clientId: string;
  readonly username?: string;
  readonly claims: Readonly<Record<string, string>>;
}

interface Variable {
  readonly name: string;
}

/** A level without variables, or its parts. */
type TemplateLevel = string | readonly (string | Variable)[];

const token = /\$\{([^}]*)\}|[/$]|[^/$]+/g;
const variable = /\$\{[^}]*\}/g;
const knownVariable = /\$\{(?:clientId|username|claim\.[^}]+)\}/g;
const claimPrefix = "claim.";

/** Read once for all clients; put together for one when it is asked for, which no memory of a client's is needed for. */
export class Template {
  readonly #levels: readonly TemplateLevel[];

  private constructor(levels: readonly TemplateLevel[]) {
    this.#levels = levels;
  }

  /** The levels, if there is no variable; undefined for what can match nothing, whatever the variables. */
  static read(topicFilter: string): Template | FilterLevels | undefined {
    if (!isFilterWellFormed(topicFilter.replace(variable, "x"))) return undefined;
    const levels = templateLevelsOf(topicFilter);
    return levels.every(isPlain) ? filterLevelsOf(topicFilter) : new Template(levels);
  }

  /**
   * The Topic Filter for a client; undefined when a variable has no value, or one that would stand for more than a
   * level or a part of it. Values are taken as they are: what looks like a variable in them is none.
   */
  levelsFor(subject: Subject): FilterLevels | undefined {
    const levels: string[] = [];
    for (const level of this.#levels) {
      const expanded = isPlain(level) ? level : expand(level, subject);
      if (expanded === undefined) return undefined;
      levels.push(expanded);
    }
    return levels;
  }

  /** The Topic Filter for whatever value the variables may have. */
  get levelsForAny(): FilterLevels {
    return this.#levels.map((level) => (isPlain(level) ? level : "+"));
  }
}

/** Whether the Topic Filter of a rule can come to match anything. */
export function isRuleFilter(topicFilter: string): boolean {
  const sample = topicFilter.replace(knownVariable, "x");
  return !sample.includes("${") && isFilterWellFormed(sample) && parseSharedFilter(sample) === undefined;
}

/** The name of a claim may hold a slash, which ends no level. */
function templateLevelsOf(topicFilter: string): TemplateLevel[] {
  const levels: (string | Variable)[][] = [[]];
  for (const [text, name] of topicFilter.matchAll(token)) {
    if (text === "/") levels.push([]);
    else levels.at(-1)?.push(name === undefined ? text : { name });
  }
  return levels.map((parts) => (parts.every((part) => typeof part === "string") ? parts.join("") : parts));
}

function isPlain(level: TemplateLevel): level is string {
  return typeof level === "string";
}

function expand(parts: readonly (string | Variable)[], subject: Subject): string | undefined {
  let level = "";
  for (const part of parts) {
    const value = typeof part === "string" ? part : valueOf(part, subject);
    if (value === undefined) return undefined;
    level += value;
  }
  return level;
}

/** Undefined for one that does not stand for a level or a part of it. */
function valueOf({ name }: Variable, { clientId, username, claims }: Subject): string | undefined {
  const value = name === "clientId" ? clientId : name === "username" ? username : claimOf(name, claims);
  return value === undefined || value === "" || /[+#/\0]/.test(value) ? undefined : value;
}

function claimOf(name: string, claims: Subject["claims"]): string | undefined {
  if (!name.startsWith(claimPrefix)) return undefined;
  const claim = name.slice(claimPrefix.length);
  return Object.hasOwn(claims, claim) ? claims[claim] : undefined;
}
