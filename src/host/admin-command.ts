/** What `npm run admin` is asked for, as a request to the administration. */
import { parseArgs } from "node:util";
import {
  type Command,
  COMMANDS,
  COMMON_FLAGS,
  DEFAULT_URL,
  type FlagName,
  FLAGS,
  type Flags,
  wholeNumber,
} from "./admin-commands.ts";
import { operatorTokenOf } from "./operator-token.ts";
import { errorMessage, UsageError } from "./start-error.ts";

export type AdminRequest = {
  readonly method: string;
  /** Below `/api/v1`. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** The version of the policy that is to be changed. */
  readonly ifVersion?: number;
};

/** What is read before the request is made, and never an argument. */
export type AdminInput = {
  /** "-": standard input. */
  readonly path: string;
  /** Throws a UsageError for what is none. */
  readonly into: (request: AdminRequest, text: string) => AdminRequest;
};

export type AdminCommand = {
  readonly url: URL;
  readonly token: string;
  readonly json: boolean;
  readonly request: AdminRequest;
  readonly input?: AdminInput;
  /** Of a list that comes in pages; absent: the answer comes in one. */
  readonly itemsMax?: number;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined: help is wanted. Throws a UsageError that names what is wrong, and never a secret. */
export function parseAdminCommand(
  args: readonly string[],
  environment: Environment,
): AdminCommand | undefined {
  const { flags, positionals } = parseFlags(args);
  const [resource = "", action = "", ...values] = positionals;
  if (flags.help || resource === "") return undefined;
  const words = `${resource} ${action}`;
  const command = Object.hasOwn(COMMANDS, words) ? COMMANDS[words] : undefined;
  if (command === undefined) throw new UsageError(`there is no command "${words.trim()}" (see --help)`);
  const input = inputOf(command, flags, values);
  return {
    url: urlOf(flags.url ?? environment["DURAMQ_URL"] ?? DEFAULT_URL),
    token: operatorTokenOf(flags["token-file"], environment),
    json: flags.json ?? false,
    request: requestOf(words, command, flags, values),
    ...(input !== undefined && { input }),
    ...(command.isPaged && {
      itemsMax: flags.limit === undefined ? Infinity : wholeNumber("limit", flags.limit),
    }),
  };
}

/** Every command with what it takes, and every flag. */
export function adminHelpText(): string {
  const commands = Object.entries(COMMANDS).map(([words, command]) => `  ${usageOf(words, command)}`);
  const flags = (Object.keys(FLAGS) as FlagName[]).map(
    (name) => `  ${shapeOf(name).padEnd(20)} ${FLAGS[name].about}`,
  );
  return [
    "Usage: npm run -s admin -- COMMAND [flags]",
    "",
    ...commands,
    "",
    ...flags,
    "",
    'BY: client, username or address. FILE: what "policy get" shows, changed; "-" is standard input.',
    "Exit codes: 0 done, 1 refused or not reached, 2 typed wrongly.",
    "",
  ].join("\n");
}

function usageOf(words: string, { flags = [], names = [] }: Command): string {
  const shapes = flags.map((flag) => `[${shapeOf(flag)}]${"multiple" in FLAGS[flag] ? "..." : ""}`);
  const placeholders = names.map((name) => name.replaceAll(/[A-Z]/g, "_$&").toUpperCase());
  return [words, ...placeholders, ...shapes].join(" ");
}

function shapeOf(name: FlagName): string {
  const flag = FLAGS[name];
  return "value" in flag ? `--${name} ${flag.value}` : `--${name}`;
}

function requestOf(words: string, command: Command, flags: Flags, values: readonly string[]): AdminRequest {
  const { body, names = [], operation } = command;
  assertTaken(words, command, flags);
  if (values.length !== names.length) throw new UsageError(`it is "${usageOf(words, command)}" (see --help)`);
  const [method = "", pattern = ""] = operation.split(" ");
  const named = Object.fromEntries(names.map((name, index) => [name, values[index] as string]));
  const others = Object.entries(named).filter(([name]) => !pattern.includes(`{${name}}`));
  const { "if-version": ifVersion, namespace = "default" } = flags;
  const scope = pattern === "/namespaces" ? "" : `/namespaces/${pathPart(namespace)}`;
  return {
    method,
    path: scope + pattern.replaceAll(/\{(\w+)\}/g, (_, name: string) => pathPart(named[name] as string)),
    query: { ...(body === undefined && Object.fromEntries(others)), ...queryOf(flags) },
    ...(body !== undefined && { body: body(flags, named) }),
    ...(ifVersion !== undefined && { ifVersion: versionOf(ifVersion) }),
  };
}

function assertTaken(words: string, { flags: taken = [] }: Command, flags: Flags): void {
  const given = Object.keys(flags) as FlagName[];
  const foreign = given.find((flag) => !COMMON_FLAGS.includes(flag) && !taken.includes(flag));
  if (foreign !== undefined) throw new UsageError(`"${words}" takes no --${foreign} (see --help)`);
}

function pathPart(name: string): string {
  // A URL takes them for steps of the path, however they are written.
  if (name === "." || name === "..") throw new UsageError('"." and ".." cannot be named in a path');
  return encodeURIComponent(name);
}

function queryOf(flags: Flags): Record<string, string> {
  const given = Object.entries(flags) as [FlagName, unknown][];
  return Object.fromEntries(
    given.flatMap(([name, value]) => {
      const flag = FLAGS[name];
      return "query" in flag ? [[flag.query, String(value)]] : [];
    }),
  );
}

function inputOf(
  { operation }: Command,
  flags: Flags,
  [path = "-"]: readonly string[],
): AdminInput | undefined {
  if (operation === "PUT /policy") return { path, into: withPolicy };
  return flags["password-stdin"] ? { path: "-", into: withPassword } : undefined;
}

function withPassword(request: AdminRequest, text: string): AdminRequest {
  return { ...request, body: { ...request.body, password: text.replace(/\r?\n$/, "") } };
}

/** The policy as it was shown: its version says from which it was made. */
function withPolicy(request: AdminRequest, text: string): AdminRequest {
  const { version, ...body } = policyIn(text);
  if (typeof version !== "number" || !Number.isSafeInteger(version))
    throw new UsageError('the policy must have the "version" that "policy get" showed');
  return { ...request, body, ifVersion: version };
}

function policyIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const policy: unknown = JSON.parse(text);
    if (typeof policy === "object" && policy !== null) return policy as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new UsageError("the policy must be a JSON object");
}

function versionOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError("--if-version must be a whole number");
  return Number(text);
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new UsageError("--url (DURAMQ_URL) must be an http: or https: URL");
  if (url.username !== "" || url.password !== "")
    throw new UsageError("--url (DURAMQ_URL) must have no user name and no password");
  return url;
}

function parseFlags(args: readonly string[]): { flags: Flags; positionals: readonly string[] } {
  try {
    const { positionals, values } = parseArgs({
      args: [...args],
      options: FLAGS,
      strict: true,
      allowPositionals: true,
    });
    return { flags: values, positionals };
  } catch (error) {
    throw new UsageError(`${errorMessage(error).split(/\. |\n/)[0]} (see --help)`);
  }
}
