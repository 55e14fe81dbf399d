/** What `npm run admin` is asked for, as requests to the administration. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { errorMessage, StartError } from "./start-error.ts";

/** A request below the namespace. */
export type AdminRequest = {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
};

export type AdminCommand = {
  readonly url: URL;
  readonly namespace: string;
  readonly token: string;
  readonly json: boolean;
  /** Reads the password, when one is to be set; it is put into the body then. */
  readonly readsPassword: boolean;
  readonly request: AdminRequest;
};

type Environment = Readonly<Record<string, string | undefined>>;
type Flags = ReturnType<typeof parseFlags>["values"];

const DEFAULT_URL = "http://127.0.0.1:8787";
const DAY_MS = 24 * 60 * 60 * 1000;

const OPTIONS = {
  url: { type: "string" },
  namespace: { type: "string", default: "default" },
  "token-file": { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
  "password-stdin": { type: "boolean", default: false },
  disabled: { type: "boolean", default: false },
  role: { type: "string", multiple: true },
  rule: { type: "string", multiple: true },
  scope: { type: "string", multiple: true },
  days: { type: "string", default: "90" },
  until: { type: "string" },
  client: { type: "string" },
  filter: { type: "string" },
  prefix: { type: "string" },
  username: { type: "string" },
} as const;

export const ADMIN_HELP_TEXT = `Usage: npm run admin -- COMMAND [flags]

  users list | get NAME | delete NAME
  users put NAME [--password-stdin] [--role ROLE]... [--rule RULE]... [--disabled]
  roles list | put ROLE --rule RULE... | delete ROLE
  rules list | put --rule RULE...               rules for everybody
  bans list | add BY VALUE [--until TIME] | remove BY VALUE     BY: client, username, address
  tokens list | issue NAME --scope SCOPE... [--days N] | revoke ID
  clients list [--prefix TEXT] [--username NAME] | get ID | disconnect ID
  sessions list [--prefix TEXT] | get ID | delete ID
  subscriptions list [--client ID] [--filter FILTER]
  retained list FILTER | get TOPIC | delete FILTER
  namespaces list | audit list | cost list

A RULE is "allow|deny publish|subscribe|all FILTER", such as "allow publish sensors/#".

  --url URL            the broker                        (env DURAMQ_URL, default ${DEFAULT_URL})
  --namespace NAME     default: default
  --token-file FILE    holds the token                   (or env OPERATOR_TOKEN)
  --json               prints what the broker answers
`;

/** Undefined: help is wanted. Throws a StartError that names what is wrong, and never a secret. */
export function parseAdminCommand(
  args: readonly string[],
  environment: Environment,
): AdminCommand | undefined {
  const { values: flags, positionals } = parseFlags(args);
  const [resource = "", action = "", ...names] = positionals;
  if (flags.help || resource === "") return undefined;
  const make = Object.hasOwn(COMMANDS, `${resource} ${action}`)
    ? COMMANDS[`${resource} ${action}`]
    : undefined;
  if (make === undefined) throw new StartError(`there is no command "${resource} ${action}" (see --help)`);
  if (names.length !== make.length - 1)
    throw new StartError(`"${resource} ${action}" takes ${make.length - 1} names (see --help)`);
  return {
    url: urlOf(flags.url ?? environment["DURAMQ_URL"] ?? DEFAULT_URL),
    namespace: flags.namespace,
    token: tokenOf(flags["token-file"], environment),
    json: flags.json,
    readsPassword: flags["password-stdin"],
    request: make(flags, ...names),
  };
}

/** By the words of the command; each takes the flags and as many names as the command has. */
const COMMANDS: Readonly<Record<string, (flags: Flags, ...names: string[]) => AdminRequest>> = {
  "namespaces list": (_flags) => ({ method: "GET", path: "/namespaces" }),
  "users list": (_flags) => get("/users"),
  "users get": (_flags, name: string) => get(`/users/${part(name)}`),
  "users put": (flags, name: string) => {
    const { disabled, role: roles = [] } = flags;
    return { method: "PUT", path: `/users/${part(name)}`, body: { roles, rules: rulesOf(flags), disabled } };
  },
  "users delete": (_flags, name: string) => remove(`/users/${part(name)}`),
  "roles list": (_flags) => get("/roles"),
  "roles put": (flags, name: string) => put(`/roles/${part(name)}`, { rules: rulesOf(flags) }),
  "roles delete": (_flags, name: string) => remove(`/roles/${part(name)}`),
  "rules list": (_flags) => get("/rules"),
  "rules put": (flags) => put("/rules", { rules: rulesOf(flags) }),
  "bans list": (_flags) => get("/bans"),
  "bans add": ({ until }, by: string, value: string) => {
    const untilMs = until === undefined ? undefined : timeOf(until);
    return { method: "POST", path: "/bans", body: { by, value, ...(untilMs !== undefined && { untilMs }) } };
  },
  "bans remove": (_flags, by: string, value: string) => remove("/bans", { by, value }),
  "tokens list": (_flags) => get("/tokens"),
  "tokens issue": ({ days, scope: scopes = [] }, name: string) => {
    if (!/^\d{1,5}$/.test(days)) throw new StartError("--days must be a whole number");
    const expiresAtMs = Date.now() + Number(days) * DAY_MS;
    return { method: "POST", path: "/tokens", body: { name, scopes, expiresAtMs } };
  },
  "tokens revoke": (_flags, id: string) => remove(`/tokens/${part(id)}`),
  "clients list": ({ prefix, username }) => get("/clients", { clientIdPrefix: prefix, username }),
  "clients get": (_flags, id: string) => get(`/clients/${part(id)}`),
  "clients disconnect": (_flags, id: string) => remove(`/clients/${part(id)}`),
  "sessions list": ({ prefix }) => get("/sessions", { clientIdPrefix: prefix }),
  "sessions get": (_flags, id: string) => get(`/sessions/${part(id)}`),
  "sessions delete": (_flags, id: string) => remove(`/sessions/${part(id)}`),
  "subscriptions list": ({ client, filter }) =>
    get("/subscriptions", { clientId: client, topicFilter: filter }),
  "retained list": (_flags, filter: string) => get("/retained", { topicFilter: filter }),
  "retained get": (_flags, topic: string) => get("/retained/message", { topicName: topic }),
  "retained delete": (_flags, filter: string) => remove("/retained", { topicFilter: filter }),
  "audit list": (_flags) => get("/audit"),
  "cost list": (_flags) => get("/cost"),
};

function get(path: string, query: Readonly<Record<string, string | undefined>> = {}): AdminRequest {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  return { method: "GET", path, query: Object.fromEntries(given) };
}

function put(path: string, body: unknown): AdminRequest {
  return { method: "PUT", path, body };
}

function remove(path: string, query: Readonly<Record<string, string>> = {}): AdminRequest {
  return { method: "DELETE", path, query };
}

function part(name: string): string {
  return encodeURIComponent(name);
}

function rulesOf({ rule: texts = [] }: Flags): unknown[] {
  return texts.map((text) => {
    const [effect, action, ...filter] = text.trim().split(" ");
    if (filter.length === 0)
      throw new StartError(`--rule: ${JSON.stringify(text)} is not "EFFECT ACTION FILTER"`);
    return { effect, action, topicFilter: filter.join(" ") };
  });
}

function timeOf(text: string): number {
  const timeMs = Date.parse(text);
  if (Number.isNaN(timeMs)) throw new StartError("--until must be a time such as 2030-01-31T12:00:00Z");
  return timeMs;
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new StartError("--url (DURAMQ_URL) must be an http: or https: URL");
  return url;
}

function tokenOf(path: string | undefined, environment: Environment): string {
  const token = path === undefined ? environment["OPERATOR_TOKEN"] : read(path);
  if (token === undefined || token.trim() === "") {
    throw new StartError("a token is needed: OPERATOR_TOKEN in the environment, or --token-file");
  }
  return token.trim();
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new StartError(`--token-file: ${errorMessage(error)}`);
  }
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: true });
  } catch (error) {
    throw new StartError(`${errorMessage(error).split(/\. |\n/)[0]} (see --help)`);
  }
}
