/** The commands of `npm run admin`, as data: which operation of the API each is, and how it is filled in. */
import { UsageError } from "./start-error.ts";

export const DEFAULT_URL = "http://127.0.0.1:8787";

const DAY_MS = 24 * 60 * 60 * 1000;

/** As `parseArgs` takes them, with `value` and `about` for the help, and `query` for what goes to the query as it is. */
export const FLAGS = {
  url: { type: "string", value: "URL", about: `the broker (env DURAMQ_URL, default ${DEFAULT_URL})` },
  namespace: { type: "string", value: "NAME", about: "another namespace than default" },
  "token-file": { type: "string", value: "FILE", about: "holds the token, if not env OPERATOR_TOKEN" },
  json: { type: "boolean", about: "prints what the broker answers, a line for each page" },
  help: { type: "boolean", about: "shows this text" },
  limit: { type: "string", value: "N", about: "so many items of the list, instead of all" },
  prefix: { type: "string", value: "TEXT", about: "how identifiers begin", query: "clientIdPrefix" },
  username: { type: "string", value: "NAME", about: "clients of that user", query: "username" },
  client: { type: "string", value: "ID", about: "subscriptions of that client", query: "clientId" },
  filter: { type: "string", value: "FILTER", about: "exactly that Topic Filter", query: "topicFilter" },
  "password-stdin": { type: "boolean", about: "reads the password from standard input" },
  disabled: { type: "boolean", about: "the user cannot log in" },
  "client-id": { type: "string", value: "ID", about: "the only one that the user may connect with" },
  role: { type: "string", multiple: true, value: "ROLE", about: "a role that the user has" },
  rule: {
    type: "string",
    multiple: true,
    value: "RULE",
    about: '"allow|deny publish|subscribe|all [qosMax=0|1|2] [retain=true|false] FILTER"',
  },
  "if-version": { type: "string", value: "N", about: "only if the policy still has that version" },
  until: { type: "string", value: "TIME", about: "such as 2030-01-31T12:00:00Z; for good without it" },
  scope: { type: "string", multiple: true, value: "SCOPE", about: "such as read, write, users:read" },
  days: { type: "string", value: "N", about: "how long the token is good for (default 90)" },
} as const;

export type FlagName = keyof typeof FLAGS;

/** What has been typed. */
export type Flags = {
  readonly [Name in FlagName]?: (typeof FLAGS)[Name] extends { readonly multiple: true }
    ? readonly string[]
    : (typeof FLAGS)[Name]["type"] extends "boolean"
      ? boolean
      : string;
};
type Names = Readonly<Record<string, string>>;

export type Command = {
  /** "METHOD PATH", below the namespace unless it is of them. */
  readonly operation: string;
  /** What is typed after the command; those of the path have its names, others go to the query unless there is a body. */
  readonly names?: readonly string[];
  readonly flags?: readonly FlagName[];
  /** The answer is a page of many. */
  readonly isPaged?: true;
  readonly body?: (flags: Flags, names: Names) => Readonly<Record<string, unknown>>;
};

/** Flags of every command. */
export const COMMON_FLAGS: readonly FlagName[] = ["url", "namespace", "token-file", "json", "help"];

const rules = (flags: Flags) => ({ rules: rulesOf(flags) });

/** By their words. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  "namespaces list": { operation: "GET /namespaces" },
  "users list": { operation: "GET /users", flags: ["limit"], isPaged: true },
  "users get": { operation: "GET /users/{username}", names: ["username"] },
  "users put": {
    operation: "PUT /users/{username}",
    names: ["username"],
    flags: ["password-stdin", "role", "rule", "disabled", "client-id"],
    body: ({ "client-id": clientId, ...flags }) => ({
      roles: flags.role ?? [],
      rules: rulesOf(flags),
      disabled: flags.disabled ?? false,
      ...(clientId !== undefined && { clientId }),
    }),
  },
  "users delete": { operation: "DELETE /users/{username}", names: ["username"] },
  "policy get": { operation: "GET /policy" },
  "policy put": { operation: "PUT /policy", names: ["file"], body: () => ({}) },
  "rules list": { operation: "GET /rules" },
  "rules put": { operation: "PUT /rules", flags: ["rule", "if-version"], body: rules },
  "roles list": { operation: "GET /roles" },
  "roles put": {
    operation: "PUT /roles/{role}",
    names: ["role"],
    flags: ["rule", "if-version"],
    body: rules,
  },
  "roles delete": { operation: "DELETE /roles/{role}", names: ["role"], flags: ["if-version"] },
  "bans list": { operation: "GET /bans" },
  "bans add": {
    operation: "POST /bans",
    names: ["by", "value"],
    flags: ["until", "if-version"],
    body: ({ until }, ban) => ({ ...ban, ...(until !== undefined && { untilMs: timeOf(until) }) }),
  },
  "bans remove": { operation: "DELETE /bans", names: ["by", "value"], flags: ["if-version"] },
  "tokens list": { operation: "GET /tokens" },
  "tokens issue": {
    operation: "POST /tokens",
    names: ["name"],
    flags: ["scope", "days"],
    body: ({ days = "90", scope = [] }, { name }) => ({
      name,
      scopes: scope,
      expiresAtMs: Date.now() + wholeNumber("days", days) * DAY_MS,
    }),
  },
  "tokens revoke": { operation: "DELETE /tokens/{id}", names: ["id"] },
  "clients list": { operation: "GET /clients", flags: ["prefix", "username", "limit"], isPaged: true },
  "clients get": { operation: "GET /clients/{clientId}", names: ["clientId"] },
  "clients disconnect": { operation: "DELETE /clients/{clientId}", names: ["clientId"] },
  "sessions list": { operation: "GET /sessions", flags: ["prefix", "limit"], isPaged: true },
  "sessions get": { operation: "GET /sessions/{clientId}", names: ["clientId"] },
  "sessions delete": { operation: "DELETE /sessions/{clientId}", names: ["clientId"] },
  "subscriptions list": {
    operation: "GET /subscriptions",
    flags: ["client", "filter", "limit"],
    isPaged: true,
  },
  "retained list": { operation: "GET /retained", names: ["topicFilter"], flags: ["limit"], isPaged: true },
  "retained get": { operation: "GET /retained/message", names: ["topicName"] },
  "retained delete": { operation: "DELETE /retained", names: ["topicFilter"], isPaged: true },
  "audit list": { operation: "GET /audit", flags: ["limit"], isPaged: true },
  "cost list": { operation: "GET /cost", flags: ["limit"], isPaged: true },
};

/** A filter may hold spaces, so what limits the rule comes before it. */
function rulesOf({ rule: texts = [] }: Flags): unknown[] {
  return texts.map((text) => {
    const [, effect, action, limits = "", topicFilter] =
      /^\s*(\S+) (\S+) ((?:(?:qosMax|retain)=\S+ )*)(.+)$/.exec(text) ?? [];
    // A filter that looks like a limit is more likely one with its filter forgotten.
    if (topicFilter === undefined || /^(?:qosMax|retain)=/.test(topicFilter)) throw wrongRule(text);
    const limited = limits.split(" ").filter((limit) => limit !== "");
    return {
      effect,
      action,
      topicFilter,
      ...Object.fromEntries(limited.map((limit) => limitOf(limit, text))),
    };
  });
}

function limitOf(limit: string, rule: string): [string, number | boolean] {
  const [name = "", value = ""] = limit.split("=");
  if (name === "qosMax" && /^[012]$/.test(value)) return [name, Number(value)];
  if (name === "retain" && /^(?:true|false)$/.test(value)) return [name, value === "true"];
  throw wrongRule(rule);
}

function wrongRule(text: string): UsageError {
  return new UsageError(`--rule: ${JSON.stringify(text)} is not ${FLAGS.rule.about}`);
}

function timeOf(text: string): number {
  const timeMs = Date.parse(text);
  if (Number.isNaN(timeMs)) throw new UsageError("--until must be a time such as 2030-01-31T12:00:00Z");
  return timeMs;
}

/** From 1 on. */
export function wholeNumber(flag: FlagName, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--${flag} must be a whole number from 1 on`);
  return Number(text);
}
